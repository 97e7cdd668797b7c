"""What is stored of everybody in a range of ids, as columns: for work over the whole audience.

Each function takes the first and the last id, both included, and reads past SQLAlchemy's rows, which would take most of
the time. Values of one answer are of equal length; rows come by rising id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Text, func, select, type_coerce

from leadbridge.store.columns import from_json
from leadbridge.store.rows import in_pieces
from leadbridge.store.tables import persons, scores, standings
from leadbridge.types import Value

_ROWS = 20_000  # that are Python objects of the driver's at one time


@dataclass(frozen=True, slots=True)
class PeopleRows:
    """Many people; see `leads.PersonRow`."""

    id: list[int]
    email: list[str | None]
    canonical: list[str | None]
    attributes: list[dict[str, Value]]
    opted_out: list[bool]


@dataclass(frozen=True, slots=True)
class ScoreRows:
    """Current scores; see `scores.ScoreRow`. `value` is None where the score no longer applies."""

    person_id: list[int]
    name: list[str]
    value: list[int | None]
    grade: list[str | None]
    categories: list[dict[str, float]]
    model: list[str]


@dataclass(frozen=True, slots=True)
class StandingRows:
    """Where people stand; see `scores.Standing`."""

    person_id: list[int]
    stage: list[str | None]
    since: list[int]  # when the stage began, or the row was written: microseconds since 1970, UTC
    buyer_journey: list[str | None]
    segments: list[list[str]]
    company: list[str | None]


def people(tx: Connection, first: int, last: int) -> PeopleRows:
    """Everybody there is."""
    columns = persons.c
    query = select(columns.id, columns.email, columns.email_canonical, type_coerce(columns.attributes, Text),
                   columns.opted_out)  # fmt: skip
    found = _columns(tx, query.where(columns.id.between(first, last)).order_by(columns.id), 5)
    ids, emails, canonicals, attributes, opted_out = found
    return PeopleRows(ids, emails, canonicals, _documents(attributes), [*map(bool, opted_out)])


def current_scores(tx: Connection, first: int, last: int) -> ScoreRows:
    """Their scores, also those that ended."""
    columns = scores.c
    query = select(columns.person_id, columns.name, columns.value, columns.grade,
                   type_coerce(columns.categories, Text), columns.model)  # fmt: skip
    found = _columns(tx, query.where(columns.person_id.between(first, last)).order_by(columns.person_id), 6)
    people_, names, values, grades, categories, models = found
    return ScoreRows(people_, names, values, grades, _documents(categories), models)


def current_standings(tx: Connection, first: int, last: int) -> StandingRows:
    """Where they stand."""
    columns = standings.c
    since = type_coerce(func.coalesce(columns.stage_since, columns.at), BigInteger)
    query = select(columns.person_id, columns.stage, since, columns.buyer_journey, type_coerce(columns.segments, Text),
                   columns.company)  # fmt: skip
    found = _columns(tx, query.where(columns.person_id.between(first, last)).order_by(columns.person_id), 6)
    people_, stages, began, phases, segments, companies = found
    return StandingRows(people_, stages, began, phases, _documents(segments), companies)


def _columns(tx: Connection, query: Select[Any], width: int) -> Sequence[list[Any]]:
    found: list[list[Any]] = [[] for _ in range(width)]
    for rows in in_pieces(tx, query, _ROWS):
        for column, values in zip(found, zip(*rows, strict=True), strict=True):
            column.extend(values)
    return found


def _documents(texts: Sequence[str]) -> Any:
    """JSON texts, read in one go."""
    return from_json(f"[{','.join(texts)}]")
