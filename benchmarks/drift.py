"""How many writes to the CRM the deadband of `drift` saves on an invented audience over thirty days.

Every person is scored once a day by the forty rules of `micro_batch.model`, half a year of history behind them and new
activity coming in. Each day the code of the worker (`sync.wishes`) decides which records have to be written: once with
every move written, once with small drifts waiting as the configuration's defaults say. What news, a stage or a grade
moved is written on both sides.

    python -m benchmarks.drift [--quick] [--json] [--people N]
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks import arguments, audience, tell
from benchmarks.micro_batch import AT, batch
from connectors.hubspot.mapping import Fields
from leadbridge.config.scores import Drift
from scoring.frames import activities_frame, people_frame
from scoring.lifecycle import Stay
from sync import wishes
from sync.outlook import Outlook, Scorer

DAYS = 30
ACTIVITIES = 20
"""Of each person, over half a year."""

BOUND = 0.5
"""Least share that the defaults save of the writes that only follow decay and windows."""


@dataclass
class Record:
    """What the CRM shows of one person, and when it was written last."""

    written: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None


class Side:
    """All records of the CRM under one way to write."""

    def __init__(self, scorer: Scorer, drift: Drift, people: int) -> None:
        self._config = scorer.config.model_copy(update={"drift": drift})
        self._fields = Fields(self._config)
        self._records = [Record() for _ in range(people)]
        self.writes = 0
        self.by_time = 0  # of them, of people of whom nothing new was known
        self.furthest = 0.0

    def day(self, outlooks: Sequence[Outlook], news: frozenset[int], at: datetime, *, counted: bool) -> None:
        """Write what has to be written at this instant; `news`: people of whom something new is known."""
        wait = timedelta(seconds=self._config.drift.wait)
        for outlook, record in zip(outlooks, self._records, strict=True):
            values = wishes.changes(self._fields, outlook.wanted, record.written)
            if not values:
                continue
            fresh = record.at is not None and record.at + wait > at
            quiet = outlook.person_id not in news
            if fresh and quiet and wishes.only_drifts(self._config, "hubspot", values, record.written):
                shown = float(record.written["leadbridge_score"])
                self.furthest = max(self.furthest, abs(outlook.scores[0].value - shown))
                continue
            record.written |= values
            record.at = at
            self.writes += counted
            self.by_time += counted and quiet


def measure(people: int) -> dict[str, Any]:
    scorer = Scorer(audience.config("sqlite://"))
    facts, done = batch(people, ACTIVITIES)
    frame = people_frame(range(people), facts, scorer.types)
    activities = activities_frame(frame, done)
    ways = {
        "every move": Drift.model_validate({"points": 0, "wait": "1s"}),  # the reasons, too, wait for nothing
        "by default": Drift(),
        "waiting 30 days": Drift.model_validate({"wait": "30d"}),
    }
    sides = {name: Side(scorer, drift, people) for name, drift in ways.items()}
    stays: list[Stay | None] = [None] * people
    moved: Counter[str] = Counter()
    before: list[Outlook] = []
    for number in range(DAYS + 1):
        at = AT - timedelta(days=DAYS - number)
        outlooks = scorer.outlook(frame, activities, stays, at)
        news = frozenset(person for person, _, when, _ in done if at - timedelta(days=1) < when <= at)
        for side in sides.values():
            side.day(outlooks, news, at, counted=number > 0)  # the first day writes everybody, either way
        for old, new in zip(before, outlooks, strict=False):
            moved["scores that moved"] += old.scores[0].value != new.scores[0].value
        stays = [_stay(outlook, stay, at) for outlook, stay in zip(outlooks, stays, strict=True)]
        before = outlooks
    saved = 1 - sides["by default"].by_time / sides["every move"].by_time
    return {
        "name": "drift",
        "figure": round(saved, 3),
        "unit": "share of the writes by time alone that is saved",
        "bound": BOUND,
        "holds": saved >= BOUND,
        "details": {
            "people": people,
            "days": DAYS,
            "scores that moved, share a day": round(moved["scores that moved"] / people / DAYS, 3),
            **{f"writes, {name}": side.writes for name, side in sides.items()},
            **{f"writes by time alone, {name}": side.by_time for name, side in sides.items()},
            "furthest a score shown was off by default": sides["by default"].furthest,
        },
    }


def _stay(outlook: Outlook, stay: Stay | None, at: datetime) -> Stay | None:
    if outlook.stage is None:
        return None
    return stay if stay is not None and stay.stage is outlook.stage else Stay(outlook.stage, at)


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--people", type=int, default=5000, help="people in the audience")
    given = parser.parse_args()
    found = measure(300 if given.quick else given.people)
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
