"""Records that nobody has told us of for long, read again: is what we hold still so (reliability G12, G13)?

A record purged at the vendor leaves every list without a word, and an event about it may be lost. So no record stays
unread for longer than a week; after a full pull, whatever it did not bring is asked for; and when a vendor says that
deletions may have been missed, everything is.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connectors.base import Crm
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.store import leads as lead_store
from leadbridge.store import watermarks
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync.holding import Lease

log = logs.logger(__name__)

COMPARED = "compared"

UNREAD_FOR = timedelta(days=7)
"""A record read less than so long ago is not asked for without a reason."""

LOOK_EVERY = timedelta(days=1)
"""How often records unread for long are looked for."""

PAGE = 500


def ask_for(tx: Connection, vendor: str, since: datetime) -> None:
    """Have every record of this vendor that was last read before `since` read again by the next comparison."""
    held = watermarks.progress(tx, vendor, COMPARED) or {}
    asked = max([since, *([at] if (at := instant_in(held, "asked")) else [])])
    watermarks.save_progress(tx, vendor, COMPARED, {**held, "asked": asked.isoformat()}, clock.now())


def unread(store: Store, crm: Crm, lease: Lease, full_since: datetime | None) -> Iterator[Sequence[RecordRef]]:
    """Yield the records to be read again now, in portions; whoever reads each stores it before asking for the next.

    `full_since`: when the full pull began that was just made, if one was. Killed half-way, the next comparison goes on:
    what was read is no longer unread.
    """
    now = clock.now()
    with store.reading() as tx:
        held = watermarks.progress(tx, crm.vendor, COMPARED)
    at, asked = instant_in(held, "at"), instant_in(held, "asked")
    look = at is not None and clock.passed(at, LOOK_EVERY)
    reasons = [now - UNREAD_FOR if look else None, asked, full_since]
    before = max((one for one in reasons if one is not None), default=None)
    if before is None and at is not None:
        return
    found, last = 0, None
    while before is not None:
        with store.reading() as tx:
            refs = lead_store.unread_since(tx, crm.vendor, crm.people, before, last, PAGE)
        if not refs:
            break
        yield refs
        found, last = found + len(refs), refs[-1]
        with store.writing() as tx:
            lease.check(tx)
    if found:
        log.info("compared", vendor=crm.vendor, records=found)
    with store.writing() as tx:
        lease.check(tx)
        newer = instant_in(watermarks.progress(tx, crm.vendor, COMPARED), "asked")
        still = {"asked": newer.isoformat()} if newer is not None and newer != asked else {}
        watermarks.save_progress(tx, crm.vendor, COMPARED, {"at": now.isoformat(), **still}, now)
