"""Pulling activity (vendors/hubspot.md section 9).

Two ways of reading: *parts* (event types, forms, lists, spans of time), each paged by a token of HubSpot's, all under
one start; and the walk through what changed, for what people log as CRM records (`logged.py`).
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from pydantic import Field

from connectors.base import Page, Progress
from connectors.hubspot import activities
from connectors.hubspot.activities import EMAIL, EVENTS, FORMS, LISTS
from connectors.hubspot.auth import Api
from connectors.hubspot.engagements import OBJECTS
from connectors.hubspot.logged import Logged, page_of
from connectors.hubspot.wire import Id, Listing, Refused, Shape, row
from connectors.values import moment
from connectors.watermark import instant_in
from leadbridge import clock
from leadbridge.errors import FeatureMissing
from leadbridge.types import Activity

EVENTS_LATE = timedelta(days=1)
"""Events may arrive this late, so each pull reads this far back (section 9)."""

EMAIL_LATE = timedelta(hours=1)

SPAN = timedelta(days=30)
"""One question for e-mail events covers this long: a first pull reads several spans at the same time."""

MANY, SHARES = 150, 6
"""Pages of one event type from which what is left of it is read in so many shares at the same time: pages come one
after another, and each share costs a page that is not full."""

SEAM = timedelta(seconds=1)
"""Spans overlap by this: whether an end belongs to what is asked for is said nowhere, and repeats do no harm."""

LISTS_REST = timedelta(days=1)
"""Lists say nothing of what is new on them, so each is read whole, and not more often than this."""

AT_ONCE = 10
"""Parts read at the same time. HubSpot's limit bounds the calls; one at a time, its distance would."""

ENOUGH = 1000
"""Rows that are handed over together once they are here: what the store does once a page is spread over more of them,
and what it does a row keeps nobody waiting for long."""

CONTACTS = "0-1"  # object type id
BY_PARTS = (EVENTS, FORMS, EMAIL, LISTS)


class EmailListing(Shape):
    """A page of legacy e-mail events."""

    events: list[dict[str, Any]]
    has_more: bool = Field(False, alias="hasMore")
    offset: str = ""


class Form(Shape):
    id: Id
    name: str = ""


class ListRow(Shape):
    """A list of records of one type."""

    id: Id = Field(alias="listId")
    name: str = ""
    object_type: str = Field("", alias="objectTypeId")


