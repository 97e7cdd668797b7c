"""Consent as the CRM tells it, recorded with where, to which words and when; and what it allows (reliability G21)."""

import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection

from connectors import base
from connectors.base import EmailPlatform, MemberStatus, Outcome
from connectors.batches import in_batches
from leadbridge import clock, logs
from leadbridge.conditions import holds
from leadbridge.config.consent import Consent
from leadbridge.store import audit, consents, due, enrolments, stops, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store, exclusive
from leadbridge.types import PersonId, Value
from sync import bounds, verdicts
from sync.loading import Loaded
from sync.outlook import Scorer
from sync.verdicts import Asked

log = logs.logger(__name__)

AT_ONCE = 10
"""So few are added between two questions to the gate that none waits for the others until its answer is stale."""

ASK_AGAIN = timedelta(seconds=60)
"""When somebody just added to the audience is asked about again."""

ADDED = "added to the audience"
"""Where the suppressions come from that adding brings to light."""


def record_consents(tx: Connection, scorer: Scorer, loaded: Loaded, people: Collection[PersonId], at: datetime) -> int:
    """Record the consents that the CRM shows of these of the loaded people; returns how many are new. Repeats change
    nothing. Who does not agree any more has withdrawn: nobody is added on what they said before."""
    if scorer.consent is None:
        return 0
    wanted = set(people)
    given = dict(zip(loaded.people.ids.tolist(), holds(scorer.consent, loaded.people.facts, at).tolist(), strict=True))
    for gone in consents.withdraw(tx, [person for person in wanted if not given.get(person, True)]):
        audit.note(tx, "leadbridge", "consent withdrawn", {"person": gone.person_id, "given": gone.at.isoformat()}, at)
    found = [
        one
        for person, agreed in given.items()
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
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None


def add_consenting(store: Store, platform: EmailPlatform, rules: bounds.Rules, audience: int, asked: Asked) -> Asked:
    """Add those to the audience who are not in it and whose consent is recorded; returns everybody else.

    To be added may mean a mail that welcomes or asks to confirm, so it is contact: through the gate, and within the
    caps, in which it counts as a call (G23). Whoever was added is asked about again once the platform knows them, and
    whoever may not be added yet, later. Nobody's status is raised: a member who is there stays as they are (G21).
    """
    absent = [pair for pair in asked if pair[1].status is MemberStatus.ABSENT]
    with store.reading() as tx:
        given = consents.of(tx, [row.person_id for row, _ in absent])
    ended = {row.id for row, _ in asked}
    for group in in_batches([pair for pair in absent if pair[0].person_id in given], AT_ONCE):
        go, back = _commit_intent_to_add(store, rules, audience, group)
        begin_by = time.monotonic() + verdicts.BEGIN_WITHIN.total_seconds()
        refused = {row.id for row in go if not _add(store, platform, row, given[row.person_id][0], begin_by)}
        added = [row for row in go if row.id not in refused]
        with store.writing() as tx:
            enrolments.release(tx, added, clock.now() + ASK_AGAIN)
            # Until now there was no member whose fields could be filled; they are to be before the first mail.
            due.mark_due(tx, {row.person_id for row in added}, clock.now(), due.Lane.HOT)
        ended -= {row.id for row in (*added, *back)}
    return [pair for pair in asked if pair[0].id in ended]


def _commit_intent_to_add(
    store: Store, rules: bounds.Rules, audience: int, group: Asked
) -> tuple[list[enrolments.EnrolmentRow], list[enrolments.EnrolmentRow]]:
    """Ask the gate, and count those who pass as called before the first byte leaves; returns them, and who waits."""
    now = clock.now()
    people = [row.person_id for row, _ in group]
    go: list[enrolments.EnrolmentRow] = []
    back: list[tuple[datetime | None, enrolments.EnrolmentRow]] = []
    with store.writing() as tx:
        exclusive(tx, "contact")
        allowed = bounds.allowance(tx, rules, audience, now).count
        left = suppressions.suppressed(tx, store.vault, people)
        known = lead_store.people(tx, people)
        for row, member in group:
            agreed = replace(member, status=MemberStatus.SUBSCRIBED)  # as they are to be; all else is asked
            person = known.get(row.person_id)
            verdict = verdicts.verdict(row, agreed, person, left.get(row.person_id), now, rules.guards.quiet_hours)
            if verdict.go and len(go) < allowed:
                go.append(row)
            elif verdict.go or not verdict.final:
                back.append((verdict.again, row))
        ours = enrolments.count_as_called(tx, go, now)
        verdicts.give_back(tx, back, now)
    return [row for row in go if row.id in ours], [row for _, row in back]


def _add(
    store: Store, platform: EmailPlatform, row: enrolments.EnrolmentRow, agreed: consents.Consent, begin_by: float
) -> bool:
    """False when the platform refuses the person. What it refuses for good becomes a suppression."""
    with store.reading() as tx:  # whatever came while the others were added counts
        left = suppressions.suppressed(tx, store.vault, [row.person_id])
        stopped = stops.stopped(tx, stops.CONTACT)
    if left or stopped or time.monotonic() > begin_by:
        return True  # not now: asked about again
    answer = platform.add_member(row.address, {}, base.Consent(agreed.source, agreed.at, agreed.wording))
    if answer.suppress is not None:
        with store.writing() as tx:
            said = (row.address, answer.suppress, ADDED, clock.now())
            suppressions.suppress(tx, store.vault, [said], clock.now())
    log.info("consent used", enrolment=row.id, outcome=answer.outcome.value)
    return answer.outcome is Outcome.WRITTEN
