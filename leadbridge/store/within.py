"""`column IN values` as one parameter."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal


def among(tx: Connection, column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """`column IN values` as one parameter: any number of values, one statement to plan and cache."""
    if not values:
        return sa.false()
    process = column.type.dialect_impl(tx.dialect).bind_processor(tx.dialect)
    as_is = getattr(column.type, "as_is", None)
    if process is None or (as_is is not None and as_is(values)):
        settled = list(values)
    else:
        settled = [process(value) for value in values]
    if tx.dialect.name == "sqlite":
        return _Listed(column, sa.bindparam(None, json.dumps(settled), Text(), unique=True))
    kind: Any = Text() if isinstance(settled[0], str) else BigInteger()
    return column == sa.any_(sa.literal(settled, sa.ARRAY(kind)))


class _Listed(ColumnElement[bool]):
    """The same on SQLite, where the list goes as JSON. An element of its own, because building a subquery and working
    out what it is cached by took as long as asking the database."""

    inherit_cache = True
    type = sa.Boolean()
    _is_implicitly_boolean = True
    _traverse_internals = [  # noqa: RUF012 - as the base declares it
        ("column", InternalTraversal.dp_clauseelement),
        ("listed", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: ColumnElement[Any], listed: ColumnElement[Any]) -> None:
        self.column, self.listed = column, listed


@compiles(_Listed, "sqlite")
def _compiled(element: _Listed, compiler: Any, **options: Any) -> str:
    column, listed = (compiler.process(part, **options) for part in (element.column, element.listed))
    return f"({column} IN (SELECT value FROM json_each({listed})))"  # noqa: S608 - compiled parts
