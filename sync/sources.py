"""What a pull reads, source by source, and how it is kept: rows and progress in one transaction (reliability G12)."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from connectors.base import Crm, EmailPlatform, OptOut, Page, Progress, Reading
from connectors.batches import in_batches
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing, NeedsOperator
from leadbridge.progress import Tell
from leadbridge.store import activities as activity_store
from leadbridge.store import due, enrolments, suppressions, watermarks
from leadbridge.store.engine import Store
from leadbridge.types import Activity, Lead
from sync import compare, identity, journal, rereading
from sync.forget import activities_without_forgotten, without_forgotten
from sync.holding import Lease
from sync.readers import Pages

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
class Portion(Generic[T]):
    """Rows of a page that are stored in one transaction. What the page says beside its rows is true with the last."""

    rows: Sequence[T]
    page: Page[T]
    first: bool
    last: bool


def portions(page: Page[T], size: int = PORTION) -> Iterator[Portion[T]]:
    """The page cut into rows of one transaction each; at least one, be it empty."""
    parts = list(in_batches(page.rows, size)) or [()]
    for n, rows in enumerate(parts, 1):
        yield Portion(rows, page, first=n == 1, last=n == len(parts))


@dataclass(frozen=True, slots=True)
class Paged:
    """A source that is read page by page, beside others; by one worker at a time."""

    name: str  # "hubspot:leads"
    pages: Pages
    keep: Callable[[Lease, Portion[Any]], None]
    portion: int = PORTION
    optional: str = ""  # what to call it where the account does not offer it; "": every account must


@dataclass(frozen=True, slots=True)
class InOneGo:
    """A source that is read in one go, when the others are done; by one worker at a time."""

    name: str
    read: Callable[[Lease], None]


class Sources:
    """Everything there is to read at these vendors; `pulled` counts what came. One object for one pull."""

    def __init__(
        self,
        store: Store,
        crms: Sequence[Crm],
        platform: EmailPlatform | None,
        *,
        full: bool,
        tell: Tell,
    ) -> None:
        self.pulled = Pulled()
        self._store, self._crms, self._platform = store, crms, platform
        self._full, self._tell = full, tell
        self._began = clock.now()

    def paged(self) -> list[Paged]:
        """In the order in which they are begun."""
        found = [
            Paged(
                f"{crm.vendor}:{LEADS}",
                pages=partial(self._lead_pages, crm),
                keep=partial(self._keep_leads, crm),
                portion=LEADS_PORTION,
            )
            for crm in self._crms
        ]
        rooms: list[Crm | EmailPlatform] = [*self._crms]
        if self._platform is not None:
            rooms.append(self._platform)
            found.append(
                Paged(
                    f"{self._platform.vendor}:{OPT_OUTS}",
                    pages=partial(self._opt_out_pages, self._platform),
                    keep=partial(self._keep_opt_outs, self._platform),
                )
            )
        return found + [
            Paged(
                f"{room.vendor}:{stream}",
                pages=partial(self._activity_pages, room, stream),
                keep=partial(self._keep_activities, room.vendor, stream),
                optional=f"{room.vendor}.{stream}",
            )
            for room in rooms
            for stream in room.streams()
        ]

    def in_one_go(self) -> list[InOneGo]:
        """In the order in which they are read."""
        logs = [InOneGo(f"{crm.vendor}:{journal.TOLD}", partial(self._read_log, crm)) for crm in self._crms if crm.log]
        found = [
            *logs,
            *(InOneGo(f"{crm.vendor}:{compare.COMPARED}", partial(self._compare, crm)) for crm in self._crms),
        ]
        if self._platform is not None:
            follow = partial(self._follow_enrolled, self._platform)
            found.append(InOneGo(f"{self._platform.vendor}:{FOLLOWED}", follow))
        return found

    def _progress(self, vendor: str, stream: str) -> Progress | None:
        with self._store.reading() as tx:
            return watermarks.progress(tx, vendor, stream)

    # --- leads -------------------------------------------------------------------------------------------------------

    def _lead_pages(self, crm: Crm) -> Iterator[Page[Lead]]:
        return crm.pull_leads(self._progress(crm.vendor, LEADS), full=self._full)

    def _keep_leads(self, crm: Crm, lease: Lease, portion: Portion[Lead]) -> None:
        page = portion.page
        before = rereading.read_former_holders(self._store, crm, page.rows) if portion.first else Reading(())
        now = clock.now()
        with self._store.writing() as tx:
            lease.check(tx)
            leads = without_forgotten(tx, self._store, portion.rows)
            counted = rereading.newly_counted(tx, crm, leads)
            changed = identity.take_in(tx, rereading.of_the_known(tx, self._store, before), now)
            changed |= identity.absorb(tx, leads, now)
            changed |= activity_store.add_activities(tx, counted, now).people
            if portion.last:
                changed |= identity.retire(tx, page.gone, now)
                watermarks.save_progress(tx, crm.vendor, LEADS, page.progress, now)
                if page.missed:
                    compare.ask_for(tx, crm.vendor, self._began)
            due.mark_due(tx, changed, now, due.Lane.NORMAL)
        self.pulled.leads += len(portion.rows)
        self.pulled.changed += len(changed)
        if portion.last:
            self.pulled.skipped.update(page.skipped)
        self._tell("leads", self.pulled.leads)

    def _read_log(self, crm: Crm, lease: Lease) -> None:
        try:
            for count in journal.read(self._store, crm, lease):
                self.pulled.told += count
                self._tell("events told late", self.pulled.told)
        except (FeatureMissing, NeedsOperator) as missing:  # the pull and the comparison find the same, later
            self._switched_off(crm.vendor, journal.TOLD, missing.problem)

    def _compare(self, crm: Crm, lease: Lease) -> None:
        for refs in compare.unread(self._store, crm, lease, self._began if self._full else None):
            self.pulled.changed += rereading.reread(self._store, crm, refs, due.Lane.NORMAL)
            self.pulled.compared += len(refs)
            self._tell("compared", self.pulled.compared)

    # --- activities --------------------------------------------------------------------------------------------------

    def _activity_pages(self, room: Crm | EmailPlatform, stream: str) -> Iterator[Page[Activity]]:
        return room.pull_activities(stream, self._progress(room.vendor, stream))

    def _keep_activities(self, vendor: str, stream: str, lease: Lease, portion: Portion[Activity]) -> None:
        reached = portion.page.progress if portion.last else None
        self._add_activities(vendor, stream, lease, portion, reached, clock.now())
        if portion.last:
            self.pulled.skipped.update(portion.page.skipped)

    def _add_activities(
        self,
        vendor: str,
        stream: str,
        lease: Lease,
        portion: Portion[Activity],
        reached: Mapping[str, str] | None,
        now: datetime,
    ) -> None:
        with self._store.writing() as tx:
            lease.check(tx)
            rows = activities_without_forgotten(tx, self._store, portion.rows)
            added = activity_store.add_activities(tx, rows, now)
            due.mark_due(tx, added.people, now, due.Lane.NORMAL)
            if reached is not None:
                watermarks.save_progress(tx, vendor, stream, reached, now)
        self.pulled.activities += added.new
        self._tell("activities", self.pulled.activities)

    def _follow_enrolled(self, platform: EmailPlatform, lease: Lease) -> None:
        """What people whom we enrolled did with mail that no source tells of; once a day: it may cost a call each.

        A look that was interrupted, or that the platform is still at work on, goes on where it stood.
        """
        now = clock.now()
        with self._store.reading() as tx:
            noted = dict(watermarks.progress(tx, platform.vendor, FOLLOWED) or {})
            people = enrolments.contacted_since(tx, platform.vendor, now - FOLLOWED_FOR)
        at, begun, place = instant_in(noted, "at"), instant_in(noted, "begun"), json.loads(noted.get("place", "null"))
        if not people or (begun is None and not clock.passed(at, FOLLOW_EVERY)):
            return
        since = now - FOLLOWED_FOR if at is None else at - FOLLOW_EVERY  # reports trail: a day over the last look
        begun = begun or now
        standing = {**({} if at is None else {"at": at.isoformat()}), "begun": begun.isoformat()}
        try:
            for page in platform.read_activities(people, since, place):
                place = dict(page.progress)
                reached = {**standing, "place": json.dumps(place)} if place else standing
                for portion in portions(page):
                    kept = reached if portion.last else None
                    self._add_activities(platform.vendor, FOLLOWED, lease, portion, kept, now)
        except FeatureMissing as missing:
            self._switched_off(platform.vendor, FOLLOWED, missing.problem)
            place = {}
        if place:
            return  # the platform is still at work: the next pull looks again
        with self._store.writing() as tx:
            lease.check(tx)
            watermarks.save_progress(tx, platform.vendor, FOLLOWED, {"at": begun.isoformat()}, now)

    # --- who left ----------------------------------------------------------------------------------------------------

    def _opt_out_pages(self, platform: EmailPlatform) -> Iterator[Page[OptOut]]:
        return platform.pull_opt_outs(self._progress(platform.vendor, OPT_OUTS))

    def _keep_opt_outs(self, platform: EmailPlatform, lease: Lease, portion: Portion[OptOut]) -> None:
        now = clock.now()
        with self._store.writing() as tx:
            lease.check(tx)
            rows = [(row.email, row.reason, platform.vendor, row.at) for row in portion.rows]
            suppressions.suppress(tx, self._store.vault, rows, now)
            if portion.last:
                watermarks.save_progress(tx, platform.vendor, OPT_OUTS, portion.page.progress, now)
        self.pulled.opt_outs += len(portion.rows)
        self._tell("opt-outs", self.pulled.opt_outs)

    def _switched_off(self, vendor: str, stream: str, why: str) -> None:
        log.warning("source switched off", vendor=vendor, stream=stream, why=why)
        self.pulled.missing.append(f"{vendor}.{stream}")
