"""Pages to store. Progress is committed with the rows it covers, so a killed pull goes on where it stood (G12)."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform, OptOut, Page, Progress, Reading
from connectors.batches import in_batches
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing, NeedsOperator, VendorError
from leadbridge.store import activities as activity_store
from leadbridge.store import due, enrolments, gaps, suppressions, watermarks
from leadbridge.store.engine import Store
from leadbridge.types import Activity, Lead
from sync import compare, identity, journal, rereading, retry
from sync.forget import activities_without_forgotten, without_forgotten
from sync.holding import Lease, TakenOver, sole
from sync.readers import Pages, Readers

T = TypeVar("T")

log = logs.logger(__name__)

LEADS = "leads"
OPT_OUTS = "opt_outs"

FOLLOWED = "followed"
FOLLOWED_FOR = timedelta(days=30)
FOLLOW_EVERY = timedelta(days=1)
"""How long, and how often, each person whom we enrolled is followed where journeys' mail has no report."""

PORTION, LEADS_PORTION = 1000, 200
"""Rows, and leads, stored in one transaction: a page may have thousands, and the door waits for the store (G2)."""

US, COMPLETE = "leadbridge", "pull"
"""Where it is noted that everything was pulled once."""


@dataclass(slots=True)
class Pulled:
    """What a pull brought in."""

    leads: int = 0
    changed: int = 0  # people to be scored again
    activities: int = 0  # new ones
    opt_outs: int = 0
    told: int = 0  # events of vendors' own logs that nobody had told before
    compared: int = 0  # records read again because nobody had told of them for long
    skipped: Counter[str] = field(default_factory=Counter)  # what could not be read, by reason
    missing: list[str] = field(default_factory=list)  # sources the account does not offer
    elsewhere: list[str] = field(default_factory=list)  # sources another worker is reading


@dataclass(frozen=True, slots=True)
class _Portion(Generic[T]):
    """Rows of a page that are stored in one transaction. What the page says beside its rows is true with the last."""

    rows: Sequence[T]
    page: Page[T]
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class _Source:
    """One thing that is read by one worker at a time: by pages beside others, or in one go when those are done."""

    name: str  # "hubspot:leads"
    pages: Pages | None = None
    keep: Callable[[Lease, _Portion[Any]], None] = lambda _lease, _portion: None
    portion: int = PORTION
    read: Callable[[Lease], None] = lambda _lease: None
    optional: str = ""  # what to call it where the account does not offer it; "": every account must


@dataclass(frozen=True, slots=True)
class _Reading:
    """A source being read: under whose lease, since when."""

    source: _Source
    lease: Lease
    began: datetime
    end: ExitStack


AT_ONCE = 6
"""Sources read at the same time. The vendors' limits bound the calls; this bounds the threads and what they hold."""


def pull(
    store: Store,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    *,
    full: bool = False,
    owner: str = "",
    every: float | None = None,
    tell: Callable[[str, int], None] = lambda _what, _count: None,
) -> Pulled:
    """Bring in everything that changed at the vendors: leads, who left, and what they did, several at the same time.

    A source that cannot be read does not keep the others from being read; its VendorError is raised in the end. One
    that another worker is reading is passed over, and so is, with `every`, one that was read less than so many seconds
    ago: any number of workers may call this at any time.
    """
    pulled = Pulled()
    sources = _sources(store, crms, platform, pulled, full=full, tell=tell)
    todo = [source for source in sources if every is None or _is_due(store, source, every)]
    failed = _by_pages(store, pulled, owner, deque(one for one in todo if one.pages is not None))
    for source in todo:
        if source.pages is None:
            failed += _alone(store, pulled, owner, source)
    if failed:
        raise next((error for error in failed if isinstance(error, NeedsOperator)), failed[0])
    with store.writing() as tx:
        if all(watermarks.progress(tx, US, note_of(source.name)) is not None for source in sources):
            watermarks.save_progress(tx, US, COMPLETE, {}, clock.now())
    return pulled


