"""Progress never runs ahead of what was read, whatever the clocks, the index and the killer do (reliability G12)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hubspot.leads import Leads
from connectors.hubspot.mapping import Fields
from connectors.watermark import Walk, Watermark, instant_in, progress_of, walk_in, watermark_in
from leadbridge import clock
from tests.helpers.rooms import configuration

IDS = 4
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOKBACK = timedelta(minutes=10)

instants = st.integers(-(10**6), 10**6).map(lambda seconds: T0 + timedelta(seconds=seconds))
maybe = st.none() | instants


@given(maybe, maybe, instants, st.integers(0, 10**5), maybe)
def test_a_watermark_never_goes_back_and_never_past_the_start(
    at: datetime | None, seen: datetime | None, started: datetime, took: int, there: datetime | None
) -> None:
    before = Watermark(at)
    after = before.advanced(seen_up_to=seen, started=started, took=timedelta(seconds=took), there=there)
    if seen is None and there is None:
        assert after == before
    if at is not None:
        assert after.at is not None
        assert after.at >= at
    if after != before:
        assert after.at is not None
        assert after.at <= started
        assert any(stood is not None and after.at <= stood for stood in (seen, there))


@given(st.builds(Walk, instants, maybe, st.integers(0, 10**12).map(str), maybe, st.builds(Watermark, maybe), maybe))
def test_a_walk_comes_back_from_the_store_as_it_went_in(walk: Walk) -> None:
    assert walk_in(walk.progress()) == walk
    assert watermark_in(walk.progress()) == walk.watermark


@given(st.builds(Watermark, maybe))
def test_between_walks_there_is_no_walk(watermark: Watermark) -> None:
    progress = progress_of(watermark)
    assert walk_in(progress) is None
    assert watermark_in(progress) == watermark


@pytest.mark.parametrize("text", ["", "soon", "2026-03-01", "2026-03-01T12:00:00", "9"])
def test_unreadable_progress_is_begun_anew(text: str) -> None:
    progress = {"watermark": text, "started": text, "low": text, "walk": "changes"}
    assert instant_in(progress, "watermark") is None
    assert walk_in(progress) is None
    assert watermark_in(progress) == Watermark()


# --- against a vendor that does its worst ----------------------------------------------------------------------------


class Vendor:
    """Answers like HubSpot, one row a page, from an index that lags; its clock is not ours, and it may tell it."""

    def __init__(self, skew: timedelta, *, tells: bool = False) -> None:
        self.skew, self.tells = skew, tells
        self.now = T0
        self.versions: dict[int, list[tuple[datetime, datetime, str]]] = {}  # id: (modified, visible from, value)

    def edit(self, record_id: int, value: str, lag: timedelta) -> None:
        self.versions.setdefault(record_id, []).append((self.now + self.skew, self.now + lag, value))

    def vendor_now(self) -> datetime | None:
        return self.now + self.skew if self.tells else None

    def row(self, record_id: int, modified: datetime, value: str) -> dict[str, Any]:
        stamp = modified.isoformat(timespec="milliseconds")
        return {"id": str(record_id), "properties": {"lastmodifieddate": stamp, "jobtitle": value}}

    def page(self, rows: list[dict[str, Any]], after: str) -> dict[str, Any]:
        paging = {"paging": {"next": {"after": after}}} if len(rows) > 1 else {}
        return {"results": rows[:1]} | paging

    def ask(self, operation: str, shape: Any, **given: Any) -> Any:
        return shape.model_validate(getattr(self, operation.replace(".", "_"))(**given))

    def contacts_list(self, query: list[tuple[str, str]]) -> dict[str, Any]:
        after = int(dict(query).get("after", "0"))
        rows = [self.row(one, all_[-1][0], all_[-1][2]) for one, all_ in sorted(self.versions.items()) if one >= after]
        return self.page(rows, rows[1]["id"] if len(rows) > 1 else "")

    def contacts_search(self, body: Mapping[str, Any]) -> dict[str, Any]:
        filters = {one["propertyName"]: one["value"] for one in body["filterGroups"][0]["filters"]}
        low, last = int(filters["lastmodifieddate"]), int(filters["hs_object_id"])
        rows = []
        for record_id, versions in sorted(self.versions.items()):
            visible = [one for one in versions if one[1] <= self.now]
            if visible and record_id > last and int(visible[-1][0].timestamp() * 1000) >= low:
                rows.append(self.row(record_id, visible[-1][0], visible[-1][2]))
        return self.page(rows, "1")

    def contacts_batch_read(self, body: Mapping[str, Any]) -> dict[str, Any]:
        ids = [int(one["id"]) for one in body["inputs"]]
        return {"results": [self.row(one, self.versions[one][-1][0], self.versions[one][-1][2]) for one in ids]}


ids = st.integers(1, IDS)
lags = st.sampled_from([0, 1, 300, 599]).map(lambda seconds: timedelta(seconds=seconds))  # less than the lookback
spans = st.sampled_from([1, 599, 1200]).map(lambda seconds: timedelta(seconds=seconds))
edits = st.tuples(st.just("edit"), ids, lags)
# One pull: what happens after each of its pages. Killed when the list ends before the pages do.
pages = st.lists(st.tuples(spans, st.lists(st.tuples(ids, lags), max_size=1)), max_size=6)
steps = st.lists(st.one_of(edits, st.tuples(st.just("wait"), spans), st.tuples(st.just("pull"), pages)), max_size=6)


class Story:
    """A vendor, a room that pulls from it, and what was stored."""

    def __init__(self, skew: timedelta, *, tells: bool) -> None:
        self.vendor = Vendor(skew, tells=tells)
        fields = Fields(configuration("http://127.0.0.1:1", fields={"job_title": {"hubspot": "jobtitle"}}))
        self.leads = Leads(self.vendor, fields, LOOKBACK)  # type: ignore[arg-type]  # all it does is ask
        self.stored: dict[str, Any] = {}
        self.progress: Mapping[str, str] | None = None
        self.count = 0
        for record_id in range(1, IDS + 1):
            self.edit(record_id)

    def edit(self, record_id: int, lag: timedelta = timedelta(0)) -> None:
        self.count += 1
        self.vendor.edit(record_id, f"edit {self.count}", lag)

    def pull(self, meanwhile: Iterator[tuple[timedelta, list[tuple[int, timedelta]]]]) -> None:
        """Page by page; after each, time passes and edits happen. Killed when there is nothing more to happen."""
        for page in self.leads.pull(self.progress, full=False):
            self.stored.update({lead.ref.record_id: lead.attributes["job_title"] for lead in page.rows})
            self.progress = page.progress
            happening = next(meanwhile, None)
            if happening is None:
                return
            self.vendor.now += happening[0]
            for record_id, lag in happening[1]:
                self.edit(record_id, lag)

    def pull_in_peace(self) -> None:
        self.pull(iter([(timedelta(0), [])] * 100))

    def missed(self) -> dict[str, str]:
        true = {str(one): versions[-1][2] for one, versions in self.vendor.versions.items()}
        return {one: value for one, value in true.items() if self.stored.get(one) != value}


@contextmanager
def story(skew: timedelta = timedelta(0), *, tells: bool = False) -> Iterator[Story]:
    told = Story(skew, tells=tells)
    clock.set_source(lambda: told.vendor.now)
    try:
        yield told
    finally:
        clock.set_source(None)


def test_a_change_the_index_shows_late_is_found() -> None:
    with story() as told:
        told.pull_in_peace()
        told.vendor.now += timedelta(hours=1)
        told.edit(3)
        told.pull_in_peace()  # record 1 is out of the window now
        told.vendor.now += timedelta(hours=1)
        told.edit(1, lag=timedelta(seconds=599))
        told.vendor.now += timedelta(seconds=30)
        told.edit(2)
        told.pull_in_peace()
        told.vendor.now += LOOKBACK
        told.pull_in_peace()
        assert told.missed() == {}


def test_an_edit_behind_a_long_walk_is_found() -> None:
    with story() as told:
        hour = timedelta(hours=1)
        told.pull(iter([(hour, [(1, timedelta(0))]), (hour, [(3, timedelta(0))]), *[(timedelta(0), [])] * 9]))
        told.pull_in_peace()
        assert told.missed() == {}


def test_an_edit_behind_a_long_walk_is_found_although_the_vendors_clock_is_behind_ours() -> None:
    with story(skew=-timedelta(hours=5)) as told:
        hour = timedelta(hours=1)
        told.pull(iter([(hour, [(1, timedelta(0))]), (hour, [(3, timedelta(0))]), *[(timedelta(0), [])] * 9]))
        told.pull_in_peace()
        assert told.missed() == {}


@settings(max_examples=200)
@given(steps, st.integers(-7200, 7200).map(lambda seconds: timedelta(seconds=seconds)), st.booleans())
def test_no_change_is_missed_by_a_pull_that_is_killed_anywhere(
    steps: list[tuple[Any, ...]], skew: timedelta, tells: bool
) -> None:
    """Vendor clock up to two hours off ours, index behind by less than the lookback, edits while we read."""
    with story(skew, tells=tells) as told:
        for what, *how in steps:
            if what == "edit":
                told.edit(*how)
            elif what == "wait":
                told.vendor.now += how[0]
            else:
                told.pull(iter(how[0]))
        told.vendor.now += LOOKBACK
        told.pull_in_peace()
        assert told.missed() == {}
