"""Several sources read at the same time, each in a thread of its own; their pages come to one thread, one by one.

What is slow about reading is waiting, for the vendor and for the disk, so while a page is stored the next pages of all
sources are on their way. No source is more than one page ahead of what is being stored, so little is held.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from connectors.base import Page

Pages = Callable[[], Iterator[Page[Any]]]


class Readers:
    """The threads. On leaving, those in the middle of a call end with it, and what they found is dropped."""

    def __init__(self) -> None:
        self._found: SimpleQueue[tuple[str, Page[Any] | BaseException | None]] = SimpleQueue()
        self._reading: dict[str, _Reader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._reading.values():
            reader.stop()
        for reader in self._reading.values():
            reader.thread.join()

    def start(self, name: str, pages: Pages) -> None:
        """Read these pages under a name that nothing else is read under."""
        self._reading[name] = _Reader(name, pages, self._found.put)

    def next(self) -> tuple[str, Page[Any] | BaseException | None]:
        """Whatever comes first: a source's page, what ended it, or None when it was read to its end. Waits.

        The source of a page goes on to its next one.
        """
        while True:
            name, found = self._found.get()
            if name not in self._reading:
                continue  # of a source that was dropped
            if isinstance(found, Page):
                self._reading[name].turn.release()
            else:
                self._reading.pop(name).thread.join()
            return name, found

    def drop(self, name: str) -> None:
        """Read no more of this source; what it is ahead is lost."""
        reader = self._reading.pop(name)
        reader.stop()
        reader.thread.join()


class _Reader:
    def __init__(self, name: str, pages: Pages, tell: Callable[[tuple[str, Any]], None]) -> None:
        self.turn = threading.Semaphore(0)
        self._over = False
        self.thread = threading.Thread(target=self._run, args=(name, pages, tell), name=f"read {name}", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self._over = True
        self.turn.release()

    def _run(self, name: str, pages: Pages, tell: Callable[[tuple[str, Any]], None]) -> None:
        ended: BaseException | None = None
        try:
            with ExitStack() as end:
                found = pages()
                if isinstance(found, Generator):  # it ends what it holds here, in the thread that ran it
                    end.callback(found.close)
                for page in found:
                    tell((name, page))
                    self.turn.acquire()
                    if self._over:
                        return
        except BaseException as error:  # noqa: BLE001 - raised where the pages are dealt with
            ended = error
        tell((name, ended))
