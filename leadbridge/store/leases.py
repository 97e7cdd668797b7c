"""Leases with a fencing token (reliability pattern 4): on rows, for the tables of work, and by name.

A claim sets owner, expiry by the database's clock, and a token that only grows; whatever the holder does later says
"where the token is mine". A paused worker cannot know that it was replaced, so the store refuses it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Row, Table, case, select, update

from leadbridge.store import tables
from leadbridge.store.engine import among, database_now, new_token
from leadbridge.store.rows import upsert
from leadbridge.store.tables import FREE, leases

SECONDS = 30
"""How long a claim lasts unless renewed; renew every 10 s. With the 15 s between two looks at the store, and as many
for a process to start on a busy machine, what a killed worker held is taken up by another within the minute of
reliability G32."""

LONGEST = timedelta(minutes=5)
"""No lease is taken for so long. One that ends later still was taken before the clock was put back: its holder may be
dead, and is fenced if not."""

SUSPECT = 2
"""Claims without an end, of a worker that died each time, after which a row is claimed alone: it may be what kills."""

GIVEN_UP = 5
"""Claims without an end after which the row is set aside: more than one death is then its own (G8, G14)."""

UNHELD = {"lease_owner": None, "lease_until": FREE}
"""Values that let a row go."""


class Held(Protocol):
    """A claimed row."""

    @property
    def id(self) -> int: ...
    @property
    def token(self) -> int: ...


def claim_rows(
    tx: Connection,
    table: Table,
    which: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    *,
    limit: int,
    owner: str,
    seconds: float,
    now: datetime,
) -> list[Row[Any]]:
    """Claim up to `limit` free rows, and return them in `order`; rows another transaction is claiming are passed over.

    `now` is the database's clock. Where the table counts attempts, this is one more.
    """
    (key,) = table.primary_key
    picked = tx.execute(
        select(key).where(_is_over(table, now), *which).order_by(*order).limit(limit)
        .with_for_update(skip_locked=True)
    ).scalars().all()  # fmt: skip
    if not picked:
        return []
    token = new_token(now)
    claimed = tx.execute(
        update(table)
        .where(among(tx, key, picked))
        .values(
            lease_owner=owner,
            lease_until=now + timedelta(seconds=seconds),
            lease_token=_grown(table, token),
            **({"attempts": table.c.attempts + 1} if "attempts" in table.c else {}),
        )
        .returning(table)
    ).all()
    place = {row_id: index for index, row_id in enumerate(picked)}
    return sorted(claimed, key=lambda row: place[row._mapping[key]])


def _is_over(table: Table, now: datetime) -> ColumnElement[bool]:
    return (table.c.lease_until <= now) | (table.c.lease_until > now + LONGEST)


def _grown(table: Table, token: int) -> ColumnElement[int]:
    """The new token, or, should the database's clock have gone back, one above the old."""
    return case((table.c.lease_token >= token, table.c.lease_token + 1), else_=token)


def held_ids(tx: Connection, table: Table, claims: Sequence[Held]) -> set[int]:
    """Ids of the rows still held under these claims; on PostgreSQL they are locked until the transaction ends."""
    (key,) = table.primary_key
    rows = tx.execute(
        select(key, table.c.lease_token)
        .where(among(tx, key, sorted({claim.id for claim in claims})))
        .order_by(key)
        .with_for_update()
    )
    token_of = dict(rows.all())
    return {claim.id for claim in claims if token_of.get(claim.id) == claim.token}


def renew_rows(tx: Connection, table: Table, claims: Sequence[Held], seconds: float) -> set[int]:
    """Prolong these claims; returns the ids of those still held."""
    (key,) = table.primary_key
    ids = held_ids(tx, table, claims)
    until = database_now(tx) + timedelta(seconds=seconds)
    tx.execute(update(table).where(among(tx, key, sorted(ids))).values(lease_until=until))
    return ids


# --- by name: one pull of a stream, one renewal of a token, one scheduler at a time -----------------------------------


def take(tx: Connection, name: str, owner: str, seconds: float = SECONDS) -> int | None:
    """Take the lease of this name; returns its token, or None when another holds it."""
    now = database_now(tx)
    token = new_token(now)
    taken = upsert(
        tx,
        leases,
        [
            {
                "name": name,
                "lease_owner": owner,
                "lease_token": token,
                "lease_until": now + timedelta(seconds=seconds),
            }
        ],
        key=["name"],
        change=lambda new: {
            "lease_owner": new.lease_owner,
            "lease_until": new.lease_until,
            "lease_token": _grown(leases, token),
        },
        only_if=lambda _: _is_over(leases, now),
        returning=[leases.c.lease_token],
    )
    return taken[0].lease_token if taken else None


def mine(tx: Connection, name: str, token: int) -> bool:
    """Is the lease still held under this token? True holds, in a writing transaction, until it ends."""
    return tx.execute(
        select(leases.c.name).where(leases.c.name == name, leases.c.lease_token == token).with_for_update()
    ).first() is not None  # fmt: skip


def keep(tx: Connection, name: str, token: int, seconds: float = SECONDS) -> bool:
    """Prolong the lease; False when it is no longer mine."""
    return _change(tx, name, token, database_now(tx) + timedelta(seconds=seconds))


def drop(tx: Connection, name: str, token: int) -> bool:
    """Give the lease back; False when it was no longer mine."""
    return _change(tx, name, token, FREE)


def _change(tx: Connection, name: str, token: int, until: datetime) -> bool:
    return tx.execute(
        update(leases).where(leases.c.name == name, leases.c.lease_token == token).values(lease_until=until)
    ).rowcount > 0  # fmt: skip


def end_all(tx: Connection) -> None:
    """End every lease there is. Only for a caller that can prove that all holders are dead (`sync.wiring.sole_worker`).

    What was being called then is stranded and becomes uncertain, as after any death (reliability pattern 5).
    """
    for table in tables.metadata.sorted_tables:
        if "lease_until" in table.c:
            tx.execute(update(table).where(table.c.lease_until > FREE).values(UNHELD))
