"""What is left of the vendors' daily calls to leadbridge, beside what people and other apps need (N9, pattern 13)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from connectors.base import Crm, EmailPlatform
from leadbridge import clock, logs
from leadbridge.budgets import Day
from leadbridge.store import outbox, watermarks
from leadbridge.store.engine import Store
from sync.wishes import MEMBERS_AT_ONCE

log = logs.logger(__name__)

DAY = "day"
"""Where the figures are noted, by vendor."""


def note(store: Store, crms: Sequence[Crm]) -> None:
    """Note what the vendors' answers told last, when it is another than what is noted."""
    told = {crm.vendor: _progress(day) for crm in crms if (day := crm.day()) is not None}
    if not told:
        return
    with store.reading() as tx:
        told = {vendor: found for vendor, found in told.items() if watermarks.progress(tx, vendor, DAY) != found}
    if told:
        with store.writing() as tx:
            for vendor, found in sorted(told.items()):
                watermarks.save_progress(tx, vendor, DAY, found, clock.now())


def read(tx: Connection) -> dict[str, Day]:
    """The figures noted last, by vendor. Those of a day that is over say less than is left."""
    return {one.source: _day(one.progress) for one in watermarks.listing(tx) if one.stream == DAY}


def short(days: Mapping[str, Day], calls: Mapping[str, int]) -> dict[str, int]:
    """Calls by which what is to be done does not fit into what is left to us, by vendor; those that fit left out."""
    over = {vendor: many - days[vendor].left for vendor, many in calls.items() if vendor in days}
    return {vendor: many for vendor, many in over.items() if many > 0}


@dataclass(frozen=True, slots=True)
class Need:
    """What writing costs, by vendor."""

    calls: Mapping[str, int] = field(default_factory=dict)  # at least
    left: Mapping[str, int] = field(default_factory=dict)  # of the day's, to leadbridge, where the vendor tells
    too_many: Mapping[str, int] = field(default_factory=dict)  # calls that do not fit into what is left

    def as_dict(self) -> dict[str, Mapping[str, int]]:
        return {"calls": self.calls, "calls_left": self.left, "calls_too_many": self.too_many}


def need(tx: Connection, crms: Sequence[Crm], platform: EmailPlatform | None, writes: Mapping[str, int]) -> Need:
    """What it costs to write so many records at each vendor."""
    sizes = {crm.vendor: crm.write_batch for crm in crms} | ({platform.vendor: MEMBERS_AT_ONCE} if platform else {})
    calls = {vendor: -(-writes.get(vendor, 0) // size) for vendor, size in sizes.items()}
    days = read(tx)
    return Need(calls, {vendor: days[vendor].left for vendor in calls if vendor in days}, short(days, calls))


def say_what_does_not_fit(store: Store, crms: Sequence[Crm]) -> None:
    """Say before writing back that the day's calls will not do for what waits. It goes on when there are more."""
    with store.reading() as tx:
        calls = {crm.vendor: -(-outbox.pending_writes(tx, crm.vendor) // crm.write_batch) for crm in crms}
        missing = short(read(tx), calls)
    for vendor, many in missing.items():
        log.warning("writes do not fit into the day's calls", vendor=vendor, calls=calls[vendor], too_many=many)


def _progress(day: Day) -> Mapping[str, str]:
    return {"used": str(day.used), "limit": str(day.limit), "until": str(day.until)}


def _day(progress: Mapping[str, str]) -> Day:
    return Day(int(progress["used"]), int(progress["limit"]), float(progress["until"]))
