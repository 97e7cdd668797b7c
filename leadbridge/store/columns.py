"""Column types that read back the same from both databases (reliability G9)."""

# ruff: noqa: ARG002 - the arguments are SQLAlchemy's

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from json.encoder import encode_basestring  # which the encoder itself takes
from typing import Any

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

from leadbridge.store.engine import EXACT_TEXT
from leadbridge.store.text import (
    KEY_LIMIT,
    MARK_IN_JSON,
    clean_key,
    clean_text,
    from_micros,
    is_clean,
    settle,
    to_micros,
    unsettle,
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since 1970: exact, ordered and the same everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class CleanText(TypeDecorator[str]):
    """Any text, after `clean_text`."""

    impl = Text
    cache_ok = True
    as_is = staticmethod(is_clean)  # a column of it looked through at once, which is mostly enough

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


class Key(TypeDecorator[str]):
    """Text that is looked up, after `clean_key`; compared and ordered by code point on both databases."""

    impl = EXACT_TEXT
    cache_ok = True
    as_is = staticmethod(partial(is_clean, limit=KEY_LIMIT))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_key(value)


class Encoded(str):
    """JSON text that `to_json` made, or whoever does as it does."""

    __slots__ = ()


class Json(TypeDecorator[Any]):
    """A value of ours as JSON text. Not the databases' own types: they disagree on numbers, order and NUL."""

    impl = Text
    cache_ok = True

    @staticmethod
    def as_is(values: Sequence[Any]) -> bool:
        return {*map(type, values)} <= {Encoded}

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return value if value is None or isinstance(value, Encoded) else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else from_json(value)


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


_quoted: Callable[[str], str] = encode_basestring
_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def _is_odd(text: bytes) -> bool:
    """May there be a control character (our mark among them), or a number that is too long?"""
    return b"\\u00" in text or b"0" * 19 in text.translate(_DIGITS)


def to_json(value: Any) -> str:
    """JSON text: keys sorted, so that equal values give equal text."""
    if type(value) is dict and {*map(type, value), *map(type, value.values())} <= {str}:  # most are, at half the cost
        text = f"{{{','.join([f'{_quoted(name)}:{_quoted(value[name])}' for name in sorted(value)])}}}"
        if text.isascii() and "\\u00" not in text:
            return text
    try:
        text = _encode(value)
        odd = _is_odd(text.encode())  # a lone surrogate cannot be encoded
    except (TypeError, ValueError):
        odd = True
    return _encode(settle(value)) if odd else text  # most need no settling, at a third of the cost


_NOTHING: dict[str, Callable[[], Any]] = {"{}": dict, "[]": list}


def from_json(text: str) -> Any:
    """The value behind `to_json`."""
    if text in _NOTHING:
        return _NOTHING[text]()
    value = json.loads(text)
    return unsettle(value) if MARK_IN_JSON in text else value
