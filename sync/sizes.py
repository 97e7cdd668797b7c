"""How many people are in each segment, now and at the end of the last months, by the rules of today. Reads only."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime

from leadbridge import clock
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store
from sync.loading import load
from sync.outcomes import month_ends
from sync.outlook import Scorer

BATCH = 500


@dataclass(frozen=True, slots=True)
class Sizes:
    """For each day, oldest first: how many people were known, and how many were in each segment."""

    days: tuple[date, ...]
    people: tuple[int, ...]
    segments: dict[str, tuple[int, ...]]


def sizes(store: Store, scorer: Scorer, months: int) -> Sizes:
    """The segments at the end of each of the last `months`, and now, with what was known of people then."""
    now = clock.now()
    ends = month_ends(now, months)
    known: list[int] = []
    counted = [Counter[str]() for _ in ends]
    for end, count in zip(ends, counted, strict=True):
        known.append(_count(store, scorer, None if end == now else end, count))
    names = scorer.config.segments
    return Sizes(
        days=tuple(end.date() for end in ends),
        people=tuple(known),
        segments={name: tuple(count[name] for count in counted) for name in names},
    )


def _count(store: Store, scorer: Scorer, past: datetime | None, count: Counter[str]) -> int:
    """Adds to `count`; returns how many people were known."""
    after, known, at = 0, 0, past or clock.now()
    while True:
        with store.reading() as tx:
            ids = lead_store.all_person_ids(tx, after, BATCH)
            if not ids:
                return known
            loaded = load(tx, scorer, ids, at, past=past is not None)
        view = scorer.view(loaded.people, loaded.activities, loaded.stages, at)
        known += len(view.ids)
        for name, mask in view.inside.items():
            count[name] += int(mask.sum())
        after = ids[-1]
