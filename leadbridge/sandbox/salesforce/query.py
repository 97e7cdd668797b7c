"""Answering a SOQL query over the rows a user sees (vendor page, section 3.1)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from leadbridge.sandbox.salesforce import ids
from leadbridge.sandbox.salesforce.answers import Refused
from leadbridge.sandbox.salesforce.fields import NUMBERS, TEXT, Field
from leadbridge.sandbox.salesforce.kinds import KINDS, kind_of
from leadbridge.sandbox.salesforce.soql import Compare, Condition, Literal, Path, Query, malformed, pointing
from leadbridge.sandbox.salesforce.store import Row, Store

_COLUMN = (
    "No such column '{name}' on entity '{kind}'. If you are attempting to use a custom field, be sure to append the "
    "'__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
)
_KIND = (
    "sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the "
    "'__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
)
_RELATION = (
    "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be "
    "sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for "
    "the appropriate names."
)
_DEEPEST = 5
_MOST_OFFSET = 2_000
_MOST_DAYS = 100_000
_COMMON = ("Id", "Name", "FirstName", "LastName", "Email")  # what a parent of several possible objects shows
_WORDS = {"date": "date", "datetime": "dateTime", "boolean": "boolean", "id": "string", "reference": "string"}

Judge = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Column:
    """A path made out: the relations to follow and the field at its end. ``field`` None: ``Who.Type``."""

    steps: tuple[Field, ...]
    field: Field | None

    @property
    def name(self) -> str:
        return self.field.name if self.field else "Type"


class Reader:
    """One user's view on the org at one instant."""

    def __init__(self, store: Store, user_id: str, now: datetime, lacks: frozenset[str] = frozenset()) -> None:
        self._store = store
        self._lacks = lacks
        self._user_id = user_id
        self._now = now
        self._seen: dict[str, dict[str, Field]] = {}

    def fields(self, kind: str) -> dict[str, Field]:
        """By lower-case name: SOQL does not mind case."""
        if kind not in self._seen:
            found = self._store.visible(kind, self._user_id)
            self._seen[kind] = {name.lower(): field for name, field in found.items()}
        return self._seen[kind]

    def kind(self, query: Query) -> str:
        found = kind_of(query.kind.text)
        if found is None or found.name in self._lacks:
            what = _KIND.format(name=query.kind.text)
            raise Refused(400, "INVALID_TYPE", pointing(query.text, query.kind.at, len(query.kind.text), what))
        return found.name

    def columns(self, query: Query) -> list[Column]:
        kind = self.kind(query)
        if query.wide:
            wanted = {"ALL": (True, False), "STANDARD": (False,), "CUSTOM": (True,)}[query.wide]
            if query.wide != "STANDARD" and (query.limit is None or query.limit > 200):
                message = "The SOQL FIELDS function must have a LIMIT of at most 200"
                raise malformed(message)
            return [Column((), field) for field in self.fields(kind).values() if field.custom in wanted]
        columns = [self.column(kind, path, query.text) for path in query.select]
        names = [path.text.lower() for path in query.select]
        twice = next((name for n, name in enumerate(names) if name in names[:n]), None)
        if twice:
            raise Refused(400, "INVALID_FIELD", f"duplicate field selected: {twice}")
        return columns

    def column(self, kind: str, path: Path, text: str) -> Column:
        """A path made out; INVALID_FIELD for what does not exist or is hidden."""
        *relations, name = path.text.split(".")
        if relations and relations[0].lower() == kind.lower():
            relations = relations[1:]  # ``SELECT Lead.Id FROM Lead``
        if len(relations) > _DEEPEST:
            raise malformed("SOQL relationship queries may go 5 levels up at most")
        steps: list[Field] = []
        common = False
        for relation in relations:
            found = None if common else self._relation(kind, relation)
            if found is None:
                raise self._missing(text, path, _RELATION.format(name=relation))
            steps.append(found)
            kind, common = found.refers_to[0], len(found.refers_to) > 1
            if kind not in KINDS:
                raise self._missing(text, path, _RELATION.format(name=relation))
        if common and name.lower() == "type":
            return Column(tuple(steps), None)
        field = self.fields(kind).get(name.lower())
        if field is None or (common and field.name not in _COMMON):
            raise self._missing(text, path, _COLUMN.format(name=name, kind="Name" if common else kind))
        return Column(tuple(steps), field)

    def _relation(self, kind: str, name: str) -> Field | None:
        return next((f for f in self.fields(kind).values() if (f.relationship or "").lower() == name.lower()), None)

    @staticmethod
    def _missing(text: str, path: Path, what: str) -> Refused:
        return Refused(400, "INVALID_FIELD", pointing(text, path.at, len(path.text), what))

    def select(self, query: Query, *, deleted: bool) -> list[Row]:
        """The rows of the answer in its order; ``deleted`` also shows the recycle bin and archived activities."""
        kind = self.kind(query)
        if query.offset > _MOST_OFFSET:
            raise Refused(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        judge = self._judge(kind, query.where, query.text) if query.where else None
        rows = [
            row
            for row in self._store.state.rows[kind].values()
            if (deleted or (row.deleted_at is None and not row.get("IsArchived"))) and (judge is None or judge(row))
        ]
        for order in reversed(query.order):
            column = self.column(kind, order.path, query.text)
            if column.field is not None and column.field.long_text:
                message = f"field '{column.name}' can not be sorted in a query call"
                raise Refused(400, "INVALID_FIELD", message)
            rows = _sorted(rows, lambda row, column=column: self.value(row, column), order.descending, order.nulls_last)  # type: ignore[misc]
        end = None if query.limit is None else query.offset + query.limit
        return rows[query.offset : end]

    def value(self, row: Row, column: Column) -> Any:
        """The value at the end of a path; null where a parent is missing."""
        parent: Row | None = row
        for step in column.steps:
            parent = self._store.state.row(parent.get(step.name)) if parent else None
        if parent is None:
            return None
        if column.field is None:
            return parent.type
        return parent.values.get(column.field.name, column.field.empty)

    def _judge(self, kind: str, condition: Condition, text: str) -> Judge:
        if isinstance(condition, Compare):
            return self._compare(kind, condition, text)
        parts = [self._judge(kind, part, text) for part in condition.parts]
        if condition.word == "not":
            [inner] = parts
            return lambda row: not inner(row)
        every = all if condition.word == "and" else any
        return lambda row: every(part(row) for part in parts)

    def _compare(self, kind: str, condition: Compare, text: str) -> Judge:
        column = self.column(kind, condition.path, text)
        if column.field is not None and not column.field.filterable:
            raise Refused(400, "INVALID_FIELD", f"field '{column.name}' can not be filtered in a query call")
        form = column.field.type if column.field else "string"
        if condition.sign == "like":
            return self._like(column, form, condition.values[0])
        wanted = [_operand(column.name, form, literal, self._now) for literal in condition.values]
        fold = _fold(form)
        if condition.sign in ("in", "not in"):
            several, inside = set(wanted), condition.sign == "in"
            return lambda row: (fold(self.value(row, column)) in several) == inside
        return self._ordered(column, fold, condition.sign, wanted[0])

    def _ordered(self, column: Column, fold: Callable[[Any], Any], sign: str, wanted: Any) -> Judge:
        if sign in ("=", "!="):
            same = sign == "="
            return lambda row: (fold(self.value(row, column)) == wanted) == same
        if wanted is None:
            raise Refused(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on null: {sign}")
        fits = _SIGNS[sign]

        def judge(row: Row) -> bool:
            value = fold(self.value(row, column))
            return value is not None and fits(value, wanted)

        return judge

    def _like(self, column: Column, form: str, literal: Literal) -> Judge:
        if form not in TEXT or literal.kind != "string":
            raise Refused(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {form} field: LIKE")
        pattern = re.compile(literal.like, re.IGNORECASE | re.DOTALL)
        return lambda row: pattern.fullmatch(self.value(row, column) or "") is not None

    # What the answer shows

    def render(self, row: Row, columns: Sequence[Column], version: str) -> dict[str, Any]:
        """One record: ``attributes`` first, parents nested, every selected field present."""
        found: dict[str, Any] = {"attributes": attributes(row, version)}
        for column in columns:
            place, parent = found, row
            for step in column.steps:
                above = self._store.state.row(parent.get(step.name))
                if above is None:
                    place[str(step.relationship)] = None
                    break
                if not isinstance(place.get(str(step.relationship)), dict):
                    place[str(step.relationship)] = {"attributes": attributes(above, version)}
                place, parent = place[str(step.relationship)], above
            else:
                place[column.name] = self.value(parent, Column((), column.field))
        return found


def attributes(row: Row, version: str) -> Mapping[str, str]:
    return {"type": row.type, "url": f"/services/data/{version}/sobjects/{row.type}/{row.id}"}


_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _fold(form: str) -> Callable[[Any], Any]:
    """Text compares without case; ids and instants as they are."""
    return (
        (lambda value: value.casefold() if isinstance(value, str) else value) if form in TEXT else lambda value: value
    )


def _operand(name: str, form: str, literal: Literal, now: datetime) -> Any:
    if literal.kind == "null":
        return False if form == "boolean" else None
    if form in ("date", "datetime") and literal.kind == "relative":
        return _relative(str(literal.value), form, now)
    if form == "datetime" and literal.kind == "datetime":
        return literal.value
    if form == "date" and literal.kind == "date":
        return literal.value
    if form in NUMBERS and literal.kind == "number":
        return literal.value
    if form == "boolean" and literal.kind == "boolean":
        return literal.value
    if literal.kind == "string" and form in ("id", "reference"):
        found = ids.read(literal.value)
        if found is None:
            raise Refused(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.value}")
        return found
    if literal.kind == "string" and form in TEXT:
        return str(literal.value).casefold()
    quotes = " and should be enclosed in quotes" if form in TEXT | {"id", "reference"} else ""
    if literal.kind == "string":
        quotes = " and should not be enclosed in quotes"
    wanted = _WORDS.get(form, "string" if form in TEXT else form)
    message = f"value of filter criterion for field '{name}' must be of type {wanted}{quotes}"
    raise Refused(400, "INVALID_FIELD", message)


def _relative(word: str, form: str, now: datetime) -> str:
    """The first instant of the day meant, in UTC: the time zone of the pretended user."""
    back = {"today": 0, "yesterday": 1}.get(word)
    days = int(word.partition(":")[2]) if back is None else back
    if days > _MOST_DAYS:
        raise malformed(f"Invalid value for date literal: {word}")
    day = (now - timedelta(days=days)).date().isoformat()
    return day if form == "date" else f"{day}T00:00:00.000+0000"


def _sorted(rows: Iterable[Row], key: Callable[[Row], Any], descending: bool, nulls_last: bool) -> list[Row]:
    """Nulls come first unless said otherwise, whatever the direction."""
    empty = [row for row in rows if key(row) is None]
    known = [row for row in rows if key(row) is not None]
    known.sort(
        key=lambda row: k.casefold() if isinstance(k := key(row), str) and not ids.read(k) else k, reverse=descending
    )
    return known + empty if nulls_last else empty + known
