"""One thread per process that commits deliveries in groups, and one that rings the worker.

A synced commit costs milliseconds however little it holds, so whatever is waiting when the writer becomes free shares
one (DESIGN section 11, "Door"). Every request waits for the commit of its own delivery: an answer never overtakes it
(reliability G1). Threads start with the first delivery, so a server that forks its workers gets them in each.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from leadbridge import clock, logs
from leadbridge.errors import LeadbridgeError, StoreError
from leadbridge.metrics import WEBHOOK_DELIVERIES
from leadbridge.store import inbox
from leadbridge.store.engine import Store
from webhooks.space import Space

log = logs.logger(__name__)

PATIENCE = 4.0
"""Seconds a request waits for its commit. HubSpot gives up after 5, Mailchimp after 10."""

MOST_WAITING = 512
"""Deliveries that may wait for the writer; one more is turned away at once (503), so that memory stays bounded."""

MOST_BYTES = 4_000_000
"""Of bodies in one transaction, so that none keeps the store for long."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What is kept of one delivery: bytes that `connectors.deliveries.split` can cut."""

    body: bytes
    events: int = 1
    account: str | None = None  # the only account of the vendor we work for, as far as it is known


class Unavailable(LeadbridgeError):
    """The delivery is not stored, for a fault of ours. Answer 503, the vendor tries again. `reason` is a code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _shut() -> threading.Lock:
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass(slots=True)
class _Waiting:
    """One request and its delivery. The gate is a bare lock: a Future costs five times as much."""

    delivery: inbox.Delivery
    gate: threading.Lock = field(default_factory=_shut)  # opened by the writer, once it is known how it ended
    error: Exception | None = None
    left: bool = False  # the request has given up


class Writer:
    """Commits deliveries in groups. `keep` may be called from any number of threads."""

    def __init__(
        self,
        store: Store,
        *,
        on_new: Callable[[], None],
        patience: float = PATIENCE,
        most_waiting: int = MOST_WAITING,
        space: Space | None = None,
    ) -> None:
        """`on_new` is called from the writer's thread after each commit; it must not block."""
        self._store = store
        self._space = space
        self._on_new = on_new
        self._patience = patience
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = False
        self._stopping = False
        self._busy_since: float | None = None  # monotonic

    def keep(self, vendor: str, raw: Raw) -> None:
        """Return once the delivery is committed and synced.

        Raises Unavailable when that did not happen within the patience, or cannot. What was already being committed
        may still arrive; the vendor's next try is then a repeat.
        """
        if self._space is not None and self._space.low:
            raise Unavailable("disk_low")
        mine = _Waiting(inbox.Delivery(vendor, raw.account, raw.body, raw.events))
        with self._changed:
            if self._stopping:
                raise Unavailable("stopping")
            if len(self._waiting) >= self._most_waiting or self.stuck_for() > self._patience:
                raise Unavailable("busy")
            self._waiting.append(mine)
            self._ensure_thread()
            if self._idle:
                self._changed.notify()
        if not mine.gate.acquire(timeout=self._patience):
            mine.left = True
            raise Unavailable("busy")
        if isinstance(mine.error, Unavailable):
            raise mine.error
        if mine.error is not None:
            raise Unavailable("store_failed") from mine.error

    @property
    def alive(self) -> bool:
        """Can deliveries be committed: not stopped, thread not dead, last commit not hanging."""
        started = self._thread
        return not self._stopping and (started is None or started.is_alive()) and self.stuck_for() <= self._patience

    def stuck_for(self) -> float:
        """Seconds the present commit has taken; 0 when there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self, timeout: float = 10.0) -> None:
        """Commit what is waiting, refuse what comes later, end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # never started, or left behind by a fork
            self._busy_since = None
            self._thread = threading.Thread(target=self._run, name="webhook-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while group := self._next_group():
            self._busy_since = time.monotonic()
            try:
                self._commit(group)
            finally:
                self._busy_since = None

    def _next_group(self) -> list[_Waiting]:
        """All that is waiting, up to the size of one transaction; empty only when stopping."""
        with self._changed:
            while True:
                group: list[_Waiting] = []
                size = 0
                while self._waiting and (not group or size + len(self._waiting[0].delivery.body) <= MOST_BYTES):
                    one = self._waiting.popleft()
                    if not one.left:
                        group.append(one)
                        size += len(one.delivery.body)
                if group or self._stopping:
                    return group
                self._idle = True
                self._changed.wait()
                self._idle = False

    def _commit(self, group: list[_Waiting]) -> None:
        try:
            with self._store.writing() as tx:
                inbox.keep_deliveries(tx, self._store.vault, [one.delivery for one in group], clock.now())
        except Exception as error:  # noqa: BLE001 - whatever it is, the requests that wait must hear of it
            # StoreError speaks of the store as a whole: trying the same with less is no use.
            if len(group) == 1 or isinstance(error, StoreError | OSError):
                why = str(error) if isinstance(error, StoreError) else type(error).__name__
                log.error("deliveries not stored", deliveries=len(group), why=why)  # noqa: TRY400 - no values
                for one in group:
                    one.error = error
                    one.gate.release()
                return
            log.warning("group not stored, trying one by one", deliveries=len(group), kind=type(error).__name__)
            for one in group:
                self._commit([one])
            return
        for one in group:
            one.gate.release()
        for one in group:
            WEBHOOK_DELIVERIES.add(vendor=one.delivery.vendor)
        self._on_new()


class Doorbell:
    """Calls `wake` from a thread of its own: a slow or broken queue never holds up an answer. Many rings may be one."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._rung = threading.Event()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Have `wake` called soon. Never blocks; a hint only, the worker's sweep finds the rows anyway (pattern 3)."""
        self._rung.set()
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if not self._stopping and (self._thread is None or not self._thread.is_alive()):
                    self._thread = threading.Thread(target=self._run, name="webhook-doorbell", daemon=True)
                    self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        with self._lock:
            self._stopping = True
        self._rung.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._rung.wait()
            if self._stopping:
                return
            self._rung.clear()
            try:
                self._wake()
            except Exception as error:  # noqa: BLE001 - the queue is only a hint
                log.warning("the worker could not be woken; its sweep will find the events", why=str(error))
