"""Nobody worked for a while: what vendors told meanwhile may be lost, so they are read at once (reliability G13)."""

from collections.abc import Sequence
from datetime import timedelta

from connectors.base import Crm, EmailPlatform
from leadbridge import clock, logs
from leadbridge.store import gaps, watermarks
from leadbridge.store.engine import Store
from sync import compare

log = logs.logger(__name__)

BEAT = timedelta(seconds=60)
"""How often it is noted that somebody works."""

SILENT = timedelta(minutes=30)
"""Nobody worked for longer: every vendor is read at once. Mailchimp gives a delivery up after 75 min."""

LOST = timedelta(hours=24)
"""For longer: what we hold is compared record by record, since no vendor repeats a deletion for so long."""

_US, _ALIVE, _REASON = "leadbridge", "alive", "downtime"


def note(store: Store, rooms: Sequence[Crm | EmailPlatform]) -> None:
    """Somebody works now. Any number of workers may say so at any time; it costs a read, and a write a minute."""
    now = clock.now()
    with store.reading() as tx:
        last = watermarks.reached_at(tx, _US, _ALIVE)
    if not clock.passed(last, BEAT):
        return
    silent = abs(now - last) if last is not None else timedelta(0)  # put back, the clock tells nothing of what was
    with store.writing() as tx:
        for vendor, at in gaps.vendors(tx).items():
            if at > now:  # or it would stay open, and be read for, until then
                gaps.mark(tx, vendor, _REASON, now)
        for room in rooms if silent > SILENT else ():
            gaps.mark(tx, room.vendor, _REASON, now)
            if isinstance(room, Crm) and silent > LOST:
                compare.ask_for(tx, room.vendor, now)
        watermarks.save_progress(tx, _US, _ALIVE, {}, now)
    if silent > SILENT:
        log.warning("nobody worked for a while; every vendor is read", minutes=round(silent.total_seconds() / 60))
