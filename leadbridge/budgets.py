"""Limits of an account: calls in a span, calls in flight, a share of the day (reliability pattern 13).

A room names each of its limits once and takes from it before every try. Whether a limit is this process's own or one
that all workers share is decided where the room is built (`call.Pace.shared`); the room does not know.
"""

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

LOOK_AGAIN = 0.05
"""Seconds after which a full house is looked at again."""

FEW = 10
"""So many calls may always leave at once, within their limit."""

APART = 0.8
"""Of the time there is for each call of a backlog, so much lies between two of them at least."""


class Budget(Protocol):
    """A limit that the calls of one connection share. Thread-safe."""

    def take(self, patience: float) -> float:
        """0.0 when the call may go; otherwise seconds after which to ask again. May wait for `patience` itself."""

    def give_back(self) -> None:
        """The call is over."""

    def hold(self, seconds: float) -> None:
        """The vendor wants quiet: let nothing through for this long."""


class Rate(Budget, Protocol):
    """A limit of calls in a span."""

    def at_most(self, calls: int, seconds: float) -> None:
        """The vendor says that it lets no more through than this: keep to it where it is less than ours."""


class RatePerSpan:
    """At most `limit` calls in any `seconds`, for each of the pairs given, as the vendor counts them.

    The vendor counts a call somewhere between its leaving and its answer, however long the way is. So a call counts
    here from its leaving until `seconds` after its answer, and no window of the vendor's can hold more than `limit`.

    Half a window's calls, or a few, may leave at once; the rest leave one by one, spread over the window. A backlog
    that went out in one burst a window would have its answers all at once, and a row of calls that each wait for the
    one before would get few of them.
    """

    def __init__(self, *rates: tuple[int, float], ticks: Callable[[], float] = time.monotonic) -> None:
        self._own = self._rates = rates
        self._ended: deque[float] = deque(maxlen=max(limit for limit, _ in rates))
        self._left = -math.inf
        self._flying = 0
        self._lock = threading.Lock()
        self._ticks = ticks
        self._quiet_until = 0.0

    def take(self, patience: float) -> float:  # noqa: ARG002 - never waits itself
        with self._lock:
            now = self._ticks()
            wait = max(self._quiet_until - now, *(self._wait(limit, seconds, now) for limit, seconds in self._rates))
            if wait > 0:
                return wait
            self._flying += 1
            self._left = now
            return 0.0

    def _wait(self, limit: int, seconds: float, now: float) -> float:
        wait = self._until_room(limit, seconds, now)
        if wait <= 0 and self._until_room(max(limit // 2, FEW), seconds, now) > 0:
            wait = self._left + APART * seconds / limit - now
        return wait

    def _until_room(self, limit: int, seconds: float, now: float) -> float:
        room = limit - self._flying
        if room <= 0:
            return LOOK_AGAIN
        return self._ended[-room] + seconds - now if len(self._ended) >= room else 0.0

    def give_back(self) -> None:
        with self._lock:
            self._flying -= 1
            self._ended.append(self._ticks())

    def hold(self, seconds: float) -> None:
        with self._lock:
            self._quiet_until = max(self._quiet_until, self._ticks() + seconds)

    def at_most(self, calls: int, seconds: float) -> None:
        with self._lock:
            self._rates = (*self._own, (calls, seconds))


class Simultaneous:
    """At most `count` calls in flight."""

    def __init__(self, count: int, ticks: Callable[[], float] = time.monotonic) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._ticks = ticks
        self._quiet_until = 0.0

    def take(self, patience: float) -> float:
        if (quiet := self._quiet_until - self._ticks()) > 0:
            return quiet
        return 0.0 if self._free.acquire(timeout=max(0.0, patience)) else max(patience, 0.01)

    def give_back(self) -> None:
        self._free.release()

    def hold(self, seconds: float) -> None:
        self._quiet_until = max(self._quiet_until, self._ticks() + seconds)


class Turns:
    """Those who wait for room for a call: of each operation one asks the budgets, the others stand behind it in a row.

    So a limit is shared evenly by what is to be done, however many threads do it: a listing, page after page, is not
    held up by ten readers of something else, and nobody is passed over until their patience ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: defaultdict[str, deque[threading.Event]] = defaultdict(deque)

    @contextmanager
    def turn(self, operation: str, patience: float) -> Iterator[None]:
        """Be the first of an operation's row, or impatient."""
        mine = threading.Event()
        with self._lock:
            row = self._rows[operation]
            row.append(mine)
            row[0].set()
        mine.wait(max(0.0, patience))
        try:
            yield
        finally:
            with self._lock:
                row.remove(mine)
                if row:
                    row[0].set()


class Budgets(Protocol):
    """Makes the limits of one connection. The same name is the same limit, for everyone who shares it."""

    def rate(self, name: str, calls: float, seconds: float) -> Rate:
        """At most `calls` in any `seconds`; fractions too: 0.5 a second is one call in two."""

    def places(self, name: str, count: int) -> Budget:
        """At most `count` calls in flight."""


class OwnBudgets:
    """Limits of this process alone: the only worker there is, or one cut off from the others."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks

    def rate(self, name: str, calls: float, seconds: float) -> Rate:  # noqa: ARG002 - nobody else to be told apart
        limit = max(1, int(calls))
        return RatePerSpan((limit, seconds * limit / calls), ticks=self._ticks)

    def places(self, name: str, count: int) -> Budget:  # noqa: ARG002
        return Simultaneous(count, self._ticks)


# --- a share of the day ----------------------------------------------------------------------------------------------

PROBE = 300.0
"""Seconds between calls that only look how things stand."""

SLOW_BEFORE = 0.1
"""Share of the daily calls before the end of ours in which calls go one a second."""


@dataclass(frozen=True, slots=True)
class Day:
    """The account's calls of a day, of all its apps together, as its last answer told it."""

    used: int
    limit: int
    until: float  # share of the limit at which ours end; the rest is left to humans

    @property
    def left(self) -> int:
        """Calls that are left to leadbridge."""
        return max(0, int(self.limit * self.until) - self.used)


class Usage:
    """The share of the account's daily calls that is used, by all of its apps, as the last answer told it."""

    def __init__(self) -> None:
        self.share = 0.0
        self._told: tuple[int, int] | None = None

    def day(self, until: float) -> Day | None:
        """What the last answer told, for whoever stops at this share; None before any did."""
        return None if self._told is None else Day(*self._told, until)

    def note(self, used: int, limit: int) -> None:
        """What an answer's headers say. A limit of nothing is no limit we could keep."""
        if limit > 0:
            self.share = used / limit
            self._told = used, limit


class Quota:
    """A budget that ends where the account's use reaches a share: the rest is left to humans. Thread-safe.

    The figure is the vendor's, over all of the account's apps, and every answer tells it: so it is a brake that all
    workers feel, not a count of our own. Past our share one call in five minutes looks whether it has fallen.
    """

    def __init__(self, usage: Usage, until: float, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._usage, self._until, self._ticks = usage, until, ticks
        self._lock = threading.Lock()
        self._next = 0.0

    def take(self, patience: float) -> float:  # noqa: ARG002 - never waits itself
        with self._lock:
            share, now = self._usage.share, self._ticks()
            if share < self._until - SLOW_BEFORE:
                return 0.0
            if now < self._next:
                return self._next - now
            self._next = now + (PROBE if share >= self._until else 1.0)
            return 0.0

    def give_back(self) -> None:
        """What left has left."""

    def hold(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, self._ticks() + seconds)
