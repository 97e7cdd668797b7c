"""Do the file and the accounts still agree? Somebody may rename a property, take a scope away or delete a journey.

Looked at once a day while leadbridge runs, at once when the file says something else than the last time, and sooner
while they do not agree; what is found waits for an operator, and is shown wherever that is.
"""

import hashlib
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import clock, logs
from leadbridge.config.schema import Config
from leadbridge.errors import VendorError
from leadbridge.store import watermarks
from leadbridge.store.engine import Store
from sync.holding import sole

log = logs.logger(__name__)

LOOK_EVERY, LOOK_AGAIN = timedelta(days=1), timedelta(minutes=15)

_US, _STREAM = "leadbridge", "agreement"
_FILE = ""
"""Beside where they do not agree: what the file said when it was looked."""


def look(store: Store, rooms: list[Crm | EmailPlatform], owner: str, config: Config) -> None:
    """Ask the vendors, unless it is known. Changes nothing there; of whom cannot be asked, nothing is said."""
    said = hashlib.sha256(config.model_dump_json().encode()).hexdigest()  # secrets are masked in it
    if not _is_due(store, said):
        return
    with sole(store, _STREAM, owner) as lease:
        if lease is None or not _is_due(store, said):
            return
        found = {where: problem for room in rooms for where, problem in _disagreements(room)}
        for where, problem in found.items():
            log.error("the file and the account do not agree", where=where, why=problem)
        with store.writing() as tx:
            lease.check(tx)
            watermarks.save_progress(tx, _US, _STREAM, {**found, _FILE: said}, clock.now())


def known(tx: Connection) -> list[str]:
    """Where they did not agree when they were last looked at, in words."""
    found = watermarks.progress(tx, _US, _STREAM) or {}
    return [
        f"{where}: {problem}; `leadbridge check --live` has the cure"
        for where, problem in sorted(found.items())
        if where != _FILE
    ]


def _is_due(store: Store, said: str) -> bool:
    with store.reading() as tx:
        at, found = watermarks.reached_at(tx, _US, _STREAM), watermarks.progress(tx, _US, _STREAM) or {}
    if found.get(_FILE) != said:
        return True
    every = LOOK_AGAIN if found.keys() - {_FILE} else LOOK_EVERY
    return clock.passed(at, every)


def _disagreements(room: Crm | EmailPlatform) -> Iterator[tuple[str, str]]:
    try:
        for fault in room.faults():
            yield fault.where, fault.problem
        for spec in room.missing(room.specs()):
            yield f"{room.vendor} {spec.name}", "is not there (any more); `leadbridge apply` makes it"
    except VendorError as error:
        log.warning("account not compared with the file", vendor=room.vendor, why=error.problem)
