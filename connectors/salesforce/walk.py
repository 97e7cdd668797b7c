"""Walking through the rows of one object: all of them, or those changed since (vendors/salesforce.md, 3.1, 3.3, 3.5).

A walk of changes goes by the stamp and in the order of ids: ids never change, so a walk that was interrupted goes on
where it stood, whatever was edited meanwhile and however many rows share one stamp. Its watermark is what the object's
change feed called covered at some time before the first row: it stops before any transaction still open, where the
stamp alone would pass over rows that commit late.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from simple_salesforce import Salesforce as Library

from connectors.base import Progress
from connectors.salesforce.auth import Api
from connectors.salesforce.describe import Objects
from connectors.salesforce.soql import Where, by_ids, number, select
from connectors.salesforce.wire import (
    FIELD_FAULTS,
    VENDOR,
    Counts,
    Covered,
    Deleted,
    Job,
    Problem,
    QueryAnswer,
    Refused,
    flat,
    shaped,
)
from connectors.values import moment
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing, RetryLater

log = logs.logger(__name__)

FEED_REACH = timedelta(days=29)
"""A change feed goes thirty days back at most."""

BIN_REACH = timedelta(days=14)
"""The feed of deletions goes fifteen days back at most."""

SHORTEST_FEED = timedelta(minutes=3)
"""The two ends of a feed must lie more than a minute apart, and seconds are not looked at."""

STAMP = "SystemModstamp"
"""What a walk of changes goes by, in all objects but those that only grow."""

PAGE = 2_000
"""Rows of a page of a query, the most there are."""

BULK_PAGE = 5_000
FIRST_POLL, LONGEST_POLL, LONGEST_JOB = 1.0, 20.0, 3600.0

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one walk stands. Small enough to be stored with every page."""

    covered: datetime  # the watermark it will leave
    low: datetime | None = None  # None: everything
    last: str = ""  # last id read
    job: str = ""  # bulk job that reads, and the place in its results
    locator: str = ""

    def progress(self) -> Progress:
        low = self.low.isoformat() if self.low else ""
        texts = {"covered": self.covered.isoformat(), "low": low, "last": self.last, "job": self.job,
                 "locator": self.locator}  # fmt: skip
        return {name: text for name, text in texts.items() if text}


