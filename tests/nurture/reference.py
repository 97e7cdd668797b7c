"""Matching in its plainest form, one person at a time with every instant at hand: what `nurture.journeys` is held to.

It is slow, and nothing but tests uses it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from leadbridge.config.nurture import Journey, Nurture
from leadbridge.types import BuyerJourney, EnrolmentState, LifecycleStage

S = EnrolmentState

WAITING = frozenset({S.WANTED, S.CHECKED, S.HELD, S.CALLING})

TAKEN = WAITING | {S.DONE, S.UNCERTAIN}  # uncertain: may have happened, so it counts as happened
"""States in which a journey counts as had, and after which a person is left in peace for a while."""

CONVERTED = frozenset({LifecycleStage.OPPORTUNITY, LifecycleStage.CUSTOMER, LifecycleStage.EVANGELIST})
CUSTOMERS = frozenset({LifecycleStage.CUSTOMER, LifecycleStage.EVANGELIST})


@dataclass(frozen=True, slots=True)
class Past:
    """One row of a person's ledger, as far as matching looks at it."""

    journey: str
    entry: int
    state: EnrolmentState
    at: datetime  # when it came to this state
    track: str = "main"
    id: int = 0
    grounds: frozenset[str] = frozenset()  # rules that gave points when it was decided
    stage: LifecycleStage | None = None  # the person's, then
    left_at: datetime | None = None
    variant: str = ""
    name: str = ""  # in the ledger, where the file calls the journey otherwise now
    unheard: bool = False  # the platform has not said that the address left


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person as matching sees them."""

    holds: Mapping[str, bool]  # configured journey: is its condition met?
    past: Sequence[Past] = ()
    kept_out: Collection[str] = ()  # journeys kept from them for comparison
    until: Mapping[str, bool] = field(default_factory=dict)  # configured journey: does its `until` hold?
    grounds: frozenset[str] = frozenset()  # rules that give points now
    stage: LifecycleStage | None = None  # the further of ours and the CRM's
    only_low: bool = False  # did nothing but what commits to nothing (`pressure.low_commitment`)
    offered: Mapping[str, str | None] = field(default_factory=dict)  # asset: journey that offered it
    withheld: Mapping[str, str] = field(default_factory=dict)  # asset not to be offered now: why not

    def kept(self, out_of: Collection[str]) -> "Candidate":
        """The same person, kept out of these journeys for comparison."""
        return replace(self, kept_out=out_of)

    def after(self, over: Collection[int], at: datetime) -> "Candidate":
        """The same person once these rows are over."""
        return replace(self, past=[replace(row, left_at=at) if row.id in over else row for row in self.past])


@dataclass(frozen=True, slots=True)
class Match:
    """A journey a person should enter now, as its n-th entry."""

    journey: Journey
    entry: int


@dataclass(frozen=True, slots=True)
class Exit:
    """A row of the ledger whose journey is over for the person, and why. `tell`: the platform has to be told."""

    row: int
    why: str
    tell: bool


def match(nurture: Nurture, person: Candidate, at: datetime) -> tuple[list[Match], dict[str, str]]:
    """For each track at most one journey to enter now; and for every journey not entered, why not.

    The first by priority, then by the file's order, whose condition holds, that is not in its rest, that the person
    may (still, or again) have, and that the guards on pressure allow. One that was refused is tried again after the
    quiet time at the earliest, because what was true of a person may change. Whoever was kept out of a journey for
    comparison stays out of it, or the comparison would be spoilt, and is free for the next one.
    """
    found: list[Match] = []
    why: dict[str, str] = {}
    waiting = {row.journey for row in person.past if row.state in WAITING}
    person = _promised(person, [journey for journey in nurture.journeys if journey.name in waiting])
    pressure = nurture.pressure
    since = at - timedelta(seconds=pressure.within)
    begun = sum(row.state in WAITING or (row.state in TAKEN and row.at > since) for row in person.past)
    for track in dict.fromkeys(journey.track for journey in nurture.journeys):
        journeys = by_preference(nurture, track)
        if busy := _busy(nurture, track, person, at):
            why.update({journey.name: busy for journey in journeys})
            continue
        if pressure.at_most is not None and begun + len(found) >= pressure.at_most:
            enough = f"entered as many journeys lately as `pressure.at_most` allows ({pressure.at_most})"
            why.update({journey.name: enough for journey in journeys})
            continue
        for journey in journeys:
            refusal = _refusal(nurture, journey, person, at)
            if not refusal:
                entries = [row.entry for row in person.past if journey.name in (row.journey, row.name)]
                found.append(Match(journey, entry=1 + max(entries, default=0)))
                person = _promised(person, [journey])
                others = [other for other in journeys if other is not journey and other.name not in why]
                why.update({other.name: f"{journey.name} goes first" for other in others})
                break
            why[journey.name] = refusal
    return found, why


def _promised(person: Candidate, journeys: Sequence[Journey]) -> Candidate:
    """The same person, who is about to be offered what these journeys offer."""
    coming = {asset: journey.name for journey in journeys for asset in journey.offers}
    return replace(person, offered={**coming, **person.offered}) if coming else person


def by_preference(nurture: Nurture, track: str) -> list[Journey]:
    """The journeys of a track, the preferred first."""
    return sorted((one for one in nurture.journeys if one.track == track), key=lambda one: -one.priority)


def _busy(nurture: Nurture, track: str, person: Candidate, at: datetime) -> str:
    """Why the person enters no journey of this track now, whichever; empty when one may be entered."""
    quiet = _quiet(nurture)
    of_track = [row for row in person.past if row.track == track and row.state in TAKEN]
    for row in of_track:
        if at - row.at < quiet:
            return f"in {row.journey}" if _in_it(nurture, row, at) else f"left in peace after {row.journey}"
        if _in_it(nurture, row, at):
            return f"in {row.journey}"
    configured = {journey.name: journey for journey in nurture.journeys}
    for row in of_track:
        journey = configured.get(row.journey)
        rest = timedelta(seconds=journey.rest or 0) if journey else timedelta(0)
        if at - _over_at(nurture, row) < rest:
            return f"rests after {row.journey}"
    return ""


def _refusal(nurture: Nurture, journey: Journey, person: Candidate, at: datetime) -> str:
    """Why this journey is not for this person now; empty when it is."""
    if not person.holds.get(journey.name, False):
        return "does not fit"
    if journey.name in person.kept_out:
        return "kept out, to compare"
    if person.until.get(journey.name, False):
        return "its `until` holds"
    if journey.about is BuyerJourney.AWARENESS and person.stage in CUSTOMERS:
        return "customers get no awareness mail"
    if journey.about is BuyerJourney.DECISION and person.only_low:
        return "did nothing yet that commits to anything"
    for asset in journey.offers:
        if asset in person.withheld:
            return person.withheld[asset]
        if asset in person.offered and person.offered[asset] != journey.name:
            return f"was offered {asset} already"
    rows = [row for row in person.past if row.journey == journey.name]
    in_the_way = [row for row in rows if not _again(nurture, journey, row, person, at)]
    if any(row.state in TAKEN for row in in_the_way):
        return "had it before"
    if in_the_way:
        return f"{in_the_way[-1].state} lately, tried again after the quiet time"
    return ""


def _again(nurture: Nurture, journey: Journey, row: Past, person: Candidate, at: datetime) -> bool:
    """Does this earlier row no longer stand in the way of a new entry?"""
    if row.state not in TAKEN:
        return row.state is S.EXPIRED or row.left_at is not None or at - row.at >= _quiet(nurture)
    if journey.re_enter_after is not None and at - row.at >= timedelta(seconds=journey.re_enter_after):
        return True
    if _in_it(nurture, row, at):
        return False
    match journey.re_enter:
        case "after_exit":
            return True
        case "new_reason":
            return bool(person.grounds - row.grounds)
    return False


# --- being in one, and out again -------------------------------------------------------------------------------------


def is_in(nurture: Nurture, row: Past, at: datetime) -> bool:
    """Is the person in this journey now, or about to be, as far as anybody can tell?"""
    return _in_it(nurture, row, at)


def _in_it(nurture: Nurture, row: Past, at: datetime) -> bool:
    if row.state in WAITING:
        return True
    return row.state in TAKEN and row.left_at is None and at < _over_at(nurture, row)


def _over_at(nurture: Nurture, row: Past) -> datetime:
    """When the row's journey is over for the person: when they left, else when its mails are through."""
    if row.left_at is not None:
        return row.left_at
    journey = next((one for one in nurture.journeys if one.name == row.journey), None)
    lasts = _quiet(nurture) if journey is None or journey.lasts is None else timedelta(seconds=journey.lasts)
    return row.at + lasts


