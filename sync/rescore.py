"""Store to scoring to store: the desired state of each person, worked out in batches.

One transaction saves everything that follows from a score: the score itself, the stage, the wish to write it back and
the wish to enrol (transactional outbox, reliability pattern 2). Nothing here talks to a vendor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import addresses, clock, logs
from leadbridge.columns import coded
from leadbridge.conditions import Prepared, holds, prepare
from leadbridge.config.conditions import Condition, FieldTest, Not
from leadbridge.config.schema import BUILT_IN_FIELDS, Config, StageRule, conditions_of
from leadbridge.errors import LeadbridgeError
from leadbridge.store import activities as activity_store
from leadbridge.store import due, enrolments, models, outbox, quarantine, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.store.engine import Store
from leadbridge.types import BuyerJourney, EnrolmentState, LifecycleStage, PersonId, RecordRef, Score, Value
from nurture import buyer_journey, gate
from nurture.holdout import held_out
from nurture.journeys import Match, Past, match
from nurture.segments import expand
from scoring import engine
from scoring import explain as words
from scoring.compile import compile_model
from scoring.frames import KIND_CODES, Activities, Documents, People, people_frame
from scoring.lifecycle import stages
from scoring.personas import compile_personas, nearness

log = logs.logger(__name__)

BATCH = 500
"""People scored in one go: a transaction of some tens of milliseconds, so that the door never waits long."""

LEASE = 60.0

MEMBER = "member"
"""Object type of an e-mail platform's record in the outbox."""

QUARANTINE = "rescore"
"""How the quarantine names people who cannot be scored; the reference is the person's id."""

LOOK_AGAIN = timedelta(days=1)
"""When somebody whose score depends on time is looked at again, although nothing happened."""


