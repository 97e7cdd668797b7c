"""Who asked something and has no answer yet, and how long answers take. Reads the store only.

What is a question and what an answer says `measurement.answering`. Several questions before an answer are one, from the
first of them; an answer at the same instant as the question is none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

import numpy as np
from sqlalchemy import Connection

from leadbridge.columns import micros
from leadbridge.config.schema import Config
from leadbridge.store import activities as activity_store
from leadbridge.store import leads as lead_store
from leadbridge.store import ranking
from leadbridge.store.text import from_micros
from leadbridge.types import ActivityKind, PersonId
from scoring.behaviour import CompiledCount, compile_count, counted_rows
from scoring.frames import KIND_CODES, Activities, Documents, people_frame

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who asked and was not answered."""

    email: str | None
    kind: ActivityKind  # of the first question
    asked_at: datetime
    score: int | None  # the main one
    grade: str | None


@dataclass(frozen=True, slots=True)
class Answering:
    """The questions of the last days, and what became of them."""

    asked: int
    answered: int
    late: int  # answered, but later than `within`
    hours: float | None  # median, of those answered
    overdue: int  # waiting for longer than `within`
    waiting: tuple[Waiting, ...]  # who waits longest first


def answering(tx: Connection, config: Config, now: datetime, days: int = 30) -> Answering:
    """The questions of the last `days`, answered and not."""
    given = config.measurement.answering
    asks, answers = ([compile_count(one) for one in counted] for counted in (given.asked, given.answered))
    within = timedelta(seconds=given.within)
    took: list[timedelta] = []
    open_: list[tuple[PersonId, ActivityKind, datetime]] = []
    after = 0
    while ids := lead_store.all_person_ids(tx, after, BATCH):
        after = ids[-1]
        for person, kind, asked_at, answered_at in _questions(tx, ids, asks, answers, now - timedelta(days=days), now):
            if answered_at is None:
                open_.append((person, kind, asked_at))
            else:
                took.append(answered_at - asked_at)
    open_.sort(key=lambda one: (one[2], one[0]))
    people = {person for person, _, _ in open_}
    addresses = {person: row.email for person, row in lead_store.people(tx, sorted(people)).items()}
    known = ranking.standing(tx, next(iter(config.scores)), people)
    waiting = tuple(
        Waiting(
            addresses.get(person),
            kind,
            at,
            known[person].value if person in known else None,
            known[person].grade if person in known else None,
        )
        for person, kind, at in open_
    )
    return Answering(
        asked=len(took) + len(open_),
        answered=len(took),
        late=sum(one > within for one in took),
        hours=median(one / timedelta(hours=1) for one in took) if took else None,
        overdue=sum(now - one.asked_at > within for one in waiting),
        waiting=waiting,
    )


def _questions(
    tx: Connection,
    ids: Sequence[PersonId],
    asks: Sequence[CompiledCount],
    answers: Sequence[CompiledCount],
    since: datetime,
    now: datetime,
) -> Iterator[tuple[PersonId, ActivityKind, datetime, datetime | None]]:
    """(person, kind, asked at, answered at) of each question of these people."""
    found = activity_store.activities_of(tx, ids, since)
    people = people_frame(ids, [{} for _ in ids], {})
    codes, documents = found.documents
    done = Activities.by_id(
        people,
        np.array(found.person_id, np.int64),
        np.array([KIND_CODES[kind] for kind in found.kind], np.int8),
        np.array(found.micros, np.int64),
        Documents(np.array(codes, np.int32), documents),
    )
    t = micros(now)
    marks = [(int(row), ask) for ask, counts in ((True, asks), (False, answers))
             for count in counts for row in counted_rows(count, done, t)]  # fmt: skip
    events = sorted({(found.person_id[row], found.micros[row], ask, found.kind[row]) for row, ask in marks})
    pending: tuple[PersonId, ActivityKind, int] | None = None
    for person, at, ask, kind in events:  # of one instant, the answers come first and answer what was asked before
        if pending is not None and pending[0] != person:
            yield pending[0], pending[1], from_micros(pending[2]), None
            pending = None
        if ask and pending is None:
            pending = person, ActivityKind(kind), at
        elif not ask and pending is not None:
            yield person, pending[1], from_micros(pending[2]), from_micros(at)
            pending = None
    if pending is not None:
        yield pending[0], pending[1], from_micros(pending[2]), None
