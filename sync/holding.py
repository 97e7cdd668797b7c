"""Keeping what was claimed while its holder works, and finding out that somebody else has it now (pattern 4)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from leadbridge import logs
from leadbridge.errors import LeadbridgeError
from leadbridge.store import leases
from leadbridge.store.engine import Store

log = logs.logger(__name__)

RENEW = 10.0
"""Seconds between renewals of a lease (`leases.SECONDS`): two may fail before somebody else takes over."""


class TakenOver(LeadbridgeError):
    """Somebody else holds this lease now. Stop here; what was committed under it stays."""


@contextmanager
def renewed(store: Store, renew: Callable[[Connection], object], *, every: float = RENEW) -> Iterator[None]:
    """Call `renew` in a writing transaction every few seconds, from a thread of its own, until the block ends.

    For work that may take longer than its lease, such as calls of a vendor. A renewal that fails is logged, no more:
    whoever stores the work asks the store whether it is still theirs.
    """
    over = threading.Event()

    def run() -> None:
        while not over.wait(every):
            try:
                with store.writing() as tx:
                    renew(tx)
            except Exception as error:  # noqa: BLE001 - the work goes on, and the store fences what comes of it
                log.warning("lease not renewed", kind=type(error).__name__)

    thread = threading.Thread(target=run, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease by name, held."""

    name: str
    token: int

    def check(self, tx: Connection) -> None:
        """Raise TakenOver unless the lease is still held; in a writing transaction it then stays so until the end."""
        if not leases.mine(tx, self.name, self.token):
            raise TakenOver(f"{self.name}: another worker has taken over")


@contextmanager
def sole(store: Store, name: str, owner: str) -> Iterator[Lease | None]:
    """Be the only one who holds this name, renewed while the block runs; None while somebody else is."""
    with store.writing() as tx:
        token = leases.take(tx, name, owner)
    if token is None:
        yield None
        return
    held = token
    try:
        with renewed(store, lambda tx: leases.keep(tx, name, held)):
            yield Lease(name, held)
    finally:
        with store.writing() as tx:
            leases.drop(tx, name, held)
