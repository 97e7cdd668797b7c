"""The wish to enrol: recorded beside the score it follows from, ended when it is no longer true."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from sqlalchemy import Connection

from leadbridge import addresses
from leadbridge.columns import Mask
from leadbridge.store import activities, enrolments, exits, offers, suppressions
from leadbridge.store.due import Lane
from leadbridge.store.engine import Store
from leadbridge.store.exits import Exit
from leadbridge.store.leads import PersonRow
from leadbridge.types import (
    ActivityKind,
    BuyerJourney,
    EnrolmentState,
    LifecycleStage,
    PersonId,
    SuppressionReason,
    email_key,
    giving,
)
from nurture import gate
from nurture.holdout import held_out, variant
from nurture.journeys import Match, Past, Situation
from scoring.frames import KIND_CODES
from sync import hand_off
from sync.loading import Loaded
from sync.outlook import Outlook, Scorer

PAUSED = "`nurture.pause_while` holds"


@dataclass(slots=True)
class Plan:
    """What follows for a batch of people, not yet recorded."""

    intents: list[enrolments.Intent] = field(default_factory=list)
    held_out: list[tuple[PersonId, str]] = field(default_factory=list)  # newly kept out, to compare
    exits: list[Exit] = field(default_factory=list)
    unfit: set[int] = field(default_factory=set)  # rows that wait for a journey that does not fit any more
    barred: dict[PersonId, str] = field(default_factory=dict)  # who may not be contacted, and why
    paused: dict[PersonId, str] = field(default_factory=dict)  # whom nurture leaves alone now, in which words
    inside: dict[PersonId, Sequence[str]] = field(default_factory=dict)  # journeys they are in
    why_not: dict[PersonId, Mapping[str, str]] = field(default_factory=dict)  # journey they do not enter: why


@dataclass(frozen=True, slots=True)
class Wished:
    """What was recorded: how many are to enter a journey, how many were held out for comparison, who is in what."""

    intents: int
    held_out: int
    inside: Mapping[PersonId, Sequence[str]]  # journeys each person is in, or about to be


def want_journeys(
    tx: Connection,
    store: Store,
    scorer: Scorer,
    loaded: Loaded,
    outlooks: Sequence[Outlook],
    at: datetime,
) -> Wished:
    """Record the wish to enrol whoever fits a journey and may be contacted, as far as we know; end the wishes that
    are no longer true, and the journeys that are over.
    """
    plan = plan_journeys(tx, store, scorer, loaded, outlooks, at)
    enrolments.cancel_rows(tx, plan.unfit, "does not fit the journey any more", at)
    enrolments.cancel_waiting(tx, plan.barred, "suppressed", at)
    for why in sorted(set(plan.paused.values())):
        enrolments.cancel_waiting(tx, [person for person, mine in plan.paused.items() if mine == why], why, at)
    exits.leave(tx, plan.exits, at)
    enrolments.hold_out(tx, plan.held_out, at)
    inside = {person: list(journeys) for person, journeys in plan.inside.items()}
    for intent in plan.intents:
        inside[intent.person_id].append(intent.journey)
    return Wished(len(enrolments.intend(tx, plan.intents, at)), len(plan.held_out), inside)


def showing_journeys(outlook: Outlook, inside: Sequence[str]) -> Outlook:
    """The same, with the journeys the person is in among the values to show, where the configuration shows them."""
    if "journey" not in outlook.wanted:
        return outlook
    return outlook._replace(wanted={**outlook.wanted, "journey": ", ".join(inside) or None})


def plan_journeys(
    tx: Connection,
    store: Store,
    scorer: Scorer,
    loaded: Loaded,
    outlooks: Sequence[Outlook],
    at: datetime,
) -> Plan:
    """What is to be wished, ended and left, and for everybody else why not. Changes nothing."""
    people = [outlook.person_id for outlook in outlooks]
    rows = [loaded.rows[person] for person in people]
    address_of = {row.id: row.canonical or addresses.canonical(row.email) for row in rows}
    plan = Plan(paused={outlook.person_id: PAUSED for outlook in outlooks if outlook.paused})
    plan.paused |= hand_off.paused(tx, scorer.config.hand_off, people, at)
    known = _known(tx, store, scorer, loaded, address_of)
    expires = at + timedelta(seconds=scorer.config.guards.intents_expire_after)
    for outlook, row in zip(outlooks, rows, strict=True):
        address = address_of[row.id]
        history = known.history(row.id, address)
        unfit = {one.id for one in history if one.person_id == row.id and _unfit(outlook, one)} if history else _NONE
        grounds = _grounds(outlook)
        situation = known.situation(scorer, outlook, row, history, unfit, grounds, at)
        left = known.suppressed.get(row.id)
        ended = scorer.matcher.endings(situation, f"left: {left.value}" if left else "")
        plan.unfit |= unfit
        plan.exits += [Exit(history[one.place].id, one.why, one.tell) for one in ended.exits]
        plan.inside[row.id] = ended.inside
        verdict = gate.before_intent(suppressed=left, opted_out=row.opted_out, address=address)
        if not verdict.go or address is None:
            plan.barred[row.id] = verdict.why
        elif row.id in plan.paused:
            plan.why_not[row.id] = {journey.name: plan.paused[row.id] for journey in scorer.config.nurture.journeys}
        else:
            _match(plan, scorer, outlook, ended.then, grounds, address, expires)
    return plan


def _unfit(outlook: Outlook, row: enrolments.LedgerRow) -> bool:
    """Does it wait for a journey the person no longer fits? A mail for who they were yesterday is a wrong one."""
    return row.state in enrolments.WAITING and row.journey not in outlook.journeys


def _match(
    plan: Plan,
    scorer: Scorer,
    outlook: Outlook,
    situation: Situation,
    grounds: frozenset[str],
    address: str,
    expires: datetime,
) -> None:
    """Choose for each track; whoever is held out of what was chosen is free for the next."""
    person, key = outlook.person_id, email_key(address)
    while True:
        found, why = scorer.matcher.match(situation)
        drawn = [one.journey for one in found if one.journey.holdout]
        out = [journey.name for journey in drawn if held_out(key, journey.name, journey.holdout)]
        if not out:
            break
        plan.held_out += [(person, journey) for journey in out]
        situation = situation._replace(kept_out=situation.kept_out.union(out))
    plan.why_not[person] = why
    if found:
        given = _in_order(grounds)
        plan.intents += [_intent(scorer, outlook, situation, given, address, one, expires) for one in found]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored of a batch of people that matching looks at."""

    own: Mapping[PersonId, Sequence[enrolments.LedgerRow]]
    of_address: Mapping[str, Sequence[enrolments.LedgerRow]]  # whoever had it
    suppressed: Mapping[PersonId, SuppressionReason]
    kept_out: Mapping[PersonId, frozenset[str]]
    offered: Mapping[PersonId, tuple[tuple[str, str | None], ...]]
    only_low: Collection[PersonId]
    heard: Collection[str]  # addresses of which the platform itself said that they left

    def history(self, person: PersonId, address: str | None) -> Sequence[enrolments.LedgerRow]:
        """The person's rows of the ledger and those of their address, whoever had it (G19), oldest first."""
        mine = self.own.get(person, ())
        others = [row for row in self.of_address.get(address or "", ()) if row.person_id != person]
        return sorted([*mine, *others], key=lambda row: row.id) if others else mine

    def situation(
        self,
        scorer: Scorer,
        outlook: Outlook,
        row: PersonRow,
        history: Sequence[enrolments.LedgerRow],
        unfit: Collection[int],
        grounds: frozenset[str],
        at: datetime,
    ) -> Situation:
        person, standing = row.id, scorer.matcher.standing
        offered = self.offered.get(person, ())
        return Situation(
            outlook.journeys,
            tuple([standing(_past(scorer, person, one, unfit, self.heard), grounds, at) for one in history]),
            self.kept_out.get(person, _NO_NAMES),
            outlook.until,
            _furthest(outlook.stage, row.lifecycle_stage),
            person in self.only_low,
            offered,
            scorer.withheld(outlook.not_for, offered, at.date()),
        )