class ListsPage(Shape):
    lists: list[dict[str, Any]]
    has_more: bool = Field(False, alias="hasMore")
    offset: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a pull by parts stands."""

    started: datetime
    low: datetime
    begun: str = ""  # the last part begun, in their order; "": none
    open: Mapping[str, str] = field(default_factory=dict)  # of those begun, the ones not yet read to their end: the
    # token of the page to read next, "" for the first

    def progress(self, at: datetime | None) -> Progress:
        texts = {"started": self.started, "low": self.low, "at": at}
        found = {name: value.isoformat() for name, value in texts.items() if value is not None}
        return found | {"begun": self.begun, "open": json.dumps(dict(self.open))}


def _place_in(progress: Progress | None) -> _Place | None:
    """The place that a stored progress stands at in the middle of a round, or None."""
    started, low = instant_in(progress, "started"), instant_in(progress, "low")
    if progress is None or started is None or low is None or "open" not in progress:
        return None
    return _Place(started, low, progress.get("begun", ""), json.loads(progress["open"]))


@dataclass(frozen=True, slots=True)
class _Rows:
    """One page of one part: activities or the reasons why there is none, and where the next page begins; or what the
    part is to be read in instead: a name of it and a space lead each name there.
    """

    rows: Sequence[Activity | str]
    after: str | None
    instead: Sequence[str] = ()


Fetch = Callable[[str, str, datetime], _Rows]
"""(part, token of the page or "", earliest instant wanted) to one page."""


class Streams:
    """Reads one account's activity."""

    def __init__(
        self, api: Api, sources: Sequence[str], lists: Sequence[str], *, history: timedelta, lookback: timedelta
    ) -> None:
        self._api = api
        self.sources = tuple(sources)
        self._wanted_lists = tuple(lists)
        self._lock = threading.Lock()
        self._has_events: bool | None = None
        self._logged = Logged(api, history=history, lookback=lookback)
        self._history = history
        self._lookback = lookback

    def pull(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        """See `Crm.pull_activities`."""
        match stream:
            case "events":
                return self._by_parts(progress, EVENTS_LATE, self._event_types, self._events)
            case "forms":
                return self._forms(progress)
            case "email_events":
                return self._by_parts(progress, EMAIL_LATE, _spans, self._email_events)
            case "lists":
                return self._lists(progress)
        if stream in OBJECTS:
            return self._logged.pull(stream, progress)
        raise ValueError(f"HubSpot has no source {stream!r}; there are {', '.join([*BY_PARTS, *OBJECTS])}")

    def look(self) -> None:
        """See once whether the account has event occurrences, if they are to be read at all."""
        with self._lock:
            if EVENTS in self.sources and self._has_events is None:
                try:
                    self._api.ask("events.types", EventTypes)
                except FeatureMissing:
                    self._has_events = False
                else:
                    self._has_events = True

    @property
    def told(self) -> frozenset[str]:
        """The configured sources without those that the account is known to lack."""
        return frozenset(self.sources) - ({EVENTS} if self._has_events is False else frozenset())

    # --- by parts ----------------------------------------------------------------------------------------------------

    def _by_parts(
        self,
        progress: Progress | None,
        late: timedelta,
        parts_since: Callable[[_Place], Sequence[str]],
        fetch: Fetch,
    ) -> Iterator[Page[Activity]]:
        """All parts in their order; a round that was interrupted is ended first, and then brought up to date.

        What arrives while we read is in the next round: that one begins before this one's start.
        """
        at, place = instant_in(progress, "at"), _place_in(progress)
        if place is not None:
            yield from self._round(place, at, parts_since(place), fetch)
            at = place.started
        now = clock.now()
        place = _Place(now, at - late if at is not None else now - self._history)
        yield from self._round(place, at, parts_since(place), fetch)

    def _round(
        self, place: _Place, at: datetime | None, parts: Sequence[str], fetch: Fetch
    ) -> Iterator[Page[Activity]]:
        """The parts from `place` on, several at the same time, each page by page: pages come as they are answered.

        Until all are read, progress holds `at`, the start of the last whole round.
        """
        begun = place.begun
        standing = {part: token for part, token in place.open.items() if part.partition(" ")[0] in parts}
        todo = deque([*standing, *(part for part in sorted(parts) if part > begun)])
        whole: Progress = {"at": place.started.isoformat()}
        asked: dict[Future[_Rows], str] = {}
        if not todo:
            yield Page((), whole)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="read") as pool:
            while todo or asked:
                while todo and len(asked) < AT_ONCE:
                    part = todo.popleft()
                    begun = max(begun, part)
                    asked[pool.submit(self._page, fetch, part, standing.setdefault(part, ""), place.low)] = part
                rows: list[Activity | str] = []
                for answered in sorted(wait(asked, return_when=FIRST_COMPLETED).done, key=asked.__getitem__):
                    part, found = asked.pop(answered), answered.result()
                    rows += found.rows
                    todo.extend(found.instead)
                    standing.update(dict.fromkeys(found.instead, ""))
                    if found.after:
                        standing[part] = found.after
                        asked[pool.submit(self._page, fetch, part, found.after, place.low)] = part
                    else:
                        del standing[part]
                    if len(rows) >= ENOUGH:
                        break  # the others come with the next page
                here = replace(place, begun=begun, open=standing)
                yield page_of(rows, here.progress(at) if todo or standing else whole)

    def _page(self, fetch: Fetch, part: str, after: str, low: datetime) -> _Rows:
        try:
            return fetch(part, after, low)
        except Refused:
            if not after:
                raise
            return fetch(part, "", low)  # the token is not known any more: begin this part anew, repeats do no harm

    def _event_types(self, _: _Place) -> Sequence[str]:
        """The account's event types, without those another source tells."""
        types = self._api.ask("events.types", EventTypes).types
        return sorted(one for one in types if not activities.events_left_out(one, self.sources))

    def _events(self, part: str, after: str, low: datetime) -> _Rows:
        """Of an event type, or of a share of its time."""
        event_type, _, share = part.partition(" ")
        begin, _, end = share.partition(" ")
        query = [("eventType", event_type), ("occurredAfter", begin or _iso(low)), ("sort", "-occurredAt")]
        query += [(name, text) for name, text in (("occurredBefore", end), ("after", after)) if text]
        listing = self._api.ask("events.list", Listing, query=[*query, ("limit", "100")])
        events = [row(activities.Event, raw) for raw in listing.results]
        rows = [activities.from_event(one) if one else "unreadable event" for one in events]
        if listing.after and not share:
            at = [moment(one.occurred_at) if one else None for one in events]
            edges = pairwise(_shares(low, [one for one in at if one is not None]))
            if instead := [f"{event_type} {_iso(one)} {_iso(other + SEAM)}" for one, other in edges]:
                return _Rows(rows, None, instead)
        return _Rows(rows, listing.after)

    def _forms(self, progress: Progress | None) -> Iterator[Page[Activity]]:
        names: dict[str, str] = {}

        def forms(_: _Place) -> Sequence[str]:
            after: str | None = ""
            while after is not None:
                paging = [("after", after)] if after else []
                listing = self._api.ask("forms.list", Listing, query=[("limit", "100"), *paging])
                names.update((one.id, one.name) for raw in listing.results if (one := row(Form, raw)) is not None)
                after = listing.after
            return sorted(names)

        def submissions(form: str, after: str, low: datetime) -> _Rows:
            """Newest first, without a filter by date: stop at the first one that is old enough."""
            query = [("limit", "50"), *([("after", after)] if after else [])]
            listing = self._api.ask("forms.submissions", Listing, arguments={"form": form}, query=query)
            found: list[Activity | str] = []
            for raw in listing.results:
                one = row(activities.Submission, raw)
                at = moment(one.submitted_at) if one else None
                if at is not None and at < low:
                    return _Rows(found, None)
                found.append(activities.from_submission(one, form, names[form]) if one else "unreadable submission")
            return _Rows(found, listing.after)

        return self._by_parts(progress, self._lookback, forms, submissions)

    def _lists(self, progress: Progress | None) -> Iterator[Page[Activity]]:
        at = instant_in(progress, "at")
        if _place_in(progress) is None and at is not None and clock.now() - at < LISTS_REST:
            return iter(())
        names: dict[str, str] = {}

        def lists(_: _Place) -> Sequence[str]:
            names.update(self._lists_to_read())
            return sorted(names)

        def members(list_id: str, after: str, low: datetime) -> _Rows:
            query = [("limit", "250"), *([("after", after)] if after else [])]
            listing = self._api.ask("lists.memberships", Listing, arguments={"list": list_id}, query=query)
            found: list[Activity | str] = []
            for raw in listing.results:
                one = row(activities.Membership, raw)
                at = moment(one.at) if one else None
                if at is None or at >= low:
                    told = activities.from_membership(one, list_id, names[list_id]) if one else "unreadable membership"
                    found.append(told)
            return _Rows(found, listing.after)

        return self._by_parts(progress, LISTS_REST, lists, members)

    def lists_of_contacts(self) -> list[ListRow]:
        """Every list of contacts the account has."""
        found: list[ListRow] = []
        offset, more = 0, True
        while more:
            body = {"query": "", "count": 100, "offset": offset}
            page = self._api.ask("lists.search", ListsPage, body=body)
            rows = [one for raw in page.lists if (one := row(ListRow, raw)) is not None]
            found += [one for one in rows if one.object_type in ("", CONTACTS)]
            more, offset = page.has_more and page.offset > offset, page.offset
        return found

    def _lists_to_read(self) -> dict[str, str]:
        """Id and name of the lists named in the configuration, or of all."""
        wanted = {one.casefold() for one in self._wanted_lists}
        rows = self.lists_of_contacts()
        return {one.id: one.name for one in rows if not wanted or {one.id, one.name.casefold()} & wanted}

    def _email_events(self, span: str, after: str, _: datetime) -> _Rows:
        begin = datetime.fromisoformat(span)
        query = [
            ("startTimestamp", _ms(begin)),
            ("endTimestamp", _ms(begin + SPAN + SEAM)),
            ("limit", "1000"),
            *([("offset", after)] if after else []),
        ]
        listing = self._api.ask("email.events", EmailListing, query=query)
        events = [row(activities.EmailEvent, raw) for raw in listing.events]
        rows = [activities.from_email_event(one) if one else "unreadable e-mail event" for one in events]
        return _Rows(rows, listing.offset if listing.has_more and listing.offset else None)


class EventTypes(Shape):
    types: list[str] = Field(alias="eventTypes")


def _spans(place: _Place) -> list[str]:
    """Starts of the spans from `low` to the start of the pull."""
    spans: list[str] = []
    at = place.low
    while at < place.started or not spans:
        spans.append(_iso(at))
        at += SPAN
    return spans


def _shares(low: datetime, page: Sequence[datetime]) -> list[datetime]:
    """The edges of equal shares of the time from `low` to the end of this page, where it lets expect many more pages
    and shows that the newest come first; else none.
    """
    if len(page) < 2 or page[0] == page[-1] or list(page) != sorted(page, reverse=True):
        return []
    left, each = page[-1] - low, page[0] - page[-1]
    return [low + left * n / SHARES for n in range(SHARES + 1)] if left > MANY * each else []


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))
