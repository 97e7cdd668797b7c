"""now(): the only reader of the wall clock, so that tests can move time and nothing else can forget to."""

from collections.abc import Callable
from datetime import UTC, datetime

_read: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - a default, replaced below
_replaced = False


def now() -> datetime:
    """The present instant, with zone UTC."""
    return _read()


def replaced() -> datetime | None:
    """The present instant while time is replaced (`set_source`), else None: then leases follow the database's clock."""
    return _read() if _replaced else None


def set_source(read: Callable[[], datetime] | None) -> None:
    """Read time from `read` instead of the machine (None: from the machine again). For tests and replays."""
    global _read, _replaced
    _read = read or (lambda: datetime.now(UTC))
    _replaced = read is not None
