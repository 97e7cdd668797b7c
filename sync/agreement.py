"""Do the file and the accounts still agree? Somebody may rename a property, take a scope away or delete a journey.

Looked at once a day while leadbridge runs, sooner while they do not; what is found waits for an operator, and is shown
wherever that is.
"""

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import clock, logs
from leadbridge.errors import VendorError
from leadbridge.store import watermarks
from leadbridge.store.engine import Store
from sync.holding import sole

log = logs.logger(__name__)

LOOK_EVERY, LOOK_AGAIN = timedelta(days=1), timedelta(minutes=15)

_US, _STREAM = "leadbridge", "agreement"


def look(store: Store, rooms: list[Crm | EmailPlatform], owner: str) -> None:
    """Ask the vendors, unless it is known. Changes nothing there; of whom cannot be asked, nothing is said."""
    if not _is_due(store):
        return
    with sole(store, _STREAM, owner) as lease:
        if lease is None or not _is_due(store):
            return
        found = {where: problem for room in rooms for where, problem in _disagreements(room)}
        for where, problem in found.items():
            log.error("the file and the account do not agree", where=where, why=problem)
        with store.writing() as tx:
            lease.check(tx)
            watermarks.save_progress(tx, _US, _STREAM, found, clock.now())


def known(tx: Connection) -> list[str]:
    """Where they did not agree when they were last looked at, in words."""
    found = watermarks.progress(tx, _US, _STREAM) or {}
    return [f"{where}: {problem}; `leadbridge check --live` has the cure" for where, problem in sorted(found.items())]


def _is_due(store: Store) -> bool:
    with store.reading() as tx:
        at, found = watermarks.reached_at(tx, _US, _STREAM), watermarks.progress(tx, _US, _STREAM)
    every = LOOK_AGAIN if found else LOOK_EVERY
    return at is None or not timedelta(0) <= clock.now() - at < every  # below: the clock was put back


def _disagreements(room: Crm | EmailPlatform) -> Iterator[tuple[str, str]]:
    try:
        for fault in room.faults():
            yield fault.where, fault.problem
        for spec in room.missing(room.specs()):
            yield f"{room.vendor} {spec.name}", "is not there (any more); `leadbridge apply` makes it"
    except VendorError as error:
        log.warning("account not compared with the file", vendor=room.vendor, why=error.problem)