def _by_pages(store: Store, pulled: Pulled, owner: str, waiting: deque[_Source]) -> list[VendorError]:
    """Read these at the same time and keep their pages as they come, one by one; the errors of those that failed."""
    failed: list[VendorError] = []
    reading: dict[str, _Reading] = {}
    with ExitStack() as leases, Readers() as readers:
        while waiting or reading:
            while waiting and len(reading) < AT_ONCE:
                source = waiting.popleft()
                end = leases.enter_context(ExitStack())
                lease = end.enter_context(sole(store, f"pull:{source.name}", owner))
                if lease is None:
                    pulled.elsewhere.append(source.name)
                elif source.pages is not None:
                    reading[source.name] = _Reading(source, lease, clock.now(), end)
                    readers.start(source.name, source.pages)
            if not reading:
                break
            name, found = readers.next()
            one = reading[name]
            try:
                if isinstance(found, Page):
                    for portion in _portions(found, one.source.portion):
                        retry.on_conflict(one.source.keep)(one.lease, portion)
                    continue
                _ended(store, pulled, one, found)
            except TakenOver as other:
                _passed_on(pulled, one.source, other)
                if isinstance(found, Page):
                    readers.drop(name)
            except VendorError as error:
                _failed(failed, error)
                if isinstance(found, Page):
                    readers.drop(name)
            del reading[name]
            one.end.close()
    return failed


def _portions(page: Page[T], size: int) -> Iterator[_Portion[T]]:
    parts = list(in_batches(page.rows, size)) or [()]
    for n, rows in enumerate(parts, 1):
        yield _Portion(rows, page, first=n == 1, last=n == len(parts))


def _ended(store: Store, pulled: Pulled, one: _Reading, why: BaseException | None) -> None:
    """Note that a source was read to its end, or raise what ended it before."""
    if isinstance(why, FeatureMissing) and one.source.optional:
        log.warning("source switched off", source=one.source.name, why=why.problem)
        pulled.missing.append(one.source.optional)
    elif why is not None:
        raise why
    _note_read(store, one.source, one.lease, one.began)


def _alone(store: Store, pulled: Pulled, owner: str, source: _Source) -> list[VendorError]:
    """Read one source in one go; the error, if it failed."""
    failed: list[VendorError] = []
    try:
        with sole(store, f"pull:{source.name}", owner) as lease:
            if lease is None:
                pulled.elsewhere.append(source.name)
                return failed
            began = clock.now()
            retry.on_conflict(source.read)(lease)
            _note_read(store, source, lease, began)
    except TakenOver as other:
        _passed_on(pulled, source, other)
    except VendorError as error:
        _failed(failed, error)
    return failed


def _note_read(store: Store, source: _Source, lease: Lease, began: datetime) -> None:
    with store.writing() as tx:
        lease.check(tx)
        watermarks.save_progress(tx, US, note_of(source.name), {"began": began.isoformat()}, clock.now())


def _passed_on(pulled: Pulled, source: _Source, why: TakenOver) -> None:
    log.warning("pull ends", why=str(why))
    pulled.elsewhere.append(source.name)


def _failed(failed: list[VendorError], error: VendorError) -> None:
    log.warning("source not pulled", vendor=error.vendor, operation=error.operation, why=error.problem)
    failed.append(error)


