"""Scores as they are and as they were, and where people stand.

The current table stays narrow (it is what a full rescoring rewrites); contributions are kept with each change in the
history, and the newest line there explains the current row. A row is a true statement as of its own instant: it is
written again only when the number, the grade, the model or a category's whole number changes.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, union_all

from leadbridge.store.engine import among, insert_all, upsert
from leadbridge.store.tables import score_history, scores, stage_history
from leadbridge.store.tables import standings as standings_table
from leadbridge.types import BuyerJourney, Contribution, LifecycleStage, Score

MUCH = 10
"""Points by which a score moves noticeably."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One current score, without its contributions."""

    person_id: int
    name: str
    value: int
    grade: str | None
    categories: Mapping[str, float]
    model: str
    at: datetime
    version: int  # grows by one with each change


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """One line of a score's history. `value` is None when the score ceased to apply."""

    person_id: int
    name: str
    version: int
    value: int | None
    grade: str | None
    categories: Mapping[str, float]
    contributions: tuple[Contribution, ...]
    model: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one person stands."""

    person_id: int
    stage: LifecycleStage | None
    stage_since: datetime | None  # saved where the stage is new to the person
    buyer_journey: BuyerJourney | None
    segments: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)  # score name: the reasons as sales reads them
    at: datetime | None = None  # as of when; None, when saving: now
    version: int = 0  # grows by one with each change; not saved
    cause: str = ""  # why the stage is another than before, for the history
    company: str | None = None  # for whose company score the person counts


def current_scores(tx: Connection, person_ids: Collection[int]) -> dict[int, dict[str, ScoreRow]]:
    """The scores these people have now, by person and name."""
    query = select(scores).where(among(tx, scores.c.person_id, sorted(set(person_ids))), scores.c.value.is_not(None))
    found: dict[int, dict[str, ScoreRow]] = defaultdict(dict)
    for row in tx.execute(query):
        found[row.person_id][row.name] = ScoreRow(
            row.person_id, row.name, row.value, row.grade, row.categories, row.model, row.at, row.version
        )
    return dict(found)


def save_scores(tx: Connection, rows: Sequence[Score], now: datetime) -> set[int]:
    """Store scores that changed, each with a line of history; returns whose did.

    One computed at an earlier instant than the stored one is passed over: it comes from a worker that was overtaken.
    `now` bounds the future: a score as of later than `now` is stored as of `now`.
    """
    return _save(tx, [(row, min(row.at, now)) for row in rows])


def unscore(tx: Connection, pairs: Collection[tuple[int, str]], model: str, now: datetime) -> set[int]:
    """These (person, score name) no longer apply under `model`; returns who had one. The history says so too."""
    held = current_scores(tx, {person for person, _ in pairs})
    gone = [_Gone(person, name, model) for person, name in sorted(set(pairs)) if name in held.get(person, {})]
    return _save(tx, [(row, now) for row in gone])


@dataclass(frozen=True, slots=True)
class _Gone:
    """A score that ceased to apply, in the shape of one."""

    person_id: int
    name: str
    model: str
    value: None = None
    grade: None = None
    categories: Mapping[str, float] = field(default_factory=dict)
    contributions: tuple[Contribution, ...] = ()


def _save(tx: Connection, rows: Sequence[tuple[Score | _Gone, datetime]]) -> set[int]:
    newest: dict[tuple[int, str], tuple[Score | _Gone, datetime]] = {}
    for row, at in rows:
        if (row.person_id, row.name) not in newest or newest[row.person_id, row.name][1] <= at:
            newest[row.person_id, row.name] = row, at
    people = sorted({person for person, _ in newest})
    held = {
        (row.person_id, row.name): row
        for row in tx.execute(
            select(scores).where(among(tx, scores.c.person_id, people)).order_by(scores.c.person_id, scores.c.name)
            .with_for_update()
        )
    }  # fmt: skip
    changed = {key: (row, at) for key, (row, at) in sorted(newest.items()) if _differs(held.get(key), row)}
    stored = upsert(
        tx,
        scores,
        [
            {
                "person_id": row.person_id,
                "name": row.name,
                "value": row.value,
                "grade": row.grade,
                "categories": row.categories,
                "model": row.model,
                "at": at,
                "version": 1,
            }
            for row, at in changed.values()
        ],
        key=["person_id", "name"],
        change=lambda new: {
            **{name: new[name] for name in ("value", "grade", "categories", "model", "at")},
            "version": scores.c.version + 1,
        },
        only_if=lambda new: new.at >= scores.c.at,
        returning=[scores.c.person_id, scores.c.name, scores.c.version],
    )
    if not stored:
        return set()
    insert_all(tx, score_history, [_line(changed, line) for line in sorted(stored)])
    return {line.person_id for line in stored}


def _line(changed: Mapping[tuple[int, str], tuple[Score | _Gone, datetime]], line: Row[Any]) -> dict[str, Any]:
    row, at = changed[line.person_id, line.name]
    return {
        "person_id": row.person_id,
        "name": row.name,
        "version": line.version,
        "value": row.value,
        "grade": row.grade,
        "categories": row.categories,
        "contributions": row.contributions,
        "model": row.model,
        "at": at,
    }


def _differs(old: Row[Any] | None, new: Score | _Gone) -> bool:
    if old is None:
        return True
    return (old.value, old.grade, old.model) != (new.value, new.grade, new.model) or _whole(old.categories) != _whole(
        new.categories
    )


def _whole(categories: Mapping[str, float]) -> dict[str, int]:
    return {name: round(points) for name, points in categories.items()}


def score_changes(tx: Connection, person_id: int, *, name: str | None = None, limit: int = 100) -> list[ScoreChange]:
    """History of one person's scores, newest first. The first line of each name explains the current score."""
    query = select(score_history).where(score_history.c.person_id == person_id)
    if name is not None:
        query = query.where(score_history.c.name == name)
    return [
        ScoreChange(
            row.person_id, row.name, row.version, row.value, row.grade, row.categories,
            tuple(Contribution(*part) for part in row.contributions), row.model, row.at,
        )
        for row in tx.execute(query.order_by(score_history.c.id.desc()).limit(limit))
    ]  # fmt: skip


