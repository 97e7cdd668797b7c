"""What the doors took in: deliveries as they came, and their events until they are worked (reliability G1, G3, G10).

A delivery is one row, however many events it holds: that is all the vendor's answer waits for (DESIGN section 11,
"Door"). The worker cuts it soon after: one transaction takes the delivery away and keeps its events, one row per
delivery key, so that killed anywhere it is cut again, and never twice. A worked event loses its body and keeps its key:
a repeat, in whatever delivery it comes, is counted and does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from leadbridge.errors import StoreError
from leadbridge.store import quarantine
from leadbridge.store.engine import among, database_now
from leadbridge.store.leases import SECONDS, SUSPECT, UNHELD, claim_rows, held_ids, renew_rows
from leadbridge.store.rows import insert_all, upsert
from leadbridge.store.tables import deliveries, inbox
from leadbridge.store.text import clean_key
from leadbridge.store.vault import Vault

KEYS_LAST = timedelta(hours=25)
"""A key is remembered at least this long after its event was worked: vendors repeat for about a day."""


LONGEST_REST = timedelta(minutes=2)
"""No event is left alone on purpose for so long. One due later still came before the clock was put back: worked now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One genuine delivery as it came. `id` is 0 before it is stored."""

    vendor: str
    account: str | None  # the only account of the vendor we work for, where known when it came
    body: bytes
    events: int
    id: int = 0
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What `keep` did."""

    new: int
    repeated: int


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """One claimed event. `attempts` counts this claim; a high count tells an event that kills its worker."""

    id: int
    vendor: str
    key: str
    body: bytes
    token: int
    attempts: int
    received_at: datetime


def keep_deliveries(tx: Connection, vault: Vault, came: Sequence[Delivery], now: datetime) -> None:
    """Store deliveries: one row each, few statements for all."""
    insert_all(
        tx,
        deliveries,
        [
            {
                "vendor": one.vendor,
                "account": one.account,
                "events": one.events,
                "body": vault.seal(one.body, place_of_delivery(one.vendor)),
                "received_at": now,
            }
            for one in came
        ],
    )


def oldest_deliveries(
    tx: Connection, vault: Vault, *, limit: int, most_events: int
) -> tuple[list[Delivery], list[Delivery]]:
    """The oldest deliveries: those to be cut, and those that do not open, whose body is as it was stored.

    At most `limit`, and no more (beyond the first) than hold `most_events` together.
    """
    ids: list[int] = []
    total = 0
    for id_, events in tx.execute(select(deliveries.c.id, deliveries.c.events).order_by(deliveries.c.id).limit(limit)):
        total += events
        if ids and total > most_events:
            break
        ids.append(id_)
    opened, closed = [], []
    for row in tx.execute(select(deliveries).where(among(tx, deliveries.c.id, ids)).order_by(deliveries.c.id)):
        one = Delivery(row.vendor, row.account, row.body, row.events, row.id, row.received_at)
        try:
            opened.append(replace(one, body=vault.open(row.body, place_of_delivery(row.vendor))))
        except StoreError:
            closed.append(one)
    return opened, closed


def take_deliveries(tx: Connection, came: Sequence[Delivery]) -> set[int]:
    """Take these deliveries away, in the transaction that keeps their events. Returns the ids that were still there:
    another worker may have cut the others, and their events are not mine to keep."""
    ids = [one.id for one in came]
    gone = delete(deliveries).where(among(tx, deliveries.c.id, ids)).returning(deliveries.c.id)
    return set(tx.execute(gone).scalars())


def keep(tx: Connection, vault: Vault, vendor: str, events: Sequence[tuple[str, bytes]], now: datetime) -> Kept:
    """Keep (delivery key, raw bytes) pairs that came at `now`; what came before is counted and left alone."""
    unique = {clean_key(key): body for key, body in reversed(events)}
    new = upsert(
        tx,
        inbox,
        [
            {
                "vendor": vendor,
                "delivery_key": key,
                "body": vault.seal(body, place(vendor, key)),
                "received_at": now,
                "due_at": now,
            }
            for key, body in sorted(unique.items())
        ],
        key=["vendor", "delivery_key"],
        returning=[inbox.c.id],
    )
    return Kept(len(new), len(events) - len(new))


