"""The in-process worker: woken by the door, and by itself every few seconds in case a hint was lost."""

import threading
import time

from leadbridge import logs
from leadbridge.errors import LeadbridgeError, VendorError
from sync import accounts, cycle, events, pull
from sync.wiring import Parts

log = logs.logger(__name__)

SWEEP = 15.0
"""Seconds between looks at the store when nobody rings; a lost hint delays work by no more (reliability pattern 3)."""

PULL_EVERY = 300.0
"""Seconds between pulls: webhooks bring what is urgent, pulls bring what webhooks do not tell."""


class _Stopped(Exception):
    """The worker is to stop, and stands between two committed steps."""


class Worker:
    """One thread that makes the actual state equal to the desired one."""

    def __init__(self, parts: Parts, *, sweep: float = SWEEP, pull_every: float | None = PULL_EVERY) -> None:
        self._parts = parts
        self._sweep = sweep
        self._pull_every = pull_every
        self._bell = threading.Event()
        self._stopping = parts.stop
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._confirmed = False
        self._next_pull = 0.0
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
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                self._round()
            except _Stopped:
                break
            except LeadbridgeError as error:
                log.warning("round failed", why=str(error), kind=type(error).__name__)
            except Exception:
                # The thread is the only one that works: whatever befell this round, the next sweep tries again.
                log.exception("round broke")
            self.rounds += 1
            self._bell.wait(self._sweep)

    def _round(self) -> None:
        parts = self._parts
        if not self._confirmed:
            accounts.confirm(parts.store, parts.rooms)
            self._confirmed = True
        if self._pull_every is not None and time.monotonic() >= self._next_pull:
            self._pull(self._pull_every)
        if self._pull_every is None or pull.complete(parts.store):
            self._act()
        else:  # before everything was read once, only who left and what changed is noted
            events.work(parts.store, parts.crms, owner=parts.owner, tell=self._between)

    def _pull(self, every: float) -> None:
        parts = self._parts
        try:
            pull.pull(parts.store, parts.crms, parts.platform, owner=parts.owner, tell=self._between_pages)
        except VendorError as error:  # what is stored can be worked all the same
            log.warning("pull failed", why=str(error), kind=type(error).__name__)
        self._next_pull = time.monotonic() + (every if pull.complete(parts.store) else min(every, self._sweep))

    def _act(self) -> None:
        done = cycle.act(self._parts, tell=self._between)
        for why in done.paused:
            log.error("connection paused", why=why)

    def _between(self, _what: str, _count: int) -> None:
        """After each committed step of any length: stop here if we are to stop."""
        if self._stopping.is_set():
            raise _Stopped

    def _between_pages(self, what: str, count: int) -> None:
        """A long pull must not keep the door's events waiting (G14, G22)."""
        self._between(what, count)
        if self._bell.is_set():
            self._bell.clear()
            if pull.complete(self._parts.store):
                self._act()
            else:
                events.work(self._parts.store, self._parts.crms, owner=self._parts.owner, tell=self._between)
