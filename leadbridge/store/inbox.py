"""Verified webhook events not yet worked (reliability G1, G3, G10, pattern 1).

One row per delivery key. A worked row loses its body and keeps its key, so that a repeat still does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update

from leadbridge.errors import StoreError
from leadbridge.store import quarantine
from leadbridge.store.engine import among, database_now, upsert
from leadbridge.store.leases import SECONDS, UNHELD, claim_rows, held_ids, renew_rows
from leadbridge.store.tables import inbox
from leadbridge.store.text import clean_key
from leadbridge.store.vault import Vault

KEYS_LAST = timedelta(hours=25)
"""A key is remembered at least this long after its event was worked: vendors repeat for about a day."""


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


def keep(tx: Connection, vault: Vault, vendor: str, events: Sequence[tuple[str, bytes]], now: datetime) -> Kept:
    """Keep (delivery key, raw bytes) pairs; what came before is counted and left alone."""
    unique = {clean_key(key): body for key, body in reversed(events)}
    new = upsert(
        tx,
        inbox,
        [
            {
                "vendor": vendor,
                "delivery_key": key,
                "body": vault.seal(body, _place(vendor, key)),
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
    lease_seconds: float = SECONDS,
    now: datetime | None = None,
) -> list[InboxEvent]:
    """Claim events that wait: the least tried first, then oldest. One that does not open goes to quarantine."""
    now = now or database_now(tx)
    rows = claim_rows(
        tx, inbox, [inbox.c.done_at.is_(None), inbox.c.due_at <= now], [inbox.c.attempts, inbox.c.id],
        limit=limit, owner=owner, seconds=lease_seconds, now=now, counted=True,
    )  # fmt: skip
    events = []
    for row in rows:
        event = InboxEvent(
            row.id, row.vendor, row.delivery_key, row.body, row.lease_token, row.attempts, row.received_at
        )  # fmt: skip
        try:
            events.append(replace(event, body=vault.open(row.body, _place(row.vendor, row.delivery_key))))
        except StoreError as error:
            fail(tx, vault, event, str(error), now)
    return events


def renew(tx: Connection, events: Sequence[InboxEvent], lease_seconds: float = SECONDS) -> set[int]:
    """Prolong claims; returns the ids of those still held."""
    return renew_rows(tx, inbox, events, lease_seconds)


def release(tx: Connection, events: Sequence[InboxEvent], at: datetime | None = None) -> None:
    """Give events back undone; they wait again at once, or until `at`."""
    ids = held_ids(tx, inbox, events)
    tx.execute(
        update(inbox).where(among(tx, inbox.c.id, sorted(ids))).values(UNHELD | ({"due_at": at} if at else {}))
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
                "body": vault.seal(body, _place(vendor, key)),
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
    """How many events are not worked yet, claimed ones included."""
    return tx.execute(select(func.count()).select_from(inbox).where(inbox.c.done_at.is_(None))).scalar_one()


def oldest_pending(tx: Connection) -> datetime | None:
    """When the longest waiting event came; None when none waits (reliability G14)."""
    return tx.execute(select(func.min(inbox.c.received_at)).where(inbox.c.done_at.is_(None))).scalar()


def purge(tx: Connection, before: datetime) -> int:
    """Forget the keys of events worked before the instant, but never within 25 h; returns how many."""
    before = min(before, database_now(tx) - KEYS_LAST)
    return tx.execute(delete(inbox).where(inbox.c.done_at < before)).rowcount


def source(vendor: str) -> str:
    """How the quarantine names a vendor's inbox."""
    return f"inbox:{vendor}"


def _place(vendor: str, key: str) -> str:
    return f"inbox:{clean_key(vendor)}:{clean_key(key)}"
