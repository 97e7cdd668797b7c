"""Who did what, when, to what: written to, never changed. Details hold ids of ours, not people (reliability G27)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from leadbridge.store.tables import audit


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the audit."""

    id: int
    at: datetime
    who: str
    what: str
    detail: Mapping[str, Any]


def note(tx: Connection, who: str, what: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Add a line."""
    tx.execute(insert(audit).values(at=now, who=who, what=what, detail=detail))


def listing(tx: Connection, *, before: int | None = None, limit: int = 100) -> list[Note]:
    """Lines, newest first, with ids below `before`."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [Note(row.id, row.at, row.who, row.what, row.detail) for row in tx.execute(query)]
