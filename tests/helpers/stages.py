"""One stage per CRM that fulfils the contract: a sandbox, a room over it, and the hands of the people at the vendor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, get_args

from connectors.base import Crm, EmailPlatform
from leadbridge.call import Pace
from leadbridge.config.connections import HubSpotSource
from leadbridge.sandbox.salesforce import ids
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.testing import Trouble
from leadbridge.types import RecordRef
from tests.helpers import rooms

PAGE_SIZES = {"events": 100, "forms": 50, "email_events": 5, "meetings": 200, "calls": 200}  # e-mail events by spans


class Sandboxed:
    """What a stage over our sandbox has for every vendor."""

    sandbox: Sandbox
    vendor: str
    listing: Collection[str]  # operations that list records of a full pull, as the sandbox's journal names them
    writing: str

    def calls(self, operation: str = "") -> int:
        return sum(call.operation.startswith(operation) for call in self.sandbox.world.journal)

    def reads(self) -> int:
        return sum(call.operation in self.listing for call in self.sandbox.world.journal)

    def trouble(self, trouble: Trouble) -> None:
        self.sandbox.world.faults.add(
            Fault(
                trouble.kind,
                status=trouble.status,
                headers=dict(trouble.headers),
                seconds=trouble.seconds,
                times=trouble.times,
                skip=trouble.skip,
                vendor=self.vendor,
                operation=self.writing if trouble.writing else "*",
            )
        )


@dataclass
class HubSpotStage(Sandboxed):
    """HubSpot behind one of its path families."""

    sandbox: Sandbox
    api_version: str
    vendor: str = "hubspot"
    listing: Collection[str] = ("contacts.list",)
    writing: str = "contacts.batch.update"
    credential: str = "token"
    streams: Sequence[str] = get_args(HubSpotSource)
    page_sizes: Mapping[str, int] = field(default_factory=lambda: dict(PAGE_SIZES))
    dated_by_edit: Collection[str] = ("meetings", "calls")
    score: str = "leadbridge_score"
    fit: str = "leadbridge_fit"
    grade: str = "leadbridge_grade"
    title: str = "jobtitle"
    bad: Mapping[str, str] = field(default_factory=lambda: {"leadbridge_grade": "Z"})
    unknown: str = "99999999"
    rest: float = 10.0

    def __post_init__(self) -> None:
        rooms.unlimited(self.sandbox)

    def room(self, pace: Pace | None = None, **connection: Any) -> Crm:
        config = rooms.configuration(self.sandbox.url, hubspot={"api_version": self.api_version, **connection})
        return rooms.hubspot(config, pace)

    def ref(self, record_id: str) -> RecordRef:
        return RecordRef("hubspot", "contact", record_id)

    def refs(self, record_ids: Sequence[str]) -> list[RecordRef]:
        return [self.ref(one) for one in record_ids]

    def add(self, count: int, *, at: datetime | None = None) -> list[str]:
        company = self.sandbox.hubspot.add_company(
            {"name": "Acme", "domain": "acme.example", "numberofemployees": "120"}
        )
        return [
            self.sandbox.hubspot.add_contact(
                {"email": f"lead{n}@acme.example", "jobtitle": f"Title {n}"}, company_id=company, created_at=at
            )
            for n in range(count)
        ]

    def calls_to_read(self, count: int) -> int:
        return -(-count // 100) + 1  # and one for the company they share

    def edit(self, record_id: str, title: str) -> None:
        self.sandbox.hubspot.edit_contact(record_id, {"jobtitle": title})

    def merge(self, one: str, other: str) -> tuple[str, list[str]]:
        return self.sandbox.hubspot.merge(one, other), [one, other]

    def archive(self, record_id: str) -> None:
        self.sandbox.hubspot.archive_contact(record_id)

    def erase(self, record_id: str) -> None:
        self.sandbox.hubspot.gdpr_delete(record_id)

    def properties(self) -> object:
        return self.sandbox.hubspot.dump()["properties"]

    def lack_a_source(self) -> str:
        self.sandbox.hubspot.settings.enterprise = False
        return "events"

    def held(self, record_id: str) -> Mapping[str, str]:
        """What the vendor really holds of a record."""
        found: Mapping[str, str] = self.sandbox.hubspot.dump()["objects"]["contacts"][record_id]["properties"]
        return found

    def lose_property(self, name: str) -> None:
        """Somebody deletes a property of ours in the CRM."""
        rooms.hubspot_api(self.sandbox, "DELETE", f"/crm/v3/properties/contacts/{name}")

    def act(self, stream: str, contact_id: str, count: int, now: datetime) -> None:
        """One contact does something `count` times, a minute apart, the last one a minute ago."""
        hubspot, address = self.sandbox.hubspot, self.held(contact_id)["email"]
        form = hubspot.add_form("Demo request") if stream == "forms" else ""
        for n in range(count):
            at = now - timedelta(minutes=n + 1)
            match stream:
                case "events":
                    hubspot.add_event(contact_id, "e_visited_page", at, {"hs_url": f"https://acme.example/{n}"})
                case "forms":
                    hubspot.add_form_submission(form, at, {"email": address.upper()}, "https://acme.example/demo")
                case "email_events":
                    hubspot.add_email_event("CLICK", address, at, url=f"https://acme.example/{n}")
                case "meetings":
                    hubspot.add_engagement("meetings", contact_id, {"hs_timestamp": at.isoformat()})
                case "calls":
                    hubspot.add_engagement("calls", contact_id, {"hs_timestamp": at.isoformat()})


SALESFORCE_PAGE = 100


@dataclass
class SalesforceStage(Sandboxed):
    """Salesforce with one of its two kinds of people."""

    sandbox: Sandbox
    kind: str
    vendor: str = "salesforce"
    writing: str = "collections.update"
    credential: str = "client_secret"
    streams: Sequence[str] = ("tasks", "events", "emails", "campaigns", "opportunities")
    dated_by_edit: Collection[str] = ()
    score: str = "Leadbridge_Score__c"
    fit: str = "Leadbridge_Fit__c"
    grade: str = "Leadbridge_Grade__c"
    title: str = "Title"
    bad: Mapping[str, str] = field(default_factory=lambda: {"Leadbridge_Fit__c": "99999999999"})
    rest: float = 0.0
    made: int = 0

    def __post_init__(self) -> None:
        self.org = self.sandbox.salesforce
        self.org.settings.query_page = SALESFORCE_PAGE
        self.org.grant_field(self.kind, "HasOptedOutOfEmail")
        of_people = self.streams if self.kind == "Contact" else self.streams[:4]  # leads have no deals
        self.page_sizes: Mapping[str, int] = dict.fromkeys(of_people, SALESFORCE_PAGE)
        self.listing: Collection[str] = ("query", "query.next")
        self.unknown = ids.make("00Q" if self.kind == "Lead" else "003", 999_999)

    def room(self, pace: Pace | None = None, **connection: Any) -> Crm:
        given = {"objects": [self.kind], **connection}
        return rooms.salesforce(rooms.configuration(self.sandbox.url, salesforce=given), pace)

    def ref(self, record_id: str) -> RecordRef:
        return RecordRef("salesforce", self.kind, record_id)

    def refs(self, record_ids: Sequence[str]) -> list[RecordRef]:
        return [self.ref(one) for one in record_ids]

    def calls_to_read(self, count: int) -> int:
        pages = -(-count // SALESFORCE_PAGE)
        return pages if self.kind == "Lead" else pages + 1  # and one for the deals of contacts

    def add(self, count: int, *, at: datetime | None = None) -> list[str]:
        about: dict[str, Any] = {"Company": "Acme", "NumberOfEmployees": 120}
        if self.kind == "Contact":
            about = {"AccountId": self.org.add("Account", {"Name": "Acme", "NumberOfEmployees": 120}, at)}
        return [
            self.org.add(
                self.kind,
                {"LastName": f"P{n}", "Email": f"lead{n}@acme.example", "Title": f"Title {n}", **about},
                at,
            )
            for n in range(count)
        ]

    def edit(self, record_id: str, title: str) -> None:
        self.org.edit(record_id, {"Title": title})

    def merge(self, one: str, other: str) -> tuple[str, list[str]]:
        self.org.merge(one, [other])
        return one, [other]

    def archive(self, record_id: str) -> None:
        self.org.delete(record_id)

    def erase(self, record_id: str) -> None:
        self.org.delete(record_id)

    def held(self, record_id: str) -> Mapping[str, str]:
        """What the vendor really holds of a record."""
        return {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in self.org.row(record_id).items()
        }

    def lose_property(self, name: str) -> None:
        """Somebody deletes a field of ours in Salesforce's setup."""
        field_id = self.org.field_id(self.kind, name)
        rooms.salesforce_api(self.sandbox, "DELETE", f"/tooling/sobjects/CustomField/{field_id}")

    def properties(self) -> object:
        return self.org.dump()["fields"], self.org.dump()["records"]["FieldPermissions"]

    def lack_a_source(self) -> str:
        self.org.settings.lacks = frozenset({"EmailMessage"})
        return "emails"

    def act(self, stream: str, record_id: str, count: int, now: datetime) -> None:
        """One person does something `count` times, a minute apart, the last one a minute ago."""
        org, person = self.org, self.kind
        for n in range(count):
            at = now - timedelta(minutes=n + 1)
            match stream:
                case "tasks":
                    org.add("Task", {"WhoId": record_id, "TaskSubtype": "Call", "Subject": f"Call {n}"}, at)
                case "events":
                    org.add("Event", {"WhoId": record_id, "StartDateTime": at.isoformat()}, at)
                case "emails":
                    about = {"ToAddress": str(org.row(record_id)["Email"]), "MessageDate": at.isoformat()}
                    org.add("EmailMessage", {**about, "Status": "3", "Incoming": False}, at)
                case "campaigns":
                    campaign = org.add("Campaign", {"Name": f"Webinar {n}", "Type": "Webinar"}, at)
                    org.add("CampaignMember", {"CampaignId": campaign, f"{person}Id": record_id}, at)
                case "opportunities":
                    deal = {"Name": f"Deal {n}", "StageName": "Prospecting", "CloseDate": at.date().isoformat()}
                    made = org.add("Opportunity", deal, at)
                    org.add("OpportunityContactRole", {"OpportunityId": made, "ContactId": record_id}, at)