def _quiet(nurture: Nurture) -> timedelta:
    return timedelta(seconds=nurture.pressure.quiet_after_enrolment)


def endings(nurture: Nurture, person: Candidate, own: Collection[int], left: str, at: datetime) -> list[Exit]:
    """Which of the person's own journeys are over now, and why. `left`: why they may not be mailed any more, if so."""
    configured = {journey.name: journey for journey in nurture.journeys}
    found = []
    for row in person.past:
        if row.id not in own or row.state not in (S.DONE, S.UNCERTAIN) or row.left_at is not None:
            continue
        journey = configured.get(row.journey)
        why = left or _ending(nurture, journey, row, person, at)
        if why:
            can_tell = _exit_tag(journey, row) is not None
            found.append(Exit(row.id, why, tell=can_tell and (not left or row.unheard) and at < _over_at(nurture, row)))
    return found


def _ending(nurture: Nurture, journey: Journey | None, row: Past, person: Candidate, at: datetime) -> str:
    """Why a journey is over for somebody who may be mailed; empty while it goes on."""
    if journey is None:
        return "the journey is not in the configuration any more"
    if person.until.get(journey.name, False):
        return "its `until` holds"
    if "conversion" in journey.exit_on and person.stage in CONVERTED and _rank(person.stage) > _rank(row.stage):
        return f"converted: {person.stage}"
    if "stage_change" in journey.exit_on and person.stage != row.stage:
        return f"stage is {person.stage or 'none'} now, was {row.stage or 'none'}"
    if at >= _over_at(nurture, row):
        return "ran its course"
    if _exit_tag(journey, row) is not None and not person.holds.get(journey.name, False):
        better = _moved_on(nurture, journey, person, at)
        return f"moved on to {better}" if better else ""
    return ""


def _exit_tag(journey: Journey | None, row: Past) -> str | None:
    """The tag that takes the person out of the way they came in by; none where there is no such way any more."""
    way = None if journey is None else journey.ways.get(row.variant)
    return None if way is None else way.exit_tag


def _moved_on(nurture: Nurture, journey: Journey, person: Candidate, at: datetime) -> str:
    """The journey of the same track that fits now that this one no longer does; empty when none does."""
    others = (one for one in by_preference(nurture, journey.track) if one is not journey)
    return next((one.name for one in others if not _refusal(nurture, one, person, at)), "")


def _rank(stage: LifecycleStage | None) -> int:
    return -1 if stage is None else stage.rank