@dataclass(slots=True)
class Rescored:
    """What rescoring did."""

    people: int = 0
    changed: int = 0  # of them, whose score moved
    writes: int = 0  # records whose CRM properties have to change
    intents: int = 0  # people who should enter a journey
    held_out: int = 0
    failed: int = 0  # people who cannot be scored: now in quarantine


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that follows for one person at one instant."""

    person_id: PersonId
    scores: tuple[Score, ...]
    stage: LifecycleStage | None
    buyer_journey: BuyerJourney | None
    journeys: Mapping[str, bool]  # configured journey: does its condition hold?
    reasons: Mapping[str, str]  # by score name
    wanted: Mapping[str, Value]  # our write-back names


class Scorer:
    """The configuration's scores, stages and journeys, compiled once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.types = {**BUILT_IN_FIELDS, **{name: field.type for name, field in config.fields.items()}}
        self.personas = compile_personas(config.personas)
        self.models = tuple(
            compile_model(name, model, self.types, personas=config.personas) for name, model in config.scores.items()
        )
        segments = config.segments

        def ready(condition: Any) -> Prepared:
            return prepare(expand(condition, segments))

        self._stages = {
            stage: StageRule(
                when=expand(rule.when, segments), until=None if rule.until is None else expand(rule.until, segments)
            )
            for stage, rule in config.stages.items()
        }
        self._phases = {phase: ready(condition) for phase, condition in config.buyer_journey.items()}
        self._journeys = {journey.name: ready(journey.when) for journey in config.nurture.journeys}

    @property
    def reach(self) -> timedelta | None:
        """How far back activity matters to any score; None: all of it."""
        found = [model.reach for model in self.models]
        return None if None in found else timedelta(microseconds=max(reach for reach in found if reach is not None))

    @property
    def depends_on_time(self) -> bool:
        """May anything about a person change although nothing happens: a score, a stage, the rest after a journey?"""
        return (
            bool(self._journeys)
            or any(
                rule.activity is not None or rule.no_activity_for is not None
                for model in self.config.scores.values()
                for rule in model.rules
            )
            or any(_dated(condition) for _, condition, _ in conditions_of(self.config))
        )

    def outlook(
        self,
        people: People,
        activities: Activities,
        current: Sequence[LifecycleStage | None],
        at: datetime,
    ) -> list[Outlook]:
        """Everything that follows for these people at one instant. Pure."""
        near = nearness(self.personas, people.facts, at)
        people = replace(people, facts=people.facts.adding(near.facts()))
        frames = [engine.score(model, people, activities, at) for model in self.models]
        facts = people.facts.adding(engine.score_facts(frames))
        stage_of = stages(self._stages, facts, current, at)
        facts = facts.adding({"stage": coded(stage_of)})
        phase_holds = {phase: holds(test, facts, at) for phase, test in self._phases.items()}
        phase_of = [
            buyer_journey.phase({phase: bool(mask[row]) for phase, mask in phase_holds.items()})
            for row in range(facts.n)
        ]
        facts = facts.adding({"buyer_journey": coded(phase_of)})
        fits = {name: holds(test, facts, at) for name, test in self._journeys.items()}
        return [
            self._one(
                int(people.ids[row]),
                tuple(found for frame in frames if (found := frame.score(row)) is not None),
                stage_of[row],
                phase_of[row],
                {name: bool(mask[row]) for name, mask in fits.items()},
                near.values(row),
            )
            for row in range(facts.n)
        ]

    def _one(
        self,
        person: PersonId,
        scores: tuple[Score, ...],
        stage: LifecycleStage | None,
        phase: BuyerJourney | None,
        journeys: Mapping[str, bool],
        personas: Mapping[str, Value],
    ) -> Outlook:
        wanted: dict[str, Value] = {"stage": stage, "buyer_journey": phase, **personas}
        first = next(iter(self.config.scores))
        reasons = {score.name: words.reasons(score.contributions) for score in scores}
        for score in scores:
            text = reasons[score.name]
            named: dict[str, Value] = {
                f"score.{score.name}": score.value,
                f"grade.{score.name}": score.grade,
                f"reasons.{score.name}": text,
                **{f"score.{score.name}.{category}": round(points, 1) for category, points in score.categories.items()},
            }
            if score.name == first:
                named |= {"score": score.value, "grade": score.grade, "reasons": text}
                named |= {f"score.{category}": round(points, 1) for category, points in score.categories.items()}
            wanted |= named
        shown = {name: wanted.get(name) for name in self.config.write_back}
        return Outlook(person, scores, stage, phase, journeys, reasons, shown)


def _dated(condition: Condition) -> bool:
    """Does the condition look at how long ago something was?"""
    match condition:
        case FieldTest():
            return condition.test.within is not None or condition.test.older_than is not None
        case Not():
            return _dated(condition.part)
    return any(_dated(part) for part in condition.parts)


def rescore(
    store: Store,
    scorer: Scorer,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    *,
    owner: str,
    tell: Callable[[str, int], None] = lambda _what, _count: None,
) -> Rescored:
    """Score everybody who is due. Killed anywhere, whoever was not saved is still due."""
    done = Rescored()
    _remember_models(store, scorer)
    while True:
        with store.writing() as tx:
            claims = due.claim_due(tx, limit=BATCH, owner=owner, lease_seconds=LEASE, now=clock.replaced())
        if not claims:
            return done
        _without_the_bad(store, scorer, crms, platform, claims, done)
        tell("scored", done.people)


def _remember_models(store: Store, scorer: Scorer) -> None:
    now = clock.now()
    with store.reading() as tx:
        unknown = [model for model in scorer.models if models.model(tx, model.hash) is None]
    if unknown:
        with store.writing() as tx:
            for model in unknown:
                body = scorer.config.scores[model.name].model_dump_json(exclude_none=True)
                models.remember_model(tx, model.hash, model.name, body, now)


@dataclass(slots=True)
class _Loaded:
    """What is stored of a batch of people."""

    rows: dict[PersonId, lead_store.PersonRow]
    people: People
    activities: Activities
    stages: list[LifecycleStage | None]


