"""The wish to enrol: recorded beside the score it follows from, ended when it is no longer true."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadbridge import addresses
from leadbridge.config.nurture import same_start
from leadbridge.store import activities, enrolments, exits, offers, suppressions
from leadbridge.store.due import Lane
from leadbridge.store.engine import Store
from leadbridge.store.exits import Exit
from leadbridge.store.leads import PersonRow
from leadbridge.types import BuyerJourney, EnrolmentState, LifecycleStage, PersonId
from nurture import catalogue, gate
from nurture.holdout import held_out, variant
from nurture.journeys import Candidate, Match, Past, endings, is_in, match
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
    inside: dict[PersonId, list[str]] = field(default_factory=dict)  # journeys they are in
    why_not: dict[PersonId, dict[str, str]] = field(default_factory=dict)  # journey they do not enter: why


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
    nurture = scorer.config.nurture
    people = [outlook.person_id for outlook in outlooks]
    past = enrolments.history(tx, people)
    suppressed = suppressions.suppressed(tx, store.vault, people)
    known = _Known(
        past=past,
        names={same_start(way.start): journey.name for journey in nurture.journeys for way in journey.ways.values()},
        kept_out=_by_person(enrolments.held_out(tx, people)),
        offered=offers.of(tx, people) if any(journey.offers for journey in nurture.journeys) else {},
        only_low=_only_low(tx, scorer, people),
    )
    rows_of = ((person, loaded.rows[person]) for person in people)
    address_of = {person: row.canonical or addresses.canonical(row.email) for person, row in rows_of}
    at_address = enrolments.at_addresses(tx, sorted({one for one in address_of.values() if one}))
    plan = Plan(paused={outlook.person_id: PAUSED for outlook in outlooks if outlook.paused})
    plan.paused |= hand_off.paused(tx, scorer.config.hand_off, people, at)
    for outlook in outlooks:
        person, address = outlook.person_id, address_of[outlook.person_id]
        row = loaded.rows[person]
        mine = past.get(person, ())
        withheld = catalogue.withheld(
            scorer.config.catalogue,
            not_for=outlook.not_for,
            offered=[asset for asset, one in known.offered.get(person, {}).items() if one.offered_at is not None],
            today=at.date(),
        )
        unfit = _unfit(outlook, mine)
        plan.unfit |= unfit
        rows = {one.id: one for one in (*mine, *(at_address.get(address, ()) if address else ()))}
        candidate = known.candidate(outlook, row, [_past(one, unfit, known.names) for one in rows.values()], withheld)
        own = known.candidate(outlook, row, [_past(one, unfit, known.names) for one in mine], withheld)
        left = suppressed.get(person)
        verdict = gate.before_intent(suppressed=left, opted_out=row.opted_out, address=address)
        over = endings(nurture, own, f"left: {left.value}" if left else "", at)
        plan.exits += [Exit(one.row, one.why, one.tell) for one in over]
        ended = {one.row for one in over}
        plan.inside[person] = [
            one.journey for one in own.past if one.id not in ended and is_in(nurture, one, at)
        ]  # fmt: skip
        if not verdict.go or address is None:
            plan.barred[person] = verdict.why
            continue
        if person in plan.paused:
            plan.why_not[person] = dict.fromkeys((journey.name for journey in nurture.journeys), plan.paused[person])
            continue
        _match(plan, scorer, outlook, candidate.after(ended, at), address, at)
    return plan


def _match(plan: Plan, scorer: Scorer, outlook: Outlook, candidate: Candidate, address: str, at: datetime) -> None:
    """Choose for each track; whoever is held out of what was chosen is free for the next."""
    nurture, person = scorer.config.nurture, outlook.person_id
    kept = set(candidate.kept_out)
    while True:
        found, why = match(nurture, candidate.kept(kept), at)
        out = [one for one in found if held_out(f"email:{address}", one.journey.name, one.journey.holdout)]
        if not out:
            break
        plan.held_out += [(person, one.journey.name) for one in out]
        kept |= {one.journey.name for one in out}
    plan.intents += [_intent(scorer, outlook, candidate, address, one, at) for one in found]
    plan.why_not[person] = why


@dataclass(frozen=True, slots=True)
class _Known:
    """What is stored of a batch of people that matching looks at."""

    past: Mapping[PersonId, Sequence[enrolments.EnrolmentRow]]
    names: Mapping[str, str]  # what starts a journey: how the file calls it
    kept_out: Mapping[PersonId, Collection[str]]
    offered: Mapping[PersonId, Mapping[str, offers.Offer]]
    only_low: Collection[PersonId]

    def candidate(
        self, outlook: Outlook, row: PersonRow, past: Sequence[Past], withheld: Mapping[str, str]
    ) -> Candidate:
        person = outlook.person_id
        return Candidate(
            holds=outlook.journeys,
            past=past,
            kept_out=self.kept_out.get(person, ()),
            until=outlook.until,
            grounds=frozenset(_grounds(outlook)),
            stage=_furthest(outlook.stage, row.lifecycle_stage),
            only_low=person in self.only_low,
            offered={
                asset: one.journey for asset, one in self.offered.get(person, {}).items() if one.offered_at is not None
            },
            withheld=withheld,
        )


def _past(row: enrolments.EnrolmentRow, unfit: Collection[int], names: Mapping[str, str]) -> Past:
    """A row as matching looks at it. Where a mail may have been caused it counts for the journey that it started,
    whatever the file calls that now: a new name makes nobody new to it (G19)."""
    contacted = row.state in enrolments.CONTACT
    return Past(
        journey=names.get(same_start(row.trigger), row.journey) if contacted else row.journey,
        entry=row.entry,
        state=EnrolmentState.CANCELLED if row.id in unfit else row.state,
        at=row.state_at,
        track=row.track,
        id=row.id,
        grounds=frozenset(row.grounds),
        stage=LifecycleStage(row.stage) if row.stage else None,
        left_at=row.left_at,
        variant=row.variant,
        name=row.journey,
    )


def _unfit(outlook: Outlook, past: Sequence[enrolments.EnrolmentRow]) -> set[int]:
    """What waits for a journey the person no longer fits: a mail for who they were yesterday is a wrong one."""
    return {row.id for row in past if row.state in enrolments.WAITING and not outlook.journeys.get(row.journey, False)}


def _only_low(tx: Connection, scorer: Scorer, people: Sequence[PersonId]) -> set[PersonId]:
    """Who did something, and nothing but what commits to nothing (pressure guard)."""
    nurture = scorer.config.nurture
    if not any(journey.about is BuyerJourney.DECISION for journey in nurture.journeys):
        return set()
    return activities.only_of(tx, people, nurture.pressure.low_commitment)


def _by_person(pairs: Collection[tuple[PersonId, str]]) -> dict[PersonId, set[str]]:
    found: dict[PersonId, set[str]] = defaultdict(set)
    for person, journey in pairs:
        found[person].add(journey)
    return found


def _furthest(ours: LifecycleStage | None, of_the_crm: str | None) -> LifecycleStage | None:
    """The further of our stage and the CRM's, whose opportunity and customer no rule of ours can give."""
    theirs = LifecycleStage(of_the_crm) if of_the_crm in set(LifecycleStage) else None
    return max((one for one in (ours, theirs) if one), key=lambda one: one.rank, default=None)


