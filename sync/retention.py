"""What is kept no longer than needed (reliability G27): raw bodies for 14 days, once a day."""

from datetime import datetime, timedelta

from leadbridge import clock, logs
from leadbridge.store import audit, inbox, quarantine, watermarks
from leadbridge.store.engine import Store

log = logs.logger(__name__)

RAW_FOR = timedelta(days=14)
"""How long what was set aside is kept with its bytes, and the key of a worked event."""

EVERY = timedelta(days=1)

_US, _PURGED = "leadbridge", "purged"


def purge(store: Store, who: str, *, last: datetime | None = None) -> dict[str, int]:
    """Drop what is older; returns how many rows of each table. Audited where it dropped anything.

    Nothing goes that came within a day before the `last` time: a clock that jumps ahead makes nothing old, and no key
    is forgotten whose event may come again when it jumps back (G5).
    """
    now = clock.now()
    before = now - RAW_FOR if last is None or last > now else min(now - RAW_FOR, last - EVERY)
    with store.writing() as tx:
        gone = {"quarantine": quarantine.purge(tx, before), "inbox": inbox.purge(tx, before)}
        watermarks.save_progress(tx, _US, _PURGED, {}, now)
        if any(gone.values()):
            audit.note(tx, who, "purged", {"rows": gone, "older_than": before.isoformat()}, now)
    if gone["quarantine"]:
        log.warning("quarantined items dropped unreplayed", rows=gone["quarantine"], older_than=before.isoformat())
    store.flush_erased()
    return gone


def purge_daily(store: Store) -> None:
    """The same, unless it was done within a day."""
    with store.reading() as tx:
        last = watermarks.reached_at(tx, _US, _PURGED)
    if clock.passed(last, EVERY):
        purge(store, "leadbridge", last=last)
