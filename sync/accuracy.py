"""Did the score of then tell what became of people since? Read off the history: nothing that was learned later counts.

What is looked at is the score as it stood in the store at an earlier instant, which is what everybody saw and acted on;
it is not worked out anew by today's rules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, func, select, type_coerce

from leadbridge.config.measurement import Goal
from leadbridge.config.schema import Config
from leadbridge.store import hand_offs
from leadbridge.store.tables import activities, score_history, stage_history
from leadbridge.store.text import to_micros
from leadbridge.types import LifecycleStage, PersonId
from nurture.accuracy import Promise, Ranking, promise, ranking
from nurture.hand_off import HAND_OFF

MONTHS = 12
"""Months whose people are compared with what earlier ones promised."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing a score ought to tell beforehand, and how well it did."""

    asked: str
    found: Ranking


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well one score told beforehand what came."""

    score: str
    at: datetime  # as of when the scores are taken
    until: datetime  # up to when what became of people counts
    questions: list[Question]
    months: list[tuple[datetime, Promise]]  # oldest first; only those with something before them to go by


def accuracy(tx: Connection, config: Config, now: datetime, at: datetime | None = None) -> Accuracy:
    """The main score as of `at`: by default, and at the latest, so long ago that all time to succeed is over."""
    goal, name = config.measurement.goal, next(iter(config.scores))
    within = timedelta(seconds=goal.within)
    at = min(at or now - within, now - within)
    until = at + within
    scores, confidence = _scores_at(tx, name, at), config.measurement.confidence

    def told(asked: str, outcome: Mapping[PersonId, bool]) -> Question:
        people = sorted(scores.keys() & outcome.keys())
        return Question(asked, ranking([scores[one] for one in people], [outcome[one] for one in people], confidence))

    marked = _in_stage(tx, LifecycleStage.MQL, at)
    further = _became(tx, goal.model_copy(update={"reaches": LifecycleStage.SQL, "activity": None}), at, scores)
    wanted = goal.reaches or goal.activity
    questions = [
        told(f"who becomes {wanted}" if goal.reaches else f"who does this: {wanted}", _became(tx, goal, at, scores)),
        told("which MQL becomes SQL", {person: won for person, won in further.items() if person in marked}),
        Question("whom sales does not send back", _kept_by_sales(tx, at, until, confidence)),
    ]
    return Accuracy(name, at, until, questions, list(_months(tx, goal, name, now)))


def _scores_at(tx: Connection, name: str, at: datetime) -> dict[PersonId, int]:
    """Everybody's score as the store had it then."""
    newest = (
        select(func.max(score_history.c.id).label("id"))
        .where(score_history.c.name == name, score_history.c.at <= at)
        .group_by(score_history.c.person_id)
        .subquery()
    )
    rows = tx.execute(
        select(score_history.c.person_id, score_history.c.value).join(newest, newest.c.id == score_history.c.id)
    )
    return {person: value for person, value in rows if value is not None}


def _in_stage(tx: Connection, stage: LifecycleStage, at: datetime) -> set[PersonId]:
    newest = (
        select(func.max(stage_history.c.id).label("id"))
        .where(stage_history.c.at <= at)
        .group_by(stage_history.c.person_id)
        .subquery()
    )
    query = select(stage_history.c.person_id).join(newest, newest.c.id == stage_history.c.id)
    return set(tx.execute(query.where(stage_history.c.stage == stage)).scalars())


def _became(tx: Connection, goal: Goal, at: datetime, scores: Mapping[PersonId, int]) -> dict[PersonId, bool]:
    """Of those with a score who had not reached the goal by then: did they, in their time?"""
    if goal.activity is not None:
        table, reached, since = activities, activities.c.kind == goal.activity, to_micros(at)
    else:
        first = goal.reaches or LifecycleStage.CUSTOMER
        enough = [stage.value for stage in LifecycleStage if stage.rank >= first.rank]
        table, reached, since = stage_history, stage_history.c.stage.in_(enough), -1
    instant = type_coerce(table.c.at, BigInteger)
    query = select(table.c.person_id, func.min(instant)).where(reached, instant > since).group_by(table.c.person_id)
    when: dict[PersonId, int] = {person: first for person, first in tx.execute(query)}  # noqa: C416 - rows are no pairs
    begin, end = to_micros(at), to_micros(at + timedelta(seconds=goal.within))
    return {
        person: person in when and when[person] <= end
        for person in scores
        if person not in when or when[person] > begin
    }


def _kept_by_sales(tx: Connection, at: datetime, until: datetime, confidence: float) -> Ranking:
    """The score at the hand-off against the label that sales gave: sent back, or anything else."""
    rows = [
        (row.score, row.outcome != hand_offs.REJECTED)
        for row in hand_offs.since(tx, at)
        if row.rule == HAND_OFF and row.score is not None and at < row.decided_at <= until
        if row.outcome != hand_offs.WITHDRAWN and (row.outcome is not None or row.accepted_at is not None)
    ]
    return ranking([score for score, _ in rows], [kept for _, kept in rows], confidence)


def _months(tx: Connection, goal: Goal, name: str, now: datetime) -> Iterator[tuple[datetime, Promise]]:
    """Each month's people by what those months promised whose time was over when it began."""
    within = timedelta(seconds=goal.within)
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins: list[datetime] = []
    while len(begins) < MONTHS:
        if begin + within <= now:
            begins.insert(0, begin)
        begin = (begin - timedelta(days=1)).replace(day=1)
    seen: list[tuple[datetime, tuple[list[int], list[bool]]]] = []
    for month in begins:
        scores = _scores_at(tx, name, month)
        outcome = _became(tx, goal, month, scores)
        people = [scores[person] for person in outcome], list(outcome.values())
        earlier = [found for start, found in seen if start + within <= month]
        if people[0] and any(found[0] for found in earlier):
            yield month, promise(earlier, people)
        seen.append((month, people))
