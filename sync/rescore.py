"""Store to scoring to store: the desired state of each person, worked out in batches.

One transaction saves everything that follows from a score: the score itself, the stage, the wish to write it back and
the wish to enrol (transactional outbox, reliability pattern 2). Nothing here talks to a vendor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadbridge import clock, logs, metrics
from leadbridge.errors import LeadbridgeError
from leadbridge.progress import Tell, unheard
from leadbridge.store import due, enrolments, leases, models, outbox, policies, quarantine
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.store.engine import Store
from leadbridge.types import PersonId
from nurture import policy
from sync import hand_off, retry, wishes
from sync.consent import record_consents
from sync.counting import add
from sync.intents import showing_journeys, want_journeys
from sync.loading import Loaded, load
from sync.offering import note_used, with_next_asset
from sync.outlook import Outlook, Scorer
from sync.uncollected import uncollected
from sync.wiring import Parts

log = logs.logger(__name__)

BATCH = 512
"""People scored in one go: a transaction of some tens of milliseconds, so that the door never waits long. A power of
two is one statement for each table (`store.rows`)."""


QUARANTINE = "rescore"
"""How the quarantine names people who cannot be scored; the reference is the person's id."""

LOOK_AGAIN = timedelta(days=1)
"""When somebody is looked at again who could not be scored, or fits a journey that a rest keeps them from."""

LOOK_AGAIN_AT_LAST = timedelta(days=30)
"""When everybody is looked at again, although by our arithmetic nothing can have changed."""

NOT_BEFORE = timedelta(hours=1)
"""Nobody is looked at more often than this without news: a score of one decimal more is not worth the work."""


@dataclass(slots=True)
class Rescored:
    """What rescoring did."""

    people: int = 0
    changed: int = 0  # of them, whose score moved
    writes: int = 0  # records whose CRM properties have to change
    drifting: int = 0  # people whose score drifted so little that the write waits
    intents: int = 0  # people who should enter a journey
    held_out: int = 0
    failed: int = 0  # people who cannot be scored: now in quarantine
    seen: int = 0  # people a pass over everybody has compared; of them only those who moved count above
    handed_on: int = 0  # people a pass could not score at once: due, to be scored one by one


def rescore(
    parts: Parts,
    *,
    lanes: Sequence[due.Lane] = tuple(due.Lane),
    tell: Tell = unheard,
) -> Rescored:
    """Score everybody in these lanes who is due. Killed anywhere, whoever was not saved is still due."""
    store, done = parts.store, Rescored()
    _remember_models(store, parts.scorer)
    _put_in_force(store, parts.scorer)
    with store.writing() as tx:
        enrolments.expire(tx, clock.now())  # who waited in vain may be wished for anew, and not a day later
    while True:
        with store.writing() as tx:
            claims = due.claim_due(tx, limit=BATCH, owner=parts.owner, lanes=lanes, now=clock.replaced())
        if not claims:
            return done
        if claims[0].attempts > leases.GIVEN_UP:  # claimed alone
            _set_aside(store, claims[0], "the worker ended each time", done)
            continue
        _without_the_bad(parts, claims, done)
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


def _put_in_force(store: Store, scorer: Scorer) -> None:
    """From here on this configuration decides who is contacted; a changed one starts as a canary. Who waits by what
    decided before is looked at first, so that nobody is contacted by a threshold that was mistyped (G23)."""
    digest = policy.digest(scorer.config)
    with store.reading() as tx:
        current = policies.in_force(tx)
    if current is None or current.digest != digest:
        with store.writing() as tx:
            now = clock.now()
            policies.put_in_force(tx, digest, now)
            people = enrolments.waiting_people(tx)
            lead_store.hold(tx, people)
            enrolments.take_back(tx, people)
            due.mark_due(tx, people, now, due.Lane.HOT)


