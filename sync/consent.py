"""Consent as the CRM tells it, recorded with where, to which words and when; and what it allows (reliability G21)."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time

from sqlalchemy import Connection

from connectors import base
from connectors.base import EmailPlatform, Member, MemberStatus, Outcome
from leadbridge import clock, logs
from leadbridge.conditions import holds
from leadbridge.config.consent import Consent
from leadbridge.store import consents, enrolments, stops, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import PersonId, Value
from nurture import gate
from sync.outlook import Loaded, Scorer

log = logs.logger(__name__)

ADDED = "added to the audience"
"""Where the suppressions come from that adding brings to light."""


def record_consents(tx: Connection, scorer: Scorer, loaded: Loaded, people: Collection[PersonId], at: datetime) -> int:
    """Record the consents that the CRM shows of these of the loaded people; returns how many are new. Repeats change
    nothing."""
    if scorer.consent is None:
        return 0
    wanted = set(people)
    given = holds(scorer.consent, loaded.people.facts, at)
    found = [
        one
        for person, agreed in zip(loaded.people.ids.tolist(), given.tolist(), strict=True)
        if agreed and person in wanted and (one := _consent(scorer.config.consent, loaded.rows[person])) is not None
    ]
    return consents.record(tx, found)


def _consent(rule: Consent, row: lead_store.PersonRow) -> consents.Consent | None:
    """The person's consent; None while it is not known when, where or to what it was given."""
    known = row.attributes
    source = _text(known.get(rule.source_field) if rule.source_field else None) or rule.source
    wording = _text(known.get(rule.wording_field) if rule.wording_field else None) or rule.wording
    at = _instant(known.get(rule.at) if rule.at else None)
    return consents.Consent(row.id, source, wording, at) if source and wording and at else None


def _text(value: Value) -> str:
    return value.strip() if isinstance(value, str) else ""


def _instant(value: Value) -> datetime | None:
    match value:
        case datetime():
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        case date():
            return datetime.combine(value, time(), UTC)
    return None


def add_consenting(
    store: Store, platform: EmailPlatform, asked: Sequence[tuple[enrolments.EnrolmentRow, Member]]
) -> set[int]:
    """Add those to the audience who are not in it and whose consent is recorded; returns the ids of their rows.

    The gate is asked before each, as before any contact: the platform may send a mail that asks to confirm. What it
    refuses for good becomes a suppression. Nobody's status is raised: a member who is there stays as they are (G21).
    """
    absent = [row for row, member in asked if member.status is MemberStatus.ABSENT]
    with store.reading() as tx:
        given = consents.of(tx, [row.person_id for row in absent])
    added = set()
    for row in absent:
        if row.person_id not in given:
            continue
        newest = given[row.person_id][0]
        with store.reading() as tx:
            left = suppressions.suppressed(tx, store.vault, [row.person_id]).get(row.person_id)
            stopped = stops.stopped(tx, stops.CONTACT)
        if stopped or not gate.before_intent(suppressed=left, opted_out=False, address=row.address).go:
            continue
        shown = base.Consent(newest.source, newest.at, newest.wording)
        answer = platform.add_member(row.address, {}, shown)
        if answer.suppress is not None:
            with store.writing() as tx:
                said = (row.address, answer.suppress, ADDED, clock.now())
                suppressions.suppress(tx, store.vault, [said], clock.now())
        if answer.outcome is Outcome.WRITTEN:
            added.add(row.id)
        log.info("consent used", enrolment=row.id, outcome=answer.outcome.value)
    return added
