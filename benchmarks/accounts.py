"""Invented accounts of any size in the sandbox, in a process of their own: what `benchmarks.pull` reads.

Of HubSpot's, people and companies are really in the stand-in. What people did is made up row by row as it is asked for,
out of the row's number: so two million activities take no memory and no time to prepare, and whoever compares knows
each of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any, cast, overload

from leadbridge.sandbox.hubspot import HubSpot
from leadbridge.sandbox.hubspot.timeline import Entry
from leadbridge.sandbox.server import Sandbox

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


def serve(put: Callable[[Sandbox], None], latency: float, pipe: Connection) -> None:
    """Serve what `put` puts into the sandbox, each answer held back so many seconds.

    Tells the address when it is there; then answers each name of a vendor with (seconds, operation, status) of every
    call it had so far, until told "stop".
    """
    sandbox = Sandbox()
    put(sandbox)
    sandbox.world.latency = latency
    with sandbox:
        pipe.send(sandbox.url)
        while (vendor := pipe.recv()) != "stop":
            calls = [call for call in sandbox.world.journal.since() if call.vendor == vendor]
            pipe.send([(datetime.fromisoformat(one.at).timestamp(), one.operation, one.status) for one in calls])


def hubspot(size: Size, limit: int, sandbox: Sandbox) -> None:
    """HubSpot's account with its limit on."""
    fill(sandbox.hubspot, size, datetime.now(UTC))
    sandbox.hubspot.settings.burst_limit = limit


# --- the others: every row is really there, so they are small --------------------------------------------------------

TASKS, EVENTS, MEMBERS = 12, 4, 4
CAMPAIGNS = 20


def salesforce(people: int, sandbox: Sandbox) -> None:
    """An org of leads: of each twelve calls, four meetings, and four of twenty campaigns."""
    org, now = sandbox.salesforce, datetime.now(UTC)
    org.settings.query_page = 2000
    org.grant_field("Lead", "HasOptedOutOfEmail")
    campaigns = [
        org.add("Campaign", {"Name": f"Campaign {n}", "Type": "Webinar"}, now - PAST) for n in range(CAMPAIGNS)
    ]
    for n in range(people):
        about = {"LastName": f"P{n}", "Company": f"Company {n % COMPANIES}", "Email": address(n), "Title": "Engineer"}
        lead = org.add("Lead", about, now - timedelta(days=2, seconds=n))
        for k in range(TASKS):
            at = now - timedelta(days=3 + 10 * k, seconds=n)
            org.add("Task", {"WhoId": lead, "TaskSubtype": "Call", "Subject": f"Call {k}"}, at)
        for k in range(EVENTS):
            at = now - timedelta(days=3 + 30 * k, seconds=n)
            org.add("Event", {"WhoId": lead, "StartDateTime": at.isoformat()}, at)
        for k in range(MEMBERS):
            at = now - timedelta(days=3 + 30 * k, seconds=n)
            org.add("CampaignMember", {"CampaignId": campaigns[(n + k) % CAMPAIGNS], "LeadId": lead}, at)


def of_salesforce(people: int) -> dict[str, int]:
    """Source to the number of activities it must have brought."""
    counts = {"tasks": TASKS, "events": EVENTS, "campaigns": MEMBERS}
    return {f"salesforce.{name}": people * each for name, each in counts.items()}


SENT = 10


def mailchimp(people: int, sandbox: Sandbox) -> None:
    """An audience of the contacts of HubSpot's account, who each opened and clicked ten mails; every tenth left."""
    fill(sandbox.hubspot, Size(people, 0, 0, 0, 0), datetime.now(UTC))
    audience, now = sandbox.mailchimp, datetime.now(UTC)
    for n in range(people):
        audience.add_member(address(n), "unsubscribed" if n % 10 == 0 else "subscribed", timestamp=now - PAST)
    for k in range(SENT):
        at = now - timedelta(days=2 + 2 * k)
        campaign = audience.add_campaign(f"News {k}", at)
        for n in range(people):
            who = address(n)
            audience.add_campaign_activity(campaign, who, "open", at + timedelta(seconds=n))
            audience.add_campaign_activity(
                campaign, who, "click", at + timedelta(seconds=n + 1), "https://shop.example"
            )


def of_mailchimp(people: int) -> dict[str, int]:
    return {"mailchimp.campaigns": people * 2 * SENT}
