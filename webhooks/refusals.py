"""Refused, and yet well-formed: the sign of a secret that was changed on one side, or of a clock that is wrong.

Strangers send junk all day, and each of it is counted. Deliveries that only lack proof are another matter: if they are
the vendor's own, what they tell is being lost. A rise of them is told as an error and marked as a gap, which the worker
closes by reading the vendor (reliability G7, G13). A stranger who imitates this costs us one read a minute at most.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable

from leadbridge import clock, logs
from leadbridge.metrics import WEBHOOK_GAPS
from leadbridge.store import gaps
from leadbridge.store.engine import Store

log = logs.logger(__name__)

RISE = 5
WINDOW = 300.0
"""So many within so many seconds are a rise."""

AGAIN = 60.0
"""Seconds before a rise that goes on is marked and told once more."""

RETRY = 5.0
"""Seconds between tries to note a gap while the store cannot be written, which is one more reason for it."""

SUSPECT = frozenset(
    {"bad_signature", "too_old", "from_the_future", "missing_signature", "old_scheme", "bad_secret", "not_found",
     "foreign_organization", "bad_write_key"}
)  # fmt: skip
"""Reasons for which a genuine sender may be refused."""


class Refusals:
    """Watches the refusals of one process. Thread-safe; never blocks a request."""

    def __init__(self, store: Store, *, time: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._time = time
        self._lock = threading.Lock()
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RISE))
        self._told: dict[str, float] = {}
        self._stopping = threading.Event()

    def note(self, vendor: str, reason: str, looks_right: Callable[[], bool]) -> None:
        """A request was refused. `looks_right` is asked only where the answer matters."""
        if reason not in SUSPECT or not self._is_open(vendor) or not looks_right():
            return
        now = self._time()
        with self._lock:
            seen = self._seen[vendor]
            seen.append(now)
            if len(seen) < RISE or now - seen[0] > WINDOW:
                return
        self.missed(vendor, reason)

    def missed(self, vendor: str, reason: str) -> None:
        """Something of this vendor was turned away: tell it, and mark a gap, once a minute at most."""
        with self._lock:
            if not self._is_open(vendor):
                return
            self._told[vendor] = self._time()
            self._seen[vendor].clear()
        WEBHOOK_GAPS.add(vendor=vendor, reason=reason)
        log.error("deliveries are turned away; the vendor is read instead", vendor=vendor, reason=reason)
        threading.Thread(target=self._mark, args=(vendor, reason), name="webhook-gap", daemon=True).start()

    def stop(self) -> None:
        """Try no longer to note what cannot be noted."""
        self._stopping.set()

    def _is_open(self, vendor: str) -> bool:
        told = self._told.get(vendor)
        return told is None or self._time() - told >= AGAIN

    def _mark(self, vendor: str, reason: str) -> None:
        while True:
            try:
                with self._store.writing() as tx:
                    gaps.mark(tx, vendor, reason, clock.now())
            except Exception as error:  # noqa: BLE001 - whatever it is, the gap is noted once it is over
                log.warning("a gap could not be noted yet", vendor=vendor, why=type(error).__name__)
                if self._stopping.wait(RETRY):
                    return
            else:
                return
