"""Webhook events to work: read again what they point at, and suppress who left.

An event is a hint where to look (reliability pattern 9). Many events about one record become one read, in batches of
the vendor's size; events that cannot be worked go to quarantine and the rest proceed (G8).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeAlias

from sqlalchemy import Connection

from connectors.base import Crm
from connectors.events import read_event
from connectors.intake.mapping import VENDOR, Wanted
from leadbridge import clock, logs
from leadbridge.errors import LeadbridgeError, RecordRefused, VendorError
from leadbridge.progress import Tell, unheard
from leadbridge.store import due, enrolments, exits, inbox, leads, leases, outbox, suppressions
from leadbridge.store.engine import Store
from leadbridge.types import EventKind, PersonId, RecordRef, WebhookEvent, email_key
from sync import deliveries, forget, intake, rereading, retry
from sync.holding import renewed

log = logs.logger(__name__)

BATCH = 1000
JOINED = "subscribed since, as the platform tells"
"""Why a refusal is over."""

Claimed: TypeAlias = Sequence[tuple[inbox.InboxEvent, WebhookEvent]]


@dataclass(slots=True)
class Worked:
    """What the waiting events led to."""

    done: int = 0
    due: int = 0  # people to be scored again
    left: int = 0  # people suppressed
    echoes: int = 0  # events that tell of our own writes
    failed: int = 0  # events now in quarantine
    waiting: int = 0  # to be tried again, the vendor could not be read


@dataclass(slots=True)
class _Reads:
    """What is to be read again at one vendor."""

    refs: set[RecordRef] = field(default_factory=set)
    others: set[RecordRef] = field(default_factory=set)  # records that are no people, such as companies
    merged_into: dict[RecordRef, set[RecordRef]] = field(default_factory=dict)  # surviving record: old ones


def work(
    store: Store,
    crms: Sequence[Crm],
    *,
    owner: str,
    wanted: Wanted | None = None,
    tell: Tell = unheard,
) -> Worked:
    """Work through what is in the inbox now. Killed anywhere, an event not marked as done is worked again.

    What comes meanwhile is left for the next time: where events never cease, scores must be written all the same.
    `wanted` is what the configuration says about intake; without it, events of trackers are set aside.
    """
    done = Worked(failed=deliveries.cut(store))
    with store.reading() as tx:
        newest = inbox.newest(tx)
    while True:
        with store.writing() as tx:
            claimed = inbox.claim_events(tx, store.vault, limit=BATCH, owner=owner, newest=newest, now=clock.replaced())
        if not claimed:
            return done
        for row in [row for row in claimed if row.attempts > leases.GIVEN_UP]:
            _set_aside(store, row, "its worker ended each time it was tried", done)
        claimed = [row for row in claimed if row.attempts <= leases.GIVEN_UP]
        if wanted is not None:
            mine = [row for row in claimed if row.vendor == VENDOR]
            taken = intake.work(store, mine, wanted)
            done.done, done.due, done.failed = done.done + taken.done, done.due + taken.due, done.failed + taken.failed
            done.left += taken.left
            claimed = [row for row in claimed if row.vendor != VENDOR]
        events = _understood(store, claimed, done)
        now = clock.now()
        with store.writing() as tx:  # first of all and whether or not any vendor can be read (G22)
            done.left += _suppress(tx, store, [event for _, event in events], now)
        _let_in(store, [event for _, event in events], now)
        rooms = {crm.vendor: crm for crm in crms}
        _finish(store, [pair for pair in events if pair[1].vendor not in rooms], done)
        for vendor, crm in rooms.items():
            theirs = [pair for pair in events if pair[1].vendor == vendor]
            with renewed(store, partial(_renew, claimed)):
                _reread(store, crm, _without_echoes(store, theirs, done), done)
        tell("events", done.done)


def _renew(claimed: Sequence[inbox.InboxEvent], tx: Connection) -> None:
    inbox.renew(tx, claimed)


def _understood(store: Store, claimed: Sequence[inbox.InboxEvent], done: Worked) -> Claimed:
    events = []
    for row in claimed:
        try:
            events.append((row, read_event(row.vendor, row.body)))
        except Exception as problem:  # noqa: BLE001 - whatever a body can do to its reader, it does to itself only
            _set_aside(store, row, str(problem) if isinstance(problem, ValueError) else type(problem).__name__, done)
    return events


def _set_aside(store: Store, row: inbox.InboxEvent, why: str, done: Worked) -> None:
    log.error("event set aside", vendor=row.vendor, why=why)
    with store.writing() as tx:
        inbox.fail(tx, store.vault, row, why, clock.now())
    done.failed += 1


def _finish(store: Store, events: Claimed, done: Worked) -> None:
    if events:
        with store.writing() as tx:
            done.done += len(inbox.done(tx, [row for row, _ in events], clock.now()))


def _without_echoes(store: Store, events: Claimed, done: Worked) -> Claimed:
    """End the events that tell of nothing but a write of our own: what they say we know, and nothing follows (G17)."""
    told: dict[RecordRef, dict[str, str]] = {}
    more: set[RecordRef] = set()  # records of which something else is told too
    for _, event in events:
        ref = event.refs[0] if event.refs else None
        if ref is None or event.kind is not EventKind.CHANGED or event.property is None or event.value is None:
            more.update(event.refs)
        elif told.setdefault(ref, {}).setdefault(event.property, event.value) != event.value:
            more.add(ref)
    if not told.keys() - more:
        return events
    with store.writing() as tx:  # as a writer, it sees what is confirmed at this moment
        ours = outbox.echoes(tx, {ref: values for ref, values in told.items() if ref not in more})
    echoes = [pair for pair in events if pair[1].refs and pair[1].refs[0] in ours]
    _finish(store, echoes, done)
    done.echoes += len(echoes)
    return [pair for pair in events if not pair[1].refs or pair[1].refs[0] not in ours]


def _reread(store: Store, crm: Crm, events: Claimed, done: Worked) -> None:
    """Read again what these events point at. What cannot be worked is halved until the bad event stands alone."""
    if not events:
        return
    reads = _reads((event for _, event in events), crm.people)
    try:
        reads.refs.update(crm.people_behind(sorted(reads.others)))
        done.due += rereading.reread(store, crm, sorted(reads.refs), due.Lane.HOT, reads.merged_into)
    except RecordRefused as error:
        problem = error.problem
    except VendorError as error:
        log.warning("events wait", vendor=error.vendor, why=error.problem, events=len(events))
        with store.writing() as tx:
            inbox.release(tx, [row for row, _ in events], clock.now() + retry.AGAIN)
        done.waiting += len(events)
        return
    except LeadbridgeError:
        raise  # the store: nothing can be worked now, and nothing is the events' fault
    except Exception as bug:
        log.exception("events cannot be worked", vendor=crm.vendor, events=len(events))
        problem = type(bug).__name__
    else:
        _finish(store, events, done)
        return
    if len(events) == 1:
        _set_aside(store, events[0][0], problem, done)
        return
    middle = len(events) // 2
    _reread(store, crm, events[:middle], done)
    _reread(store, crm, events[middle:], done)


def _reads(events: Iterator[WebhookEvent], people: Collection[str]) -> _Reads:
    reads = _Reads()
    for event in events:
        refs = [ref for ref in event.refs if ref.object_type in people]
        reads.refs.update(refs)
        if not refs:  # otherwise the event names the people itself
            reads.others.update(event.refs)
        if event.kind is EventKind.MERGED and refs:
            old = (refs[0]._replace(record_id=one) for one in event.merged)
            reads.merged_into.setdefault(refs[0], set()).update(old)
    return reads


def _suppress(tx: Connection, store: Store, events: Sequence[WebhookEvent], now: datetime) -> int:
    """Everyone an event says has left. A new address of somebody who left is an address of somebody who left."""
    # Who is who is asked first: whoever decides about it holds that before the people (lock order).
    _hand_on(tx, [event for event in events if event.kind is EventKind.EMAIL_CHANGED], now)
    erased = {key for event in events if event.kind is EventKind.ERASED for key in forget.keys_of(event)}
    # What the CRM was asked to forget we forget too, whole (G25).
    gone = forget.forget_keys(tx, store, erased, "vendor event").people if erased else 0
    rows = [
        (email, event.reason, event.vendor, event.occurred_at or now)
        for event in events
        if event.reason is not None
        for email in event.emails
    ]
    people = suppressions.suppress(tx, store.vault, rows, now) if rows else set()
    for event in events:
        if event.kind is EventKind.EMAIL_CHANGED:
            left = [why for email in event.emails if (why := suppressions.is_suppressed(tx, store.vault, email))]
            if left:
                more = [(email, left[0], event.vendor, now) for email in event.emails]
                people |= suppressions.suppress(tx, store.vault, more, now)
    return len(people) + gone


def _let_in(store: Store, events: Sequence[WebhookEvent], now: datetime) -> None:
    """Who was turned away because they were not subscribed, and is now as the platform tells, is looked at at once.

    It is a hint like every event: the gate asks the platform before anybody is called.
    """
    joined = {email for event in events if event.kind is EventKind.SUBSCRIBED for email in event.emails}
    if not joined:
        return
    with store.writing() as tx:
        rows = enrolments.turned_away(tx, joined)
        suppressions.hold(tx, {row.person_id for row in rows})
        exits.leave(tx, [exits.Exit(row.id, JOINED, tell=False) for row in rows], now)
        due.mark_due(tx, {row.person_id for row in rows}, now, due.Lane.HOT)


def _hand_on(tx: Connection, changes: Sequence[WebhookEvent], now: datetime) -> None:
    """An address that somebody took and nobody has becomes theirs: whoever leaves under it leaves whole (G20)."""
    if not changes:
        return
    owners = leads.people_by_key(tx, {email_key(email) for event in changes for email in event.emails})
    new: dict[str, PersonId] = {}
    for event in changes:
        keys = [email_key(email) for email in event.emails]
        had = {person for key in keys if (person := new.get(key, owners.get(key))) is not None}
        if len(had) == 1:
            new |= dict.fromkeys((key for key in keys if key not in owners), had.pop())
    due.mark_due(tx, leads.link_keys(tx, new), now, due.Lane.NORMAL)
