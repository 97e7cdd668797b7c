"""Pulling activity (vendors/hubspot.md section 9).

Two ways of reading: *parts* (event types, forms, spans of time), each paged by a token of HubSpot's, all under one
start; and the *walk* through what changed, for meetings and calls, which are CRM records.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from connectors.base import Page, Progress
from connectors.hubspot import activities
from connectors.hubspot.activities import CALLS, EMAIL, ENGAGEMENT_PROPERTIES, EVENTS, FORMS, MEETINGS
from connectors.hubspot.auth import Api
from connectors.hubspot.search import changed
from connectors.hubspot.wire import BatchAnswer, Id, Listing, Paging, Refused, Shape, row
from connectors.values import moment
from connectors.watermark import Walk, instant_in, walk_in, watermark_in
from leadbridge import clock
from leadbridge.types import Activity

EVENTS_LATE = timedelta(days=1)
"""Events may arrive this late, so each pull reads this far back (section 9)."""

EMAIL_LATE = timedelta(hours=1)
EMAIL_SPAN = timedelta(days=30)
"""One question for e-mail events covers this long, so that a first pull stores its progress often."""


class EmailListing(Shape):
    """A page of legacy e-mail events."""

    events: list[dict[str, Any]]
    has_more: bool = Field(False, alias="hasMore")
    offset: str = ""


class Form(Shape):
    id: Id
    name: str = ""


class End(Shape):
    id: Id


class Associated(Shape):
    to: Id = Field(alias="toObjectId")  # a number in v4, text in 2026-09 (section 7)


class AssociationRow(Shape):
    origin: End = Field(alias="from")
    to: list[Associated] = Field(default_factory=list)
    paging: Paging | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a pull by parts stands."""

    started: datetime
    low: datetime
    part: str = ""
    after: str = ""

    def progress(self, at: datetime | None) -> Progress:
        texts = {"started": self.started, "low": self.low, "at": at}
        found = {name: value.isoformat() for name, value in texts.items() if value is not None}
        return found | {"part": self.part, "after": self.after}


def _place_in(progress: Progress | None) -> _Place | None:
    """The place that a stored progress stands at in the middle of a round, or None."""
    started, low = instant_in(progress, "started"), instant_in(progress, "low")
    if progress is None or started is None or low is None:
        return None
    return _Place(started, low, progress.get("part", ""), progress.get("after", ""))


@dataclass(frozen=True, slots=True)
class _Rows:
    """One page of one part: activities or the reasons why there is none, and where the next page begins."""

    rows: Sequence[Activity | str]
    after: str | None


Fetch = Callable[[str, str, datetime], _Rows]
"""(part, token of the page or "", earliest instant wanted) to one page."""


class Streams:
    """Reads one account's activity."""

    def __init__(self, api: Api, sources: Sequence[str], *, history: timedelta, lookback: timedelta) -> None:
        self._api = api
        self._sources = tuple(sources)
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
                return self._by_parts(progress, EMAIL_LATE, self._email_spans, self._email_events)
            case "meetings" | "calls":
                return self._engagements(stream, progress)
        raise ValueError(f"HubSpot has no source {stream!r}; there are {EVENTS}, {FORMS}, {EMAIL}, {MEETINGS}, {CALLS}")

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
        """The parts from `place` on. Until all are read, progress holds `at`, the start of the last whole round."""
        todo = [part for part in parts if part >= place.part]
        whole: Progress = {"at": place.started.isoformat()}
        for n, part in enumerate(todo):
            following = todo[n + 1] if n + 1 < len(todo) else None
            after: str | None = place.after if part == place.part else ""
            while after is not None:
                found = self._page(fetch, part, after, place.low)
                after = found.after or None
                if after is not None:
                    stand = replace(place, part=part, after=after).progress(at)
                else:
                    stand = whole if following is None else replace(place, part=following, after="").progress(at)
                yield _page(found.rows, stand)
        if not todo:
            yield Page((), whole)

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
        return sorted(one for one in types if not activities.events_left_out(one, self._sources))

    def _events(self, event_type: str, after: str, low: datetime) -> _Rows:
        query = [("eventType", event_type), ("occurredAfter", _iso(low)), ("limit", "100")]
        listing = self._api.ask("events.list", Listing, query=[*query, *([("after", after)] if after else [])])
        events = [row(activities.Event, raw) for raw in listing.results]
        return _Rows([activities.from_event(one) if one else "unreadable event" for one in events], listing.after)

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

    def _email_spans(self, place: _Place) -> Sequence[str]:
        """Starts of the spans from `low` to the start of the pull."""
        spans: list[str] = []
        at = place.low
        while at < place.started or not spans:
            spans.append(_iso(at))
            at += EMAIL_SPAN
        return spans

    def _email_events(self, span: str, after: str, _: datetime) -> _Rows:
        begin = datetime.fromisoformat(span)
        query = [
            ("startTimestamp", _ms(begin)),
            ("endTimestamp", _ms(begin + EMAIL_SPAN)),
            ("limit", "1000"),
            *([("offset", after)] if after else []),
        ]
        listing = self._api.ask("email.events", EmailListing, query=query)
        events = [row(activities.EmailEvent, raw) for raw in listing.events]
        rows = [activities.from_email_event(one) if one else "unreadable e-mail event" for one in events]
        return _Rows(rows, listing.offset if listing.has_more and listing.offset else None)

    # --- meetings and calls ------------------------------------------------------------------------------------------

    def _engagements(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        """Everything logged or edited since; an interrupted walk is ended first, and then brought up to date."""
        walk = walk_in(progress)
        if walk is not None:
            for page in self._walk(stream, walk):
                progress = page.progress
                yield page
        now, watermark = clock.now(), watermark_in(progress)
        low = watermark.at - self._lookback if watermark.at else now - self._history
        yield from self._walk(stream, Walk(now, low, watermark=watermark))

    def _walk(self, stream: str, walk: Walk) -> Iterator[Page[Activity]]:
        properties = ENGAGEMENT_PROPERTIES[stream]
        for hits in changed(self._api, f"{stream}.search", "hs_lastmodifieddate", properties, walk):
            contacts = self._contacts(stream, [record.id for record in hits.records])
            found: list[Activity | str] = []
            for record in hits.records:
                translated = activities.from_engagement(stream, record, contacts.get(record.id, ()))
                found += [translated] if isinstance(translated, str) else translated
            yield _page(found, hits.progress, hits.skipped)

    def _contacts(self, stream: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """Contacts of each record; one without any is missing here and listed among the errors (section 7)."""
        found: dict[str, list[str]] = {}
        inputs = [{"id": one} for one in ids]
        while inputs:
            answer = self._api.ask(f"{stream}.contacts", BatchAnswer, body={"inputs": inputs})
            inputs = []
            for raw in answer.results:
                one = row(AssociationRow, raw)
                if one is None:
                    continue
                known = found.setdefault(one.origin.id, [])
                known += [end.to for end in one.to if end.to not in known]
                if one.paging and one.paging.next:
                    inputs.append({"id": one.origin.id, "after": one.paging.next.after})
        return found


class EventTypes(Shape):
    types: list[str] = Field(alias="eventTypes")


def _page(rows: Sequence[Activity | str], progress: Progress, skipped: Counter[str] | None = None) -> Page[Activity]:
    reasons = Counter(one for one in rows if isinstance(one, str))
    return Page([one for one in rows if not isinstance(one, str)], progress, +(reasons + (skipped or Counter())))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))