def _without_the_bad(parts: Parts, claims: Sequence[due.Claim], done: Rescored) -> None:
    """Score a batch; one that breaks is halved until the person who breaks it stands alone and is set aside (G8)."""
    try:
        _batch(parts, claims, done)
    except LeadbridgeError:
        raise  # the store: nothing can be worked now, and nothing is these people's fault
    except Exception as bug:
        if len(claims) > 1:
            middle = len(claims) // 2
            _without_the_bad(parts, claims[:middle], done)
            _without_the_bad(parts, claims[middle:], done)
            return
        log.exception("person cannot be scored", person=claims[0].person_id)
        _set_aside(parts.store, claims[0], type(bug).__name__, done)


def _set_aside(store: Store, claim: due.Claim, why: str, done: Rescored) -> None:
    """Into quarantine, and looked at again tomorrow."""
    log.error("person set aside", person=claim.person_id, why=why)
    now = clock.now()
    with store.writing() as tx:
        quarantine.put(tx, store.vault, QUARANTINE, why, b"", now, str(claim.person_id))
        due.release_due(tx, [claim], now + LOOK_AGAIN)
    done.failed += 1


@retry.on_conflict
def _batch(parts: Parts, claims: Sequence[due.Claim], done: Rescored) -> None:
    at, part = clock.now(), Rescored()
    ids = [claim.person_id for claim in claims]
    with uncollected():
        with parts.store.reading() as tx:
            loaded = load(tx, parts.scorer, ids, at)
        outlooks = parts.scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
        with parts.store.writing() as tx:
            lead_store.hold(tx, ids)
            held = due.still_held(tx, claims)
            save(tx, parts, loaded, outlooks, held, at, part)
    add(done, part)


def save(
    tx: Connection,
    parts: Parts,
    loaded: Loaded,
    outlooks: Sequence[Outlook],
    held: Sequence[due.Claim],
    at: datetime,
    done: Rescored,
) -> None:
    """Store all that follows from these outlooks, as of `at`, of those who are held; settle their claims."""
    scorer = parts.scorer
    mine = {claim.person_id for claim in held}
    outlooks = [outlook for outlook in outlooks if outlook.person_id in mine]
    moved = _companies_moved(tx, scorer, outlooks)
    changed = score_store.save_scores(tx, [score for outlook in outlooks for score in outlook.scores], at)
    changed |= _unscore(tx, scorer, outlooks, at)
    score_store.save_standings(
        tx,
        [
            score_store.Standing(
                person_id=outlook.person_id,
                stage=outlook.stage,
                stage_since=at,
                cause=outlook.cause,
                buyer_journey=outlook.buyer_journey,
                company=outlook.company,
                segments=outlook.segments,
                reasons=outlook.reasons,
                at=at,
            )
            for outlook in outlooks
        ],
        at,
    )
    people = [outlook.person_id for outlook in outlooks]
    learned = note_used(tx, scorer, loaded, people)
    outlooks = with_next_asset(tx, scorer, outlooks, at)
    low = scorer.config.nurture.pressure.low_commitment
    again = hand_off.decide(tx, scorer.config.hand_off, loaded.rows, outlooks, at, low)
    record_consents(tx, scorer, loaded, people, at)
    if scorer.config.nurture.enabled and scorer.config.nurture.journeys:
        wished = want_journeys(tx, parts.store, scorer, loaded, outlooks, at)
        done.intents += wished.intents
        done.held_out += wished.held_out
        outlooks = [showing_journeys(outlook, wished.inside.get(outlook.person_id, ())) for outlook in outlooks]
    lanes = {claim.person_id: claim.lane for claim in held}
    writes, drifts = _want_writes(tx, parts, loaded.rows, outlooks, lanes, at)
    done.writes += writes
    done.drifting += len(drifts)
    due.settle_due(tx, held)
    _look_again(tx, scorer, outlooks, drifts, at)
    for person, when in again.items():
        due.mark_due(tx, [person], when, due.Lane.NORMAL if when <= at else due.Lane.BACKGROUND)
    due.mark_due(tx, learned, at, due.Lane.HOT)
    if moved and scorer.config.company is not None:
        settled = at + timedelta(seconds=scorer.config.company.settle)
        due.mark_due(tx, score_store.people_of(tx, moved) - mine, settled, due.Lane.BACKGROUND)
    done.people += len(outlooks)
    done.changed += len(changed)


