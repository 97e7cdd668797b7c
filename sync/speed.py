"""How fast people go from marketing to sales to customer: by the grade they began with, before and since a day.

Reads the store only. A step counts on the day it was done, so that nobody is missing who is still on the way; who jumps
over a stage has been through it.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from statistics import median

from sqlalchemy import Connection, select

from leadbridge.config.schema import Config
from leadbridge.store.tables import score_history
from leadbridge.types import LifecycleStage as S
from leadbridge.types import PersonId
from sync.outcomes import moves

STEPS = ((S.MQL, S.SQL), (S.SQL, S.CUSTOMER), (S.MQL, S.CUSTOMER))
UNGRADED = ""


@dataclass(slots=True)
class Pace:
    """People who did a step, and the median of the days it took."""

    people: int = 0
    days: float | None = None


@dataclass(slots=True)
class Step:
    """One step: everybody's pace, and that of each grade, before the day and since."""

    begins: S
    ends: S
    before: Pace
    since: Pace
    grades: dict[str, tuple[Pace, Pace]] = field(default_factory=dict)  # "" is no grade


def speed(tx: Connection, config: Config, since: datetime, now: datetime) -> list[Step]:
    """The three steps. The grade is the main score's on the day the step began."""
    did: dict[PersonId, dict[S, datetime]] = {}
    for person, path in moves(tx):
        reached: dict[S, datetime] = {}
        for at, stage in path:
            for mark in (S.MQL, S.SQL, S.CUSTOMER):
                if stage is not None and at <= now and S(stage).rank >= mark.rank:
                    reached.setdefault(mark, at)
        if S.SQL in reached:
            did[person] = reached
    grade_of = _grades(tx, next(iter(config.scores)), did)
    found = []
    for begins, ends in STEPS:
        took: dict[tuple[str | None, bool], list[float]] = defaultdict(list)
        for person, reached in did.items():
            if ends not in reached:
                continue
            days = (reached[ends] - reached[begins]).total_seconds() / 86400
            late = reached[ends] >= since
            took[None, late].append(days)
            took[grade_of(person, reached[begins]), late].append(days)
        grades = sorted({grade for grade, _ in took if grade is not None}, key=lambda grade: (grade == UNGRADED, grade))
        found.append(
            Step(
                begins,
                ends,
                _pace(took[None, False]),
                _pace(took[None, True]),
                {grade: (_pace(took[grade, False]), _pace(took[grade, True])) for grade in grades},
            )
        )
    return found


def _pace(days: list[float]) -> Pace:
    return Pace(len(days), median(days) if days else None)


def _grades(tx: Connection, name: str, people: dict[PersonId, dict[S, datetime]]) -> "_Grades":
    """The grades that these people ever had of a score."""
    columns = score_history.c
    query = select(columns.person_id, columns.at, columns.grade).where(columns.name == name)
    rows = tx.execute(query.order_by(columns.person_id, columns.version).execution_options(yield_per=1000))
    known: dict[PersonId, tuple[list[datetime], list[str]]] = {}
    for person, mine in groupby(rows, key=lambda row: row.person_id):
        if person in people:
            history = [(row.at, row.grade or UNGRADED) for row in mine]
            known[person] = [at for at, _ in history], [grade for _, grade in history]
    return _Grades(known)


@dataclass(frozen=True, slots=True)
class _Grades:
    known: dict[PersonId, tuple[list[datetime], list[str]]]

    def __call__(self, person: PersonId, at: datetime) -> str:
        instants, grades = self.known.get(person, ([], []))
        place = bisect_right(instants, at)
        return grades[place - 1] if place else UNGRADED
