"""Many rows at a time: written by one statement, read in pieces, on SQLite and PostgreSQL alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from itertools import chain
from types import NoneType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Boolean, ColumnElement, Connection, Integer, LargeBinary, Row, Table


def tuples(tx: Connection, query: sa.Select[Any] | sa.CompoundSelect[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query as the driver gives them, which takes half the time: ask for plain types (`type_coerce`)."""
    with tx.execute(query) as result:
        return list(result.cursor.fetchall())


def in_pieces(tx: Connection, query: sa.Select[Any], size: int) -> Iterator[Sequence[Any]]:
    """The rows of a query as plain tuples, at most `size` in memory at a time, on PostgreSQL too.

    Values come as the driver gives them: ask for plain types (`type_coerce`).
    """
    if tx.dialect.name == "sqlite":
        with tx.execute(query) as result:  # past SQLAlchemy's rows, which would double the time
            while rows := result.cursor.fetchmany(size):
                yield rows
        return
    compiled, driver = query.compile(dialect=tx.dialect), tx.connection.driver_connection
    with driver.cursor(  # type: ignore[union-attr] # it is open
        name="pieces", binary=True
    ) as cursor:
        cursor.execute(str(compiled), compiled.params)
        while rows := cursor.fetchmany(size):
            yield rows


Rows = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]
"""Rows that name the same columns; or, where there are many, a column of each, of one length that is not zero."""

_GIVEN = "leadbridge_given"
_EXACTLY = 16  # so few rows are one statement, whatever their number: what a door commits together
_AT_ONCE = 512  # rows; SQLite takes 32,766 values in one statement


def upsert(
    tx: Connection,
    table: Table,
    rows: Rows,
    *,
    key: Sequence[str],
    change: Callable[[Any], Mapping[str, Any]] | None = None,
    only_if: Callable[[Any], ColumnElement[bool]] | None = None,
    returning: Sequence[ColumnElement[Any]] = (),
) -> list[Row[Any]]:
    """Insert rows, or where `key` is taken set what `change(new)` says, if `only_if(new)` holds (None: leave as is).

    `new` has the columns of the row that was to be inserted. All rows name the same columns, and with `change` no two
    have one key. `returning` answers with the rows that were inserted or changed, in no order.
    """
    if not rows:
        return []
    statement = _insertion(tx.dialect.name, table, _names(rows))
    if change is None:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    else:
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=list(key), set_=dict(change(new)), where=None if only_if is None else only_if(new)
        )
    return _run(tx, statement, table, rows, returning)


def insert_all(
    tx: Connection, table: Table, rows: Rows, *, returning: Sequence[ColumnElement[Any]] = ()
) -> list[Row[Any]]:
    """Insert rows."""
    return _run(tx, _insertion(tx.dialect.name, table, _names(rows)), table, rows, returning) if rows else []


def update_each(tx: Connection, table: Table, rows: Rows, *, key: Sequence[str]) -> None:
    """Set, in the row that each of `rows` names by its `key`, the rest of what it holds. All name the same columns."""
    if not rows:
        return
    given = _given(table, _names(rows))
    statement = sa.update(table).where(*(table.c[name] == given[name] for name in key))
    _run(tx, statement.values({name: cell for name, cell in given.items() if name not in key}), table, rows, ())


def _names(rows: Rows) -> tuple[str, ...]:
    return tuple(rows if isinstance(rows, Mapping) else rows[0])


def _run(
    tx: Connection,
    statement: Any,
    table: Table,
    rows: Rows,
    returning: Sequence[ColumnElement[Any]],
) -> list[Row[Any]]:
    columns = rows if isinstance(rows, Mapping) else {name: [row[name] for row in rows] for name in rows[0]}
    kinds = [table.c[name].type for name in columns]
    settled = [_settled(tx, kind, values) for kind, values in zip(kinds, columns.values(), strict=True)]
    statement = statement.returning(*returning) if returning else statement
    found: list[Row[Any]] = []
    for given in _pieces(tx.dialect.name, kinds, settled):
        result = tx.execute(statement, execution_options={_GIVEN: given})
        found += result.all() if returning else ()
    return found


