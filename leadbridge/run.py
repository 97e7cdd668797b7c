"""Web and worker in one process: the embedded shape."""

import signal
import time
from collections.abc import Callable

from leadbridge.errors import LeadbridgeError
from leadbridge.store.engine import Store
from sync import accounts
from sync.stream import listeners
from sync.wiring import Parts
from sync.worker import Worker
from webhooks.app import create_app, running
from webhooks.known import Known
from webhooks.serve import Server, serve

LOOK = 0.2
"""Seconds between looks whether we are to stop."""

GRACE = 25.0
"""Seconds a step at hand may take to finish after SIGTERM (reliability G31 allows 30 in all)."""


class Embedded:
    """The webhook server and the worker over one set of parts. Use as a context manager.

    Raises LeadbridgeError when the address cannot be listened on.
    """

    def __init__(self, parts: Parts, *, pull_every: float | None = 300.0, sweep: float = 15.0) -> None:
        self.worker = Worker(parts, pull_every=pull_every, sweep=sweep)
        self.listeners = listeners(parts.store, parts.crms, owner=parts.owner, stop=parts.stop, ring=self.worker.wake)
        web = parts.config.web
        application = create_app(parts.config, parts.store, wake=self.worker.wake, portal=portal_of(parts.store))
        try:
            self.server: Server = serve(application, host=web.host, port=web.port)
        except (OSError, OverflowError) as error:
            running(application).stop()
            raise LeadbridgeError(
                f"web: cannot listen on {web.host}:{web.port}: {getattr(error, 'strerror', None) or error}; "
                "choose another web.host or web.port, or stop what listens there"
            ) from None

    @property
    def url(self) -> str:
        return self.server.url

    def __enter__(self) -> "Embedded":
        self.server.start()
        self.worker.start()
        for listener in self.listeners:
            listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the door, let the worker finish the step at hand. Safe to call at any time."""
        self.server.stop()  # first the door, so that nothing new is accepted while the worker finishes
        self.worker.stop(GRACE)
        for listener in self.listeners:
            listener.join()


def portal_of(store: Store) -> Known:
    """Tells the HubSpot account the store is about."""
    return Known(lambda: accounts.pinned(store, "hubspot"))


def stop_signal() -> Callable[[], None]:
    """Take SIGTERM and SIGINT from now on; what is returned waits until one of them comes."""
    told: list[int] = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, _: told.append(number))

    def wait() -> None:
        while not told:  # a signal given to another thread does not wake this one, which has to see to it
            time.sleep(LOOK)

    return wait


def run(parts: Parts, *, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish the step at hand and stop."""
    until_told = stop_signal()
    with Embedded(parts) as embedded:
        tell(embedded.url)
        until_told()
