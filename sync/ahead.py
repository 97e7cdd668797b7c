"""What the next run asks of each CRM, in calls, before anything is done (requirement N9)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import Crm
from leadbridge import clock
from leadbridge.store import leads, outbox
from leadbridge.store.engine import Store

EVER = datetime(1990, 1, 1, tzinfo=UTC)
"""Before any record was made."""

AHEAD = timedelta(days=1)
"""By which a vendor's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What lies ahead at one CRM."""

    vendor: str
    to_read: int | None  # people of whom nothing was read yet, about; None: the account does not tell
    to_write: int  # records: those that wait, and those yet to be read, each of which gets its first score
    calls: int  # for all of that, at least; what else changed meanwhile comes on top
    left: int | None  # of the day's calls, to leadbridge; None: the vendor does not tell

    @property
    def too_many(self) -> int:
        """Calls that do not fit into what is left of the day."""
        return 0 if self.left is None else max(0, self.calls - self.left)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"too_many": self.too_many}


def ahead(store: Store, crms: Sequence[Crm]) -> list[Ahead]:
    """Ask each account how many people it holds, and compare with what is stored. Reads only."""
    return [_ahead(store, crm) for crm in crms]


def _ahead(store: Store, crm: Crm) -> Ahead:
    until = clock.now() + AHEAD
    counts = [crm.count(kind, EVER, until) for kind in sorted(crm.people)]
    there = None if None in counts else sum(count for count in counts if count is not None)
    with store.reading() as tx:
        known, waiting = leads.known_records(tx, crm.vendor), outbox.pending_writes(tx, crm.vendor)
    to_read = None if there is None else max(0, there - known)
    to_write = waiting + (to_read or 0)
    calls = -(-(to_read or 0) // crm.read_batch) - (-to_write // crm.write_batch)
    day = crm.day()
    return Ahead(crm.vendor, to_read, to_write, calls, None if day is None else day.left)
