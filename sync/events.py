"""Webhook events to work: read again what they point at, and suppress who left.

An event is a hint where to look (reliability pattern 9). Many events about one record become one read, in batches of
the vendor's size; events that cannot be understood go to quarantine and the rest proceed (G8).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connectors.base import Crm
from connectors.events import read_event
from leadbridge import clock, logs
from leadbridge.errors import VendorError
from leadbridge.store import due, inbox, suppressions
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import EventKind, Lead, RecordRef, SuppressionReason, WebhookEvent
from sync import identity

log = logs.logger(__name__)

BATCH = 1000
LEASE = 60.0
AGAIN = timedelta(seconds=30)
"""When events are looked at again after the vendor could not be read."""

SCORED_OBJECT = "contact"
"""The kind of record that is a person. Events about others are passed over: a pull notices what they changed."""


@dataclass(slots=True)
class Worked:
    """What the waiting events led to."""

    done: int = 0
    due: int = 0  # people to be scored again
    left: int = 0  # people suppressed
    failed: int = 0  # events now in quarantine
    waiting: int = 0  # to be tried again, the vendor could not be read


@dataclass(slots=True)
class _Reads:
    """What is to be read again at one vendor."""

    ids: set[str] = field(default_factory=set)
    merged_into: dict[str, set[str]] = field(default_factory=dict)  # surviving id: old ids
    erased: set[str] = field(default_factory=set)


def work(store: Store, crms: Sequence[Crm], *, owner: str) -> Worked:
    """Work through the inbox. Killed anywhere, an event not marked as done is worked again."""
    done = Worked()
    while True:
        with store.writing() as tx:
            claimed = inbox.claim_events(
                tx, store.vault, limit=BATCH, owner=owner, lease_seconds=LEASE, now=clock.replaced()
            )
        if not claimed:
            return done
        events = _understood(store, claimed, done)
        try:
            for crm in crms:
                done.due += _reread(store, crm, [event for _, event in events if event.vendor == crm.vendor])
        except VendorError as error:
            log.warning("events wait", vendor=error.vendor, why=error.problem, events=len(events))
            with store.writing() as tx:
                inbox.release(tx, [row for row, _ in events], clock.now() + AGAIN)
            done.waiting += len(events)
            return done
        now = clock.now()
        with store.writing() as tx:
            done.left += _suppress(tx, store, [event for _, event in events], now)
            inbox.done(tx, [row for row, _ in events], now)
        done.done += len(events)


def _understood(
    store: Store, claimed: Sequence[inbox.InboxEvent], done: Worked
) -> list[tuple[inbox.InboxEvent, WebhookEvent]]:
    events = []
    for row in claimed:
        try:
            events.append((row, read_event(row.vendor, row.body)))
        except ValueError as problem:
            with store.writing() as tx:
                inbox.fail(tx, store.vault, row, str(problem), clock.now())
            done.failed += 1
    return events


def _reread(store: Store, crm: Crm, events: Sequence[WebhookEvent]) -> int:
    reads = _Reads()
    for event in events:
        ids = [ref.record_id for ref in event.refs if ref.object_type == SCORED_OBJECT]
        reads.ids.update(ids)
        if event.kind is EventKind.MERGED and event.new_id and ids:
            reads.merged_into.setdefault(event.new_id, set()).update(event.merged)
        if event.kind is EventKind.ERASED:
            reads.erased.update(ids)
    if not reads.ids:
        return 0
    reading = crm.read_leads(sorted(reads.ids))
    now = clock.now()
    with store.writing() as tx:
        changed = identity.absorb(tx, [_with_aliases(lead, reads.merged_into) for lead in reading.found], now)
        _suppress_erased(tx, store, crm, reads.erased & set(reading.gone), now)
        gone = [RecordRef(crm.vendor, SCORED_OBJECT, record_id) for record_id in reading.gone]
        changed |= identity.reunite(tx, lead_store.retire_records(tx, gone, now), now)
        due.mark_due(tx, changed, now, due.Lane.HOT)
    return len(changed)


def _with_aliases(lead: Lead, merged_into: Mapping[str, set[str]]) -> Lead:
    """The record, with the old ids a merge event named; the record itself may not list them (vendor page 5.3)."""
    old = merged_into.get(lead.ref.record_id, set()) - {lead.ref.record_id}
    more = tuple(RecordRef(lead.ref.vendor, lead.ref.object_type, record_id) for record_id in sorted(old))
    return replace(lead, aliases=tuple(dict.fromkeys((*lead.aliases, *more)))) if more else lead


def _suppress_erased(tx: Connection, store: Store, crm: Crm, ids: set[str], now: datetime) -> None:
    """Whoever asked the CRM to be forgotten must never be mailed again, under any address we knew (G20, G25)."""
    if not ids:
        return
    refs = [RecordRef(crm.vendor, SCORED_OBJECT, record_id) for record_id in ids]
    people = set(lead_store.people_by_key(tx, [ref.key for ref in refs]).values())
    addresses = lead_store.addresses_of(tx, people)
    suppressions.suppress(
        tx, store.vault, [(address, SuppressionReason.ERASED, crm.vendor, now) for address in sorted(addresses)], now
    )


def _suppress(tx: Connection, store: Store, events: Sequence[WebhookEvent], now: datetime) -> int:
    """Everyone an event says has left. A new address of somebody who left is an address of somebody who left."""
    rows = [
        (email, event.reason, event.vendor, event.occurred_at or now)
        for event in events
        if event.reason is not None
        for email in event.emails
    ]
    people = suppressions.suppress(tx, store.vault, rows, now) if rows else set()
    for event in events:
        if event.kind is EventKind.EMAIL_CHANGED:
            for email in event.emails:
                if suppressions.is_suppressed(tx, store.vault, email):
                    people |= suppressions.suppress(
                        tx,
                        store.vault,
                        [(other, SuppressionReason.UNSUBSCRIBED, event.vendor, now) for other in event.emails],
                        now,
                    )
                    break
    return len(people)
