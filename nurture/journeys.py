"""Which journeys a scored person should be in, and which they should be out of (DESIGN section 7, "Match"). Pure.

Of time, matching asks a few yes and no about each row of a person's ledger (`Standing`). Once those are answered, many
people stand exactly alike (`Situation`), and what follows is worked out once for all of them and remembered.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from leadbridge.config.nurture import Journey, Nurture, same_start
from leadbridge.types import BuyerJourney, EnrolmentState, LifecycleStage, way_name

S = EnrolmentState

WAITING = frozenset({S.WANTED, S.CHECKED, S.HELD, S.CALLING})

TAKEN = WAITING | {S.DONE, S.UNCERTAIN}  # uncertain: may have happened, so it counts as happened
"""States in which a journey counts as had, and after which a person is left in peace for a while."""

CONVERTED = frozenset({LifecycleStage.OPPORTUNITY, LifecycleStage.CUSTOMER, LifecycleStage.EVANGELIST})
CUSTOMERS = frozenset({LifecycleStage.CUSTOMER, LifecycleStage.EVANGELIST})

REMEMBERED = 10_000
"""Situations whose outcome is remembered; of 100,000 people with a past there are some thousands."""


class Past(NamedTuple):
    """One row of the ledger, as far as matching looks at it."""

    journey: str
    entry: int
    state: EnrolmentState
    at: datetime  # when it came to this state
    track: str = "main"
    grounds: frozenset[str] = frozenset()  # rules that gave points when it was decided
    stage: LifecycleStage | None = None  # the person's, then
    left_at: datetime | None = None
    variant: str = ""
    name: str = ""  # in the ledger, where the file calls the journey otherwise now
    own: bool = True  # the person's; else of somebody else who had their address
    unheard: bool = False  # the platform has not said that this address left, and would go on mailing it


class Standing(NamedTuple):
    """A row of the ledger at one instant: what time says about it is answered."""

    journey: str
    name: str
    entry: int
    state: EnrolmentState
    track: str
    stage: LifecycleStage | None
    variant: str
    own: bool
    recent: bool  # within the quiet time since it came to its state
    counts: bool  # for `pressure.at_most`
    inside: bool  # the person is in the journey now, or about to be, as far as anybody can tell
    over: bool  # they left, or its mails are through
    rests: bool  # the rest after it is not over yet
    again: bool  # `re_enter_after` has passed
    news: bool  # a rule gives points now that gave none then
    left: bool = False  # noted as over
    unheard: bool = False


class Situation(NamedTuple):
    """All that matching looks at of a person at one instant; equal ones end alike."""

    holds: tuple[str, ...]  # configured journeys whose condition is met
    rows: tuple[Standing, ...] = ()  # oldest first
    kept_out: frozenset[str] = frozenset()  # journeys kept from them for comparison
    until: tuple[str, ...] = ()  # configured journeys whose `until` holds
    stage: LifecycleStage | None = None  # the further of ours and the CRM's
    only_low: bool = False  # did nothing but what commits to nothing (`pressure.low_commitment`)
    offered: tuple[tuple[str, str | None], ...] = ()  # asset, and the journey that offered it
    withheld: tuple[tuple[str, str], ...] = ()  # asset not to be offered now, and why not


class Match(NamedTuple):
    """A journey a person should enter now, as its n-th entry."""

    journey: Journey
    entry: int


class Exit(NamedTuple):
    """A row whose journey is over for the person, by its place in `Situation.rows`, and why. `tell`: the platform has
    to be told."""

    place: int
    why: str
    tell: bool


class Ended(NamedTuple):
    """What of a person's journeys is over now, which they are in still, and their situation from here on."""

    exits: tuple[Exit, ...]
    inside: tuple[str, ...]
    then: Situation


class WayIn(NamedTuple):
    """The platform that sends a journey, and what starts it there."""

    platform: str
    start: str


class _Times(NamedTuple):
    """A journey's durations."""

    lasts: timedelta
    rest: timedelta
    again: timedelta | None
    asks_news: bool