def _load(
    tx: Connection, scorer: Scorer, ids: Sequence[PersonId], at: datetime, pretend: Mapping[str, Value] | None = None
) -> _Loaded:
    """What is stored of these people; `pretend` replaces attributes of all of them."""
    rows = lead_store.people(tx, ids)
    known = [person for person in ids if person in rows]
    people = people_frame(known, [{**facts_of(rows[person]), **(pretend or {})} for person in known], scorer.types)
    since = None if scorer.reach is None else at - scorer.reach
    found = activity_store.activities_of(tx, known, since)
    activities = Activities.by_id(
        people,
        np.array(found.person_id, np.int64),
        np.array([KIND_CODES[kind] for kind in found.kind], np.int8),
        np.array(found.micros, np.int64),
        Documents(np.arange(len(found), dtype=np.int32), found.attributes),
    )
    standings = score_store.standings(tx, known)
    current = [standings[person].stage if person in standings else None for person in known]
    return _Loaded(rows, people, activities, current)


def facts_of(row: lead_store.PersonRow) -> dict[str, Value]:
    """What conditions may look at of a person: mapped fields and built-in ones."""
    return {
        **row.attributes,
        "email": row.email,
        "email_domain": addresses.domain_of(row.email),
        "opted_out": row.opted_out,
    }


def _without_the_bad(
    store: Store,
    scorer: Scorer,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    claims: Sequence[due.Claim],
    done: Rescored,
) -> None:
    """Score a batch; one that breaks is halved until the person who breaks it stands alone and is set aside (G8)."""
    try:
        _batch(store, scorer, crms, platform, claims, done)
    except LeadbridgeError:
        raise  # the store: nothing can be worked now, and nothing is these people's fault
    except Exception as bug:
        if len(claims) > 1:
            middle = len(claims) // 2
            _without_the_bad(store, scorer, crms, platform, claims[:middle], done)
            _without_the_bad(store, scorer, crms, platform, claims[middle:], done)
            return
        (claim,) = claims
        log.exception("person cannot be scored", person=claim.person_id)
        now = clock.now()
        with store.writing() as tx:
            quarantine.put(tx, store.vault, QUARANTINE, type(bug).__name__, b"", now, str(claim.person_id))
            due.release_due(tx, claims, now + LOOK_AGAIN)
        done.failed += 1


def _batch(
    store: Store,
    scorer: Scorer,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    claims: Sequence[due.Claim],
    done: Rescored,
) -> None:
    at = clock.now()
    ids = [claim.person_id for claim in claims]
    with store.reading() as tx:
        loaded = _load(tx, scorer, ids, at)
    outlooks = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    with store.writing() as tx:
        held = due.still_held(tx, claims)
        mine = {claim.person_id for claim in held}
        outlooks = [outlook for outlook in outlooks if outlook.person_id in mine]
        known = [outlook.person_id for outlook in outlooks]
        changed = score_store.save_scores(tx, [score for outlook in outlooks for score in outlook.scores], at)
        changed |= _unscore(tx, scorer, outlooks, at)
        score_store.save_standings(
            tx,
            [
                score_store.Standing(
                    person_id=outlook.person_id,
                    stage=outlook.stage,
                    stage_since=at,
                    buyer_journey=outlook.buyer_journey,
                    reasons=outlook.reasons,
                    at=at,
                )
                for outlook in outlooks
            ],
            at,
        )
        done.writes += _want_writes(tx, crms, platform, loaded.rows, outlooks, at)
        if scorer.config.nurture.enabled and scorer.config.nurture.journeys:
            _want_journeys(tx, store, scorer, loaded, outlooks, at, done)
        due.settle_due(tx, held)
        if scorer.depends_on_time:
            due.mark_due(tx, known, at + LOOK_AGAIN, due.Lane.BACKGROUND)
    done.people += len(outlooks)
    done.changed += len(changed)


