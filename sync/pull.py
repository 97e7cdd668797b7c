"""Vendors to store. Progress is committed with the rows it covers, so a killed pull goes on where it stood (G12)."""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform, Page
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing, NeedsOperator, VendorError
from leadbridge.progress import Tell, unheard
from leadbridge.store import gaps, watermarks
from leadbridge.store.engine import Store
from sync import retry
from sync.holding import Lease, TakenOver, sole
from sync.readers import Readers
from sync.sources import InOneGo, Paged, Pulled, Sources, portions

log = logs.logger(__name__)

US, COMPLETE = "leadbridge", "pull"
"""Where it is noted that everything was pulled once."""

AT_ONCE = 6
"""Sources read at the same time. The vendors' limits bound the calls; this bounds the threads and what they hold."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A source being read: under whose lease, since when."""

    source: Paged
    lease: Lease
    began: datetime
    end: ExitStack


def pull(
    store: Store,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    *,
    full: bool = False,
    owner: str = "",
    every: float | None = None,
    tell: Tell = unheard,
) -> Pulled:
    """Bring in everything that changed at the vendors: leads, who left, and what they did, several at the same time.

    A source that cannot be read does not keep the others from being read; its VendorError is raised in the end. One
    that another worker is reading is passed over, and so is, with `every`, one that was read less than so many seconds
    ago: any number of workers may call this at any time.
    """
    sources = Sources(store, crms, platform, full=full, tell=tell)
    pulled, paged, in_one_go = sources.pulled, sources.paged(), sources.in_one_go()
    names = [*(one.name for one in paged), *(one.name for one in in_one_go)]
    wanted = {name for name in names if every is None or _is_due(store, name, every)}
    failed = _by_pages(store, pulled, owner, deque(one for one in paged if one.name in wanted))
    for source in in_one_go:
        if source.name in wanted:
            failed += _alone(store, pulled, owner, source)
    if failed:
        raise next((error for error in failed if isinstance(error, NeedsOperator)), failed[0])
    with store.writing() as tx:
        if all(watermarks.progress(tx, US, note_of(name)) is not None for name in names):
            watermarks.save_progress(tx, US, COMPLETE, {}, clock.now())
    return pulled


def _by_pages(store: Store, pulled: Pulled, owner: str, waiting: deque[Paged]) -> list[VendorError]:
    """Read these at the same time and keep their pages as they come, one by one; the errors of those that failed."""
    failed: list[VendorError] = []
    reading: dict[str, _Reading] = {}
    with ExitStack() as leases, Readers() as readers:
        while True:
            while waiting and len(reading) < AT_ONCE:
                source = waiting.popleft()
                end = leases.enter_context(ExitStack())
                lease = end.enter_context(sole(store, f"pull:{source.name}", owner))
                if lease is None:
                    pulled.elsewhere.append(source.name)
                    continue
                reading[source.name] = _Reading(source, lease, clock.now(), end)
                readers.start(source.name, source.pages)
            if not reading:
                return failed
            name, found = readers.next()
            one = reading[name]
            try:
                if isinstance(found, Page):
                    for portion in portions(found, one.source.portion):
                        retry.on_conflict(one.source.keep)(one.lease, portion)
                    continue
                _ended(store, pulled, one, found)
            except TakenOver as other:
                _passed_on(pulled, name, other)
            except VendorError as error:
                _failed(failed, error)
            if isinstance(found, Page):  # it could not be kept
                readers.drop(name)
            del reading[name]
            one.end.close()


def _ended(store: Store, pulled: Pulled, one: _Reading, why: BaseException | None) -> None:
    """Note that a source was read to its end, or raise what ended it before."""
    if isinstance(why, FeatureMissing) and one.source.optional:
        log.warning("source switched off", source=one.source.name, why=why.problem)
        pulled.missing.append(one.source.optional)
    elif why is not None:
        raise why
    _note_read(store, one.source.name, one.lease, one.began)


def _alone(store: Store, pulled: Pulled, owner: str, source: InOneGo) -> list[VendorError]:
    """Read one source in one go; the error, if it failed."""
    failed: list[VendorError] = []
    try:
        with sole(store, f"pull:{source.name}", owner) as lease:
            if lease is None:
                pulled.elsewhere.append(source.name)
                return failed
            began = clock.now()
            retry.on_conflict(source.read)(lease)
            _note_read(store, source.name, lease, began)
    except TakenOver as other:
        _passed_on(pulled, source.name, other)
    except VendorError as error:
        _failed(failed, error)
    return failed


def _note_read(store: Store, name: str, lease: Lease, began: datetime) -> None:
    with store.writing() as tx:
        lease.check(tx)
        watermarks.save_progress(tx, US, note_of(name), {"began": began.isoformat()}, clock.now())


def _passed_on(pulled: Pulled, name: str, why: TakenOver) -> None:
    log.warning("pull ends", why=str(why))
    pulled.elsewhere.append(name)


def _failed(failed: list[VendorError], error: VendorError) -> None:
    log.warning("source not pulled", vendor=error.vendor, operation=error.operation, why=error.problem)
    failed.append(error)


def note_of(source: str) -> str:
    """Where it is noted when the source was last read to its end, and when that reading began."""
    return f"{COMPLETE}:{source}"


def _is_due(store: Store, name: str, every: float) -> bool:
    with store.reading() as tx:
        last = watermarks.reached_at(tx, US, note_of(name))
        return _has_gap(tx, name) or clock.passed(last, timedelta(seconds=every))


def gap(store: Store, vendors: Iterable[str]) -> bool:
    """May something of one of these vendors have been missed that was not read since (reliability G13)?"""
    with store.reading() as tx:
        marked = set(gaps.vendors(tx)) & set(vendors)
        names = [one.stream.removeprefix(f"{COMPLETE}:") for one in watermarks.listing(tx) if one.source == US]
        return any(_has_gap(tx, name) for name in names if name.partition(":")[0] in marked)


def _has_gap(tx: Connection, name: str) -> bool:
    """Was something missed of this source's vendor since the source was last read from its beginning?"""
    missed = gaps.marked_at(tx, name.partition(":")[0])
    if missed is None:
        return False
    began = instant_in(watermarks.progress(tx, US, f"{COMPLETE}:{name}"), "began")
    return began is None or began <= missed or began > clock.now()  # still to come: the clock was put back


def complete(store: Store) -> bool:
    """Was everything pulled at least once? Before that, a score knows half the facts, and nobody may be contacted."""
    with store.reading() as tx:
        return watermarks.progress(tx, US, COMPLETE) is not None
