"""The loop's parts over a sandbox in this process: real rooms, real HTTP, no waiting, and time that tests can move."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from leadbridge import clock
from leadbridge.config.schema import Config
from leadbridge.sandbox.hubspot.kinds import KINDS
from leadbridge.sandbox.server import Sandbox
from leadbridge.sandbox.world import Fault
from leadbridge.store import enrolments, inbox, leads, quarantine
from leadbridge.store.engine import Store
from leadbridge.testing import Skipping
from leadbridge.types import EnrolmentState, RecordRef
from sync import cycle, enrol, pull, rescore, setup, wiring
from sync.outlook import Scorer
from tests.helpers import rooms

TAG, TRIGGER = "guides", "demo"
TRIGGER_ADDRESS = "https://us1.api.mailchimp.com/3.0/customer-journeys/journeys/12/steps/34/actions/trigger"
FITS = {"score.lead": {"at_least": 10}}
MANY = {"per_hour": [10_000, "100%"], "per_day": [10_000, "100%"], "surge": 10_000, "all_alike_from": 100_000,
        "loosened_on_purpose": True}  # fmt: skip

BASE: dict[str, Any] = {
    "fields": {"job_title": {"hubspot": "jobtitle"}, "budget": {"hubspot": "budget_amount", "type": "number"}},
    "write_back": {
        "score": {"hubspot": "leadbridge_score"},
        "grade": {"hubspot": "leadbridge_grade"},
        "stage": {"hubspot": "lifecyclestage"},
    },
    "scores": {
        "lead": {
            "categories": {"fit": {"max": 60}, "engagement": {"max": 40}},
            "rules": [
                {"name": "boss", "category": "fit", "when": {"job_title": {"words": ["director"]}}, "points": 40},
                {"name": "known", "category": "fit", "when": {"job_title": {"present": True}}, "points": 15},
                {"name": "pages", "category": "engagement", "activity": "page_view", "points": 8, "half_life": "1d"},
            ],
            "grades": {"A": 40, "B": 10},
        }
    },
    "stages": {"mql": {"when": {"score.lead": {"at_least": 50}}}},
    "guards": MANY,
}


BUDGET = {"name": "budget_amount", "label": "Budget", "groupName": "contactinformation", "type": "number",
          "fieldType": "number"}  # fmt: skip


def journey(name: str = TAG, **more: Any) -> dict[str, Any]:
    """One of the two: started by tag, or by bare trigger."""
    how = {"tag": "Leadbridge guides"} if name == TAG else {"trigger": TRIGGER_ADDRESS}
    return {"name": name, "mailchimp": how, "when": FITS} | more


@dataclass
class Moving:
    """Time for leadbridge, its leases and the sandbox together."""

    at: datetime
    sandbox: Sandbox

    def on(self, **by: float) -> None:
        self.at += timedelta(**by)
        self.sandbox.world.clock.set(self.at)


@dataclass
class Stage:
    """One company's accounts, one store, and the parts between them."""

    sandbox: Sandbox
    store: Store
    config: Config
    pace: Skipping = field(default_factory=Skipping)
    made: int = 0

    def __post_init__(self) -> None:
        self.parts = self.worker("w1")

    def worker(self, owner: str) -> wiring.Parts:
        """Parts of another process over the same store."""
        pace = self.pace.pace()
        return wiring.Parts(
            self.config,
            self.store,
            Scorer(self.config),
            [rooms.hubspot(self.config, pace)],
            rooms.mailchimp(self.config, pace),
            owner=owner,
        )

    # --- what people do ----------------------------------------------------------------------------------------------

    def lead(self, email: str | None = None, status: str | None = "subscribed", **properties: str) -> str:
        """A contact in the CRM, and the same person in the audience; returns the contact's id."""
        self.made += 1
        email = email or f"lead{self.made}@acme.example"
        if status == "forgotten":
            self.sandbox.mailchimp.add_member(email, "subscribed", forgotten=True)
        elif status is not None:
            self.sandbox.mailchimp.add_member(email, status)
        return self.sandbox.hubspot.add_contact({"email": email, "jobtitle": "Engineer"} | properties)

    def edit(self, record_id: str, **properties: str) -> None:
        self.sandbox.hubspot.edit_contact(record_id, properties)

    def opt_out_in_the_crm(self, record_id: str) -> None:
        """The person leaves by HubSpot's own mail; nobody else may write that property."""
        hubspot = self.sandbox.hubspot
        kind, act = KINDS["contacts"], hubspot._person()
        hubspot._acts.change(kind, hubspot._need("contacts", record_id), {"hs_email_optout": "true"}, act)

    def held(self, record_id: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self.sandbox.hubspot.dump()["objects"]["contacts"][record_id]["properties"]
        return found

    def fault(self, kind: str, operation: str, **more: Any) -> None:
        self.sandbox.world.faults.add(Fault(kind, operation=operation, **more))

    def event(self, *events: Mapping[str, Any], vendor: str = "hubspot") -> None:
        """Verified events in the inbox, as the door leaves them."""
        rows = []
        for one in events:
            self.made += 1
            rows.append((f"event {self.made}", json.dumps(one).encode()))
        self.keep(*rows, vendor=vendor)

    def keep(self, *rows: tuple[str, bytes], vendor: str = "hubspot") -> None:
        with self.store.writing() as tx:
            inbox.keep(tx, self.store.vault, vendor, rows, clock.now())

    # --- what leadbridge does ----------------------------------------------------------------------------------------

    def apply(self) -> None:
        setup.apply(self.parts)

    def sync(self, **options: Any) -> cycle.Round:
        return cycle.sync(self.parts, **options)

    def act(self, parts: wiring.Parts | None = None) -> cycle.Round:
        return cycle.act(parts or self.parts)

    def enrol(self, parts: wiring.Parts | None = None) -> enrol.Enrolled:
        parts = parts or self.parts
        assert parts.platform is not None
        return enrol.enrol(self.store, parts.platform, self.config, owner=parts.owner)

    def until_enrol(self) -> None:
        """A round up to the intents: nobody is called yet."""
        platform, self.parts.platform = self.parts.platform, None
        try:
            cycle.sync(self.parts)
        finally:
            self.parts.platform = platform

    def until_scored(self) -> None:
        """A round up to the wishes: nothing is written or contacted yet."""
        pull.pull(self.store, self.parts.crms, self.parts.platform)
        rescore.rescore(self.parts)

    def now(self) -> datetime:
        return clock.now()

    # --- what came of it ---------------------------------------------------------------------------------------------

    def effects(self, *kinds: str) -> list[dict[str, Any]]:
        return [
            dict(effect.detail)
            for call in self.sandbox.world.journal
            for effect in call.effects
            if effect.kind in kinds
        ]

    def calls(self, operation: str = "") -> int:
        return sum(call.operation.startswith(operation) for call in self.sandbox.world.journal)

    def entered(self) -> Counter[str]:
        """How often each address entered a journey, by the vendor's own word."""
        members = {m.id: m.email for m in self.sandbox.mailchimp.core.state.audiences[rooms.AUDIENCE].members.values()}
        return Counter(members[effect["email_hash"]] for effect in self.effects("journey_entered"))

    def ledger(self) -> list[enrolments.EnrolmentRow]:
        with self.store.reading() as tx:
            people = leads.all_person_ids(tx, 0, 100_000)
            return [row for rows in enrolments.history(tx, people).values() for row in rows]

    def states(self) -> Counter[EnrolmentState]:
        return Counter(row.state for row in self.ledger())

    def person(self, record_id: str) -> int:
        key = RecordRef("hubspot", "contact", record_id).key
        with self.store.reading() as tx:
            return leads.people_by_key(tx, [key])[key]

    def quarantined(self) -> list[quarantine.Quarantined]:
        with self.store.reading() as tx:
            return quarantine.listing(tx)

    def harmless(self) -> bool:
        """No call of ours raised anybody's status, made a member, or got somebody past their own unsubscribe (G21)."""
        touched = self.effects("status_changed", "member_created", "member_archived")
        mailed = {effect["status"] for effect in self.effects("mail_sent")}
        return not touched and mailed <= {"subscribed"}


def configuration(url: str, *journeys: Mapping[str, Any], **more: Any) -> Config:
    """`BASE` with these journeys at the sandbox; `more` replaces whole sections. Activities are not pulled."""
    nurture = {"journeys": list(journeys)} | more.pop("nurture", {})
    mailchimp = {"api_key": rooms.MAILCHIMP_KEY, "audience": rooms.AUDIENCE, "base_url": f"{url}/3.0", "activities": []}
    hubspot = {"token": rooms.HUBSPOT_TOKEN, "base_url": url, "requests_per_10s": 10000, "activities": []}
    hubspot |= more.pop("hubspot", {})
    connections = {"hubspot": hubspot, "mailchimp": mailchimp}
    return Config.model_validate(BASE | {"connections": connections, "nurture": nurture} | more)


@contextmanager
def stage(store: Store, *journeys: Mapping[str, Any], **more: Any) -> Iterator[Stage]:
    """Fresh accounts with leadbridge's properties and both journeys."""
    with Sandbox() as sandbox:
        rooms.unlimited(sandbox)
        sandbox.hubspot.add_property("contacts", BUDGET)
        sandbox.mailchimp.add_journey(11, TAG, tag="Leadbridge guides", reentry=True)
        sandbox.mailchimp.add_journey(12, TRIGGER, step_id=34, reentry=True)  # nothing but we prevents a second mail
        made = Stage(sandbox, store, configuration(sandbox.url, *journeys, **more))
        made.apply()
        yield made


@contextmanager
def moving(stage: Stage, at: datetime | None = None) -> Iterator[Moving]:
    """Time that stands still until it is moved."""
    found = Moving(at or datetime.now(UTC), stage.sandbox)
    stage.sandbox.world.clock.set(found.at)
    clock.set_source(lambda: found.at)
    try:
        yield found
    finally:
        clock.set_source(None)