def _unscore(tx: Connection, scorer: Scorer, outlooks: Sequence[Outlook], at: datetime) -> set[PersonId]:
    """End the scores that do not apply to a person (any more)."""
    gone: set[PersonId] = set()
    for model in scorer.models:
        out = [o.person_id for o in outlooks if all(score.name != model.name for score in o.scores)]
        gone |= score_store.unscore(tx, [(person, model.name) for person in out], model.hash, at)
    return gone


def _want_writes(
    tx: Connection,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    rows: Mapping[PersonId, lead_store.PersonRow],
    outlooks: Sequence[Outlook],
    at: datetime,
) -> int:
    """Put into the outbox what each record does not show yet; take out what it shows already."""
    versions = score_store.versions(tx, [outlook.person_id for outlook in outlooks])
    wanted: list[outbox.Wanted] = []
    for crm in crms:
        records = lead_store.refs_of(tx, [outlook.person_id for outlook in outlooks], crm.vendor)
        for outlook in outlooks:
            for record in records.get(outlook.person_id, ()):
                values = crm.changes(outlook.wanted, record.written)
                wanted.append(outbox.Wanted(record.ref, outlook.person_id, values, versions[outlook.person_id]))
    if platform is not None and platform.specs():
        wanted += _want_members(tx, platform, rows, outlooks, versions)
    for ref in outbox.want(tx, wanted, at):
        log.warning("record paused: too many writes in an hour", record=ref.key)
    return sum(1 for row in wanted if row.values)


def _want_members(
    tx: Connection,
    platform: EmailPlatform,
    rows: Mapping[PersonId, lead_store.PersonRow],
    outlooks: Sequence[Outlook],
    versions: Mapping[PersonId, int],
) -> list[outbox.Wanted]:
    """The same for the e-mail platform's merge fields, by address."""
    refs = {
        outlook.person_id: RecordRef(platform.vendor, MEMBER, address)
        for outlook in outlooks
        if (address := addresses.canonical(rows[outlook.person_id].email)) is not None
    }
    confirmed = outbox.confirmed(tx, refs.values())
    return [
        outbox.Wanted(
            refs[outlook.person_id],
            outlook.person_id,
            platform.changes(
                outlook.wanted, confirmed[ref].written if (ref := refs[outlook.person_id]) in confirmed else {}
            ),
            versions[outlook.person_id],
        )
        for outlook in outlooks
        if outlook.person_id in refs
    ]


def _want_journeys(
    tx: Connection,
    store: Store,
    scorer: Scorer,
    loaded: _Loaded,
    outlooks: Sequence[Outlook],
    at: datetime,
    done: Rescored,
) -> None:
    """Record the wish to enrol whoever fits a journey and may be contacted, as far as we know; end the wishes that
    are no longer true."""
    past = enrolments.history(tx, [outlook.person_id for outlook in outlooks])
    unfit = _cancel_unfit(tx, outlooks, past, at)
    fitting = [outlook for outlook in outlooks if any(outlook.journeys.values())]
    known = sorted({outlook.person_id for outlook in fitting} | past.keys())
    suppressed = suppressions.suppressed(tx, store.vault, known)
    enrolments.cancel_waiting(tx, suppressed.keys() & past.keys(), "suppressed", at)
    kept_out = enrolments.held_out(tx, known)
    address_of = {outlook.person_id: addresses.canonical(loaded.rows[outlook.person_id].email) for outlook in fitting}
    at_address = enrolments.at_addresses(tx, [address for address in address_of.values() if address])
    intents: list[enrolments.Intent] = []
    out: list[tuple[PersonId, str]] = []
    for outlook in fitting:
        person, address = outlook.person_id, address_of[outlook.person_id]
        verdict = gate.before_intent(
            suppressed=suppressed.get(person), opted_out=loaded.rows[person].opted_out, address=address
        )
        if not verdict.go or address is None:
            continue
        rows = {row.id: row for row in (*past.get(person, ()), *at_address.get(address, ()))}
        ledger = [
            Past(row.journey, row.entry, EnrolmentState.CANCELLED if row.id in unfit else row.state, row.state_at)
            for row in rows.values()
        ]
        had = {journey for one, journey in kept_out if one == person}
        while (found := match(scorer.config.nurture, outlook.journeys, ledger, had, at)) is not None:
            if not held_out(f"email:{address}", found.journey.name, found.journey.holdout):
                intents.append(_intent(scorer, outlook, address, found, at))
                break
            out.append((person, found.journey.name))
            had.add(found.journey.name)
    enrolments.hold_out(tx, out, at)
    done.held_out += len(out)
    done.intents += len(enrolments.intend(tx, intents, at))


