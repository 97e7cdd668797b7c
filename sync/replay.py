"""Out of the quarantine, back to work: by the same way, through the same gate and limits (reliability pattern 12).

An event goes back to the inbox, a refused write back among the writes, a person back among those to be scored. Nothing
is worked here: whatever bounds the workers bounds what is replayed, and what fails again is set aside again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from connectors.deliveries import split_again
from connectors.deliveries.reading import Event, Unfit
from leadbridge import clock
from leadbridge.store import audit, due, inbox, outbox, quarantine
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from leadbridge.types import RecordRef
from sync import accounts
from sync.rescore import QUARANTINE as RESCORE

AT_ONCE = 100
"""Items put back in one transaction."""

INBOX, WRITE_BACK = "inbox", "write_back"


@dataclass(slots=True)
class Replayed:
    """What became of the items."""

    replayed: int = 0  # back at work
    settled: int = 0  # there is nothing to do any more: the wish, or the person, is no more
    unfit: Counter[str] = field(default_factory=Counter)  # still cannot be read, by reason; these stay


def items(store: Store, source: str | None = None) -> Iterator[quarantine.Quarantined]:
    """Everything set aside, or what came from this source, by pages."""
    after = 0
    while True:
        with store.reading() as tx:
            page = quarantine.listing(tx, after=after, limit=AT_ONCE, source=source)
        if not page:
            return
        yield from page
        after = page[-1].id


def preview(store: Store, source: str | None = None) -> dict[str, dict[str, int]]:
    """How many items would be replayed, by source and reason."""
    found: dict[str, Counter[str]] = {}
    for item in items(store, source):
        found.setdefault(item.source, Counter())[item.reason] += 1
    return {name: dict(reasons.most_common()) for name, reasons in sorted(found.items())}


def replay(store: Store, ids: Sequence[int], who: str, *, audience: str | None = None) -> Replayed:
    """Put these items back to work, audited and by portions. Ids that are not there are passed over.

    `audience`: the only one of Mailchimp's that the configuration works for; what tells of another stays.
    """
    done = Replayed()
    with store.reading() as tx:
        vendors = {source.partition(":")[2] for source in quarantine.by_source(tx)}
    known = {vendor: accounts.pinned(store, vendor) for vendor in vendors} | {"mailchimp": audience}
    for start in range(0, len(ids), AT_ONCE):
        with store.writing() as tx:
            batch = Replayed()
            for item_id in ids[start : start + AT_ONCE]:
                taken = quarantine.take_back(tx, store.vault, item_id)
                if taken is not None:
                    _put_back(tx, store, *taken, known, batch)
            detail = {"items": sorted(ids[start : start + AT_ONCE]), "replayed": batch.replayed,
                      "settled": batch.settled, "unfit": sum(batch.unfit.values())}  # fmt: skip
            audit.note(tx, who, "quarantine replayed", detail, clock.now())
        done.replayed += batch.replayed
        done.settled += batch.settled
        done.unfit += batch.unfit
    return done


def _put_back(
    tx: Connection,
    store: Store,
    item: quarantine.Quarantined,
    body: bytes,
    known: dict[str, str | None],
    done: Replayed,
) -> None:
    kind, _, vendor = item.source.partition(":")
    if kind == INBOX:
        _event(tx, store, item, body, vendor, known.get(vendor), done)
    elif kind == WRITE_BACK:
        ref = RecordRef(*(item.ref or "").split(":", 2))
        again = outbox.again(tx, ref, clock.now())
        done.replayed += again
        done.settled += not again
    elif item.source == RESCORE and (people := lead_store.people(tx, [int(item.ref or 0)])):
        due.mark_due(tx, people, clock.now(), due.Lane.HOT)
        done.replayed += 1
    else:
        done.settled += 1


def _event(
    tx: Connection,
    store: Store,
    item: quarantine.Quarantined,
    body: bytes,
    vendor: str,
    account: str | None,
    done: Replayed,
) -> None:
    """An event that failed keeps its key. What could not be cut is cut once more: the reader may be better by now."""
    if item.ref != hashlib.sha256(body).hexdigest():
        inbox.replay(tx, store.vault, vendor, item.ref or f"replayed {item.id}", body, clock.now())
        done.replayed += 1
        return
    parts = split_again(vendor, body, account, item.first_at) or [Unfit(item.reason, body)]
    for part in parts:
        if isinstance(part, Event):
            inbox.replay(tx, store.vault, vendor, part.key, part.body, clock.now())
            done.replayed += 1
        else:
            quarantine.put(tx, store.vault, item.source, part.reason, part.raw, clock.now(), part.ref)
            done.unfit[part.reason] += 1
