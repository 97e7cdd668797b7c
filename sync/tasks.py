"""What Celery runs, three lines each: a hint came, one call, nothing returned. The work is in `Shift`.

A worker process forks children, and each child is a worker of its own: it opens the store after the fork, works when a
hint comes, and looks at the store by itself every few seconds, whether the queue lives or not.
"""

import contextlib
import os
import random
import threading
from collections.abc import Iterator
from typing import ClassVar

from celery import shared_task

from leadbridge import logs
from leadbridge.config.schema import Config
from leadbridge.errors import LeadbridgeError
from leadbridge.store import counts, due, inbox
from sync import wiring
from sync.celery_app import PATIENCE, PULL, WORK
from sync.stream import listeners
from sync.worker import PULL_EVERY, SWEEP, Enough, Rounds

log = logs.logger(__name__)

GRACE = 25.0
"""Seconds a step at hand may take to finish when the process is to end (reliability G31 allows 30 in all)."""


@shared_task(name=WORK)
def work() -> None:
    """Something came: work through what is waiting."""
    Shift.here().work()


@shared_task(name=PULL)
def pull() -> None:
    """Read from the vendors whatever has not been read for a while."""
    Shift.here().pull()


class Shift:
    """One child process at work. Made after the fork."""

    _here: ClassVar["Shift | None"] = None

    def __init__(self, config: Config, stop_pipe: int) -> None:
        """Work until `stop_pipe` reads as ended, which it does too when the parent dies."""
        self.parts = wiring.build(config, migrate=False)
        self._rounds = Rounds(self.parts, rung=self._something_hot, patience=PATIENCE)
        self._turn = threading.Lock()
        self._again = threading.Event()
        self._heard = threading.Event()
        self._listeners = listeners(
            self.parts.store, self.parts.crms, owner=self.parts.owner, stop=self.parts.stop, ring=self._heard.set
        )
        threading.Thread(target=self._watch, args=(stop_pipe,), name="stop", daemon=True).start()
        self._sweeper = threading.Thread(target=self._sweep, name="sweep", daemon=True)
        self._sweeper.start()
        for listener in self._listeners:
            listener.start()
        Shift._here = self

    @staticmethod
    def here() -> "Shift":
        """The shift of this process."""
        if Shift._here is None:
            raise LeadbridgeError("this task works in a process that `leadbridge worker` started")
        return Shift._here

    def work(self) -> None:
        """A short round, now or, when one is under way, once more after it. Never waits for another round."""
        self._again.set()
        while self._again.is_set() and not self.parts.stop.is_set() and self._turn.acquire(blocking=False):
            with self._round():
                self._again.clear()
                self._rounds.work()
            if self._again.is_set():  # busy: one call of a vendor does for many events
                self.parts.stop.wait(self.parts.config.rounds.fill_for)

    def pull(self) -> None:
        """Pull what is due, unless a round is under way: the next sweep is never far."""
        if not self.parts.stop.is_set() and self._turn.acquire(blocking=False):
            with self._round():
                self._rounds.pull(every=PULL_EVERY)

    def close(self) -> None:
        """Let the step at hand end, then close the store."""
        self.parts.stop.set()
        self._heard.set()
        self._sweeper.join(GRACE)
        for listener in self._listeners:
            listener.join()
        self.parts.close()

    @contextlib.contextmanager
    def _round(self) -> Iterator[None]:
        """Whatever befalls a round, the process goes on, and the next hint or sweep tries again."""
        try:
            yield
        except Enough:
            pass
        except LeadbridgeError as error:
            log.warning("round failed", why=str(error), kind=type(error).__name__)
        except Exception:
            log.exception("round broke")
        finally:
            counts.try_flush(self.parts.store)
            self._turn.release()

    def _something_hot(self) -> bool:
        """Does anything wait that a pull must not hold up? Under Celery the bell rings elsewhere, so look."""
        with self.parts.store.reading() as tx:
            return inbox.oldest_pending(tx) is not None or due.oldest_due(tx, due.Lane.HOT) is not None

    def _sweep(self) -> None:
        """The hints of one's own, in case the queue's are lost, and a stream's. Not in step with others."""
        wait = random.uniform(0, 1)
        while True:
            self._heard.wait(wait)
            self._heard.clear()
            if self.parts.stop.is_set():
                return
            self.pull()
            self.work()
            wait = SWEEP * random.uniform(0.8, 1.0)

    def _watch(self, stop_pipe: int) -> None:
        os.read(stop_pipe, 1)
        self.parts.stop.set()
        self._heard.set()
