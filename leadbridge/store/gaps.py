"""Marks of what events may have failed to tell, to be closed by reading the vendor at once (reliability G7, G13).

A mark is never taken away: it is closed for a source that was read from its beginning after it.
"""

from datetime import datetime

from sqlalchemy import Connection

from leadbridge.store import watermarks

_GAP = "gap"


def mark(tx: Connection, vendor: str, reason: str, now: datetime) -> None:
    """Something may have been missed of this vendor up to now."""
    watermarks.save_progress(tx, vendor, _GAP, {"reason": reason}, now)


def marked_at(tx: Connection, vendor: str) -> datetime | None:
    """When something was last missed of this vendor; None when never."""
    return watermarks.reached_at(tx, vendor, _GAP)


def vendors(tx: Connection) -> dict[str, datetime]:
    """Every vendor with a mark, closed ones included, and its instant."""
    return {one.source: one.at for one in watermarks.listing(tx) if one.stream == _GAP}
