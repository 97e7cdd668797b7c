"""Listening to a CRM's stream of changes: what it tells is stored like a delivery, with the place after it (G3, G12).

A thread that does nothing else. Of all workers of a store one listens, by lease; the others stand by.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing

from connectors.base import Crm, Heard
from leadbridge import clock, logs
from leadbridge.errors import LeadbridgeError, NeedsOperator, RetryLater, VendorError
from leadbridge.metrics import CHANGE_EVENTS
from leadbridge.store import gaps, inbox, watermarks
from leadbridge.store.engine import Store
from sync import accounts
from sync.holding import Lease, TakenOver, sole

log = logs.logger(__name__)

FIRST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds before a stream that broke is listened to again: up to the first, then up to twice as much, and so on."""

OPERATOR_REST = 300.0
"""Seconds before the vendor is asked again although only an operator can help."""

STAND_BY = 20.0
"""Seconds between looks whether the one who listens has gone."""

ENDS = 2.0
"""Seconds a listener may take to end; what it was about to store is told again."""


def listen(
    store: Store, crm: Crm, *, owner: str, stop: threading.Event, ring: Callable[[], object] = lambda: None
) -> bool:
    """Listen until `stop` is set; False, at once, when another worker listens.

    Each message is stored with the place after it in one transaction, before the next is asked for: killed anywhere,
    what was not stored is told again, and what is told twice is one event in the inbox. Raises VendorError when the
    stream ends, TakenOver when another worker has taken over.
    """
    accounts.confirm(store, [crm])  # an event of another account must not get in
    stream = f"events:{crm.topic}"
    with sole(store, f"stream:{crm.vendor}:{stream}", owner) as lease:
        if lease is None:
            return False
        with store.reading() as tx:
            progress = watermarks.progress(tx, crm.vendor, stream)
        account = crm.account()
        with closing(crm.listen(progress, stop)) as told:
            for heard in told:
                if _keep(store, crm.vendor, stream, account, heard, lease):
                    ring()
    return True


def _keep(store: Store, vendor: str, stream: str, account: str, heard: Heard, lease: Lease) -> bool:
    """Store what was heard; is there anything to do about it?"""
    now = clock.now()
    came = [inbox.Delivery(vendor, account, body, events) for body, events in heard.deliveries]
    with store.writing() as tx:
        lease.check(tx)
        if came:
            inbox.keep_deliveries(tx, store.vault, came, now)
        if heard.missed:
            gaps.mark(tx, vendor, heard.missed, now)
        watermarks.save_progress(tx, vendor, stream, heard.progress, now)
    for outcome, count in (
        ("kept", sum(one.events for one in came)),
        ("echo", heard.echoes),
        ("missed", int(bool(heard.missed))),
    ):
        if count:
            CHANGE_EVENTS.add(count, vendor=vendor, outcome=outcome)
    if heard.missed:
        log.warning("changes may have been missed", vendor=vendor, why=heard.missed)
    return bool(came or heard.missed)


class Listener:
    """Listens to one CRM, whatever happens, from a thread of its own."""

    def __init__(
        self,
        store: Store,
        crm: Crm,
        *,
        owner: str,
        stop: threading.Event,
        ring: Callable[[], object],
        stand_by: float = STAND_BY,
    ) -> None:
        """`ring` is called when something was stored; it may fail, since whoever works looks by itself too."""
        self._store, self._crm, self._owner, self._stop = store, crm, owner, stop
        self._ring, self._stand_by = ring, stand_by
        self._broken = 0  # streams that ended one soon after the other
        self._thread = threading.Thread(target=self._run, name=f"{crm.vendor} changes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float = ENDS) -> bool:
        """Wait for the end, after `stop` was set; False when it did not come in time."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._stop.wait(self._listen())

    def _listen(self) -> float:
        """Listen for as long as it goes well; seconds to rest then."""
        began = time.monotonic()
        try:
            if listen(self._store, self._crm, owner=self._owner, stop=self._stop, ring=self._heard):
                return 0.0
        except TakenOver as other:
            log.warning("listening ends", why=str(other))
        except NeedsOperator as error:
            log.warning("change stream needs an operator", vendor=error.vendor, why=error.problem)
            return OPERATOR_REST
        except (VendorError, LeadbridgeError) as error:
            log.info("change stream ended", why=str(error), kind=type(error).__name__)
            if isinstance(error, RetryLater) and error.after is not None:
                return error.after + random.uniform(0, FIRST_REST)
            return self._rest(began)
        except Exception:
            # The thread is the only one that listens: whatever befell it, it begins again.
            log.exception("listening broke")
            return self._rest(began)
        return self._stand_by

    def _rest(self, began: float) -> float:
        """Longer each time, with full jitter; a stream that lasted was a good one."""
        self._broken = 1 if time.monotonic() - began > LONGEST_REST else self._broken + 1
        return random.uniform(0, min(LONGEST_REST, FIRST_REST * 2 ** min(self._broken, 10)))

    def _heard(self) -> None:
        try:
            self._ring()
        except Exception as error:  # noqa: BLE001 - the queue's trouble is not the stream's
            log.debug("nobody rung", kind=type(error).__name__)


def listeners(
    store: Store, crms: list[Crm], *, owner: str, stop: threading.Event, ring: Callable[[], object]
) -> list[Listener]:
    """One for each CRM that tells its changes."""
    return [Listener(store, crm, owner=owner, stop=stop, ring=ring) for crm in crms if crm.topic is not None]