def _companies_moved(tx: Connection, scorer: Scorer, outlooks: Sequence[Outlook]) -> set[str]:
    """Companies whose score may be another now: of somebody whose own score moved, or who came or went.

    Their people are looked at a little later, once for all changes until then, which bounds the work for a company in
    which many move. Nothing goes round: a company's score is never part of what it is made of.
    """
    company = scorer.config.company
    if company is None:
        return set()
    people = [outlook.person_id for outlook in outlooks]
    before, stood = score_store.current_scores(tx, people), score_store.standings(tx, people)
    found: set[str] = set()
    for outlook in outlooks:
        old = stood[outlook.person_id].company if outlook.person_id in stood else None
        values = {name: row.value for name, row in before.get(outlook.person_id, {}).items()}
        now = {score.name: score.value for score in outlook.scores}
        if old != outlook.company or any(values.get(name) != now.get(name) for name in company.scores):
            found |= {key for key in (old, outlook.company) if key is not None}
    return found


def _unscore(tx: Connection, scorer: Scorer, outlooks: Sequence[Outlook], at: datetime) -> set[PersonId]:
    """End the scores that do not apply to a person (any more)."""
    gone: set[PersonId] = set()
    for model in scorer.models:
        out = [o.person_id for o in outlooks if model.name not in o.reasons]
        if out:
            gone |= score_store.unscore(tx, [(person, model.name) for person in out], model.hash, at)
    return gone


def _want_writes(
    tx: Connection,
    parts: Parts,
    rows: Mapping[PersonId, lead_store.PersonRow],
    outlooks: Sequence[Outlook],
    lanes: Mapping[PersonId, due.Lane],
    at: datetime,
) -> tuple[int, dict[PersonId, datetime]]:
    """Put into the outbox what each record does not show yet; take out what it shows already.

    Returns how many records have to change, and until when whose small drift waits.
    """
    wanted, known = wishes.wishes(tx, parts.crms, parts.platform, rows, outlooks)
    quiet = frozenset(person for person, lane in lanes.items() if lane >= due.Lane.BACKGROUND)
    waiting = wishes.drifting(tx, parts.config, wanted, known, quiet, at)
    person_of = {wish.ref: wish.person_id for wish in wanted}
    wanted = [wish._replace(lane=lanes[wish.person_id]) for wish in wanted if wish.ref not in waiting]
    for ref in outbox.want(tx, wanted, at, known):
        metrics.WRITES_PAUSED.add(vendor=ref.vendor)
        log.error("record paused: it was written as often in an hour as it may be", record=ref.key)
    until: dict[PersonId, datetime] = {}
    for ref, end in waiting.items():
        until[person_of[ref]] = min(end, until.get(person_of[ref], end))
    return sum(1 for wish in wanted if wish.values), until


def _look_again(
    tx: Connection, scorer: Scorer, outlooks: Sequence[Outlook], drifts: Mapping[PersonId, datetime], at: datetime
) -> None:
    """Have each person looked at again when time alone may next change something about them, at the latest."""
    if not scorer.depends_on_time:
        return
    again: dict[PersonId, datetime] = {}
    soon, late, earliest = at + LOOK_AGAIN, at + LOOK_AGAIN_AT_LAST, at + NOT_BEFORE
    for outlook in outlooks:
        # Whoever fits a journey may enter it once a rest is over, which the ledger knows and not the score.
        ends = (
            outlook.unchanged_until or late,
            drifts.get(outlook.person_id, late),
            soon if outlook.journeys else late,
        )
        again[outlook.person_id] = max(min(ends), earliest)
    due.mark_due_each(tx, again, due.Lane.BACKGROUND)
