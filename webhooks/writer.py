"""One thread per process that commits deliveries in groups, and one that rings the worker.

A synced commit costs milliseconds however little it holds, so whatever is waiting when the writer becomes free shares
one (DESIGN section 11, "Door"). Every request waits for the commit of its own delivery: an answer never overtakes it
(reliability G1). Threads start with the first delivery, so a server that forks its workers gets them in each.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

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

FULL = 16
"""Deliveries that are worth a commit though more are on their way: the next are checked while these are synced."""

FILL = 0.005
"""Seconds the first of them waits for those on their way. Where none is, none waits."""

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


class Keeping:
    """One delivery on its way into the store. How it ended is known once, and never again otherwise.

    Whoever asked either waits, or asks to be called: then no thread stands still for it.
    """

    __slots__ = ("_calls", "_gate", "_once", "delivery", "error", "patience", "until")

    def __init__(self, delivery: inbox.Delivery, patience: float) -> None:
        self.delivery = delivery
        self.patience = patience
        self.until = time.monotonic() + patience  # then whoever asked is told that the store is busy
        self.error: Exception | None = None
        self._once = threading.Lock()  # taken by whoever settles
        self._gate = threading.Lock()  # open once it is settled; a Future costs five times as much
        self._gate.acquire()
        self._calls: list[Callable[[], None]] = []

    @property
    def known(self) -> bool:
        """Is it known how it ended?"""
        return not self._gate.locked()

    def settle(self, error: Exception | None = None) -> None:
        """It is stored, or not for this reason. Only the first word counts."""
        if self._once.acquire(blocking=False):
            self.error = error
            self._gate.release()
            self._call()

    def when_known(self, call: Callable[[], None]) -> None:
        """Have `call` called once, by whoever settles, or at once when that is done. It must not block."""
        self._calls.append(call)
        if self.known:
            self._call()

    def wait(self) -> None:
        """For a thread that has nothing else to do: return when it is stored, raise Unavailable when it is not."""
        if self._gate.acquire(timeout=self.patience):
            self._gate.release()
        else:
            self.settle(Unavailable("busy"))
        self.result()

    def result(self) -> None:
        """Raises Unavailable when it is not stored."""
        if isinstance(self.error, Unavailable):
            raise self.error
        if self.error is not None:
            raise Unavailable("store_failed") from self.error

    def _call(self) -> None:
        try:
            call = self._calls.pop()  # of two threads that come here at once, one gets it
        except IndexError:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the others that were committed with it must hear of it too
            log.error("an answer could not be given", kind=type(error).__name__)  # noqa: TRY400 - no values


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
        self._waiting: deque[Keeping] = deque()
        self._committing: list[Keeping] = []
        self._expected: set[object] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = False
        self._stopping = False
        self._busy_since: float | None = None  # monotonic

    def put(self, vendor: str, raw: Raw) -> Keeping:
        """Have the delivery committed and synced soon; what is returned tells when, or that it did not come about.

        Raises Unavailable when it cannot. With nobody in `Keeping.wait`, `expire` must be called now and then.
        """
        if self._space is not None and self._space.low:
            raise Unavailable("disk_low")
        mine = Keeping(inbox.Delivery(vendor, raw.account, raw.body, raw.events), self._patience)
        with self._changed:
            if self._stopping:
                raise Unavailable("stopping")
            if len(self._waiting) >= self._most_waiting or self.stuck_for() > self._patience:
                raise Unavailable("busy")
            self._waiting.append(mine)
            self._ensure_thread()
            if self._idle and (len(self._expected) <= 1 or len(self._waiting) in (1, FULL)):
                self._changed.notify()
        return mine

    def expect(self, request: object) -> None:
        """A request has arrived and may bring a delivery: worth a short wait, to share a commit with it."""
        self._expected.add(request)

    def came(self, request: object) -> None:
        """What was expected is here, or is none."""
        self._expected.discard(request)
        if not self._expected and self._waiting and self._idle:
            with self._changed:
                self._changed.notify()

    def keep(self, vendor: str, raw: Raw) -> None:
        """Return once the delivery is committed and synced.

        Raises Unavailable when that did not happen within the patience, or cannot. What was already being committed
        may still arrive; the vendor's next try is then a repeat.
        """
        self.put(vendor, raw).wait()

    def expire(self) -> None:
        """Tell those that have waited longer than the patience that the store is busy. Cheap; to be called often."""
        now = time.monotonic()
        with self._changed:
            oldest = self._committing or self._waiting
            if not oldest or oldest[0].until > now:
                return
            overdue = [one for one in (*self._committing, *self._waiting) if one.until <= now]
        for one in overdue:
            one.settle(Unavailable("busy"))

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
                self._busy_since, self._committing = None, []

    def _next_group(self) -> list[Keeping]:
        """All that is waiting, up to the size of one transaction; empty only when stopping."""
        with self._changed:
            while True:
                self._fill()
                group: list[Keeping] = []
                size = 0
                while self._waiting and (not group or size + len(self._waiting[0].delivery.body) <= MOST_BYTES):
                    one = self._waiting.popleft()
                    if not one.known:
                        group.append(one)
                        size += len(one.delivery.body)
                if group or self._stopping:
                    self._committing = group
                    return group

    def _fill(self) -> None:
        """Wait for something to commit, and a little for more where more is on its way."""
        self._idle = True
        self._changed.wait_for(lambda: self._waiting or self._stopping)
        enough = time.monotonic() + FILL
        while self._expected and len(self._waiting) < FULL and not self._stopping:
            if (left := enough - time.monotonic()) <= 0:
                break
            self._changed.wait(left)
        self._idle = False

    def _commit(self, group: list[Keeping]) -> None:
        try:
            with self._store.writing() as tx:
                inbox.keep_deliveries(tx, self._store.vault, [one.delivery for one in group], clock.now())
        except Exception as error:  # noqa: BLE001 - whatever it is, the requests that wait must hear of it
            # StoreError speaks of the store as a whole: trying the same with less is no use.
            if len(group) == 1 or isinstance(error, StoreError | OSError):
                why = str(error) if isinstance(error, StoreError) else type(error).__name__
                log.error("deliveries not stored", deliveries=len(group), why=why)  # noqa: TRY400 - no values
                for one in group:
                    one.settle(error)
                return
            log.warning("group not stored, trying one by one", deliveries=len(group), kind=type(error).__name__)
            for one in group:
                self._commit([one])
            return
        for vendor, many in Counter(one.delivery.vendor for one in group).items():
            WEBHOOK_DELIVERIES.add(many, vendor=vendor)
        for one in group:
            one.settle()
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
