"""Out of a journey again: noted in the ledger with the reason, and told to the platform where it has to act."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from leadbridge.store.engine import among
from leadbridge.store.enrolments import EnrolmentRow, row_of
from leadbridge.store.rows import update_each
from leadbridge.store.tables import enrolments

TO_TELL, TOLD = "wanted", "told"
"""States of an exit that the platform has to hear of; none: there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Exit:
    """One row whose journey is over for the person. `tell`: the platform has to take them out of it."""

    id: int
    why: str
    tell: bool


def leave(tx: Connection, rows: Sequence[Exit], now: datetime) -> int:
    """Note that these are over, and why; what is noted already stays. Returns how many were new."""
    fresh = among(tx, enrolments.c.id, sorted({row.id for row in rows})) & enrolments.c.left_at.is_(None)
    open_now = set(
        tx.execute(select(enrolments.c.id).where(fresh).order_by(enrolments.c.id).with_for_update()).scalars()
    )
    by_id = {row.id: row for row in rows if row.id in open_now}
    changes = [
        {"id": row.id, "left_at": now, "reason_out": row.why, "exit_state": TO_TELL if row.tell else None}
        for _, row in sorted(by_id.items())
    ]
    update_each(tx, enrolments, changes, key=["id"])
    return len(changes)


def to_tell(tx: Connection, *, after: int = 0, limit: int = 100) -> list[EnrolmentRow]:
    """Exits that the platform has not heard of, with ids above `after`, in order of id."""
    query = select(enrolments).where(enrolments.c.exit_state == TO_TELL, enrolments.c.id > after)
    return [row_of(row) for row in tx.execute(query.order_by(enrolments.c.id).limit(limit))]


def told(tx: Connection, ids: Collection[int], *, needless: bool = False) -> None:
    """The platform has heard of these exits; `needless`: it need not any more, a later entry has overtaken them."""
    mine = among(tx, enrolments.c.id, sorted(ids)) & (enrolments.c.exit_state == TO_TELL)
    held = tx.execute(select(enrolments.c.id).where(mine).order_by(enrolments.c.id).with_for_update()).scalars().all()
    which = among(tx, enrolments.c.id, held)
    tx.execute(update(enrolments).where(which).values(exit_state=None if needless else TOLD))
