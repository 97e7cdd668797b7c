"""A vendor's own log of events, read to fill the gaps that webhooks leave (reliability G13).

What it tells goes the way of a delivery, so it is worked, coalesced and counted as one, and nothing has an effect
twice: an event is a hint to read the record again. Of what the doors told already, which is nearly everything, not even
the reading is done once more: by the vendor's own clock the record was read as it was then, or later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from connectors.base import Crm, Heard
from connectors.deliveries import split
from connectors.deliveries.reading import Event, Unfit
from connectors.events import read_event
from leadbridge import clock, logs
from leadbridge.metrics import CHANGE_EVENTS
from leadbridge.store import inbox, leads, watermarks
from leadbridge.store.engine import Store
from leadbridge.types import EventKind, WebhookEvent
from sync import accounts, compare
from sync.holding import Lease

log = logs.logger(__name__)

TOLD = "journal"
"""Name of the source in the store."""


@dataclass(frozen=True, slots=True)
class _Item:
    raw: bytes
    event: WebhookEvent | None  # none: cannot be read, which the worker tells


def read(store: Store, crm: Crm, lease: Lease) -> Iterator[int]:
    """Store what the log told since it was last read; yields how many events of each portion are news.

    Each portion is stored with the place after it: killed anywhere, what was not stored is told again. Where the place
    has expired, every record is compared, since a deletion may have been missed. Raises VendorError.
    """
    with store.reading() as tx:
        progress = watermarks.progress(tx, crm.vendor, TOLD)
    account = accounts.pinned(store, crm.vendor) or crm.account()
    for heard in crm.pull_told(progress):
        items = [item for body, _ in heard.deliveries for item in _items(crm.vendor, body, account)]
        now = clock.now()
        with store.writing() as tx:
            lease.check(tx)
            news = _news(tx, items)
            if news:
                body = b"[" + b",".join(item.raw for item in news) + b"]"
                inbox.keep_deliveries(tx, store.vault, [inbox.Delivery(crm.vendor, account, body, len(news))], now)
            if heard.missed:
                compare.ask_for(tx, crm.vendor, now)
            watermarks.save_progress(tx, crm.vendor, TOLD, heard.progress, now)
        _count(crm.vendor, heard, len(items), len(news))
        yield len(news)


def _items(vendor: str, body: bytes, account: str) -> Iterator[_Item]:
    for part in split(vendor, body, account, clock.now()):
        match part:
            case Event():
                yield _Item(part.body, read_event(vendor, part.body))
            case Unfit():
                yield _Item(part.raw, None)


def _news(tx: Connection, items: Sequence[_Item]) -> list[_Item]:
    """What was not read since it happened."""
    known = leads.read_state(tx, {ref for item in items if item.event for ref in item.event.refs})

    def is_known(event: WebhookEvent) -> bool:
        if len(event.refs) != 1 or (state := known.get(event.refs[0])) is None:
            return False
        changed, gone = state
        match event.kind:
            case EventKind.CREATED | EventKind.RESTORED:
                return not gone
            case EventKind.CHANGED:
                return not gone and event.occurred_at is not None and changed >= event.occurred_at
            case EventKind.DELETED:
                return gone
        return False  # merges, associations and privacy deletions show in no date of the record

    return [item for item in items if item.event is None or not is_known(item.event)]


def _count(vendor: str, heard: Heard, told: int, news: int) -> None:
    for outcome, count in (("kept", news), ("known", told - news), ("missed", int(bool(heard.missed)))):
        if count:
            CHANGE_EVENTS.add(count, vendor=vendor, outcome=outcome)
    if heard.missed:
        log.warning("changes may have been missed; every record is compared", vendor=vendor, why=heard.missed)