def _sources(
    store: Store,
    crms: Sequence[Crm],
    platform: EmailPlatform | None,
    pulled: Pulled,
    *,
    full: bool,
    tell: Callable[[str, int], None],
) -> list[_Source]:
    """Everything there is to read, in the order in which it is begun."""

    def leads(crm: Crm) -> _Source:
        began = clock.now()
        return _Source(
            f"{crm.vendor}:{LEADS}",
            pages=lambda: crm.pull_leads(_progress(store, crm, LEADS), full=full),
            keep=lambda lease, portion: _keep_leads(store, crm, pulled, began, lease, portion, tell=tell),
            portion=LEADS_PORTION,
        )

    def stream(room: Crm | EmailPlatform, name: str) -> _Source:
        return _Source(
            f"{room.vendor}:{name}",
            pages=lambda: room.pull_activities(name, _progress(store, room, name)),
            keep=lambda lease, portion: _keep_activities(store, room, name, pulled, lease, portion, tell=tell),
            optional=f"{room.vendor}.{name}",
        )

    def left(platform: EmailPlatform) -> _Source:
        return _Source(
            f"{platform.vendor}:{OPT_OUTS}",
            pages=lambda: platform.pull_opt_outs(_progress(store, platform, OPT_OUTS)),
            keep=lambda lease, portion: _keep_opt_outs(store, platform, pulled, lease, portion, tell=tell),
        )

    began = clock.now() if full else None

    def compared(crm: Crm) -> _Source:
        read = partial(_compare, store, crm, pulled, began, tell=tell)
        return _Source(f"{crm.vendor}:{compare.COMPARED}", read=read)

    def told(crm: Crm) -> _Source:
        return _Source(f"{crm.vendor}:{journal.TOLD}", read=partial(_read_log, store, crm, pulled, tell=tell))

    found = [leads(crm) for crm in crms]
    last = [*(told(crm) for crm in crms if crm.log), *(compared(crm) for crm in crms)]
    if platform:
        found.append(left(platform))
        followed = partial(_follow_enrolled, store, platform, pulled, tell=tell)
        last.append(_Source(f"{platform.vendor}:{FOLLOWED}", read=followed))
    rooms: list[Crm | EmailPlatform] = [*crms, *([platform] if platform else [])]
    return [*found, *(stream(room, name) for room in rooms for name in room.streams()), *last]


def _progress(store: Store, room: Crm | EmailPlatform, stream: str) -> Progress | None:
    with store.reading() as tx:
        return watermarks.progress(tx, room.vendor, stream)


def note_of(source: str) -> str:
    """Where it is noted when the source was last read to its end, and when that reading began."""
    return f"{COMPLETE}:{source}"


def _is_due(store: Store, source: _Source, every: float) -> bool:
    with store.reading() as tx:
        last = watermarks.reached_at(tx, US, note_of(source.name))
        if last is None or _has_gap(tx, source.name):
            return True
        return not timedelta(0) <= clock.now() - last < timedelta(seconds=every)  # below: the clock was put back


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
    began = (watermarks.progress(tx, US, f"{COMPLETE}:{name}") or {}).get("began")
    return began is None or datetime.fromisoformat(began) <= missed


def complete(store: Store) -> bool:
    """Was everything pulled at least once? Before that, a score knows half the facts, and nobody may be contacted."""
    with store.reading() as tx:
        return watermarks.progress(tx, US, COMPLETE) is not None


def _keep_leads(
    store: Store,
    crm: Crm,
    pulled: Pulled,
    began: datetime,
    lease: Lease,
    portion: _Portion[Lead],
    *,
    tell: Callable[[str, int], None],
) -> None:
    page = portion.page
    before = rereading.read_former_holders(store, crm, page.rows) if portion.first else Reading(())
    now = clock.now()
    with store.writing() as tx:
        lease.check(tx)
        leads = without_forgotten(tx, store, portion.rows)
        counted = rereading.newly_counted(tx, crm, leads)
        changed = identity.take_in(tx, rereading.of_the_known(tx, store, before), now)
        changed |= identity.absorb(tx, leads, now)
        changed |= activity_store.add_activities(tx, counted, now).people
        if portion.last:
            changed |= identity.retire(tx, page.gone, now)
            watermarks.save_progress(tx, crm.vendor, LEADS, page.progress, now)
            if page.missed:
                compare.ask_for(tx, crm.vendor, began)
        due.mark_due(tx, changed, now, due.Lane.NORMAL)
    pulled.leads += len(portion.rows)
    pulled.changed += len(changed)
    if portion.last:
        pulled.skipped.update(page.skipped)
    tell("leads", pulled.leads)


def _read_log(store: Store, crm: Crm, pulled: Pulled, lease: Lease, *, tell: Callable[[str, int], None]) -> None:
    try:
        for count in journal.read(store, crm, lease):
            pulled.told += count
            tell("events told late", pulled.told)
    except (FeatureMissing, NeedsOperator) as missing:  # the pull and the comparison find the same, later
        log.warning("source switched off", vendor=crm.vendor, stream=journal.TOLD, why=missing.problem)
        pulled.missing.append(f"{crm.vendor}.{journal.TOLD}")


