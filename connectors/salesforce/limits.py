"""How many of the org's daily calls are used, and what we still take (vendors/salesforce.md, section 7).

The figure is the whole org's, of all its apps over a rolling day, and every answer tells it: so it is a brake, not a
count of our own. Past our share one call in five minutes looks whether it has fallen.
"""

import re
import threading
import time
from collections.abc import Callable

PROBE = 300.0
"""Seconds between calls that only look how things stand."""

SLOW_BEFORE = 0.1
"""Share of the daily calls before the end of ours in which calls go one a second."""

_USED = re.compile(r"(?:^|;)\s*api-usage=(\d+)/(\d+)")


class Usage:
    """The share of the daily calls that is used, as the last answer told it. Thread-safe."""

    def __init__(self) -> None:
        self.share = 0.0

    def note(self, header: str) -> None:
        """Read `Sforce-Limit-Info`: `api-usage=10018/100000`, with more parts before or after it or not."""
        found = _USED.search(header)
        if found and int(found[2]):
            self.share = int(found[1]) / int(found[2])


class Quota:
    """A budget that ends where the org's use reaches a share. Slower before that. Thread-safe."""

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
