"""With two CRMs the value a person edited last counts, whatever we wrote to either of them since (G11, G17)."""

from collections.abc import Iterator

import pytest

from leadbridge.config.schema import Config
from leadbridge.sandbox.salesforce import CLIENT_ID, CLIENT_SECRET
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store, leads
from sync import wiring
from sync.outlook import Scorer
from tests.helpers import rooms
from tests.helpers.syncing import BASE, Moving, Stage, moving

ADA = "ada@acme.example"


class Both(Stage):
    """HubSpot and Salesforce of one company, with one person in both."""

    def worker(self, owner: str) -> wiring.Parts:
        pace = self.pace.pace()
        crms = [rooms.hubspot(self.config, pace), rooms.salesforce(self.config, pace)]
        return wiring.Parts(self.config, self.store, Scorer(self.config), crms, None, owner=owner)

    def meet(self, title: str) -> None:
        about = {"LastName": "Ada", "Company": "Acme", "Email": ADA, "Title": title}
        self.ours = {
            "hubspot": self.sandbox.hubspot.add_contact({"email": ADA, "jobtitle": title}),
            "salesforce": self.sandbox.salesforce.add("Lead", about),
        }

    def entitle(self, vendor: str, title: str) -> None:
        """Somebody edits the title on the CRM's own page."""
        if vendor == "hubspot":
            self.edit(self.ours[vendor], jobtitle=title)
        else:
            self.sandbox.salesforce.edit(self.ours[vendor], {"Title": title})

    def shown(self) -> list[float]:
        """The score in HubSpot, and in Salesforce."""
        told = self.held(self.ours["hubspot"])["leadbridge_score"]
        return [float(told), float(self.sandbox.salesforce.row(self.ours["salesforce"])["Leadbridge_Score__c"])]


def configuration(url: str) -> Config:
    """What both show is read; the stage goes into the property of HubSpot that it is read from too."""
    hubspot = {"token": rooms.HUBSPOT_TOKEN, "base_url": url, "requests_per_10s": 10000, "activities": []}
    salesforce = {"domain": "acme.my", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "base_url": url,
                  "activities": []}  # fmt: skip
    more = {
        "connections": {"hubspot": hubspot, "salesforce": salesforce},
        "fields": {"job_title": {"hubspot": "jobtitle", "salesforce": "Title"}},
        "write_back": {
            "score": {"hubspot": "leadbridge_score", "salesforce": "Leadbridge_Score__c"},
            "stage": {"hubspot": "lifecyclestage"},
        },
    }
    return Config.model_validate(BASE | more)


@pytest.fixture
def made(store: Store) -> Iterator[Both]:
    with Sandbox() as sandbox:
        rooms.unlimited(sandbox)
        for kind in ("Lead", "Contact"):
            sandbox.salesforce.grant_field(kind, "HasOptedOutOfEmail")
        found = Both(sandbox, store, configuration(sandbox.url))
        found.apply()
        yield found


@pytest.fixture
def time(made: Both) -> Iterator[Moving]:
    with moving(made) as found:
        yield found


@pytest.mark.parametrize(("one", "other"), [("hubspot", "salesforce"), ("salesforce", "hubspot")])
def test_the_last_edit_by_a_person_counts_in_whichever_crm_it_was_made(
    made: Both, time: Moving, one: str, other: str
) -> None:
    """Our scores and stages, and what comes back of them, make no old value the newest."""
    made.meet("Engineer")
    for edited, title, score in ((None, "", 15), (one, "Director", 55), (other, "Clerk", 15), (one, "Director II", 55)):
        time.on(minutes=30)
        if edited is not None:
            made.entitle(edited, title)
        time.on(minutes=5)
        assert made.sync().written.written > 0
        assert made.shown() == [score, score]
        for _ in range(3):  # the versions that our writes made are read now
            time.on(minutes=5)
            assert made.sync().written.written == 0
            made.sync(full=True)
            assert made.shown() == [score, score]
    person = made.person(made.ours["hubspot"])
    with made.store.reading() as tx:
        records = leads.records_of(tx, [person])[person]
    assert len(records) == 2  # one person, and what we wrote did move the versions
    assert all(record.values_at is not None and record.values_at < record.modified_at for record in records)
