"""Scores as they are and as they were, and where people stand.

The current table stays narrow (it is what a full rescoring rewrites); contributions are kept with each change in the
history, and the newest line there explains the current row. A row is a true statement as of its own instant: it is
written again only when the number, the grade, the model or a category's whole number changes.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, FromClause, Row, func, select

from leadbridge.store.columns import Encoded, to_json
from leadbridge.store.engine import among
from leadbridge.store.rows import insert_all, tuples, upsert
from leadbridge.store.tables import score_history, scores, stage_history
from leadbridge.store.tables import standings as standings_table
from leadbridge.types import BuyerJourney, Contribution, LifecycleStage, Lines, Score

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


class Standing(NamedTuple):
    """Where one person stands."""

    person_id: int
    stage: LifecycleStage | None
    stage_since: datetime | None  # saved where the stage is new to the person
    buyer_journey: BuyerJourney | None
    segments: tuple[str, ...] = ()
    reasons: Mapping[str, str] = MappingProxyType({})  # score name: the reasons as sales reads them
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
    changed = {key: newest[key] for key in sorted(newest) if _differs(held.get(key), newest[key][0])}
    if not changed:
        return set()
    given = _columns(changed)
    stored = upsert(
        tx,
        scores,
        {**given, "version": [1] * len(changed)},
        key=["person_id", "name"],
        change=lambda new: {
            **{name: new[name] for name in ("value", "grade", "categories", "model", "at")},
            "version": scores.c.version + 1,
        },
        only_if=lambda new: new.at >= scores.c.at,
        returning=[scores.c.person_id, scores.c.name, scores.c.version],
    )
    version = {(person, name): number for person, name, number in map(tuple, stored)}
    places = [place for place, key in enumerate(changed) if key in version]
    if places:
        keys = list(changed)
        lines = {name: [values[place] for place in places] for name, values in given.items()}
        lines["version"] = [version[keys[place]] for place in places]
        lines["contributions"] = [_contributions(changed[keys[place]][0].contributions) for place in places]
        insert_all(tx, score_history, lines)
    return {person for person, _ in version}


def _columns(changed: Mapping[tuple[int, str], tuple[Score | _Gone, datetime]]) -> dict[str, list[Any]]:
    """What the scores and their history both keep."""
    return {
        "person_id": [person for person, _ in changed],
        "name": [name for _, name in changed],
        "value": [row.value for row, _ in changed.values()],
        "grade": [row.grade for row, _ in changed.values()],
        "categories": [_categories(row.categories) for row, _ in changed.values()],
        "model": [row.model for row, _ in changed.values()],
        "at": [at for _, at in changed.values()],
    }


def _categories(points: Mapping[str, float]) -> Encoded:
    """The text of `to_json`, at a fraction of the time."""
    if not _plain(list(points.values())):
        return Encoded(to_json(points))
    return Encoded(f"{{{','.join([f'{_key[name]}{points[name]!r}' for name in sorted(points)])}}}")


def _contributions(lines: Sequence[Contribution]) -> Encoded:
    """The same of contributions."""
    if isinstance(lines, Lines):  # exact tenths of billionths of a point, hence finite
        begins, place = _begins(lines.names), slice(lines.start, lines.stop)
        parts = zip(lines.code[place], lines.points[place], strict=True)
        return Encoded(f"[{','.join([f'{begins[code]}{points!r}]' for code, points in parts])}]")
    if not _plain([points for _, _, points in lines]):
        return Encoded(to_json(lines))
    return Encoded(f"[{','.join([f'{_line[category, rule]}{points!r}]' for category, rule, points in lines])}]")


def _plain(numbers: list[float]) -> bool:
    """Are these finite floats, which read the same in Python and in JSON?"""
    return {*map(type, numbers)} <= {float} and isfinite(sum(numbers))


class _Beginnings(dict[Any, str]):
    """How the JSON text of what bears a name of the rules begins; the names of a configuration are few."""

    def __init__(self, begin: Callable[[Any], str]) -> None:
        self._begin = begin

    def __missing__(self, name: Any) -> str:
        if len(self) > _NAMES:
            self.clear()
        self[name] = text = self._begin(name)
        return text


_NAMES = 10_000
_key = _Beginnings(lambda name: to_json({name: 0})[1:-2])
_line = _Beginnings(lambda names: f"{to_json(names)[:-1]},")


@lru_cache(maxsize=256)
def _begins(names: tuple[tuple[str, str], ...]) -> list[str]:
    return [_line[name] for name in names]


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
    tx: Connection,
    companies: Sequence[str],
    names: Sequence[str],
    without: Sequence[int],
    at: datetime | None = None,
) -> dict[str, dict[str, tuple[int, int]]]:
    """By score and company: the best and the sum of the scores of its people, some left out.

    With `at` the scores as they stood then, by the history, of whoever counts for the company today: who counted for
    it then is not kept.
    """
    member = standings_table.c
    source: FromClause = scores
    if at is not None:
        of_them = select(member.person_id).where(among(tx, member.company, companies))
        last = (
            select(func.max(score_history.c.id))
            .where(score_history.c.person_id.in_(of_them), score_history.c.name.in_(names), score_history.c.at <= at)
            .group_by(score_history.c.person_id, score_history.c.name)
        )
        source = select(score_history).where(score_history.c.id.in_(last)).subquery()
    given = source.c
    query = (
        select(given.name, member.company, func.max(given.value), func.sum(given.value))
        .join_from(standings_table, source, member.person_id == given.person_id)
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


def colleagues(tx: Connection, person_ids: Collection[int]) -> set[int]:
    """Everybody else who counts for a company that one of these people counts for."""
    ids = sorted(set(person_ids))
    mine = select(standings_table.c.company).where(
        among(tx, standings_table.c.person_id, ids), standings_table.c.company.is_not(None)
    )
    return people_of(tx, set(tx.execute(mine).scalars())) - set(ids)


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
    found = dict.fromkeys(sorted(set(person_ids)), 0)
    ids = list(found)
    for table in (scores, standings_table):
        query = select(table.c.person_id, table.c.version).where(among(tx, table.c.person_id, ids))
        for person, version in tuples(tx, query):
            found[person] += version
    return found


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
    changed: dict[int, tuple[Standing, datetime | None, datetime]] = {}  # with since when they are at the stage
    moved = set()
    for person, row in sorted(newest.items()):
        old, at = held.get(person), min(row.at or now, now)
        if old is not None and _said(old) == _said(row):
            continue
        changed[person] = row, old.stage_since if old and old.stage == row.stage else row.stage_since or at, at
        if old is None or (old.stage, old.buyer_journey) != (row.stage, row.buyer_journey):
            moved.add(person)
    if not changed:
        return set()
    rows = [row for row, _, _ in changed.values()]
    given: dict[str, list[Any]] = {
        "person_id": list(changed),
        "stage": [row.stage for row in rows],
        "stage_since": [since for _, since, _ in changed.values()],
        "buyer_journey": [row.buyer_journey for row in rows],
        "company": [row.company for row in rows],
        "segments": [row.segments for row in rows],
        "reasons": [row.reasons for row in rows],
        "at": [at for _, _, at in changed.values()],
        "version": [1] * len(rows),
    }
    stored = upsert(
        tx,
        standings_table,
        given,
        key=["person_id"],
        change=lambda new: {
            **{name: new[name] for name in _SHOWN},
            "version": standings_table.c.version + 1,
        },
        only_if=lambda new: new.at >= standings_table.c.at,
        returning=[standings_table.c.person_id],
    )
    people = {row.person_id for row in stored}
    lines = [changed[person] for person in sorted(people & moved)]
    if lines:
        noted: dict[str, list[Any]] = {
            "person_id": [row.person_id for row, _, _ in lines],
            "stage": [row.stage for row, _, _ in lines],
            "buyer_journey": [row.buyer_journey for row, _, _ in lines],
            "cause": [row.cause for row, _, _ in lines],
            "at": [at for _, _, at in lines],
        }
        insert_all(tx, stage_history, noted)
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
