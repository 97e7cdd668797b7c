"""Up to where each stream is surely read. Saved in the transaction of the rows it covers (reliability G12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from leadbridge.store.rows import upsert
from leadbridge.store.tables import watermarks


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far one stream of one source has come, in the words of the source's room."""

    source: str
    stream: str
    progress: Mapping[str, str]
    at: datetime


def progress(tx: Connection, source: str, stream: str) -> Mapping[str, str] | None:
    """How far the stream has been read; None when never."""
    return tx.execute(
        select(watermarks.c.progress).where(watermarks.c.source == source, watermarks.c.stream == stream)
    ).scalar()


def reached_at(tx: Connection, source: str, stream: str) -> datetime | None:
    """When the stream's progress was last noted; None when never."""
    return tx.execute(
        select(watermarks.c.at).where(watermarks.c.source == source, watermarks.c.stream == stream)
    ).scalar()


def save_progress(tx: Connection, source: str, stream: str, reached: Mapping[str, str], now: datetime) -> None:
    """Note how far the stream has been read."""
    row = {"source": source, "stream": stream, "progress": reached, "at": now}
    upsert(
        tx,
        watermarks,
        [row],
        key=["source", "stream"],
        change=lambda new: {"progress": new.progress, "at": new.at},
    )


def listing(tx: Connection) -> list[Watermark]:
    """Every stream, in order of source and stream."""
    rows = tx.execute(select(watermarks).order_by(watermarks.c.source, watermarks.c.stream))
    return [Watermark(row.source, row.stream, row.progress, row.at) for row in rows]