def _compare(
    store: Store,
    crm: Crm,
    pulled: Pulled,
    full_since: datetime | None,
    lease: Lease,
    *,
    tell: Callable[[str, int], None],
) -> None:
    for refs in compare.unread(store, crm, lease, full_since):
        pulled.changed += rereading.reread(store, crm, refs, due.Lane.NORMAL)
        pulled.compared += len(refs)
        tell("compared", pulled.compared)


def _keep_activities(
    store: Store,
    room: Crm | EmailPlatform,
    stream: str,
    pulled: Pulled,
    lease: Lease,
    portion: _Portion[Activity],
    *,
    tell: Callable[[str, int], None],
) -> None:
    now = clock.now()
    with store.writing() as tx:
        lease.check(tx)
        added = activity_store.add_activities(tx, activities_without_forgotten(tx, store, portion.rows), now)
        due.mark_due(tx, added.people, now, due.Lane.NORMAL)
        if portion.last:
            watermarks.save_progress(tx, room.vendor, stream, portion.page.progress, now)
    pulled.activities += added.new
    if portion.last:
        pulled.skipped.update(portion.page.skipped)
    tell("activities", pulled.activities)


def _follow_enrolled(
    store: Store, platform: EmailPlatform, pulled: Pulled, lease: Lease, *, tell: Callable[[str, int], None]
) -> None:
    """What people whom we enrolled did with mail that no source tells of; once a day, since it may cost a call each.

    A look that was interrupted, or that the platform is still at work on, goes on where it stood.
    """
    now = clock.now()
    with store.reading() as tx:
        noted = dict(watermarks.progress(tx, platform.vendor, FOLLOWED) or {})
        people = enrolments.contacted_since(tx, platform.vendor, now - FOLLOWED_FOR)
    at, begun, place = instant_in(noted, "at"), instant_in(noted, "begun"), json.loads(noted.get("place", "null"))
    if not people or (begun is None and at is not None and now - at < FOLLOW_EVERY):
        return
    since = now - FOLLOWED_FOR if at is None else at - FOLLOW_EVERY  # reports trail: a day over the last look
    begun = begun or now
    whole = {"at": begun.isoformat()}
    standing = {**({} if at is None else {"at": at.isoformat()}), "begun": begun.isoformat()}
    try:
        for page in platform.read_activities(people, since, place):
            place = dict(page.progress)
            for portion in _portions(page, PORTION):
                with store.writing() as tx:
                    lease.check(tx)
                    rows = activities_without_forgotten(tx, store, portion.rows)
                    added = activity_store.add_activities(tx, rows, now)
                    due.mark_due(tx, added.people, now, due.Lane.NORMAL)
                    if portion.last:
                        reached = {**standing, "place": json.dumps(place)} if place else standing
                        watermarks.save_progress(tx, platform.vendor, FOLLOWED, reached, now)
                pulled.activities += added.new
                tell("activities", pulled.activities)
    except FeatureMissing as missing:
        log.warning("source switched off", vendor=platform.vendor, stream=FOLLOWED, why=missing.problem)
        pulled.missing.append(f"{platform.vendor}.{FOLLOWED}")
        place = {}
    if place:
        return  # the platform is still at work: the next pull looks again
    with store.writing() as tx:
        lease.check(tx)
        watermarks.save_progress(tx, platform.vendor, FOLLOWED, whole, now)


def _keep_opt_outs(
    store: Store,
    platform: EmailPlatform,
    pulled: Pulled,
    lease: Lease,
    portion: _Portion[OptOut],
    *,
    tell: Callable[[str, int], None],
) -> None:
    now = clock.now()
    with store.writing() as tx:
        lease.check(tx)
        rows = [(row.email, row.reason, platform.vendor, row.at) for row in portion.rows]
        suppressions.suppress(tx, store.vault, rows, now)
        if portion.last:
            watermarks.save_progress(tx, platform.vendor, OPT_OUTS, portion.page.progress, now)
    pulled.opt_outs += len(portion.rows)
    tell("opt-outs", pulled.opt_outs)