def stand_in(progress: Progress | None) -> Stand | None:
    """The walk a stored progress stands in the middle of, or None."""
    covered = instant_in(progress, "covered")
    if progress is None or covered is None:
        return None
    words = (progress.get(name, "") for name in ("last", "job", "locator"))
    return Stand(covered, instant_in(progress, "low"), *words)


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of rows, and where the walk then stands; None: at its end."""

    rows: Sequence[Row]
    stand: Stand | None


class Walks:
    """Reads rows of one org."""

    def __init__(self, api: Api, objects: Objects, lookback: timedelta, bulk_above: int) -> None:
        self._api = api
        self._objects = objects
        self._lookback = lookback
        self._bulk_above = bulk_above

    def covered(self, kind: str, at: datetime | None) -> tuple[datetime, bool]:
        """Up to when all changes of an object can be read, and whether there may be any since `at`."""
        now = clock.now()
        if not self._objects.replicates(kind):
            return now - timedelta(minutes=1), True
        start = max(now - FEED_REACH, min((at or now) - self._lookback, now - SHORTEST_FEED))
        try:
            feed = self._feed(kind, start, now)
        except Refused as refused:
            if "EXCEEDED_ID_LIMIT" not in refused.codes:
                raise
            feed = self._feed(kind, now - SHORTEST_FEED, now)  # more than 600,000 changes: only the watermark is wanted
            return moment(feed.latest) or start, True
        return moment(feed.latest) or start, at is None or at < start or bool(feed.ids)

    def _feed(self, kind: str, start: datetime, end: datetime) -> Covered:
        return self._api.ask(
            f"updated.{kind}",
            lambda library: getattr(library, kind).updated(start, end),
            lambda answer: shaped(Covered, answer),
        )

    def deleted(self, kind: str, at: datetime) -> tuple[list[str], bool]:
        """Ids of rows deleted since, even those no longer in the recycle bin (section 3.3); and are these all?"""
        now = clock.now()
        start = max(now - BIN_REACH, min(at - self._lookback, now - SHORTEST_FEED))
        feed: Deleted = self._api.ask(
            f"deleted.{kind}",
            lambda library: getattr(library, kind).deleted(start, now),
            lambda answer: shaped(Deleted, answer),
        )
        earliest = moment(feed.earliest)
        return [one.id for one in feed.deleted], at >= (start if earliest is None else max(start, earliest))

    # --- by query ----------------------------------------------------------------------------------------------------

    def pages(
        self,
        operation: str,
        kind: str,
        columns: Sequence[str],
        stand: Stand,
        *tests: Where,
        deleted: bool = True,
        stamp: str = STAMP,
    ) -> Iterator[Rows]:
        """The walk from `stand` on, page by page; at least one page comes. `deleted`: rows of the recycle bin too."""
        following: str | None = None
        while True:
            try:
                if following is None:
                    query = select(columns, kind, *tests, *_since(stand, stamp), order=["Id"])
                    answer = self._query(operation, query, deleted)
                else:
                    answer = self._next(operation, following)
            except Refused as refused:
                if "INVALID_QUERY_LOCATOR" in refused.codes and following is not None:
                    following = None  # the cursor is two days old: ask anew from where we stand
                    continue
                self._believe_no_more(refused)
                raise
            rows = [flat(raw) for raw in answer.records]
            if answer.done or answer.following is None:
                yield Rows(rows, None)
                return
            following = answer.following
            stand = replace(stand, last=max([row["Id"] for row in rows], default=stand.last))
            yield Rows(rows, stand)

    def number(self, operation: str, kind: str, *tests: Where) -> int:
        """How many live rows there are where all tests hold."""
        return self._query(operation, number(kind, *tests), False).total

    def of(
        self, operation: str, kind: str, columns: Sequence[str], field: str, ids: Sequence[str], *tests: Where
    ) -> Iterator[list[Row]]:
        """Pages of the rows whose `field` is one of these ids, those of the recycle bin too."""
        for query in by_ids(columns, kind, field, ids, *tests):
            try:
                answer = self._query(operation, query, True)
                yield [flat(raw) for raw in answer.records]
                while answer.following is not None and not answer.done:
                    answer = self._next(operation, answer.following)
                    yield [flat(raw) for raw in answer.records]
            except Refused as refused:
                self._believe_no_more(refused)
                raise

    def _query(self, operation: str, query: str, deleted: bool) -> QueryAnswer:
        def call(library: Library) -> object:
            return library.query(query, include_deleted=deleted, headers={"Sforce-Query-Options": f"batchSize={PAGE}"})

        return self._api.ask(operation, call, lambda answer: shaped(QueryAnswer, answer))

    def _next(self, operation: str, address: str) -> QueryAnswer:
        return self._api.ask(
            operation,
            lambda library: library.query_more(address, identifier_is_url=True),
            lambda answer: shaped(QueryAnswer, answer),
        )

    def _believe_no_more(self, refused: Refused) -> None:
        if refused.codes & FIELD_FAULTS:
            self._objects.forget()
            problem = f"a field is gone or hidden since we looked; looked at anew the next time: {refused.problem}"
            raise RetryLater(VENDOR, refused.operation, problem, status=refused.status) from None

    # --- in bulk -----------------------------------------------------------------------------------------------------

    def everything(
        self, operation: str, kind: str, columns: Sequence[str], stand: Stand, *tests: Where, stamp: str = STAMP
    ) -> Iterator[Rows]:
        """A walk of everything: in bulk when there are many rows, else by query. Live rows only."""
        if not stand.job and not stand.last and self._count(kind) > self._bulk_above:
            try:
                stand = replace(stand, job=self._job(operation, select(columns, kind, *tests, *_since(stand, stamp))))
            except (Refused, FeatureMissing) as refused:  # not every object is supported
                log.info("not read in bulk", vendor=VENDOR, object=kind, why=refused.problem)
            else:
                yield Rows((), stand)  # a job outlives us: whoever goes on finds it
        if stand.job:
            try:
                yield from self._results(operation, stand)
            except Refused as refused:  # it failed, or is older than seven days
                log.warning("bulk job left, reading by query", vendor=VENDOR, object=kind, why=refused.problem)
                stand = replace(stand, job="", locator="")
            else:
                return
        yield from self.pages(operation, kind, columns, stand, *tests, deleted=False, stamp=stamp)

    def _count(self, kind: str) -> int:
        """About how many rows an object has; without rows it is left out."""
        found = self._api.ask(
            "limits.recordCount",
            lambda library: library.restful("limits/recordCount", params={"sObjects": kind}),
            lambda answer: shaped(Counts, answer),
        )
        return sum(one.count for one in found.counts if one.name == kind)

    def _job(self, operation: str, query: str) -> str:
        body = {"operation": "query", "query": query, "contentType": "CSV", "columnDelimiter": "COMMA",
                "lineEnding": "LF"}  # fmt: skip
        return self._api.ask(
            f"{operation}.bulk",
            lambda library: library.restful("jobs/query", method="POST", json=body),
            lambda answer: shaped(Job, answer),
        ).id

    def _results(self, operation: str, stand: Stand) -> Iterator[Rows]:
        until_done(self._api, f"{operation}.bulk", f"jobs/query/{stand.job}")
        while True:
            params = {"maxRecords": str(BULK_PAGE)} | ({"locator": stand.locator} if stand.locator else {})
            response = self._api.raw(f"{operation}.bulk", "GET", f"jobs/query/{stand.job}/results", params=params)
            rows = from_csv(response.content)
            locator = response.headers.get("Sforce-Locator", "null")
            if locator == "null" or not locator:
                yield Rows(rows, None)
                return
            stand = replace(stand, locator=locator)
            yield Rows(rows, stand)


def until_done(
    api: Api,
    operation: str,
    path: str,
    *,
    longest: float = LONGEST_JOB,
    meanwhile: Callable[[], None] = lambda: None,
) -> Job:
    """Wait for a bulk job to complete, and call `meanwhile` about every second.

    Raises Refused when it fails, RetryLater when it takes more than `longest` seconds or we stop.
    """
    began, pause = api.pace.ticks(), FIRST_POLL
    while True:
        job: Job = api.ask(operation, lambda library: library.restful(path), lambda answer: shaped(Job, answer))
        if job.state == "JobComplete":
            return job
        if job.state in ("Failed", "Aborted"):
            raise Refused(operation, [Problem(message=f"the bulk job is {job.state}: {job.error}")], 400)
        asked_next = api.pace.ticks() + pause
        while (rest := asked_next - api.pace.ticks()) > 0:
            if api.pace.stop.is_set() or api.pace.ticks() - began > longest:
                raise RetryLater(VENDOR, operation, f"the bulk job is not done yet ({job.state})")
            api.pace.wait(min(rest, FIRST_POLL))
            meanwhile()
        pause = min(pause * 1.5, LONGEST_POLL)


def from_csv(content: bytes) -> list[Row]:
    """The rows of a page of results. Each page has a header of its own; an empty cell is null."""
    lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    return [{name: cell for name, cell in line.items() if name and cell} for line in lines]


def _since(stand: Stand, stamp: str) -> list[Where]:
    low = [Where(stamp, ">=", stand.low)] if stand.low is not None else []
    return [*low, *([Where("Id", ">", stand.last)] if stand.last else [])]
