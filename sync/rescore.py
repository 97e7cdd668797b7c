"""Store to scoring to store: the desired state of each person, worked out in batches.

One transaction saves everything that follows from a score: the score itself, the stage, the wish to write it back and
the wish to enrol (transactional outbox, reliability pattern 2). Nothing here talks to a vendor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import addresses, clock, logs
from leadbridge.errors import LeadbridgeError
from leadbridge.store import due, models, outbox, policies, quarantine
from leadbridge.store import leads as lead_store
from leadbridge.store import scores as score_store
from leadbridge.store.engine import Store
from leadbridge.types import PersonId, RecordRef
from nurture import policy
from sync.consent import record_consents
from sync.intents import want_journeys
from sync.outlook import Loaded, Outlook, Scorer, load

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
    seen: int = 0  # people a pass over everybody has compared; of them only those who moved count above

    def add(self, more: "Rescored") -> None:
        """Count what another turn did to what those before it did."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(more, one.name))


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
    _put_in_force(store, scorer)
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


def _put_in_force(store: Store, scorer: Scorer) -> None:
    """From here on this configuration decides who is contacted; a changed one starts as a canary (G23)."""
    digest = policy.digest(scorer.config)
    with store.reading() as tx:
        current = policies.in_force(tx)
    if current is None or current.digest != digest:
        with store.writing() as tx:
            policies.put_in_force(tx, digest, clock.now())


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
        loaded = load(tx, scorer, ids, at)
    outlooks = scorer.outlook(loaded.people, loaded.activities, loaded.stages, at)
    with store.writing() as tx:
        held = due.still_held(tx, claims)
        save(tx, store, scorer, crms, platform, loaded, outlooks, held, at, done)


def save(
    tx: Connection,
    store: Store,
    scorer: Scorer,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    loaded: Loaded,
    outlooks: Sequence[Outlook],
    held: Sequence[due.Claim],
    at: datetime,
    done: Rescored,
) -> None:
    """Store all that follows from these outlooks, as of `at`, of those who are held; settle their claims."""
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
                cause=outlook.cause,
                buyer_journey=outlook.buyer_journey,
                segments=outlook.segments,
                reasons=outlook.reasons,
                at=at,
            )
            for outlook in outlooks
        ],
        at,
    )
    done.writes += _want_writes(tx, crms, platform, loaded.rows, outlooks, at)
    record_consents(tx, scorer, loaded, known, at)
    if scorer.config.nurture.enabled and scorer.config.nurture.journeys:
        intents, held_out = want_journeys(tx, store, scorer, loaded, outlooks, at)
        done.intents += intents
        done.held_out += held_out
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
