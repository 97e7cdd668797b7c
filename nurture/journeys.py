"""Which journey a scored person should be in (DESIGN section 7, "Match")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadbridge.config.schema import Journey, Nurture
from leadbridge.types import EnrolmentState

TAKEN = frozenset(
    {
        EnrolmentState.WANTED,
        EnrolmentState.CHECKED,
        EnrolmentState.CALLING,
        EnrolmentState.DONE,
        EnrolmentState.UNCERTAIN,  # may have happened, so it counts as happened
        EnrolmentState.HELD,
        EnrolmentState.HELD_OUT,  # let in later, the comparison would be spoilt
    }
)
"""States in which a journey counts as had."""

WRITTEN_TO = TAKEN - {EnrolmentState.HELD_OUT}
"""States after which a person is left in peace for a while."""


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


def match(nurture: Nurture, holds: Mapping[str, bool], past: Sequence[Past], at: datetime) -> Match | None:
    """The first journey whose `when` holds and that this person may enter now; None when there is none.

    `holds` says for each journey by name whether its condition is met. A journey once entered is not entered again
    before `re_enter_after` (never, by default); one that was refused is tried again after the quiet time at the
    earliest, because what was true of a person may change.
    """
    quiet = timedelta(seconds=nurture.pressure.quiet_after_enrolment)
    if any(row.state in WRITTEN_TO and at - row.at < quiet for row in past):
        return None
    for journey in nurture.journeys:
        if not holds.get(journey.name, False):
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
    if row.state is EnrolmentState.HELD_OUT or journey.re_enter_after is None:
        return False
    return at - row.at >= timedelta(seconds=journey.re_enter_after)