def _settled(tx: Connection, kind: Any, values: Sequence[Any]) -> list[Any]:
    """Values as the driver takes them. What many rows share (a word, an instant) is settled once."""
    process = None if isinstance(kind, LargeBinary) else kind.dialect_impl(tx.dialect).bind_processor(tx.dialect)
    if process is None:
        return list(values)
    found = set(map(type, values))
    if (as_is := getattr(kind, "as_is", None)) and as_is(values):
        return list(values) if found <= _DRIVERS else [_plain(value) for value in values]
    if all(issubclass(each, str | datetime | NoneType) for each in found):
        known = {value: None if (one := process(value)) is None else _plain(one) for value in set(values)}
        return [known[value] for value in values]
    by_id = {id(value): value for value in values}  # 1 and True are equal, but not as JSON
    done = {key: None if value is None else process(value) for key, value in by_id.items()}
    return [done[id(value)] for value in values]


_DRIVERS = {str, int, NoneType}
"""What both drivers take as it is."""


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value  # a driver may take an enumeration for something else


_Given = tuple[str, tuple[Any, ...] | dict[str, list[Any]]]
"""The beginning of a statement that names the rows, and its parameters."""


def _pieces(dialect: str, kinds: Sequence[Any], columns: Sequence[list[Any]]) -> Iterator[_Given]:
    """The rows as `given`, which the statement reads from.

    PostgreSQL takes a column as one parameter. SQLite takes every value as a parameter, several times faster than it
    unfolds a document; many of them in powers of two, so that it has few statements to understand, and not one by one,
    which would let go of the interpreter each time, as a busy door feels.
    """
    if dialect == "postgresql":
        arrays = ", ".join(f"%(given_{place})b::{_on_postgresql(kind)}[]" for place, kind in enumerate(kinds))
        names = ", ".join(f"c{place}" for place in range(len(kinds)))
        yield (
            f"WITH given({names}) AS (SELECT * FROM unnest({arrays})) ",  # noqa: S608 - our own names
            {f"given_{place}": values for place, values in enumerate(columns)},
        )
        return
    start, end = 0, len(columns[0])
    while start < end:
        left = end - start
        count = left if left <= _EXACTLY else min(_AT_ONCE, 1 << (left.bit_length() - 1))
        rows = zip(*(values[start : start + count] for values in columns), strict=True)
        yield _of_values(len(kinds), count), tuple(chain.from_iterable(rows))
        start += count


@lru_cache(maxsize=256)
def _of_values(width: int, count: int) -> str:
    names = ", ".join(f"c{place}" for place in range(width))
    row = f"({', '.join('?' * width)})"
    return f"WITH given({names}) AS (VALUES {', '.join([row] * count)}) "


def with_given(
    _connection: Connection, _cursor: Any, statement: str, parameters: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    """Listens before each statement: puts the rows in front that it was executed with."""
    given: _Given | None = context.execution_options.get(_GIVEN) if context is not None else None
    if given is None:
        return statement, parameters
    beginning, more = given
    return beginning + statement, {**more, **parameters} if isinstance(more, dict) else more + tuple(parameters)


@lru_cache(maxsize=256)  # building a statement takes longer than running it over a few rows
def _insertion(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    insert = import_module(f"sqlalchemy.dialects.{dialect}").insert  # the other dialect need not be loaded
    cells = _given(table, names).values()
    return insert(table).from_select(
        list(names), sa.select(*cells).where(sa.true())  # or SQLite would take ON CONFLICT for a join's ON
    )  # fmt: skip


@lru_cache(maxsize=256)
def _given(table: Table, names: tuple[str, ...]) -> Mapping[str, ColumnElement[Any]]:
    """The columns of `given`, by their names in the table."""
    cells = [sa.column(f"c{place}", table.c[name].type) for place, name in enumerate(names)]
    rows = sa.table("given", *cells)
    return {name: rows.c[cell.name] for name, cell in zip(names, cells, strict=True)}


def _on_postgresql(kind: Any) -> str:
    plain = kind.impl if isinstance(kind, sa.types.TypeDecorator) else kind
    if isinstance(plain, LargeBinary):
        return "bytea"
    return "bigint" if isinstance(plain, Integer) else "boolean" if isinstance(plain, Boolean) else "text"
