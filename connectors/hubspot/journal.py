"""The webhooks journal: what webhooks failed to tell, read afterwards (vendors/hubspot.md section 12; G13).

An app's own log of changes, in files that are read by offset and kept for three days. It costs none of the account's
calls, and tells what no search does: deletions, merges, privacy deletions. An event of it is turned into the form in
which webhooks tell the same, and is worked as one of theirs.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import urllib3
from pydantic import Field

from connectors.base import Heard, Progress, PropertySpec
from connectors.deliveries.reading import canonical
from connectors.hubspot.auth import Api
from connectors.hubspot.wire import VENDOR, Id, Listing, Shape, parsed
from connectors.values import moment
from connectors.watermark import instant_in
from leadbridge import clock, reach
from leadbridge.call import read_within
from leadbridge.config.connections import HubSpotConnection
from leadbridge.errors import Fault, FeatureMissing, NeedsOperator, RecordRefused, RetryLater

KEPT = timedelta(days=3) - timedelta(hours=1)
"""A place older than this is taken for expired, whatever HubSpot answers: what it answers is told nowhere."""

SUBSCRIPTION = "subscription"
"""Kind of a `PropertySpec` that is none of a property's."""

IN_DELIVERY = 100
MOST_FILES = 10_000
"""Read in one go: more than three days can hold, so that a journal that runs in circles ends."""

_KINDS = {"CREATE": "creation", "UPDATE": "propertyChange", "DELETE": "deletion", "MERGE": "merge",
          "RESTORE": "restore", "GDPR_DELETE": "privacyDeletion", "ASSOCIATION_ADDED": "associationChange",
          "ASSOCIATION_REMOVED": "associationChange"}  # fmt: skip
_ASIS = ("portalId", "objectTypeId", "objectId", "primaryObjectId", "mergedObjectIds", "newObjectId",
         "fromObjectTypeId", "fromObjectId", "toObjectTypeId", "toObjectId")  # fmt: skip
_ASSOCIATION = ["ASSOCIATION_ADDED", "ASSOCIATION_REMOVED"]
_OBJECT = ["CREATE", "UPDATE", "DELETE", "MERGE", "RESTORE"]
_CONTACT, _COMPANY = "0-1", "0-2"


class Entry(Shape):
    """Where a file of the journal lies; no `url`: there is nothing new."""

    url: str = Field("", repr=False)
    offset: Id = Field("", alias="currentOffset")


class File(Shape):
    """A file of the journal. Events stay wild until each is read by itself."""

    events: list[dict[str, Any]] = Field([], alias="journalEvents")
    published: str = Field("", alias="publishedAt")


