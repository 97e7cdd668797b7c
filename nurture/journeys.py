"""Which journey a scored person should be in (DESIGN section 7, "Match")."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadbridge.config.nurture import Journey, Nurture
from leadbridge.types import EnrolmentState

TAKEN = frozenset(
    {
        EnrolmentState.WANTED,
        EnrolmentState.CHECKED,
        EnrolmentState.CALLING,
        EnrolmentState.DONE,
        EnrolmentState.UNCERTAIN,  # may have happened, so it counts as happened
        EnrolmentState.HELD,
    }
)
"""States in which a journey counts as had, and after which a person is left in peace for a while."""


@dataclass(frozen=True, slots=True)
class Past:
    """One row of a person's ledger, as far as matching looks at it."""

    journey: str
    entry: int
    state: EnrolmentState
    at: datetime


@dataclass(frozen=True, slots=True)
class Match:
    """The journey a person should enter now, as its n-th entry."""

    journey: Journey
    entry: int


def match(
    nurture: Nurture, holds: Mapping[str, bool], past: Sequence[Past], kept_out: Collection[str], at: datetime
) -> Match | None:
    """The first journey whose `when` holds and that this person may enter now; None when there is none.

    `holds` says for each journey by name whether its condition is met. A journey once entered is not entered again
    before `re_enter_after` (never, by default); one that was refused is tried again after the quiet time at the
    earliest, because what was true of a person may change. Whoever was `kept_out` of a journey for comparison stays
    out of it, or the comparison would be spoilt, and is free for the next one.
    """
    quiet = timedelta(seconds=nurture.pressure.quiet_after_enrolment)
    if any(row.state in TAKEN and at - row.at < quiet for row in past):
        return None
    for journey in nurture.journeys:
        if not holds.get(journey.name, False) or journey.name in kept_out:
            continue
        rows = [row for row in past if row.journey == journey.name]
        if any(not _over(row, journey, at, quiet) for row in rows):
            continue
        return Match(journey, entry=1 + max((row.entry for row in rows), default=0))
    return None


def _over(row: Past, journey: Journey, at: datetime, quiet: timedelta) -> bool:
    """Does this earlier row no longer stand in the way of a new entry?"""
    if row.state not in TAKEN:
        return at - row.at >= quiet
    return journey.re_enter_after is not None and at - row.at >= timedelta(seconds=journey.re_enter_after)