_NONE: Set[int] = frozenset()
_NO_NAMES: frozenset[str] = frozenset()


def _known(
    tx: Connection, store: Store, scorer: Scorer, loaded: Loaded, address_of: Mapping[PersonId, str | None]
) -> _Known:
    """Of all of them at once, each in a statement or two."""
    people = list(address_of)
    suppressed = suppressions.suppressed(tx, store.vault, people)
    own: dict[PersonId, list[enrolments.LedgerRow]] = defaultdict(list)
    of_address: dict[str, list[enrolments.LedgerRow]] = defaultdict(list)
    for row in enrolments.ledger(tx, people, [one for one in address_of.values() if one]):
        own[row.person_id].append(row)
        of_address[row.address].append(row)
    kept_out: dict[PersonId, set[str]] = defaultdict(set)
    for person, journey in enrolments.held_out(tx, people):
        kept_out[person].add(journey)
    platforms = {way.platform for way in scorer.matcher.ways.values()}
    inside = {row.address for person in suppressed for row in own[person] if row.state in enrolments.CONTACT}
    offering = any(journey.offers for journey in scorer.config.nurture.journeys)
    return _Known(
        own=own,
        of_address=of_address,
        suppressed=suppressed,
        kept_out={person: frozenset(names) for person, names in kept_out.items()},
        offered=offers.offered_to(tx, people) if offering else {},
        only_low=_only_low(tx, scorer, loaded, people),
        heard=suppressions.told_by(tx, store.vault, inside, platforms) if inside else (),
    )


