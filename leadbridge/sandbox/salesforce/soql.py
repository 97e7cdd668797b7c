"""Reading a SOQL query: the subset a connector needs (vendor page, sections 3.1 and 3.2).

Served: field lists with paths and FIELDS(), COUNT(), WHERE with = != <> < <= > >= IN, NOT IN, LIKE, AND, OR, NOT and
parentheses, ORDER BY, LIMIT, OFFSET. Everything else is a MALFORMED_QUERY, as a misspelling is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from leadbridge.sandbox.salesforce.answers import Refused, read_instant, stamp

_LONGEST = 100_000
_LONGEST_LITERAL = 4_000
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<datetime>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d))
  | (?P<date>\d{4}-\d\d-\d\d)
  | (?P<number>[+-]?\d+(?:\.\d+)?)
  | (?P<name>[A-Za-z_][\w.]*(?::\d+)?)
  | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_WORDS = {"select", "from", "where", "and", "or", "not", "in", "like", "order", "by", "limit", "offset"}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Path:
    """A field, perhaps of a parent: ``Account.Name``."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """``kind``: string, number, date, datetime, null, boolean or relative (TODAY, LAST_N_DAYS:30)."""

    kind: str
    value: str | float | bool | None
    like: str = ""  # the string as a pattern, escapes of LIKE kept


@dataclass(frozen=True, slots=True)
class Compare:
    path: Path
    sign: str  # one of = != < <= > >= like in, not in
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """``word``: "and" or "or" over the parts, or "not" over one."""

    word: str
    parts: tuple["Compare | Group", ...]


Condition = Compare | Group


@dataclass(frozen=True, slots=True)
class Order:
    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    select: tuple[Path, ...]
    count: bool
    wide: str  # "ALL", "STANDARD" or "CUSTOM" of FIELDS(), else ""
    kind: Path
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


def malformed(message: str) -> Refused:
    return Refused(400, "MALFORMED_QUERY", message)


def pointing(query: str, at: int, length: int, what: str) -> str:
    """The message with a caret below the place, as Salesforce draws it."""
    row = query.count("\n", 0, at) + 1
    start = query.rfind("\n", 0, at) + 1
    line = query[start:].split("\n", 1)[0]
    column = at - start
    return f"\n{line[: column + length + 40]}\n{' ' * column}^\nERROR at Row:{row}:Column:{column + 1}\n{what}"


def parse(text: str) -> Query:
    if len(text) > _LONGEST:
        raise malformed("SOQL statement exceeds maximum length of 100000 characters")
    return _Parser(text).query()


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].lstrip()
            raise malformed(f"unexpected token: '{rest.split(maxsplit=1)[0]}'")
        yield Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        at = found.end()
    yield Token("end", "<EOF>", end)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._place = 0

    def query(self) -> Query:
        self._need("select")
        select, count, wide = self._selected()
        self._need("from")
        kind = self._path()
        where = self._condition() if self._word("where") else None
        order: tuple[Order, ...] = ()
        if self._word("order"):
            self._need("by")
            order = self._orders()
        limit = self._whole() if self._word("limit") else None
        offset = self._whole() if self._word("offset") else 0
        if self._peek.kind != "end":
            raise self._unexpected()
        return Query(self._text, select, count, wide, kind, where, order, limit, offset)

    @property
    def _peek(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._peek
        self._place += token.kind != "end"
        return token

    def _word(self, *words: str) -> str:
        """The word that stands here if it is one of these; it is consumed."""
        token = self._peek
        if token.kind in ("name", "sign") and token.text.lower() in words:
            self._place += 1
            return token.text.lower()
        return ""

    def _need(self, word: str) -> None:
        if not self._word(word):
            raise self._unexpected()

    def _unexpected(self) -> Refused:
        return malformed(f"unexpected token: '{self._peek.text}'")

    def _path(self) -> Path:
        token = self._peek
        if token.kind != "name" or ":" in token.text or token.text.lower() in _WORDS:
            raise self._unexpected()
        self._place += 1
        return Path(token.text, token.at)

    def _whole(self) -> int:
        token = self._peek
        if token.kind != "number" or not token.text.isdigit():
            raise self._unexpected()
        self._place += 1
        return int(token.text)

    def _selected(self) -> tuple[tuple[Path, ...], bool, str]:
        following = self._tokens[self._place + 1].text if self._peek.kind == "name" else ""
        if self._peek.text.lower() == "count" and following == "(":
            self._place += 2
            self._need(")")
            return (), True, ""
        if self._peek.text.lower() == "fields" and following == "(":
            self._place += 2
            wide = self._word("all", "standard", "custom")
            if not wide:
                raise self._unexpected()
            self._need(")")
            return (), False, wide.upper()
        found = [self._path()]
        while self._word(","):
            found.append(self._path())
        return tuple(found), False, ""

    def _orders(self) -> tuple[Order, ...]:
        found = [self._one_order()]
        while self._word(","):
            found.append(self._one_order())
        return tuple(found)

    def _one_order(self) -> Order:
        path = self._path()
        descending = self._word("asc", "desc") == "desc"
        nulls_last = bool(self._word("nulls")) and self._first_or_last() == "last"
        return Order(path, descending, nulls_last)

    def _first_or_last(self) -> str:
        found = self._word("first", "last")
        if not found:
            raise self._unexpected()
        return found

    def _condition(self) -> Condition:
        """AND and OR do not mix without parentheses."""
        parts = [self._one_condition()]
        joint = self._word("and", "or")
        if not joint:
            return parts[0]
        parts.append(self._one_condition())
        while self._word(joint):
            parts.append(self._one_condition())
        if self._peek.text.lower() in ("and", "or"):
            raise self._unexpected()
        return Group(joint, tuple(parts))

    def _one_condition(self) -> Condition:
        if self._word("not"):
            return Group("not", (self._one_condition(),))
        if self._word("("):
            inner = self._condition()
            self._need(")")
            return inner
        path = self._path()
        negated = bool(self._word("not"))
        if negated or self._peek.text.lower() == "in":
            self._need("in")
            return Compare(path, "not in" if negated else "in", self._list())
        sign = self._word("=", "!=", "<>", "<", "<=", ">", ">=", "like")
        if not sign:
            raise self._unexpected()
        return Compare(path, "!=" if sign == "<>" else sign, (self._literal(),))

    def _list(self) -> tuple[Literal, ...]:
        self._need("(")
        found = [self._literal()]
        while self._word(","):
            found.append(self._literal())
        self._need(")")
        return tuple(found)

    def _literal(self) -> Literal:
        token = self._peek
        word = token.text.lower()
        if token.kind == "string":
            found = _string(token.text[1:-1])
        elif token.kind == "number":
            found = Literal("number", float(token.text))
        elif token.kind in ("date", "datetime"):
            found = _moment(token)
        elif token.kind == "name" and word in ("null", "true", "false"):
            found = Literal("null", None) if word == "null" else Literal("boolean", word == "true")
        elif token.kind == "name" and re.fullmatch(r"today|yesterday|last_n_days:\d+", word):
            found = Literal("relative", word)
        else:
            raise self._unexpected()
        self._place += 1
        return found


def _string(raw: str) -> Literal:
    if len(raw) > _LONGEST_LITERAL:
        raise malformed("The string literal exceeds 4000 characters")

    def plain(found: re.Match[str]) -> str:
        escape = found[1]
        if escape[0] == "u" and len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape in ("_", "%"):
            return escape
        if escape not in _ESCAPES:
            raise malformed(f"Illegal escape sequence: \\{escape}")
        return _ESCAPES[escape]

    def pattern(found: re.Match[str]) -> str:
        return re.escape(plain(found))

    parts: list[str] = []
    at = 0
    for escape in _ESCAPE.finditer(raw):
        parts += [_wild(raw[at : escape.start()]), pattern(escape)]
        at = escape.end()
    return Literal("string", _ESCAPE.sub(plain, raw), "".join(parts) + _wild(raw[at:]))


def _wild(text: str) -> str:
    return re.escape(text).replace("%", ".*").replace("_", ".")


def _moment(token: Token) -> Literal:
    try:
        if token.kind == "date":
            return Literal("date", date.fromisoformat(token.text).isoformat())
        return Literal("datetime", stamp(read_instant(token.text.upper())))
    except ValueError:
        raise malformed(f"unexpected token: '{token.text}'") from None
