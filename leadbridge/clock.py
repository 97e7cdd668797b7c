"""now(): the only reader of the wall clock, so that tests can move time and nothing else can forget to."""

from collections.abc import Callable
from datetime import UTC, datetime

_read: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - a default, replaced below


def now() -> datetime:
    """The present instant, with zone UTC."""
    return _read()


def set_source(read: Callable[[], datetime] | None) -> None:
    """Read time from `read` instead of the machine (None: from the machine again). For tests and replays."""
    global _read
    _read = read or (lambda: datetime.now(UTC))
