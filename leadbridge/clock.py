"""now(): the only reader of the wall clock, so that tests can move time and nothing else can forget to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_read: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - a default, replaced below
_replaced = False


def now() -> datetime:
    """The present instant, with zone UTC."""
    return _read()


def passed(since: datetime | None, span: timedelta) -> bool:
    """Is it so long ago? Yes, too, when it never was, and when it is still to come: then the clock was put back, and
    whoever waited for it would wait as long as it had been ahead."""
    return since is None or not timedelta(0) <= now() - since < span


def replaced() -> datetime | None:
    """The present instant while time is replaced (`set_source`), else None: then leases follow the database's clock."""
    return _read() if _replaced else None


def set_source(read: Callable[[], datetime] | None) -> None:
    """Read time from `read` instead of the machine (None: from the machine again). For tests and replays."""
    global _read, _replaced
    _read = read or (lambda: datetime.now(UTC))
    _replaced = read is not None
