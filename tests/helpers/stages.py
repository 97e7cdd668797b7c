"""One stage per CRM that fulfils the contract: a sandbox, a room over it, and the hands of the people at the vendor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, get_args

from connectors.base import Crm
from leadbridge.call import Pace
from leadbridge.config.connections import HubSpotSource
from leadbridge.sandbox.server import Sandbox
from leadbridge.types import RecordRef
from tests.helpers import rooms

PAGE_SIZES = {"events": 100, "forms": 50, "email_events": 5, "meetings": 200, "calls": 200}  # e-mail events by spans


@dataclass
class HubSpotStage:
    """HubSpot behind one of its path families."""

    sandbox: Sandbox
    api_version: str
    vendor: str = "hubspot"
    reading: str = "contacts.list"  # operation of the first page of a full pull, as the sandbox's journal names it
    writing: str = "contacts.batch.update"
    secret: str = rooms.HUBSPOT_TOKEN
    streams: Sequence[str] = get_args(HubSpotSource)
    page_sizes: Mapping[str, int] = field(default_factory=lambda: dict(PAGE_SIZES))

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

    def edit(self, record_id: str, title: str) -> None:
        self.sandbox.hubspot.edit_contact(record_id, {"jobtitle": title})

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
