"""The in-process worker: woken by the door, and by itself every few seconds in case a hint was lost."""

import threading
import time

from leadbridge import logs
from leadbridge.errors import LeadbridgeError
from sync import accounts, cycle, pull
from sync.wiring import Parts

log = logs.logger(__name__)

SWEEP = 15.0
"""Seconds between looks at the store when nobody rings; a lost hint delays work by no more (reliability pattern 3)."""

PULL_EVERY = 300.0
"""Seconds between pulls: webhooks bring what is urgent, pulls bring what webhooks do not tell."""


class Worker:
    """One thread that makes the actual state equal to the desired one."""

    def __init__(self, parts: Parts, *, sweep: float = SWEEP, pull_every: float | None = PULL_EVERY) -> None:
        self._parts = parts
        self._sweep = sweep
        self._pull_every = pull_every
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.rounds = 0

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is work. Cheap, never blocks, may be called from any thread and lost without harm."""
        self._bell.set()

    def stop(self, timeout: float = 25.0) -> bool:
        """Finish the step at hand and stop. False when it did not within `timeout` seconds (G31: 30 in all)."""
        self._stopping.set()
        self._bell.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        next_pull = time.monotonic()
        confirmed = False
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                if not confirmed:
                    accounts.confirm(self._parts.store, self._parts.rooms)
                    confirmed = True
                if self._pull_every is not None and time.monotonic() >= next_pull:
                    next_pull = time.monotonic() + self._pull_every
                    pull.pull(self._parts.store, self._parts.crms, self._parts.platform)
                done = cycle.act(self._parts)
                for why in done.paused:
                    log.error("connection paused", why=why)
            except LeadbridgeError as error:
                log.warning("round failed", why=str(error), kind=type(error).__name__)
            except Exception:
                # The thread is the only one that works: whatever befell this round, the next sweep tries again.
                log.exception("round broke")
            self.rounds += 1
            self._bell.wait(self._sweep)
