"""Walking through what changed (vendors/hubspot.md section 6).

Every page asks anew for ids above the last one read, instead of following offsets: an offset ends at 10,000 hits, and
skips a row whenever one before it leaves the result. No upper end is set: a record edited meanwhile may come once
more in the next walk, and a vendor whose clock runs ahead of ours hides nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.base import Progress
from connectors.hubspot.auth import Api
from connectors.hubspot.mapping import modified_in
from connectors.hubspot.wire import Listing, Record, row
from connectors.watermark import Walk, progress_of
from leadbridge import clock

PAGE = 200


@dataclass(frozen=True, slots=True)
class Hits:
    """One page of changed records, and the progress to store once they are."""

    records: Sequence[Record]
    progress: Progress
    skipped: Counter[str]


def changed(api: Api, operation: str, modified: str, properties: Sequence[str], walk: Walk) -> Iterator[Hits]:
    """Pages of records whose `modified` property is at or after `walk.low`, by ascending id.

    At least one page comes, perhaps an empty one; the last one's progress is the watermark reached.
    """
    after: str | None = None
    while True:
        listing = api.ask(operation, Listing, body=_question(modified, properties, walk, after))
        records = [record for raw in listing.results if (record := row(Record, raw)) is not None]
        skipped = Counter({"unreadable record": len(listing.results) - len(records)})
        ids = [int(str(raw.get("id"))) for raw in listing.results if str(raw.get("id")).isdecimal()]
        # Hits archived since are counted but not shown: a page may be empty although more follow.
        after = None if ids else listing.after
        last = str(max([*ids, int(walk.last or 0)]))
        walk = walk.after(last, [at for one in records if (at := modified_in(one, modified)) is not None])
        if listing.after is None:
            yield Hits(records, progress_of(walk.finished(clock.now())), +skipped)
            return
        yield Hits(records, walk.progress(), +skipped)


def _question(modified: str, properties: Sequence[str], walk: Walk, after: str | None) -> dict[str, Any]:
    filters = [{"propertyName": "hs_object_id", "operator": "GT", "value": walk.last or "0"}]
    if walk.low is not None:
        low = str(int(walk.low.timestamp() * 1000))
        filters.insert(0, {"propertyName": modified, "operator": "GTE", "value": low})
    question: dict[str, Any] = {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": list(properties),
        "limit": PAGE,
    }
    return question | ({"after": after} if after else {})