def _cancel_unfit(
    tx: Connection,
    outlooks: Sequence[Outlook],
    past: Mapping[PersonId, Sequence[enrolments.EnrolmentRow]],
    at: datetime,
) -> set[int]:
    """End what waits for a journey the person no longer fits: a mail for who they were yesterday is a wrong one."""
    unfit = {
        row.id
        for outlook in outlooks
        for row in past.get(outlook.person_id, ())
        if row.state in enrolments.WAITING and not outlook.journeys.get(row.journey, False)
    }
    enrolments.cancel_rows(tx, unfit, "does not fit the journey any more", at)
    return unfit


def _intent(scorer: Scorer, outlook: Outlook, address: str, found: Match, at: datetime) -> enrolments.Intent:
    journey = found.journey
    return enrolments.Intent(
        person_id=outlook.person_id,
        journey=journey.name,
        entry=found.entry,
        vendor="mailchimp",
        address=address,
        trigger=journey.mailchimp.tag or journey.mailchimp.trigger or "",
        score=outlook.scores[0].value if outlook.scores else None,
        reason_in=next(iter(outlook.reasons.values()), ""),
        expires_at=at + timedelta(seconds=scorer.config.guards.intents_expire_after),
    )


# --- explain -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one person's scores come about now."""

    email: str
    scores: tuple[Score, ...]
    stage: LifecycleStage | None
    buyer_journey: BuyerJourney | None
    wanted: Mapping[str, Value]  # what the CRM should show, by our write-back names
    enrolments: tuple[enrolments.EnrolmentRow, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "email": self.email,
            "scores": [
                {
                    "name": score.name,
                    "value": score.value,
                    "grade": score.grade,
                    "model": score.model,
                    "at": score.at.isoformat(),
                    "contributions": [
                        {"category": line.category, "rule": line.rule, "points": line.points}
                        for line in score.contributions
                    ],
                }
                for score in self.scores
            ],
            "stage": self.stage,
            "buyer_journey": self.buyer_journey,
            "write_back": dict(self.wanted),
            "enrolments": [{"journey": row.journey, "state": row.state, "words": row.words} for row in self.enrolments],
        }


def what_if(
    store: Store, scorer: Scorer, ids: Sequence[PersonId], pretend: Mapping[str, Value]
) -> dict[PersonId, Mapping[str, int]]:
    """The scores by name these people would have now if their attributes were as pretended. Reads the store only."""
    at = clock.now()
    with store.reading() as tx:
        loaded = _load(tx, scorer, ids, at, pretend)
    found = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    return {one.person_id: {score.name: score.value for score in one.scores} for one in found}


def explain(store: Store, scorer: Scorer, email: str) -> Explanation | None:
    """One person's scores as they are now, computed from what is stored; None when nobody has the address."""
    canonical = addresses.canonical(email)
    if canonical is None:
        return None
    at = clock.now()
    with store.reading() as tx:
        person = lead_store.person_by_email(tx, canonical)
        if person is None:
            return None
        loaded = _load(tx, scorer, [person], at)
        ledger = enrolments.history(tx, [person]).get(person, [])
    (found,) = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    return Explanation(canonical, found.scores, found.stage, found.buyer_journey, found.wanted, tuple(ledger))