class Journal:
    """The journal of one app as far as it is about one account."""

    def __init__(
        self,
        app: Api,
        connection: HubSpotConnection,
        portal: Callable[[], str],
        ours: Collection[str],
        companies: Collection[str],
    ) -> None:
        """`app` calls with the app's own token; `portal` names the account; `ours` are properties leadbridge writes,
        `companies` those of companies that it reads."""
        self._app = app
        self._base = urlsplit(connection.base_url)
        self._hosts = tuple(connection.journal_hosts)
        self._portal = cache(portal)
        self._ours = frozenset(ours)
        self._companies = tuple(companies)
        self._files = urllib3.PoolManager(retries=urllib3.Retry(total=False, redirect=False))
        reach.guard(self._files, reach.named(connection.base_url))

    def read(self, progress: Progress | None) -> Iterator[Heard]:
        """See `Crm.pull_told`.

        What may have been missed is told by our clock: all that came since we last stood at the end is in the journal
        unless that is three days ago, whatever HubSpot answers to a place whose file is gone (UNCONFIRMED: 404, or the
        earliest file without a word). Either way the earliest file is where it goes on.
        """
        held = dict(progress or {})
        offset, at = held.get("offset", ""), instant_in(held, "at")
        if at is None:
            entry = self._ask("journal.latest")  # what was before, the first pull reads
        elif clock.now() - at > KEPT:
            yield Heard(_place("", clock.now()), missed="the place in the webhooks journal has expired")
            entry = self._ask("journal.earliest")
        else:
            entry = self._next(offset)
        for _ in range(MOST_FILES):
            if not entry.url:
                break
            offset, file = entry.offset, self._fetch(entry.url)
            yield Heard(_place(offset, moment(file.published) or clock.now()), self._deliveries(file))
            entry = self._next(offset)
        yield Heard(_place(offset, clock.now()))

    def _next(self, offset: str) -> Entry:
        """Where the file after this place lies; the earliest one's, after a place that is not kept any more."""
        try:
            return self._ask("journal.next", offset=offset) if offset else self._ask("journal.earliest")
        except RecordRefused as refused:
            if refused.status not in (400, 404, 410):
                raise
            return self._ask("journal.earliest")

    def _ask(self, operation: str, **arguments: str) -> Entry:
        query = [("installPortalId", self._portal())]
        return self._app.ask(operation, Entry, arguments=arguments, query=query)

    def _fetch(self, url: str) -> File:
        """A file, without showing the storage service our token. Raises NeedsOperator for a host not allowed."""
        there = urlsplit(url)
        if (there.scheme, there.netloc) != (self._base.scheme, self._base.netloc) and not self._may_fetch(there):
            cure = "add its host to connections.hubspot.journal_hosts if it is HubSpot's"
            problem = f"the journal's files are at {there.hostname}, which is not allowed; {cure}"
            raise NeedsOperator(VENDOR, "journal.file", problem)

        def send(seconds: float) -> File:
            answer = self._files.request("GET", url, preload_content=False, timeout=seconds)
            body = read_within(answer, seconds)
            if answer.status != 200:
                problem = f"the storage service answers {answer.status}"  # its address may have expired: ask again
                raise RetryLater(VENDOR, "journal.file", problem, status=answer.status)
            return parsed(File, body)

        return self._app.carry("journal.file", send)

    def _may_fetch(self, there: SplitResult) -> bool:
        host = there.hostname or ""
        if there.scheme != "https" or there.port not in (None, 443) or "@" in there.netloc:
            return False
        return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in self._hosts)

    def _deliveries(self, file: File) -> list[tuple[bytes, int]]:
        events = [found for event in file.events if (found := self._as_webhook(event)) is not None]
        portions = [events[start : start + IN_DELIVERY] for start in range(0, len(events), IN_DELIVERY)]
        return [(canonical(some), len(some)) for some in portions]

    def _as_webhook(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """The event as a webhook tells it; None for what is not of this account, of no interest, or our own doing."""
        kind = _KINDS.get(str(event.get("action")))
        if kind is None or str(event.get("portalId")) != self._portal():
            return None
        told: dict[str, Any] = {name: event[name] for name in _ASIS if event.get(name) is not None}
        told |= {"subscriptionType": f"object.{kind}", "changeSource": "journal"}
        if (at := _ms(event)) is not None:
            told["occurredAt"] = at
        if kind == "propertyChange":
            changed = _changed(event.get("propertyChanges"))
            if changed and changed.keys() <= self._ours:
                return None
            if len(changed) == 1:
                told["propertyName"], value = next(iter(changed.items()))
                told |= {"propertyValue": value} if isinstance(value, str) else {}
            elif changed:  # tells apart two events of one instant
                told["changed"] = sorted(changed)
        return told

    # --- what has to be set up ---------------------------------------------------------------------------------------

    def fault(self) -> Fault | None:
        """What the account says when it is asked for its journal; None when all is well."""
        try:
            self._ask("journal.latest")
        except (FeatureMissing, NeedsOperator) as missing:
            cure = "leave journal_client_id and journal_client_secret out to go without: gaps are then filled by pulls"
            return Fault(0, "connections.hubspot.journal_client_id", missing.problem, cure)
        return None

    def specs(self) -> list[PropertySpec]:
        """The subscriptions that fill the journal: nobody but the app itself can make them, so `apply` does."""
        words = "what of contacts, their companies and their associations is told"
        return [PropertySpec(name, f"webhooks journal: {name}", SUBSCRIPTION, words) for name in self._wanted()]

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        """Those that the journal has not. None where the app has no journal, which `fault` tells."""
        try:
            rows = self._app.ask("journal.subscriptions", Listing).results
        except (FeatureMissing, NeedsOperator):
            return []
        mine = [row for row in rows if str(row.get("portalId")) == self._portal()]
        known = {(row.get("subscriptionType"), row.get("objectTypeId")) for row in mine}
        wanted = self._wanted()
        return [one for one in specs if one.name in wanted and _kind(wanted[one.name]) not in known]

    def subscribe(self, specs: Sequence[PropertySpec]) -> None:
        """Make them. Repeating changes nothing."""
        for spec in self.missing(specs):
            body = self._wanted()[spec.name] | {"portalId": int(self._portal())}
            self._app.ask("journal.subscribe", Shape, body=body)

    def _wanted(self) -> dict[str, dict[str, Any]]:
        def one(type_: str, object_type: str, actions: Sequence[str], **more: Any) -> dict[str, Any]:
            return {"subscriptionType": type_, "objectTypeId": object_type, "actions": list(actions), **more}

        wanted = {
            "contacts": one("OBJECT", _CONTACT, _OBJECT),
            "privacy deletions": one("GDPR_PRIVACY_DELETION", _CONTACT, ["GDPR_DELETE"]),
            "associations": one("ASSOCIATION", _CONTACT, _ASSOCIATION, associatedObjectTypeIds=[_COMPANY]),
        }
        if self._companies:
            wanted["companies"] = one("OBJECT", _COMPANY, ["UPDATE"], properties=list(self._companies))
        return wanted


def _kind(subscription: Mapping[str, Any]) -> tuple[str, str]:
    return subscription["subscriptionType"], subscription["objectTypeId"]


def _place(offset: str, at: datetime) -> Progress:
    return {"offset": offset, "at": at.astimezone(UTC).isoformat()}


def _ms(event: Mapping[str, Any]) -> int | None:
    """The instant of an event: ISO 8601, or milliseconds as webhooks tell it."""
    at = event.get("occurredAt")
    if isinstance(at, int) and not isinstance(at, bool):
        return at
    found = moment(str(at or ""))
    return int(found.timestamp() * 1000) if found else None


def _changed(told: Any) -> dict[str, Any]:
    """Names of what changed, with the values: an object, or a list of `{"name": …, "value": …}`."""
    if isinstance(told, Mapping):
        return dict(told)
    rows = told if isinstance(told, list) else []
    return {str(row["name"]): row.get("value") for row in rows if isinstance(row, Mapping) and "name" in row}
