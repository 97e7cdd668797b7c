"""What the status page shows, read from the store in one moment. Plain values: the template decides how they look."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from leadbridge.store import inbox, quarantine, ranking
from leadbridge.store.tables import inbox as inbox_table
from leadbridge.store.tables import scores, standings

TOP = 20
LAST = 10

_NAMES = (("first_name", "last_name"), ("firstname", "lastname"), ("name",), ("full_name",))


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a count by some name."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class TopLead:
    """One of the leads with the highest score."""

    name: str
    email: str
    score: int
    grade: str
    stage: str
    reasons: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """One webhook event that came in."""

    vendor: str
    at: datetime
    state: str  # "done" | "waiting"


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on the page."""

    at: datetime
    score: str  # name of the score shown
    people: int
    scored: int
    waiting: int
    quarantined: int
    grades: list[Bar]
    stages: list[Bar]
    top: list[TopLead]
    arrivals: list[Arrival]


def read(tx: Connection, score: str, now: datetime) -> Status:
    """The page's content for the score of this name."""
    grade, stage = sa.func.coalesce(scores.c.grade, "none"), sa.func.coalesce(standings.c.stage, "none")
    count = sa.func.count()
    has_score = sa.and_(scores.c.name == score, scores.c.value.is_not(None))
    grades = tx.execute(sa.select(grade, count).where(has_score).group_by(grade).order_by(grade))
    stages = tx.execute(sa.select(stage, count).select_from(standings).group_by(stage).order_by(count.desc(), stage))
    last = sa.select(inbox_table.c.vendor, inbox_table.c.received_at, inbox_table.c.done_at)
    by_grade = [Bar(name, number) for name, number in grades]
    return Status(
        now,
        score,
        people=ranking.people(tx),
        scored=sum(bar.count for bar in by_grade),
        waiting=inbox.pending(tx),
        quarantined=quarantine.count(tx),
        grades=by_grade,
        stages=[Bar(name, number) for name, number in stages],
        top=[
            TopLead(
                name_of(lead.attributes) or lead.name, lead.email or "", lead.value, lead.grade or "", lead.stage or "",
                lead.reasons,
            )
            for lead in ranking.best(tx, score, TOP)
        ],
        arrivals=[
            Arrival(vendor, at, "waiting" if done_at is None else "done")
            for vendor, at, done_at in tx.execute(last.order_by(inbox_table.c.id.desc()).limit(LAST))
        ],
    )  # fmt: skip


def name_of(attributes: Mapping[str, Any]) -> str:
    """A person's name where a field of a usual name holds it; else empty."""
    for fields in _NAMES:
        if found := " ".join(str(attributes[one]) for one in fields if attributes.get(one)):
            return found
    return ""
