"""Strict reading of what a vendor sent: bytes in, plain values out, bounded work (reliability section 3).

A delivery that is not what it claims to be as a whole is refused (4xx, G7). One item of it that is unfit stands alone:
it comes back as `Unfit` with its own bytes, and the others go on (G8).
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic_core import from_json

from leadbridge.errors import WebhookRefused

MAX_DEPTH = 32
MAX_ITEMS = 1000
MAX_FIELDS = 1000  # of a form
MAX_INTEGER = 2**63 - 1  # what both stores can hold


@dataclass(frozen=True, slots=True)
class Event:
    """One event to keep: its delivery key (ASCII, of bounded length) and canonical bytes."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Unfit:
    """One item that cannot be handled: why, and its bytes as they came."""

    reason: str
    raw: bytes

    @property
    def ref(self) -> str:
        """The same for the same bytes, so that a repeated delivery does not fill the quarantine."""
        return hashlib.sha256(self.raw).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and ASCII only: equal values give equal bytes, on every store."""
    return _CANONICAL.encode(value).encode()


_GLANCE = json.JSONDecoder(parse_int=float)  # int() refuses what is longer than 4300 digits, which is one item's fault


def glance(body: bytes) -> Any:
    """The JSON value as it is roughly: enough to refuse what nobody can read, at a fraction of the cost of `items`.

    Numbers may be inexact and repeated names swallowed. Raises WebhookRefused: bad_encoding, bad_json, too_deep (400).
    """
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_too_deep(body):
        _text(body)
        raise WebhookRefused("too_deep", 400)
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")  # takes less than Python's own, only faster
    except ValueError:
        pass
    try:
        return _GLANCE.decode(_text(body))
    except ValueError:
        raise WebhookRefused("bad_json", 400) from None


def array_length(body: bytes) -> int:
    """How many items a JSON array has; what passes here, `items` can cut.

    Raises WebhookRefused: as `glance`, not_an_array (400), too_many_events (413).
    """
    found = glance(body)
    if not isinstance(found, list):
        raise WebhookRefused("not_an_array", 400)
    if len(found) > MAX_ITEMS:
        raise WebhookRefused("too_many_events", 413)
    return len(found)


def items(body: bytes) -> list[tuple[Any, bytes]]:
    """(value, its bytes) for each item of a JSON array; the value is an `Unfit` when this one item is not fit to read.

    Raises WebhookRefused: bad_encoding, bad_json, not_an_array, too_deep (400), too_many_events (413).
    """
    text = _text(body)
    if _is_too_deep(body):  # first, so that nothing below can recurse without end
        raise WebhookRefused("too_deep", 400)
    if not text.startswith("[", _skip(text, 0)):
        raise WebhookRefused("not_an_array" if _is_json(text) else "bad_json", 400)
    found = list(islice(_split(text), MAX_ITEMS + 1))
    if len(found) > MAX_ITEMS:
        raise WebhookRefused("too_many_events", 413)
    return found


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise WebhookRefused("bad_encoding", 400) from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str)
    except ValueError:
        return False
    return True


_GAP = re.compile(r"[ \t\n\r]*")
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # an open one too, so that no byte is looked at twice
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _is_too_deep(body: bytes) -> bool:
    """Do brackets nest deeper than `MAX_DEPTH`? Takes pairs away from the inside out, a level at a time."""
    brackets = _TEXT.sub(b"", body).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        fewer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(fewer) == len(brackets):  # nothing, or brackets without a partner: no JSON, and the parser will say so
            return brackets.count(b"[") + brackets.count(b"{") > MAX_DEPTH
        brackets = fewer
    return bool(brackets)


class _Strict:
    """A JSON decoder that notes what Python would swallow: repeated names, NaN, numbers no store holds."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=lambda _: self._note("not_a_number"),
        )

    def read(self, text: str, at: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends. Sets `fault`. Raises ValueError when there is none."""
        self.fault = None
        return self._decoder.raw_decode(text, at)

    def _note(self, fault: str) -> None:
        self.fault = self.fault or fault

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self._note("repeated_name")  # which of them counts differs from parser to parser
        return found

    def _integer(self, digits: str) -> int | None:
        if len(digits) <= 20 and abs(number := int(digits)) <= MAX_INTEGER:
            return number
        self._note("number_too_large")
        return None

    def _float(self, digits: str) -> float | None:
        if math.isfinite(number := float(digits)):
            return number
        self._note("number_too_large")
        return None


def _split(text: str) -> Iterator[tuple[Any, bytes]]:
    strict = _Strict()
    at = _skip(text, _skip(text, 0) + 1)
    if text[at : at + 1] != "]":
        while True:
            try:
                value, end = strict.read(text, at)
            except ValueError:
                raise WebhookRefused("bad_json", 400) from None
            raw = text[at:end].encode()
            yield (Unfit(strict.fault, raw) if strict.fault else value), raw
            at = _skip(text, end)
            if text[at : at + 1] != ",":
                break
            at = _skip(text, at + 1)
        if text[at : at + 1] != "]":
            raise WebhookRefused("bad_json", 400)
    if _skip(text, at + 1) != len(text):
        raise WebhookRefused("bad_json", 400)


def _skip(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at
