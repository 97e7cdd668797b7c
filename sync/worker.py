"""The work of one process, started by whoever rings: the door, the queue, or the clock in case a ring was lost.

`Rounds` is what every worker does, embedded or under Celery. `Worker` is the in-process one: a thread and a bell.
"""

import threading
import time
from collections.abc import Callable

from leadbridge import logs
from leadbridge.errors import LeadbridgeError, NeedsOperator, VendorError
from leadbridge.store import ballast
from sync import accounts, agreement, alarms, cycle, downtime, events, needs, pull, retention
from sync.wiring import Parts

log = logs.logger(__name__)

SWEEP = 15.0
"""Seconds between looks at the store when nobody rings; a lost hint delays work by no more (reliability pattern 3)."""

MEGABYTE = 1_000_000

PULL_EVERY = 300.0
"""Seconds between pulls: webhooks bring what is urgent, pulls bring what webhooks do not tell."""


class Enough(Exception):
    """The worker is to stop, or has worked long enough in one go, and stands between two committed steps."""


class Rounds:
    """The rounds of one process over one set of parts. One at a time: the caller sees to that.

    `rung` says whether something came that should not wait for the end of a pull, or until everybody is enrolled.
    `patience`: seconds after which a round ends at the next committed step, so that a caller with a time limit is never
    cut in the middle of one.
    """

    def __init__(self, parts: Parts, *, rung: Callable[[], bool], patience: float | None = None) -> None:
        self._parts = parts
        self._rung = rung
        self._patience = patience
        self._confirmed = False
        self._enough_at: float | None = None
        self._next_look = 0.0  # monotonic: when it is looked whether something is wrong

    def work(self, *, whole: bool = True) -> None:
        """Work through what is waiting in the store. Raises Enough.

        Before everything was read once, only who left and what changed is noted: half the facts make a wrong score.
        Not `whole`: nobody pulls for this store, so what is there is all there will be.
        """
        self._begin()
        self._waiting(whole=whole)

    def pull(self, *, every: float | None = None) -> None:
        """Read what changed at the vendors; with `every`, only what was not read for so many seconds. Raises Enough.

        A vendor that cannot be read is logged: what is stored can be worked all the same.
        """
        self._begin()
        parts = self._parts
        try:
            pull.pull(parts.store, parts.crms, parts.platform, owner=parts.owner, every=every, tell=self._between_pages)
            agreement.look(parts.store, parts.rooms, parts.owner, parts.config)
        except VendorError as error:
            log.warning("pull failed", why=str(error), kind=type(error).__name__)
            if isinstance(error, NeedsOperator):
                needs.note(parts.store, [str(error)])

    def _begin(self) -> None:
        self._enough_at = None if self._patience is None else time.monotonic() + self._patience
        if not self._confirmed:
            accounts.confirm(self._parts.store, self._parts.rooms)
            self._confirmed = True
        ballast.tend(self._parts.store, self._parts.config.web.keep_free * MEGABYTE)
        downtime.note(self._parts.store, self._parts.rooms)
        retention.purge_daily(self._parts.store)
        self._look_for_alarms()

    def _look_for_alarms(self) -> None:
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + alarms.LOOK_EVERY.total_seconds()
            alarms.tell(self._parts)

    def _waiting(self, *, whole: bool = True) -> None:
        parts = self._parts
        if whole and not pull.complete(parts.store):
            events.work(parts.store, parts.crms, owner=parts.owner, wanted=parts.intake, tell=self._between)
            return
        paused = cycle.act(parts, tell=self._between, rung=self._rung).paused
        for why in paused:
            log.error("connection paused", why=why)
        needs.note(parts.store, paused)

    def _between(self, _what: str, _count: int) -> None:
        """After each committed step of any length: stop here if we are to stop."""
        if self._parts.stop.is_set() or (self._enough_at is not None and time.monotonic() > self._enough_at):
            raise Enough
        self._look_for_alarms()

    def _between_pages(self, what: str, count: int) -> None:
        """A long pull must not keep the door's events waiting (G14, G22)."""
        self._between(what, count)
        if self._rung():
            self._waiting()


class Worker:
    """One thread that makes the actual state equal to the desired one."""

    def __init__(self, parts: Parts, *, sweep: float = SWEEP, pull_every: float | None = PULL_EVERY) -> None:
        self._parts = parts
        self._sweep = sweep
        self._pull_every = pull_every
        self._bell = threading.Event()
        self._rounds = Rounds(parts, rung=self._heard)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._next_pull = 0.0
        self._ended = float("-inf")  # monotonic: when the last round did
        self.rounds = 0

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is work. Cheap, never blocks, may be called from any thread and lost without harm."""
        self._bell.set()

    def stop(self, timeout: float = 25.0) -> bool:
        """Finish the step at hand and stop. False when it did not within `timeout` seconds (G31: 30 in all)."""
        self._parts.stop.set()
        self._bell.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _heard(self) -> bool:
        rung = self._bell.is_set()
        self._bell.clear()
        return rung

    def _run(self) -> None:
        while not self._parts.stop.is_set():
            self._bell.clear()
            try:
                self._round()
            except Enough:
                pass
            except LeadbridgeError as error:
                log.warning("round failed", why=str(error), kind=type(error).__name__)
            except Exception:
                # The thread is the only one that works: whatever befell this round, the next sweep tries again.
                log.exception("round broke")
            self.rounds += 1
            self._ended = time.monotonic()
            if self._bell.wait(self._sweep):
                self._let_fill()

    def _let_fill(self) -> None:
        """Rung right after a round we are busy: wait a little, so that one call of a vendor does for many events."""
        rest = self._ended + self._parts.config.rounds.fill_for - time.monotonic()
        if rest > 0:
            self._parts.stop.wait(rest)

    def _round(self) -> None:
        every, parts = self._pull_every, self._parts
        if every is not None and time.monotonic() < self._next_pull:
            if pull.gap(parts.store, [room.vendor for room in parts.rooms]):
                self._rounds.pull(every=every)  # of the others nothing was missed
        elif every is not None:
            self._rounds.pull()
            self._next_pull = time.monotonic() + (
                every if pull.complete(self._parts.store) else min(every, self._sweep)
            )
        self._rounds.work(whole=every is not None)