def company_scores(
    tx: Connection, companies: Sequence[str], names: Sequence[str], without: Sequence[int]
) -> dict[str, dict[str, tuple[int, int]]]:
    """By score and company: the best and the sum of the scores of its people, some left out."""
    member, given = standings_table.c, scores.c
    query = (
        select(given.name, member.company, func.max(given.value), func.sum(given.value))
        .join_from(standings_table, scores, member.person_id == given.person_id)
        .where(
            among(tx, member.company, companies),
            given.name.in_(names),
            given.value.is_not(None),
            ~among(tx, member.person_id, sorted(without)),
        )
        .group_by(given.name, member.company)
    )
    found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for name, company, best, total in tx.execute(query):
        found[name][company] = int(best), int(total)
    return dict(found)


def people_of(tx: Connection, companies: Collection[str]) -> set[int]:
    """Everybody who counts for these companies."""
    columns = standings_table.c
    return set(tx.execute(select(columns.person_id).where(among(tx, columns.company, sorted(companies)))).scalars())


def models_in_use(tx: Connection) -> dict[str, set[str]]:
    """By score: the hashes of the models that gave the current values."""
    query = select(scores.c.name, scores.c.model).where(scores.c.value.is_not(None)).distinct()
    found: dict[str, set[str]] = defaultdict(set)
    for name, model in tx.execute(query):
        found[name].add(model)
    return dict(found)


def versions(tx: Connection, person_ids: Collection[int]) -> dict[int, int]:
    """A number per person that grows with each change of a score or of the standing, through merges too: the version
    of what is written back (`outbox.Wanted`)."""
    ids = sorted(set(person_ids))
    both = union_all(
        *(
            select(table.c.person_id, table.c.version).where(among(tx, table.c.person_id, ids))
            for table in (scores, standings_table)
        )
    ).subquery()
    rows = tx.execute(select(both.c.person_id, func.sum(both.c.version)).group_by(both.c.person_id))
    found = {person: int(version) for person, version in rows}
    return {person: found.get(person, 0) for person in ids}


