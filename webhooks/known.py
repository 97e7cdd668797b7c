"""Facts of the store that a door asks for until they are known, and which never change from then on."""

import threading
from collections.abc import Callable

from webhooks.writer import Unavailable

PATIENCE = 1.0
"""Seconds for which a delivery waits while another thread is asking."""

_turn = threading.Lock()


class Known:
    """Call it for the fact; None while there is none. One thread asks at a time: a store that hangs holds that one and
    no other thread of the doors. Raises Unavailable (busy) for whoever waits in vain."""

    def __init__(self, ask: Callable[[], str | None], value: str | None = None) -> None:
        self._ask, self._value = ask, value

    def __call__(self) -> str | None:
        if self._value is None:
            if not _turn.acquire(timeout=PATIENCE):
                raise Unavailable("busy")
            try:
                self._value = self._ask()
            finally:
                _turn.release()
        return self._value