def _grounds(outlook: Outlook) -> list[str]:
    """Names of the rules that give points: why the person is where they are."""
    return sorted({line.rule for score in outlook.scores for line in score.contributions if line.points > 0})


def _intent(
    scorer: Scorer, outlook: Outlook, candidate: Candidate, address: str, found: Match, at: datetime
) -> enrolments.Intent:
    journey = found.journey
    chosen = ""
    if journey.variants:
        had = [row.variant for row in sorted(candidate.past, key=lambda row: row.id) if row.journey == journey.name]
        chosen = variant(f"email:{address}", journey.name, {one.name: one.share for one in journey.variants}, had)
    way = journey.ways[chosen]
    return enrolments.Intent(
        person_id=outlook.person_id,
        journey=journey.name,
        entry=found.entry,
        vendor=way.platform,
        address=address,
        trigger=way.start,
        score=outlook.scores[0].value if outlook.scores else None,
        reason_in=next(iter(outlook.reasons.values()), ""),
        expires_at=at + timedelta(seconds=scorer.config.guards.intents_expire_after),
        track=journey.track,
        lane=Lane.HOT if journey.urgent else Lane.NORMAL,
        grounds=tuple(sorted(candidate.grounds)),
        stage=candidate.stage,
        variant=chosen,
    )
