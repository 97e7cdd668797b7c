"""Deliveries to events: each cut once, in the transaction that takes it away (reliability G3, G8, G10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from connectors.deliveries import split
from connectors.deliveries.reading import Event, Unfit
from leadbridge import clock, logs
from leadbridge.errors import WebhookRefused
from leadbridge.metrics import WEBHOOK_EVENTS
from leadbridge.store import inbox, quarantine
from leadbridge.store.engine import Store
from leadbridge.store.vault import Vault

log = logs.logger(__name__)

AT_ONCE = 64
MOST_EVENTS = 1000
"""Deliveries, and events in them, cut in one transaction: so few that the door's next commit is not kept waiting."""


@dataclass(slots=True)
class _Parts:
    """What one vendor's deliveries hold."""

    since: datetime  # when the first of them came
    events: list[tuple[str, bytes]] = field(default_factory=list)
    unfit: dict[str, Unfit] = field(default_factory=dict)  # by reference


def cut(store: Store) -> int:
    """Cut every delivery that waits into its events; returns how many were set aside instead.

    What cannot be handled goes to quarantine with its own bytes, the rest proceed. Read and cut before the transaction
    begins, since that takes longer than storing.
    """
    aside = 0
    while True:
        with store.reading() as tx:
            opened, closed = inbox.oldest_deliveries(tx, store.vault, limit=AT_ONCE, most_events=MOST_EVENTS)
        if not opened and not closed:
            return aside
        parts = [(one, _parts(one)) for one in opened]
        parts += [(one, [Unfit("sealed bytes do not open", one.body)]) for one in closed]
        with store.writing() as tx:
            mine = inbox.take_deliveries(tx, [one for one, _ in parts])
            found = _by_vendor([pair for pair in parts if pair[0].id in mine])
            counts = {vendor: _keep(tx, store.vault, vendor, found[vendor]) for vendor in sorted(found)}
        for vendor, kept in counts.items():
            aside += _count(vendor, kept, found[vendor].unfit)


def _parts(one: inbox.Delivery) -> Sequence[Event | Unfit]:
    try:
        return split(one.vendor, one.body, one.account, one.received_at or clock.now())
    except WebhookRefused as unreadable:
        return [Unfit(unreadable.reason, one.body)]
    except Exception as bug:  # whatever a body can do to its reader, it does to itself only
        log.exception("delivery cannot be cut", vendor=one.vendor)
        return [Unfit(type(bug).__name__, one.body)]


def _by_vendor(parts: Sequence[tuple[inbox.Delivery, Sequence[Event | Unfit]]]) -> dict[str, _Parts]:
    found: dict[str, _Parts] = {}
    for one, pieces in parts:  # oldest first
        mine = found.setdefault(one.vendor, _Parts(one.received_at or clock.now()))
        for piece in pieces:
            if isinstance(piece, Event):
                mine.events.append((piece.key, piece.body))
            else:
                mine.unfit[piece.ref] = piece
    return found


def _keep(tx: Connection, vault: Vault, vendor: str, parts: _Parts) -> inbox.Kept:
    # In one order everywhere: two workers that insert the same keys crosswise would deadlock (PostgreSQL).
    kept = inbox.keep(tx, vault, vendor, parts.events, parts.since)
    for ref, unfit in sorted(parts.unfit.items()):
        quarantine.put(tx, vault, inbox.source(vendor), unfit.reason, unfit.raw, clock.now(), ref)
    return kept


def _count(vendor: str, kept: inbox.Kept, unfit: Mapping[str, Unfit]) -> int:
    for outcome, count in (("new", kept.new), ("repeated", kept.repeated), ("quarantined", len(unfit))):
        if count:
            WEBHOOK_EVENTS.add(count, vendor=vendor, outcome=outcome)
    if unfit:
        log.warning("events quarantined", vendor=vendor, reasons=sorted({one.reason for one in unfit.values()}))
    return len(unfit)
