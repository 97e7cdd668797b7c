"""Who did what, when, to what: written to, never changed, but that an erasure takes names out (`without_names`).

Details hold ids of ours and of records, not people (reliability G27).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, insert, or_, select, type_coerce, update

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


def without_names(tx: Connection, hashes: Mapping[str, str]) -> None:
    """Have lines that name one of these keys of somebody erased show its hash instead; all else of them stays (G25)."""
    text = type_coerce(audit.c.detail, Text)
    named = or_(*[text.contains(key, autoescape=True) for key in sorted(hashes)])
    for row in tx.execute(select(audit.c.id, audit.c.detail).where(named)).all():
        tx.execute(update(audit).where(audit.c.id == row.id).values(detail=_hashed(row.detail, hashes)))


def _hashed(value: Any, hashes: Mapping[str, str]) -> Any:
    match value:
        case str():
            return hashes.get(value, value)
        case list():
            return [_hashed(one, hashes) for one in value]
        case dict():
            return {name: _hashed(one, hashes) for name, one in value.items()}
    return value


def listing(tx: Connection, *, before: int | None = None, limit: int = 100) -> list[Note]:
    """Lines, newest first, with ids below `before`."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    return [Note(row.id, row.at, row.who, row.what, row.detail) for row in tx.execute(query)]
