"""The arithmetic of progress (reliability G12, pattern 10); pure.

A pull of changes is a walk through everything modified at or after `low`, in the order of record ids. A walk by id
survives what a walk by time does not: thousands of records that share one millisecond, and records edited while we
read (vendors/hubspot.md section 6.1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from connectors.base import Progress


@dataclass(frozen=True, slots=True)
class Watermark:
    """The instant up to which all is surely read; None: nothing yet."""

    at: datetime | None = None

    def advanced(
        self, *, seen_up_to: datetime | None, started: datetime, took: timedelta, there: datetime | None = None
    ) -> "Watermark":
        """After a walk that began at `started`, lasted `took` and saw changes up to `seen_up_to`.

        Never past our own start: a record edited while we walked may sit on a page already read. And never past where
        the vendor's clock surely stood when we began, which is what is compared with, whatever ours says: at `there`,
        where the vendor told, and at the newest change seen less the length of the walk. Neither: nothing learned.
        Never back.
        """
        stood = [] if there is None else [there]
        if seen_up_to is not None:
            stood.append(seen_up_to - max(took, timedelta(0)))
        reached = min(started, max(stood, default=started))
        return self if not stood or (self.at is not None and reached <= self.at) else replace(self, at=reached)


@dataclass(frozen=True, slots=True)
class Walk:
    """Where one walk stands. Small enough to be stored with every page."""

    started: datetime
    low: datetime | None = None  # None: everything
    last: str = ""  # last record id read (walk of changes), or the vendor's place in its list (walk of everything)
    seen: datetime | None = None  # newest change seen so far
    watermark: Watermark = Watermark()
    there: datetime | None = None  # what the vendor's clock surely showed when the walk began, where it tells

    def after(self, last: str, modified: Iterable[datetime]) -> "Walk":
        """One page further: `last` is the new place, `modified` the instants on the page."""
        newest = max(modified, default=None)
        seen = newest if self.seen is None else max(self.seen, newest or self.seen)
        return replace(self, last=last, seen=seen)

    def finished(self, now: datetime) -> Watermark:
        took = now - self.started
        return self.watermark.advanced(seen_up_to=self.seen, started=self.started, took=took, there=self.there)

    def progress(self) -> Progress:
        """This walk as a stored progress; `walk_in` reads it."""
        return _texts(
            watermark=self.watermark.at,
            walk="changes" if self.low is not None else "all",
            started=self.started,
            low=self.low,
            last=self.last,
            seen=self.seen,
            there=self.there,
        )


def progress_of(watermark: Watermark) -> Progress:
    """The progress between two walks."""
    return _texts(watermark=watermark.at)


def watermark_in(progress: Progress | None) -> Watermark:
    """The watermark a stored progress holds; none when it holds none that can be read."""
    return Watermark(instant_in(progress, "watermark"))


def walk_in(progress: Progress | None) -> Walk | None:
    """The walk that a stored progress stands in the middle of, or None. One that cannot be read is begun anew."""
    started, low = instant_in(progress, "started"), instant_in(progress, "low")
    if progress is None or started is None or progress.get("walk") != ("changes" if low else "all"):
        return None
    seen = instant_in(progress, "seen")
    there = instant_in(progress, "there")
    return Walk(started, low, progress.get("last", ""), seen, watermark_in(progress), there)


def instant_in(progress: Mapping[str, str] | None, name: str) -> datetime | None:
    """An instant that a stored progress holds, in UTC; None when absent or unreadable."""
    try:
        at = datetime.fromisoformat((progress or {}).get(name, ""))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


def _texts(**parts: datetime | str | None) -> dict[str, str]:
    return {name: part.isoformat() if isinstance(part, datetime) else part for name, part in parts.items() if part}
