"""What could not be worked, kept sealed with the reason until somebody replays it (reliability pattern 12)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from leadbridge.store.rows import upsert
from leadbridge.store.tables import quarantine
from leadbridge.store.text import clean_key
from leadbridge.store.vault import Vault


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One item, without its body."""

    id: int
    source: str  # where it came from: "inbox:hubspot", "write_back:hubspot"
    ref: str | None  # which thing there
    reason: str
    attempts: int  # how often it came here
    first_at: datetime
    last_at: datetime


def put(
    tx: Connection, vault: Vault, source: str, reason: str, body: bytes, now: datetime, ref: str | None = None
) -> int:
    """Set something aside; returns its id. The same `ref` of the same source again: counted, with the newest body."""
    (row,) = upsert(
        tx,
        quarantine,
        [
            {
                "source": source,
                "ref": ref,
                "reason": reason,
                "body": vault.seal(body, place(source, ref)),
                "attempts": 1,
                "first_at": now,
                "last_at": now,
            }
        ],
        key=["source", "ref"],
        change=lambda new: {
            **{name: new[name] for name in ("reason", "body", "last_at")},
            "attempts": quarantine.c.attempts + 1,
        },
        returning=[quarantine.c.id],
    )
    return int(row.id)


def listing(tx: Connection, *, after: int = 0, limit: int = 100, source: str | None = None) -> list[Quarantined]:
    """Items with ids above `after`, in order of id."""
    query = select(quarantine).where(quarantine.c.id > after)
    if source is not None:
        query = query.where(quarantine.c.source == source)
    return [_item(row) for row in tx.execute(query.order_by(quarantine.c.id).limit(limit))]


def body_of(tx: Connection, vault: Vault, item_id: int) -> bytes | None:
    """The body of one item, to be looked at; None when it is not there (any more)."""
    row = tx.execute(select(quarantine).where(quarantine.c.id == item_id)).first()
    return None if row is None else vault.open(row.body, place(row.source, row.ref))


def take_back(tx: Connection, vault: Vault, item_id: int) -> tuple[Quarantined, bytes] | None:
    """Take one item out, to be replayed in this transaction; None when it is not there (any more)."""
    row = tx.execute(delete(quarantine).where(quarantine.c.id == item_id).returning(quarantine)).first()
    return None if row is None else (_item(row), vault.open(row.body, place(row.source, row.ref)))


def count(tx: Connection) -> int:
    """How many items are set aside."""
    return tx.execute(select(func.count()).select_from(quarantine)).scalar_one()


def by_source(tx: Connection) -> dict[str, int]:
    """How many items of each source are set aside."""
    query = select(quarantine.c.source, func.count()).group_by(quarantine.c.source).order_by(quarantine.c.source)
    found: dict[str, int] = dict(tx.execute(query).all())
    return found


def purge(tx: Connection, before: datetime) -> int:
    """Drop what was last set aside before the instant (G27); returns how many."""
    return tx.execute(delete(quarantine).where(quarantine.c.last_at < before)).rowcount


def place(source: str, ref: str | None) -> str:
    """What binds a sealed body to its row."""
    return f"quarantine:{clean_key(source)}:{'' if ref is None else clean_key(ref)}"


def _item(row: Row[Any]) -> Quarantined:
    return Quarantined(row.id, row.source, row.ref, row.reason, row.attempts, row.first_at, row.last_at)
