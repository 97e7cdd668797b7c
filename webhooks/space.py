"""Room in reserve on the disk of the store (reliability pattern 18).

A full disk blocks even deletes. So deliveries are turned away (503, the vendor sends them again) while there is still
room for the worker to finish what waits. Known for a store in a file only: PostgreSQL's disk is another machine's.
"""

import threading
import time

from leadbridge import logs
from leadbridge.store.engine import Store

log = logs.logger(__name__)

FRESH_FOR = 1.0
"""Seconds for which a look at the disk is good."""

MEGABYTE = 1_000_000


class Space:
    """Looks at the disk now and then. Thread-safe."""

    def __init__(self, store: Store, reserve: int) -> None:
        """`reserve`: megabytes that stay free."""
        self._store, self._reserve = store, reserve * MEGABYTE
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._low = False

    @property
    def low(self) -> bool:
        """Is less free than is to stay free?"""
        if time.monotonic() - self._looked > FRESH_FOR and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._low

    def _look(self) -> None:
        free = self._store.free_space() if self._reserve else None
        low = free is not None and free < self._reserve
        if low and not self._low:
            log.error("the disk is nearly full; deliveries are turned away", free_megabytes=(free or 0) // MEGABYTE)
        elif self._low and not low:
            log.warning("the disk has room again; deliveries are taken")
        self._low, self._looked = low, time.monotonic()