class Matcher:
    """The journeys of a configuration, made ready to be asked about many people. Thread-safe."""

    def __init__(self, nurture: Nurture) -> None:
        self._nurture = nurture
        self._quiet = timedelta(seconds=nurture.pressure.quiet_after_enrolment)
        self._within = timedelta(seconds=nurture.pressure.within)
        self._configured = {journey.name: journey for journey in nurture.journeys}
        self._times = {journey.name: self._times_of(journey) for journey in nurture.journeys}
        self._unconfigured = _Times(self._quiet, timedelta(0), None, asks_news=False)
        self._tracks = {
            track: sorted((one for one in nurture.journeys if one.track == track), key=lambda one: -one.priority)
            for track in dict.fromkeys(journey.track for journey in nurture.journeys)
        }
        self.ways = {
            (journey.name, variant): WayIn(way.platform, way.start)
            for journey in nurture.journeys
            for variant, way in journey.ways.items()
        }
        self._started = {same_start(way.start): journey for (journey, _), way in self.ways.items()}
        self.name_now = lru_cache(REMEMBERED)(self._name_now)
        self.match = lru_cache(REMEMBERED)(self._match)
        self.endings = lru_cache(REMEMBERED)(self._endings)

    def _times_of(self, journey: Journey) -> _Times:
        return _Times(
            lasts=self._quiet if journey.lasts is None else timedelta(seconds=journey.lasts),
            rest=timedelta(seconds=journey.rest or 0),
            again=None if journey.re_enter_after is None else timedelta(seconds=journey.re_enter_after),
            asks_news=journey.re_enter == "new_reason",
        )

    def _name_now(self, start: str, name: str) -> str:
        """What the file calls the journey that this starts; where there is none any more, `name`."""
        return self._started.get(same_start(start), name)

    def way_now(self, start: str, name: str, variant: str) -> str:
        """What an e-mail platform is told of the way in that this started (`way_name`), as the file calls it now."""
        return way_name(self.name_now(start, name), variant)

    # --- what time says ----------------------------------------------------------------------------------------------

    def standing(self, row: Past, grounds: Collection[str], at: datetime) -> Standing:
        """A row at this instant. `grounds`: names of the rules that give the person points now."""
        times = self._times.get(row.journey, self._unconfigured)
        since = at - row.at
        waiting = row.state in WAITING
        taken = waiting or row.state in TAKEN
        # When its mails are through for the person: when they left, else by time.
        since_over = since - times.lasts if row.left_at is None else at - row.left_at
        over = row.left_at is not None or since >= times.lasts
        return Standing(
            row.journey, row.name, row.entry, row.state, row.track, row.stage, row.variant, row.own,
            recent=since < self._quiet,
            counts=waiting or (taken and since < self._within),
            inside=waiting or (taken and not over),
            over=over,
            rests=since_over < times.rest,
            again=times.again is not None and since >= times.again,
            news=times.asks_news and not row.grounds.issuperset(grounds),
            left=row.left_at is not None,
            unheard=row.unheard,
        )  # fmt: skip

    # --- into journeys -----------------------------------------------------------------------------------------------

    def _match(self, person: Situation) -> tuple[tuple[Match, ...], Mapping[str, str]]:
        """For each track at most one journey to enter now; and for every journey not entered, why not.

        The first by priority, then by the file's order, whose condition holds, that is not in its rest, that the person
        may (still, or again) have, and that the guards on pressure allow. One that was refused is tried again after the
        quiet time, or once the refusal is noted as over, because what was true of a person may change; one that was
        not made in time at once. Whoever was kept out of a journey for comparison stays out of it, or the comparison
        would be spoilt, and is free for the next one.
        """
        found: list[Match] = []
        why: dict[str, str] = {}
        waiting = {row.journey for row in person.rows if row.state in WAITING}
        person = _promised(person, [journey for journey in self._nurture.journeys if journey.name in waiting])
        at_most = self._nurture.pressure.at_most
        begun = sum(row.counts for row in person.rows)
        for track, journeys in self._tracks.items():
            if busy := self._busy(track, person):
                why.update({journey.name: busy for journey in journeys})
                continue
            if at_most is not None and begun + len(found) >= at_most:
                enough = f"entered as many journeys lately as `pressure.at_most` allows ({at_most})"
                why.update({journey.name: enough for journey in journeys})
                continue
            for journey in journeys:
                refusal = self._refusal(journey, person)
                if not refusal:
                    entries = [row.entry for row in person.rows if journey.name in (row.journey, row.name)]
                    found.append(Match(journey, entry=1 + max(entries, default=0)))
                    person = _promised(person, [journey])
                    others = [other for other in journeys if other is not journey and other.name not in why]
                    why.update({other.name: f"{journey.name} goes first" for other in others})
                    break
                why[journey.name] = refusal
        return tuple(found), why

    def _busy(self, track: str, person: Situation) -> str:
        """Why the person enters no journey of this track now, whichever; empty when one may be entered."""
        of_track = [row for row in person.rows if row.track == track and row.state in TAKEN]
        for row in of_track:
            if row.inside:
                return f"in {row.journey}"
            if row.recent:
                return f"left in peace after {row.journey}"
        return next((f"rests after {row.journey}" for row in of_track if row.rests), "")

    def _refusal(self, journey: Journey, person: Situation) -> str:
        """Why this journey is not for this person now; empty when it is."""
        if journey.name not in person.holds:
            return "does not fit"
        if journey.name in person.kept_out:
            return "kept out, to compare"
        if journey.name in person.until:
            return "its `until` holds"
        if journey.about is BuyerJourney.AWARENESS and person.stage in CUSTOMERS:
            return "customers get no awareness mail"
        if journey.about is BuyerJourney.DECISION and person.only_low:
            return "did nothing yet that commits to anything"
        withheld, offered = dict(person.withheld), dict(person.offered)
        for asset in journey.offers:
            if asset in withheld:
                return withheld[asset]
            if asset in offered and offered[asset] != journey.name:
                return f"was offered {asset} already"
        in_the_way = [row for row in person.rows if row.journey == journey.name and not _again(journey, row)]
        if any(row.state in TAKEN for row in in_the_way):
            return "had it before"
        if in_the_way:
            return f"{in_the_way[-1].state} lately, tried again after the quiet time"
        return ""

    # --- out again ---------------------------------------------------------------------------------------------------

    def _endings(self, person: Situation, left: str) -> Ended:
        """Which of the person's own journeys are over now, and why. `left`: why they may not be mailed any more; where
        the platform does not know that, it has to be told, or the journey would go on mailing them (G22)."""
        exits: list[Exit] = []
        inside: list[str] = []
        rows = list(person.rows)
        for place, row in enumerate(person.rows):
            if not row.own:
                continue
            journey = self._configured.get(row.journey)
            ends = row.state in (S.DONE, S.UNCERTAIN) and not row.left
            why = (left or self._ending(journey, row, person)) if ends else ""
            if why:
                can_tell = _exit_tag(journey, row) is not None
                exits.append(Exit(place, why, tell=can_tell and not row.over and (not left or row.unheard)))
                rests = self._times.get(row.journey, self._unconfigured).rest > timedelta(0)
                rows[place] = row._replace(inside=False, over=True, rests=rests, left=True)
            elif row.inside:
                inside.append(row.journey)
        return Ended(tuple(exits), tuple(inside), person._replace(rows=tuple(rows)) if exits else person)

    def _ending(self, journey: Journey | None, row: Standing, person: Situation) -> str:
        """Why a journey is over for somebody who may be mailed; empty while it goes on."""
        if journey is None:
            return "the journey is not in the configuration any more"
        if journey.name in person.until:
            return "its `until` holds"
        if "conversion" in journey.exit_on and person.stage in CONVERTED and _rank(person.stage) > _rank(row.stage):
            return f"converted: {person.stage}"
        if "stage_change" in journey.exit_on and person.stage != row.stage:
            return f"stage is {person.stage or 'none'} now, was {row.stage or 'none'}"
        if row.over:
            return "ran its course"
        if _exit_tag(journey, row) is not None and journey.name not in person.holds:
            better = self._moved_on(journey, person)
            return f"moved on to {better}" if better else ""
        return ""

    def _moved_on(self, journey: Journey, person: Situation) -> str:
        """The journey of the same track that fits now that this one no longer does; empty when none does.

        One that somebody else with their address had is none: whoever left for it would be in no journey at all.
        """
        others = (one for one in self._tracks[journey.track] if one is not journey)
        return next((one.name for one in others if not self._refusal(one, person)), "")


def _promised(person: Situation, journeys: Sequence[Journey]) -> Situation:
    """The same person, who is about to be offered what these journeys offer."""
    coming = {asset: journey.name for journey in journeys for asset in journey.offers}
    return person._replace(offered=tuple({**coming, **dict(person.offered)}.items())) if coming else person


def _again(journey: Journey, row: Standing) -> bool:
    """Does this earlier row no longer stand in the way of a new entry?"""
    if row.state not in TAKEN:
        # Who was only kept waiting was turned away by nobody; `left`: what a refusal rested on is not so any more.
        return row.state is S.EXPIRED or row.left or not row.recent
    if row.again:
        return True
    if row.inside:
        return False
    return journey.re_enter == "after_exit" or (journey.re_enter == "new_reason" and row.news)


def _exit_tag(journey: Journey | None, row: Standing) -> str | None:
    """The tag that takes the person out of the way they came in by; none where there is no such way any more."""
    way = None if journey is None else journey.ways.get(row.variant)
    return None if way is None else way.exit_tag


def _rank(stage: LifecycleStage | None) -> int:
    return -1 if stage is None else stage.rank