def _past(
    scorer: Scorer, person: PersonId, row: enrolments.LedgerRow, unfit: Collection[int], heard: Collection[str]
) -> Past:
    """A row as matching looks at it. Where a mail may have been caused it counts for the journey that it started,
    whatever the file calls that now: a new name makes nobody new to it (G19)."""
    contacted = row.state in enrolments.CONTACT
    return Past(
        scorer.matcher.name_now(row.trigger, row.journey) if contacted else row.journey,
        row.entry,
        EnrolmentState.CANCELLED if row.id in unfit else row.state,
        row.at,
        row.track,
        row.grounds,
        STAGES.get(row.stage or ""),
        row.left_at,
        row.variant,
        name=row.journey,
        own=row.person_id == person,
        unheard=row.address not in heard,
    )


def _only_low(tx: Connection, scorer: Scorer, loaded: Loaded, people: Sequence[PersonId]) -> set[PersonId]:
    """Who did something, and nothing but what commits to nothing (pressure guard)."""
    nurture = scorer.config.nurture
    if not any(journey.about is BuyerJourney.DECISION for journey in nurture.journeys):
        return set()
    low = nurture.pressure.low_commitment
    # Of most the activities loaded for the score tell; what is older than any score looks is asked for.
    doubtful = set(people) - _committed(loaded, frozenset(low))
    return activities.only_of(tx, doubtful, low) if doubtful else set()


def _committed(loaded: Loaded, low: frozenset[ActivityKind]) -> set[PersonId]:
    """Who, by what is loaded, did something that commits."""
    did = loaded.activities
    rows = np.unique(did.person[_commits(low)[did.kind]])
    return set(loaded.people.ids[rows].tolist())


@lru_cache(8)
def _commits(low: frozenset[ActivityKind]) -> Mask:
    """By code of a kind: does an activity of it commit to something?"""
    nothing = low | activities.OF_OTHERS
    return np.array([kind not in nothing for kind in sorted(KIND_CODES, key=KIND_CODES.__getitem__)], np.bool_)


def _furthest(ours: LifecycleStage | None, of_the_crm: str | None) -> LifecycleStage | None:
    """The further of our stage and the CRM's, whose opportunity and customer no rule of ours can give."""
    theirs = STAGES.get(of_the_crm or "")
    if ours is None or theirs is None:
        return ours or theirs
    return max(ours, theirs, key=lambda one: one.rank)


STAGES: Mapping[str, LifecycleStage] = {stage.value: stage for stage in LifecycleStage}


def _grounds(outlook: Outlook) -> frozenset[str]:
    """Names of the rules that give points: why the person is where they are."""
    return frozenset([rule for score in outlook.scores for rule in giving(score.contributions)])


@lru_cache(10_000)  # many have the same
def _in_order(grounds: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(grounds))


def _intent(
    scorer: Scorer,
    outlook: Outlook,
    situation: Situation,
    grounds: tuple[str, ...],
    address: str,
    found: Match,
    expires: datetime,
) -> enrolments.Intent:
    journey = found.journey
    chosen = ""
    if journey.variants:
        had = [row.variant for row in situation.rows if row.journey == journey.name]
        shares = {one.name: one.share for one in journey.variants}
        chosen = variant(email_key(address), journey.name, shares, had)
    way = scorer.matcher.ways[journey.name, chosen]
    return enrolments.Intent(
        outlook.person_id,
        journey.name,
        found.entry,
        way.platform,
        address,
        way.start,
        next(iter(outlook.reasons.values()), ""),
        expires,
        outlook.scores[0].value if outlook.scores else None,
        journey.track,
        Lane.HOT if journey.urgent else Lane.NORMAL,
        grounds,
        situation.stage,
        chosen,
    )
