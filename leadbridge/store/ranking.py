"""Questions people ask of the whole: who comes first, how many there are, what became of each journey."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from leadbridge.store.engine import among
from leadbridge.store.tables import enrolments, holdouts, persons, scores, standings, suppressed_people


@dataclass(frozen=True, slots=True)
class Ranked:
    """One scored person, as sales sees them."""

    person_id: int
    email: str | None
    value: int
    grade: str | None
    stage: str | None
    buyer_journey: str | None
    reasons: str
    attributes: Mapping[str, object]

    @property
    def name(self) -> str:
        """What to call the person: the address, which a rep finds in the CRM."""
        return self.email or f"person {self.person_id}"


_RANKED = (
    select(
        persons.c.id, persons.c.email, scores.c.value, scores.c.grade, standings.c.stage, standings.c.buyer_journey,
        standings.c.reasons, persons.c.attributes, scores.c.name,
    )
    .join(scores, scores.c.person_id == persons.c.id)
    .join(standings, standings.c.person_id == persons.c.id, isouter=True)
)  # fmt: skip


def best(tx: Connection, score: str, limit: int) -> list[Ranked]:
    """The people with the highest score of this name; ties by grade, then by id, so that the order is stable."""
    return list(_read(tx, _in_order(score).limit(limit)))


def ranked(tx: Connection, score: str) -> Iterator[Ranked]:
    """Everybody with a score of this name, in the same order, read a thousand at a time."""
    return _read(tx, _in_order(score).execution_options(yield_per=1000))


def _in_order(score: str) -> Select[Any]:
    query = _RANKED.where(scores.c.name == score, scores.c.value.is_not(None))
    return query.order_by(scores.c.value.desc(), scores.c.grade.asc().nulls_last(), persons.c.id)


def standing(tx: Connection, score: str, person_ids: Collection[int]) -> dict[int, Ranked]:
    """These people's standing, by id; who has no such score is left out."""
    query = _RANKED.where(
        scores.c.name == score, scores.c.value.is_not(None), among(tx, persons.c.id, sorted(person_ids))
    )
    return {row.person_id: row for row in _read(tx, query)}


def between(tx: Connection, score: str, low: int, high: int, limit: int) -> list[Ranked]:
    """People whose score lies within these bounds, both included, highest first."""
    query = _RANKED.where(scores.c.name == score, scores.c.value.between(low, high))
    return list(_read(tx, query.order_by(scores.c.value.desc(), persons.c.id).limit(limit)))


def _read(tx: Connection, query: Select[Any]) -> Iterator[Ranked]:
    for person, email, value, grade, stage, phase, reasons, attributes, score in tx.execute(query):
        yield Ranked(person, email, value, grade, stage, phase, (reasons or {}).get(score, ""), attributes)


def people(tx: Connection) -> int:
    """How many people there are."""
    return tx.execute(select(func.count()).select_from(persons)).scalar_one()


def contactable(tx: Connection) -> int:
    """How many people may be mailed as far as we know: with an address, not opted out, not suppressed."""
    left = select(suppressed_people.c.person_id)
    query = select(func.count()).select_from(persons)
    return tx.execute(
        query.where(persons.c.email_canonical.is_not(None), ~persons.c.opted_out, persons.c.id.not_in(left))
    ).scalar_one()


def all_alike(tx: Connection, score: str, least: int) -> bool:
    """Have at least so many people this score, and all of them the same? Then it tells nobody from anybody (G23)."""
    query = select(func.count(scores.c.value), func.min(scores.c.value), func.max(scores.c.value))
    count, low, high = tx.execute(query.where(scores.c.name == score)).one()
    return bool(count >= least and low == high)


def journeys(tx: Connection) -> dict[str, dict[str, int]]:
    """For each journey that anybody was matched to: how many rows are in each state, and how many were held out."""
    found: dict[str, dict[str, int]] = {}
    counted = select(enrolments.c.journey, enrolments.c.state, func.count()).group_by(
        enrolments.c.journey, enrolments.c.state
    )
    for journey, state, count in tx.execute(counted.order_by(enrolments.c.journey)):
        found.setdefault(journey, {})[state] = count
    kept = select(holdouts.c.journey, func.count()).group_by(holdouts.c.journey).order_by(holdouts.c.journey)
    for journey, count in tx.execute(kept):
        found.setdefault(journey, {})["held_out"] = count
    return found