@dataclass(frozen=True, slots=True)
class Difference:
    """One score before and after an instant, on the people who had it at both times."""

    people: int
    mean_before: float
    mean_after: float
    up: int  # by ten points and more
    down: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def difference(tx: Connection, name: str, instant: datetime) -> Difference | None:
    """What changed since the instant; None when nobody had the score before it."""
    last = (
        select(func.max(score_history.c.id))
        .where(score_history.c.name == name, score_history.c.at < instant)
        .group_by(score_history.c.person_id)
    )
    old = select(score_history.c.person_id, score_history.c.value).where(score_history.c.id.in_(last)).subquery()
    moved = scores.c.value - old.c.value
    query = (
        select(
            func.count(),
            func.avg(old.c.value),
            func.avg(scores.c.value),
            func.count().filter(moved >= MUCH),
            func.count().filter(moved <= -MUCH),
        )
        .select_from(scores)
        .join(old, old.c.person_id == scores.c.person_id)
        .where(scores.c.name == name, scores.c.value.is_not(None), old.c.value.is_not(None))
    )
    people, before, after, up, down = tx.execute(query).one()
    return Difference(people, float(before), float(after), up, down) if people else None


# --- standings -----------------------------------------------------------------------------------------------------


def standings(tx: Connection, person_ids: Collection[int]) -> dict[int, Standing]:
    """Where these people stand; those who have never been scored are left out."""
    query = select(standings_table).where(among(tx, standings_table.c.person_id, sorted(set(person_ids))))
    return {
        row.person_id: Standing(
            row.person_id,
            row.stage and LifecycleStage(row.stage),
            row.stage_since,
            row.buyer_journey and BuyerJourney(row.buyer_journey),
            tuple(row.segments),
            row.reasons,
            row.at,
            row.version,
            company=row.company,
        )
        for row in tx.execute(query)
    }


def stages_of(tx: Connection, person_ids: Collection[int]) -> dict[int, tuple[LifecycleStage, datetime]]:
    """The stage each of these people stands at, and since when; those who stand at none are left out."""
    columns = standings_table.c
    query = select(columns.person_id, columns.stage, func.coalesce(columns.stage_since, columns.at)).where(
        columns.stage.is_not(None)
    )
    rows = tx.execute(query.where(among(tx, standings_table.c.person_id, sorted(set(person_ids)))))
    return {person: (LifecycleStage(stage), since) for person, stage, since in rows}


def save_standings(tx: Connection, rows: Sequence[Standing], now: datetime) -> set[int]:
    """Store standings that changed; returns whose did. As of an earlier instant than the stored one: passed over.

    A change of stage or of the buyer's journey is noted in the history as well.
    """
    newest = {row.person_id: row for row in rows}
    held = standings(tx, newest)
    changed = []
    moved = []
    for person, row in sorted(newest.items()):
        old, at = held.get(person), min(row.at or now, now)
        if old is not None and _said(old) == _said(row):
            continue
        changed.append(
            {
                "person_id": person,
                "stage": row.stage,
                "stage_since": old.stage_since if old and old.stage == row.stage else row.stage_since or at,
                "buyer_journey": row.buyer_journey,
                "company": row.company,
                "segments": row.segments,
                "reasons": row.reasons,
                "at": at,
                "version": 1,
            }
        )
        if old is None or (old.stage, old.buyer_journey) != (row.stage, row.buyer_journey):
            moved.append({"person_id": person, "stage": row.stage, "buyer_journey": row.buyer_journey,
                          "cause": row.cause, "at": at})  # fmt: skip
    stored = upsert(
        tx,
        standings_table,
        changed,
        key=["person_id"],
        change=lambda new: {
            **{name: new[name] for name in _SHOWN},
            "version": standings_table.c.version + 1,
        },
        only_if=lambda new: new.at >= standings_table.c.at,
        returning=[standings_table.c.person_id],
    )
    people = {row.person_id for row in stored}
    if lines := [line for line in moved if line["person_id"] in people]:
        insert_all(tx, stage_history, lines)
    return people


_SHOWN = ("stage", "stage_since", "buyer_journey", "company", "segments", "reasons", "at")


def _said(row: Standing) -> tuple[Any, ...]:
    return row.stage, row.buyer_journey, row.company, row.segments, dict(row.reasons)


def stage_changes(tx: Connection, person_id: int) -> list[tuple[datetime, str | None, str | None, str]]:
    """(instant, stage, buyer's journey, why the stage changed) at each change, oldest first."""
    columns = stage_history.c
    query = select(columns.at, columns.stage, columns.buyer_journey, columns.cause)
    return [
        (row.at, row.stage, row.buyer_journey, row.cause)
        for row in tx.execute(query.where(stage_history.c.person_id == person_id).order_by(stage_history.c.id))
    ]


def stage_counts(tx: Connection) -> dict[str | None, int]:
    """How many people stand at each stage."""
    return dict(tx.execute(select(standings_table.c.stage, func.count()).group_by(standings_table.c.stage)).all())