@dataclass
class MailchimpStage(Sandboxed):
    """Mailchimp, with both journeys of the configuration."""

    sandbox: Sandbox
    vendor: str = "mailchimp"
    writing: str = "members.patch"
    credential: str = "api_key"
    address: str = "base_url"
    repeatable: str = "guides"
    bare: str = "demo"
    fields: Sequence[str] = ("LBSCORE", "LBGRADE", "LBSTAGE", "LBREASONS")
    stream: str = "campaigns"

    def __post_init__(self) -> None:
        self.account = self.sandbox.mailchimp
        self.account.add_journey(11, "guides", tag="Leadbridge guides")
        self.account.add_journey(12, "demo", step_id=34)

    def room(self, pace: Pace | None = None, **connection: Any) -> EmailPlatform:
        return rooms.mailchimp(rooms.configuration(self.sandbox.url, mailchimp=connection), pace)

    def calm(self) -> None:
        self.sandbox.world.faults.clear()

    def put(self, email: str, status: str, *, at: datetime | None = None) -> None:
        self.account.add_member(email, status, timestamp=at)

    def status(self, email: str) -> str:
        return self.account.member(email).status

    def held(self, email: str) -> Mapping[str, str]:
        return {name: str(value) for name, value in self.account.member(email).merge_fields.items()}

    def is_public(self, field: str) -> bool:
        fields = self.account.core.state.audiences[rooms.AUDIENCE].merge_fields.values()
        return next(one.public for one in fields if one.tag == field)

    def unsubscribe(self, email: str) -> None:
        self.account.person_unsubscribes(email)

    def bounce(self, email: str) -> None:
        self.account.mail_bounces(email)

    def effects(self, *kinds: str) -> list[dict[str, Any]]:
        return [
            dict(effect.detail)
            for call in self.sandbox.world.journal
            for effect in call.effects
            if effect.kind in kinds
        ]

    def entries(self) -> int:
        return len(self.effects("journey_entered"))

    def mails(self) -> int:
        return len(self.effects("mail_sent"))

    def raised(self) -> int:
        return len(self.effects("status_changed", "member_created"))

    def reject_journeys(self, *, loudly: bool) -> None:
        self.account.settings.journeys_refuse = "reject" if loudly else "ignore"

    def newsletter(self, at: datetime) -> str:
        return self.account.add_campaign("Spring news", at)

    def engage(self, newsletter: str, email: str, what: str, at: datetime, url: str = "") -> None:
        more = {"bounce_type": "soft"} if what == "bounce" else {}
        self.account.add_campaign_activity(newsletter, email, what, at, *([url] if url else []), **more)
