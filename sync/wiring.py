"""Config to working parts; the one place that builds them."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from connectors import registry
from connectors.base import Crm, EmailPlatform
from connectors.intake.mapping import Wanted, wanted
from leadbridge import logs
from leadbridge.call import Pace
from leadbridge.config.schema import Config
from leadbridge.config.secrets import secrets_of
from leadbridge.errors import StoreError
from leadbridge.store import counts, leases
from leadbridge.store.budgets import SharedBudgets
from leadbridge.store.engine import Store, open_store
from sync.grants import StoredGrants
from sync.outlook import Scorer


@dataclass(slots=True)
class Parts:
    """Everything the steps need. One per process."""

    config: Config
    store: Store
    scorer: Scorer
    crms: list[Crm] = field(default_factory=list)
    platform: EmailPlatform | None = None
    owner: str = ""
    intake: Wanted | None = None
    stop: threading.Event = field(default_factory=threading.Event)  # set: finish the step at hand, wait for nothing
    rules_noted: bool = False  # `passes.note_rules` was here
    journeys_noted: bool = False  # `passes.note_journeys` was

    @property
    def rooms(self) -> list[Crm | EmailPlatform]:
        """Every vendor connected."""
        return [*self.crms, *([self.platform] if self.platform else [])]

    def close(self) -> None:
        counts.try_flush(self.store)
        self.store.close()


def build(config: Config, *, migrate: bool = True) -> Parts:
    """Open the store (brought up to date unless told otherwise) and build the vendors' rooms. Calls no vendor."""
    hide_secrets(config)
    store = open_store(config.store, machine_networks=config.machines.networks)
    if migrate:
        store.migrate()
    stop = threading.Event()
    me = owner()
    pace = Pace(stop=stop, shared=None if store_file(config) else SharedBudgets(store, me))
    grants = StoredGrants(store, me, pace.wait)
    crms = [registry.crm(name, config, pace=pace, grants=grants) for name in registry.crms(config)]
    platform = next(
        (registry.email_platform(name, config, pace=pace, grants=grants) for name in registry.email_platforms(config)),
        None,
    )
    return Parts(config, store, Scorer(config), crms, platform, owner=me, intake=wanted(config), stop=stop)


def hide_secrets(config: Config) -> None:
    """Every secret of the file is masked from now on wherever a log line or an error would show it."""
    logs.hide(*secrets_of(config))


def owner() -> str:
    """Who holds a lease: readable for an operator, different for every process."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"


@contextmanager
def sole_worker(parts: Parts) -> Iterator[None]:
    """Be the only worker of an embedded store; on another database there may be many, and this does nothing.

    The operating system frees the lock when its holder dies, so holding it proves that every lease left in the store
    belongs to the dead: they are ended at once instead of being waited for. Raises StoreError when another process
    works on the same file.
    """
    path = store_file(parts.config)
    if path is None:
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.worker.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"another leadbridge works on {path}; stop it first, or let it do the work (`leadbridge status` shows what)"
        ) from None
    try:
        with parts.store.writing() as tx:
            leases.end_all(tx)
        yield
    finally:
        lock.release()


def store_file(config: Config) -> Path | None:
    """The SQLite file of this configuration, or None on another database."""
    prefix = "sqlite:///"
    if not config.store.startswith(prefix):
        return None
    return Path(config.store.removeprefix(prefix).partition("?")[0]).resolve()  # one lock however it is spelt
