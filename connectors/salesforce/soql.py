"""Queries (vendors/salesforce.md, sections 3.1 and 3.2).

Names come from describe or from tables of ours and are checked here once more; values only ever stand quoted. There is
no other place that puts a query together (reliability G28).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote_plus

from simple_salesforce.format import quote_soql_value

LONGEST = 12_000
"""Characters of a query as it stands in an address: at 16,384 with the path the edge answers 414 in HTML."""

MOST_IDS = 400

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*){0,5}")
_SIGNS = frozenset({"=", "!=", "<", "<=", ">", ">=", "IN"})

Literal: TypeAlias = str | bool | int | float | datetime | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Where:
    """`field sign value`. A sign other than those of SOQL, or an empty list, is a fault of ours: ValueError."""

    field: str
    sign: str
    value: Literal

    def text(self) -> str:
        if self.sign not in _SIGNS:
            raise ValueError(f"no sign of SOQL: {self.sign}")
        if self.sign == "IN" and not self.value:
            raise ValueError(f"an empty list for {self.field}")
        if isinstance(self.value, datetime) and self.value.tzinfo is None:
            raise ValueError("an instant without a zone is read as local time")
        return f"{_name(self.field)} {self.sign} {quote_soql_value(self.value)}"


def select(columns: Sequence[str], kind: str, *tests: Where, order: Collection[str] = ()) -> str:
    """A query for these columns of an object, where all tests hold."""
    text = f"SELECT {','.join(_name(one) for one in columns)} FROM {_name(kind)}"  # noqa: S608 - names are checked
    if tests:
        text += " WHERE " + " AND ".join(test.text() for test in tests)
    if order:
        text += " ORDER BY " + ",".join(_name(one) for one in order)
    return text


def number(kind: str, *tests: Where) -> str:
    """A query for how many rows of an object there are where all tests hold."""
    return select(["Id"], kind, *tests).replace("SELECT Id ", "SELECT COUNT() ", 1)


def by_ids(columns: Sequence[str], kind: str, field: str, ids: Sequence[str], *tests: Where) -> Iterator[str]:
    """Queries that between them ask for all these ids, each short enough for an address."""
    todo = list(ids)
    while todo:
        size = min(len(todo), MOST_IDS)
        while True:
            text = select(columns, kind, Where(field, "IN", todo[:size]), *tests)
            if len(quote_plus(text)) <= LONGEST or size == 1:
                break
            size = max(1, size * 3 // 4)
        yield text
        todo = todo[size:]


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"no name of a field or object: {text}")
    return text
