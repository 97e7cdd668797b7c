"""Dated rows that are read by window and by page: events, submissions, e-mail events."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from typing import Any

from leadbridge.sandbox.hubspot.answers import Refused

Entry = tuple[int, int, dict[str, Any]]  # instant in ms, number of arrival, row
_LATEST = 1 << 60
ALWAYS = (0, _LATEST)


def add(entries: list[Entry], ms: int, number: int, row: dict[str, Any]) -> None:
    """Keep the order of instants; numbers are never equal, so rows are never compared."""
    insort(entries, (ms, number, row))


def page(
    entries: list[Entry],
    limit: int,
    after: str,
    *,
    wanted: Mapping[str, str],
    window: tuple[int, int] = ALWAYS,
    newest_first: bool = True,
) -> tuple[list[dict[str, Any]], str | None]:
    """Rows with low <= instant <= high of the window whose fields equal ``wanted``, and the token of the next page.

    The token names the last row given, so rows that arrive meanwhile shift nothing.
    """
    low, high = window
    start = bisect_left(entries, (low,))
    stop = bisect_right(entries, (high, _LATEST))
    if after:
        place = _place(after)
        if newest_first:
            stop = min(stop, bisect_left(entries, place))
        else:
            start = max(start, bisect_left(entries, (place[0], place[1] + 1)))
    numbers = range(stop - 1, start - 1, -1) if newest_first else range(start, stop)
    found: list[dict[str, Any]] = []
    last: Entry | None = None
    for entry in _matching(entries, numbers, wanted):
        if len(found) == limit and last is not None:
            return found, f"{last[0]}-{last[1]}"
        found.append(entry[2])
        last = entry
    return found, None


def _matching(entries: list[Entry], numbers: range, wanted: Mapping[str, str]) -> Iterator[Entry]:
    for n in numbers:
        if all(str(entries[n][2].get(name)) == value for name, value in wanted.items()):
            yield entries[n]


def _place(token: str) -> tuple[int, int]:
    instant, _, number = token.partition("-")
    if not (instant.isdigit() and number.isdigit()):
        raise Refused(400, f"The paging token {token} is not valid")
    return int(instant), int(number)
