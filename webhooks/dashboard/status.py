"""What the status page shows, read from the store in one moment. Plain values: the template decides how they look."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from leadbridge.store.tables import inbox, persons, quarantine, scores, standings

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

    person_id: int
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
    grades: list[Bar] = field(default_factory=list)
    stages: list[Bar] = field(default_factory=list)
    top: list[TopLead] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)


def read(tx: Connection, score: str, now: datetime) -> Status:
    """The page's content for the score of this name."""
    mine = sa.and_(scores.c.name == score, scores.c.value.is_not(None))
    grade, stage = sa.func.coalesce(scores.c.grade, "none"), sa.func.coalesce(standings.c.stage, "none")
    count = sa.func.count()
    leads = tx.execute(
        sa.select(
            persons.c.id, persons.c.email, persons.c.attributes, scores.c.value, scores.c.grade, standings.c.stage,
            standings.c.reasons,
        )
        .select_from(persons.join(scores).outerjoin(standings, standings.c.person_id == persons.c.id))
        .where(mine)
        .order_by(scores.c.value.desc(), persons.c.id)
        .limit(TOP)
    )  # fmt: skip
    grades = tx.execute(sa.select(grade, count).where(mine).group_by(grade).order_by(grade))
    stages = tx.execute(sa.select(stage, count).select_from(standings).group_by(stage).order_by(count.desc(), stage))
    arrivals = tx.execute(
        sa.select(inbox.c.vendor, inbox.c.received_at, inbox.c.done_at).order_by(inbox.c.id.desc()).limit(LAST)
    )
    return Status(
        now,
        score,
        people=tx.scalar(sa.select(count).select_from(persons)) or 0,
        scored=tx.scalar(sa.select(count).select_from(scores).where(mine)) or 0,
        waiting=tx.scalar(sa.select(count).select_from(inbox).where(inbox.c.done_at.is_(None))) or 0,
        quarantined=tx.scalar(sa.select(count).select_from(quarantine)) or 0,
        grades=[Bar(name, number) for name, number in grades],
        stages=[Bar(name, number) for name, number in stages],
        top=[
            TopLead(
                row.id,
                name_of(row.attributes, row.email, row.id),
                row.email or "",
                row.value,
                row.grade or "",
                row.stage or "",
                _reasons(row.reasons, score),
            )
            for row in leads
        ],
        arrivals=[Arrival(row.vendor, row.received_at, "done" if row.done_at else "waiting") for row in arrivals],
    )


def name_of(attributes: Mapping[str, Any], email: str | None, person_id: int) -> str:
    """How to call a person: by name where a field holds it, else by address, else by our number."""
    for fields in _NAMES:
        if found := " ".join(str(attributes[one]) for one in fields if attributes.get(one)):
            return found
    return email or f"person {person_id}"


def _reasons(stored: Any, score: str) -> str:
    """The reasons kept for this score: a text, or a text per score."""
    if isinstance(stored, Mapping):
        stored = stored.get(score, "")
    return stored if isinstance(stored, str) else "; ".join(str(one) for one in stored or ())
