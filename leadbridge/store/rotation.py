"""The store's key exchanged for another, row by row, while everybody works (reliability G26).

Every process first gets both keys: the new one in LEADBRIDGE_KEY, the old one in LEADBRIDGE_KEY_PREVIOUS. Both open,
the new one seals. Then everything is sealed anew; a rotation that is killed is simply started again. Hashes of
addresses cannot be made anew, since nobody knows the addresses of who left: the key they are made with stays, sealed
under the new one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Row, Table, func, select, update

from leadbridge import clock
from leadbridge.errors import StoreError
from leadbridge.progress import Tell, unheard
from leadbridge.store import audit, grants, inbox, migrations, quarantine
from leadbridge.store.engine import Store
from leadbridge.store.tables import deliveries
from leadbridge.store.tables import grants as grant_rows
from leadbridge.store.tables import inbox as inbox_rows
from leadbridge.store.tables import quarantine as quarantine_rows

AT_ONCE = 200
"""Rows sealed anew in one transaction: so few that the door's next commit is not kept waiting."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """Where sealed bytes are kept, and what binds them to their place."""

    key: Column[Any]
    body: Column[Any]
    needs: Sequence[Column[Any]]
    place: Callable[[Row[Any]], str]

    @property
    def table(self) -> Table:
        table: Table = self.key.table
        return table


SEALED = (
    _Sealed(deliveries.c.id, deliveries.c.body, [deliveries.c.vendor], lambda row: inbox.place_of_delivery(row.vendor)),
    _Sealed(
        inbox_rows.c.id, inbox_rows.c.body, [inbox_rows.c.vendor, inbox_rows.c.delivery_key],
        lambda row: inbox.place(row.vendor, row.delivery_key),
    ),
    _Sealed(
        quarantine_rows.c.id, quarantine_rows.c.body, [quarantine_rows.c.source, quarantine_rows.c.ref],
        lambda row: quarantine.place(row.source, row.ref),
    ),
    _Sealed(grant_rows.c.name, grant_rows.c.sealed, [], lambda row: grants.place(row.name)),
)  # fmt: skip
"""Every column with sealed bytes; a test holds the list to the tables."""


@dataclass(slots=True)
class Rotated:
    """What a rotation did."""

    sealed: int = 0  # rows sealed anew
    unreadable: int = 0  # rows that none of the keys opens; they are left as they are


def rotate(store: Store, who: str, tell: Tell = unheard) -> Rotated:
    """Seal everything under the newest key. Audited; repeating changes nothing."""
    done = Rotated()
    with store.writing() as tx:
        migrations.keep_digest_key(tx, store.vault)
    for sealed in SEALED:
        after: Any = None
        while (last := _portion(store, sealed, after, done)) is not None:
            after = last
            tell("sealed", done.sealed)
    with store.writing() as tx:
        detail = {"sealed": done.sealed, "unreadable": done.unreadable}
        audit.note(tx, who, "key rotated", detail, clock.now())
    return done


def _portion(store: Store, sealed: _Sealed, after: Any, done: Rotated) -> Any:
    """Seal the next rows anew; returns the key of the last, None when there is none left."""
    mark = store.vault.mark
    key, body = sealed.key, sealed.body
    query = select(key, body, *sealed.needs).where(body.is_not(None), func.substr(body, 1, len(mark)) != mark)
    if after is not None:
        query = query.where(key > after)
    with store.writing() as tx:
        rows = tx.execute(query.order_by(key).limit(AT_ONCE)).all()
        for row in rows:
            old, place = row._mapping[body], sealed.place(row)
            try:
                new = store.vault.seal(store.vault.open(old, place), place)
            except StoreError:
                done.unreadable += 1
                continue
            # Somebody may have worked the row meanwhile: then it has no body any more, or a new one.
            same = (key == row._mapping[key]) & (body == old)
            done.sealed += tx.execute(update(sealed.table).where(same).values({body.name: new})).rowcount
    return rows[-1]._mapping[key] if rows else None
