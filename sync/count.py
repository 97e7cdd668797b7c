"""Is every record of every CRM here? Counted object by object and month by month, there and here.

What is compared was made some minutes before the last pull began, so everything of it must be here: but for people who
were forgotten, of whom nothing is kept, and records deleted at the vendor since.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from connectors.base import Crm
from connectors.watermark import instant_in
from leadbridge.store import leads as lead_store
from leadbridge.store import watermarks
from leadbridge.store.engine import Store
from sync.pull import US, note_of
from sync.sources import LEADS

LATE = timedelta(minutes=10)
"""What was made so shortly before a pull may be shown to the next one only."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Month:
    """Records of one type that were made in one month, or, with the first row, at any time before the next one."""

    vendor: str
    object_type: str
    month: date | None
    there: int
    here: int

    @property
    def lacking(self) -> int:
        """More there than here; below zero: here is what is there no more."""
        return self.there - self.here


def by_month(store: Store, crms: Sequence[Crm]) -> Iterator[Month]:
    """Count, one call a month. A CRM that was never pulled, and one that does not count, is left out.

    Raises VendorError.
    """
    for crm in crms:
        with store.reading() as tx:
            began = instant_in(watermarks.progress(tx, US, note_of(f"{crm.vendor}:{LEADS}")), "began")
        if began is None:
            continue
        end = began.replace(microsecond=0) - LATE
        for object_type in sorted(crm.people):
            with store.reading() as tx:
                first = lead_store.first_made(tx, crm.vendor, object_type) or end
            edges = [LONG_AGO, *_months(first, end), end]
            for since, before in pairwise(edges):
                there = crm.count(object_type, since, before)
                if there is None:
                    break
                with store.reading() as tx:
                    here = lead_store.number_made(tx, crm.vendor, object_type, since, before)
                yield Month(crm.vendor, object_type, None if since == LONG_AGO else since.date(), there, here)


def _months(first: datetime, end: datetime) -> Iterator[datetime]:
    """The beginnings of the months that these two and all between them lie in."""
    at = datetime(first.year, first.month, 1, tzinfo=UTC)
    while at < end:
        yield at
        at = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
