"""Whom sales should call first: everybody with a score, best first, of all or of each owner. Reads the store only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from leadbridge.config.schema import Config
from leadbridge.store import ranking
from leadbridge.types import Value


@dataclass(frozen=True, slots=True)
class CallList:
    """The best of one owner (or of everybody: owner ""), best first; `left_out`: how many come after them."""

    owner: str
    people: tuple[ranking.Ranked, ...]
    left_out: int


def call_lists(
    tx: Connection, config: Config, score: str, by: str | None, limit: int, shown: tuple[str, ...] = ()
) -> list[CallList]:
    """The `limit` best of each owner, owners in alphabetical order, who has none last.

    The order is the score, then the grade, then who was known first, so that two calls without news between them
    agree. `by`: the field that names the owner; `shown`: fields that `row` is to show. Held in memory are the lists
    alone. Raises ValueError for a score or field that is not there.
    """
    if score not in config.scores:
        raise ValueError(f"{score} is no score; there is: {', '.join(config.scores)}")
    for name in (by, *shown):
        if name is not None and name not in config.fields:
            raise ValueError(f"{name} is not a field; there is: {', '.join(config.fields)}")
    best: dict[str, list[ranking.Ranked]] = {}
    count: dict[str, int] = {}
    for person in ranking.ranked(tx, score):
        owner = "" if by is None else _word(person.attributes, by)
        count[owner] = count.get(owner, 0) + 1
        listed = best.setdefault(owner, [])
        if len(listed) < limit:
            listed.append(person)
    owners = sorted(best, key=lambda owner: (owner == "", owner.casefold(), owner))
    return [CallList(owner, tuple(best[owner]), count[owner] - len(best[owner])) for owner in owners]


def _word(attributes: Mapping[str, object], name: str) -> str:
    value = attributes.get(name)
    return "" if value is None else str(value).strip()


COLUMNS = ("rank", "score", "grade", "stage", "buyer_journey", "email", "reasons")


def row(rank: int, person: ranking.Ranked, shown: tuple[str, ...]) -> dict[str, Value]:
    """One line of a list, by column: `COLUMNS`, then the fields asked for."""
    found: dict[str, Any] = {
        "rank": rank,
        "score": person.value,
        "grade": person.grade,
        "stage": person.stage,
        "buyer_journey": person.buyer_journey,
        "email": person.email,
        "reasons": person.reasons,
    }
    return found | {name: person.attributes.get(name) for name in shown}
