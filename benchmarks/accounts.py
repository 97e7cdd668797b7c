"""Invented accounts of any size in the sandbox, in a process of their own: what `benchmarks.pull` reads.

People and companies are really in the stand-in. What people did is made up row by row as it is asked for, out of the
row's number: so two million activities take no memory and no time to prepare, and whoever compares knows each of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any, cast, overload

from leadbridge.sandbox.hubspot import HubSpot
from leadbridge.sandbox.hubspot.timeline import Entry
from leadbridge.sandbox.server import Sandbox

FIRST_CONTACT = 1_000_001
COMPANIES, FORMS, LISTS = 2_000, 10, 10
PAST = timedelta(days=175)
TYPES = {"e_visited_page": 0.8, "e_document_shared_v2": 0.15, "e_webinar_watched": 0.05}
MAIL = ("SENT", "OPEN", "CLICK")


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows of each sort an account has."""

    people: int
    events: int
    mail: int
    submissions: int
    members: int

    @property
    def activities(self) -> int:
        return self.events + self.mail + self.submissions + self.members


class Past(Sequence[Entry]):
    """`count` rows evenly over the time from `low` on, each made when it is looked at."""

    def __init__(self, count: int, low: int, row: Callable[[int, int], dict[str, Any]]) -> None:
        self._count, self._low, self._row = count, low, row
        self._step = PAST / timedelta(milliseconds=1) / max(1, count)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(self._count))]
        if not 0 <= place < self._count:
            raise IndexError(place)
        ms = self._low + int(place * self._step)
        return ms, place, self._row(place, ms)


def who(number: int, people: int) -> int:
    """Who did the row of this number: everybody in turn, in no order that a store would like."""
    return number * 7919 % people


def address(person: int) -> str:
    return f"p{person}@c{person % COMPANIES}.example"


def event_id(event_type: str, number: int) -> str:
    return f"{event_type}-{number:07}"


def mail_id(number: int) -> str:
    return f"mail-{number:07}"


def submission_id(form: int, number: int) -> str:
    return f"form-{form:02}-{number:07}"


def of_type(size: Size) -> dict[str, int]:
    """How many events there are of each type."""
    counts = {name: int(size.events * share) for name, share in TYPES.items()}
    counts["e_visited_page"] += size.events - sum(counts.values())
    return counts


def shared_out(whole: int, parts: int) -> list[int]:
    """So many rows in so many parts."""
    return [whole // parts + (part < whole % parts) for part in range(parts)]


def fill(account: HubSpot, size: Size, now: datetime) -> None:
    """Put the account's people into the stand-in, and their past behind them."""
    low = int((now - PAST - timedelta(days=1)).timestamp() * 1000)
    companies = [account.add_company({"name": f"Company {n}", "numberofemployees": str(5 + n % 900)})
                 for n in range(COMPANIES)]  # fmt: skip
    born = now - timedelta(days=400)
    contacts = [
        account.add_contact(
            {"email": address(n), "jobtitle": f"Engineer {n % 500}"}, company_id=companies[n % COMPANIES],
            created_at=born, modified_at=now - timedelta(days=2) - timedelta(seconds=n),
        )
        for n in range(size.people)
    ]  # fmt: skip
    state = account.state

    def event_of(event_type: str) -> Callable[[int, int], dict[str, Any]]:
        return lambda number, ms: {
            "objectType": "CONTACT", "objectId": contacts[who(number, size.people)], "eventType": event_type,
            "occurredAt": _iso(ms), "id": event_id(event_type, number),
            "properties": {"hs_url": f"https://shop.example/page/{number % 300}", "hs_page_title": "A page",
                           "hs_visit_source": "ORGANIC_SEARCH"},
        }  # fmt: skip

    for event_type, count in of_type(size).items():
        state.events[event_type] = _rows(Past(count, low, event_of(event_type)))
    state.email_events = _rows(Past(size.mail, low, lambda number, ms: _mail(number, ms, size.people)))
    for form, count in enumerate(shared_out(size.submissions, FORMS)):
        guid = account.add_form(f"Form {form}")
        state.submissions[guid] = _rows(Past(count, low, _submission_of(form, size.people)))
    for part, count in enumerate(shared_out(size.members, LISTS)):
        joined = {contacts[n]: low + n for n in range(part * count % size.people, part * count % size.people + count)}
        state.members[account.add_list(f"List {part}")] = joined


def _rows(past: Past) -> list[Entry]:
    """The stand-in reads its rows by place and never changes these."""
    return cast("list[Entry]", past)


def _mail(number: int, ms: int, people: int) -> dict[str, Any]:
    campaign = number // (3 * people)
    return {
        "id": mail_id(number), "created": ms, "type": MAIL[number % 3], "recipient": address(who(number // 3, people)),
        "portalId": 62515, "appId": 54321, "appName": "Batch", "emailCampaignId": campaign, "filteredEvent": False,
        "url": f"https://shop.example/offer/{campaign}", "subject": f"Offer {campaign}", "deviceType": "COMPUTER",
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    }  # fmt: skip


def _submission_of(form: int, people: int) -> Callable[[int, int], dict[str, Any]]:
    return lambda number, ms: {
        "conversionId": submission_id(form, number), "submittedAt": ms,
        "values": [{"name": "email", "value": address(who(number, people)), "objectTypeId": "0-1"}],
        "pageUrl": f"https://shop.example/form/{form}",
    }  # fmt: skip


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def expected(size: Size) -> dict[str, Iterator[str]]:
    """Source to the ids of every activity it must have brought, rising; what has no id of the vendor's is counted."""
    return {
        "hubspot.events": (
            event_id(name, number) for name, count in sorted(of_type(size).items()) for number in range(count)
        ),
        "hubspot.email_events": (mail_id(number) for number in range(size.mail)),
        "hubspot.forms": (
            submission_id(form, number)
            for form, count in enumerate(shared_out(size.submissions, FORMS))
            for number in range(count)
        ),
    }


def serve(size: Size, limit: int, latency: float, pipe: Connection) -> None:
    """Serve the account with its limit on, each answer held back so many seconds.

    Tells its address when it is filled; then answers each "calls" with (seconds, operation, status) of every call so
    far, until told "stop".
    """
    sandbox = Sandbox()
    fill(sandbox.hubspot, size, datetime.now(UTC))
    sandbox.hubspot.settings.burst_limit = limit
    sandbox.world.latency = latency
    with sandbox:
        pipe.send(sandbox.url)
        while pipe.recv() == "calls":
            calls = sandbox.world.journal.since()
            pipe.send([(datetime.fromisoformat(one.at).timestamp(), one.operation, one.status) for one in calls])
