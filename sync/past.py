"""Everybody as they were at past instants, and what became of them since: what backtests and training look at.

The instants lie one horizon apart and the last one a horizon ago, so that the time of everybody is over, and no
success counts for two of them. At each instant people are looked at who were known then and had not reached the goal;
what is known of them is what was known then (`loading.load`), an objection excepted, which counts from today on.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection, select

from leadbridge.columns import Mask
from leadbridge.config.measurement import Goal
from leadbridge.progress import Tell, unheard
from leadbridge.store import leads as lead_store
from leadbridge.store.engine import Store, among
from leadbridge.store.tables import persons
from sync.became import Became, became
from sync.loading import load
from sync.outlook import Scorer, View

BATCH = 2000
INSTANTS = 4


@dataclass(slots=True)
class Instant:
    """One instant, and how many were looked at."""

    at: datetime
    people: int = 0  # known then, and the goal not reached yet
    became: int = 0  # of them, who reached it in time
    unknown: int = 0  # there already then, but nothing of how they were is known
    unknown_became: int = 0
    sent_back: Counter[str] = field(default_factory=Counter)  # by sales, by reason; of those who did not reach it


@dataclass(frozen=True, slots=True)
class Look:
    """Some of the people at one instant; the masks are over the rows of the view."""

    instant: int  # index
    view: View
    open: Mask  # had not reached the goal
    became: Mask  # of those, reached it in time


def instants(now: datetime, goal: Goal, count: int) -> list[Instant]:
    """So many instants, the oldest first."""
    within = timedelta(seconds=goal.within)
    return [Instant(now - within * back) for back in range(count, 0, -1)]


def looks(store: Store, scorer: Scorer, goal: Goal, at: list[Instant], tell: Tell = unheard) -> Iterator[Look]:
    """Everybody at each of these instants, a batch at a time; the counts of each instant are filled on the way."""
    within = timedelta(seconds=goal.within)
    with store.reading() as tx:
        found = became(tx, goal)
    for index, instant in enumerate(at):
        after = 0
        while True:
            with store.reading() as tx:
                ids = lead_store.all_person_ids(tx, after, BATCH)
                if not ids:
                    break
                after = ids[-1]
                loaded = load(tx, scorer, ids, instant.at, past=True)
                known = there(tx, ids, instant.at)
            view = scorer.view(loaded.people, loaded.activities, loaded.stages, instant.at)
            until = instant.at + within
            look = Look(
                index, view, found.open(view.ids, instant.at), found.within(view.ids, instant.at, until)
            )  # fmt: skip
            _count(instant, look, found, until)
            gone = np.array(sorted(known - set(view.ids.tolist())), np.int64)
            instant.unknown += int(found.open(gone, instant.at).sum())
            instant.unknown_became += int(found.within(gone, instant.at, until).sum())
            tell(f"as of {instant.at:%Y-%m-%d}", instant.people)
            yield look


def _count(instant: Instant, look: Look, found: Became, until: datetime) -> None:
    instant.people += int(look.open.sum())
    instant.became += int(look.became.sum())
    instant.sent_back += found.sent_back_within(look.view.ids[look.open & ~look.became], instant.at, until)


def there(tx: Connection, ids: Sequence[int], at: datetime) -> set[int]:
    """Who of these was there then, as the CRM tells?"""
    query = select(persons.c.id).where(among(tx, persons.c.id, ids), persons.c.created_at <= at)
    return set(tx.execute(query).scalars())
