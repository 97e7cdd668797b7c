"""What is left of the vendors' daily calls to leadbridge, beside what people and other apps need (N9, pattern 13)."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from connectors.base import Crm
from leadbridge import clock, logs
from leadbridge.budgets import Day
from leadbridge.store import outbox, watermarks
from leadbridge.store.engine import Store

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