def claim_events(
    tx: Connection,
    vault: Vault,
    *,
    limit: int,
    owner: str,
    newest: int | None = None,
    lease_seconds: float = SECONDS,
    now: datetime | None = None,
) -> list[InboxEvent]:
    """Claim events that wait: the least tried first, then oldest. One that does not open goes to quarantine.

    `newest`: none with a higher id than this.

    Those that were claimed by workers that died come last and one at a time: one of them may be what killed.
    """
    now = now or database_now(tx)
    waiting: list[ColumnElement[bool]] = [
        inbox.c.done_at.is_(None),
        (inbox.c.due_at <= now) | (inbox.c.due_at > now + LONGEST_REST),
    ]
    if newest is not None:
        waiting.append(inbox.c.id <= newest)
    rows: list[Row[Any]] = []
    for which, most in ((inbox.c.attempts < SUSPECT, limit), (inbox.c.attempts >= SUSPECT, 1)):
        rows = rows or claim_rows(
            tx, inbox, [*waiting, which], [inbox.c.attempts, inbox.c.id],
            limit=most, owner=owner, seconds=lease_seconds, now=now,
        )  # fmt: skip
    events = []
    for row in rows:
        event = InboxEvent(
            row.id, row.vendor, row.delivery_key, row.body, row.lease_token, row.attempts, row.received_at
        )  # fmt: skip
        try:
            events.append(replace(event, body=vault.open(row.body, place(row.vendor, row.delivery_key))))
        except StoreError as error:
            fail(tx, vault, event, str(error), now)
    return events


def newest(tx: Connection) -> int:
    """The highest id of an event; 0 when there is none."""
    found: int | None = tx.execute(select(func.max(inbox.c.id))).scalar()
    return found or 0


def renew(tx: Connection, events: Sequence[InboxEvent], lease_seconds: float = SECONDS) -> set[int]:
    """Prolong claims; returns the ids of those still held."""
    return renew_rows(tx, inbox, events, lease_seconds)


def release(tx: Connection, events: Sequence[InboxEvent], at: datetime | None = None) -> None:
    """Give events back undone; they wait again at once, or until `at`. Nobody died of them, so they start afresh."""
    ids = held_ids(tx, inbox, events)
    tx.execute(
        update(inbox).where(among(tx, inbox.c.id, sorted(ids))).values(
            UNHELD | {"attempts": 0} | ({"due_at": at} if at else {})
        )
    )  # fmt: skip


def done(tx: Connection, events: Sequence[InboxEvent], now: datetime) -> set[int]:
    """These are worked: bodies go, keys stay. Returns the ids that were still held; do this in the transaction that
    stores what the events led to."""
    ids = held_ids(tx, inbox, events)
    tx.execute(
        update(inbox).where(among(tx, inbox.c.id, sorted(ids))).values(UNHELD | {"body": None, "done_at": now})
    )  # fmt: skip
    return ids


def fail(tx: Connection, vault: Vault, event: InboxEvent, reason: str, now: datetime) -> bool:
    """Set an event aside, with its bytes; False when it is no longer mine."""
    if not done(tx, [event], now):
        return False
    quarantine.put(tx, vault, source(event.vendor), reason, event.body, now, event.key)
    return True


def replay(tx: Connection, vault: Vault, vendor: str, key: str, body: bytes, now: datetime) -> None:
    """Have an event worked once more, although its key was seen: what `quarantine.take_back` gave."""
    upsert(
        tx,
        inbox,
        [
            {
                "vendor": vendor,
                "delivery_key": key,
                "body": vault.seal(body, place(vendor, key)),
                "received_at": now,
                "due_at": now,
                "attempts": 0,
            }
        ],
        key=["vendor", "delivery_key"],
        change=lambda new: {"body": new.body, "due_at": new.due_at, "attempts": 0, "done_at": None},
        only_if=lambda _: inbox.c.done_at.is_not(None),
    )


def pending(tx: Connection) -> int:
    """How many events are not worked yet: in deliveries not cut yet, waiting, and claimed."""
    uncut = tx.execute(select(func.coalesce(func.sum(deliveries.c.events), 0))).scalar_one()
    return (
        int(uncut) + tx.execute(select(func.count()).select_from(inbox).where(inbox.c.done_at.is_(None))).scalar_one()
    )


def oldest_pending(tx: Connection) -> datetime | None:
    """When the longest waiting event came; None when none waits (reliability G14)."""
    came: datetime | None = tx.execute(
        select(deliveries.c.received_at).order_by(deliveries.c.id).limit(1)
    ).scalar()  # fmt: skip
    cut: datetime | None = tx.execute(select(func.min(inbox.c.received_at)).where(inbox.c.done_at.is_(None))).scalar()
    return min((at for at in (came, cut) if at is not None), default=None)


def purge(tx: Connection, before: datetime) -> int:
    """Forget the keys of events worked before the instant, but never within 25 h; returns how many."""
    before = min(before, database_now(tx) - KEYS_LAST)
    return tx.execute(delete(inbox).where(inbox.c.done_at < before)).rowcount


def source(vendor: str) -> str:
    """How the quarantine names a vendor's inbox."""
    return f"inbox:{vendor}"


def place_of_delivery(vendor: str) -> str:
    """What binds a sealed delivery to its row."""
    return f"delivery:{clean_key(vendor)}"


def place(vendor: str, key: str) -> str:
    """What binds a sealed event to its row."""
    return f"inbox:{clean_key(vendor)}:{clean_key(key)}"
