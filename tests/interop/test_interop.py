"""The vendors' own clients for Node, which know nothing of us, against the sandbox over HTTP.

Optional, hence outside the usual run: `make interop` installs them and runs this.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from leadbridge.sandbox.hubspot import CLIENT_ID, REFRESH_TOKEN
from leadbridge.sandbox.salesforce import CLIENT_ID as SF_CLIENT_ID
from leadbridge.sandbox.salesforce import CLIENT_SECRET as SF_CLIENT_SECRET
from leadbridge.sandbox.server import Sandbox

HERE = Path(__file__).parent
SENT = datetime(2026, 11, 20, 10, tzinfo=UTC)
Talk = Callable[..., Any]


@pytest.fixture(scope="session", autouse=True)
def _clients() -> None:
    if shutil.which("node") is None or not (HERE / "node_modules").exists():
        pytest.skip("needs Node.js and the clients of tests/interop/package.json; run `make interop`")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def talk(sandbox: Sandbox) -> Talk:
    """`talk("hubspot.contacts", token=…)` does one conversation of hubspot.mjs and returns what the client saw."""

    def conversation(name: str, **order: Any) -> Any:
        vendor, _, topic = name.partition(".")
        command = ["node", str(HERE / f"{vendor}.mjs"), topic, json.dumps({"url": sandbox.url, **order})]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return conversation


@pytest.fixture
def hubspot(sandbox: Sandbox, talk: Talk) -> Talk:
    return lambda topic, **order: talk(f"hubspot.{topic}", token=sandbox.hubspot.token, **order)


@pytest.fixture
def mailchimp(sandbox: Sandbox, talk: Talk) -> Talk:
    known = {"key": sandbox.mailchimp.api_key, "list": sandbox.mailchimp.audience}
    return lambda topic, **order: talk(f"mailchimp.{topic}", **known, **order)


@pytest.fixture
def salesforce(talk: Talk) -> Talk:
    known = {"client_id": SF_CLIENT_ID, "client_secret": SF_CLIENT_SECRET}
    return lambda topic, **order: talk(f"salesforce.{topic}", **known, **order)


# --- HubSpot ---------------------------------------------------------------------------------------------------------


def test_hubspot_contacts(hubspot: Talk) -> None:
    seen = hubspot("contacts")
    assert seen["read"].items() >= {"email": "ann@acme.example", "jobtitle": "CTO", "hs_object_id": seen["id"]}.items()
    assert (seen["created"], seen["title"], seen["history"]) == (True, "CTO", ["CTO"])
    assert (seen["sameByEmail"], seen["gone"], seen["archived"]) == (True, 404, True)


def test_hubspot_pages(hubspot: Talk, sandbox: Sandbox) -> None:
    emails = [f"lead{n:02}@acme.example" for n in range(45)]
    for email in emails:
        sandbox.hubspot.add_contact({"email": email})
    assert hubspot("pages") == {"sizes": [20, 20, 5], "all": emails}


def test_hubspot_search(hubspot: Talk, sandbox: Sandbox) -> None:
    emails = [f"lead{n:02}@acme.example" for n in range(25)]
    for n, email in enumerate(emails):
        sandbox.hubspot.add_contact({"email": email, "jobtitle": "CTO" if n % 2 else "Cook"})
    assert hubspot("search") == {"total": 12, "found": emails[1::2], "wrong": 400}


def test_hubspot_batches(hubspot: Talk) -> None:
    assert hubspot("batches") == {
        "created": ["COMPLETE", 3],
        "updated": [3, 1, ["999999"]],
        "read": ["a@batch.example Buyer", "b@batch.example Buyer", "c@batch.example Buyer"],
        "missing": ["999999"],
        "upserted": [False, True],
        "refused": [400, "PROPERTY_DOESNT_EXIST"],
        "left": 0,
    }


def test_hubspot_properties(hubspot: Talk) -> None:
    assert hubspot("properties") == {
        "made": ["acme_score", "number", "acme"],
        "twice": 409,
        "stages": "subscriber",
        "gone": 404,
    }


def test_hubspot_companies_deals_notes_and_what_joins_them(hubspot: Talk, sandbox: Sandbox) -> None:
    sandbox.hubspot.add_owner("sam@acme.example", "Sam", "Sales")
    contact = sandbox.hubspot.add_contact({"email": "ann@acme.example"})
    assert hubspot("around", contact=contact) == {
        "company": [True, "HUBSPOT_DEFINED"],
        "one": True,
        "deal": True,
        "note": "Hello",
        "owners": ["sam@acme.example"],
        "stages": True,
    }


def test_hubspot_merges_lists_events_forms_and_erasure(hubspot: Talk, sandbox: Sandbox) -> None:
    contacts = sorted(sandbox.hubspot.add_contact({"email": f"{name}@acme.example"}) for name in ("ann", "bob"))
    sandbox.hubspot.add_list("Newsletter")
    sandbox.hubspot.add_form("Contact us")
    sandbox.hubspot.add_event(contacts[0], "e_visited_page", SENT, {"hs_url": "/"})
    seen = hubspot("people", contacts=contacts)
    assert seen == {
        "merged": [True, contacts],
        "members": [True],
        "events": [["e_visited_page", True]],
        "forms": ["Contact us"],
        "purged": 404,
    }


def test_hubspot_access(hubspot: Talk) -> None:
    seen = hubspot("access", client_id=CLIENT_ID, client_secret="sandbox-hubspot-secret", refresh_token=REFRESH_TOKEN)
    assert seen == {"lasts": 1800, "contacts": 0, "stranger": [401, "EXPIRED_AUTHENTICATION"]}


# --- Salesforce ------------------------------------------------------------------------------------------------------


def test_salesforce_access(salesforce: Talk) -> None:
    assert salesforce("access") == {
        "identity": ["005", "00D"],
        "versions": True,
        "limits": True,
        "wrong": "invalid_client",
        "usage": True,
    }


def test_salesforce_records(salesforce: Talk) -> None:
    assert salesforce("records") == {
        "made": [True, 18],
        "updated": True,
        "read": ["Lead", "Lee", "CTO"],
        "refused": "REQUIRED_FIELD_MISSING",
        "unknown": "INVALID_FIELD",
        "removed": True,
        "gone": "ENTITY_IS_DELETED",
    }


def test_salesforce_keys_of_others_and_more_rows_than_one_call_takes(salesforce: Talk, sandbox: Sandbox) -> None:
    text = {"label": "Key", "type": "Text", "length": 40, "externalId": True, "unique": True}
    sandbox.salesforce.add_field("Lead", "Key__c", text)
    odd = sandbox.salesforce.add("Lead", {"LastName": 'O\'Neil "x"', "Company": "Acme"})
    assert salesforce("keys") == {
        "first": True,
        "second": False,
        "id": True,
        "many": [[True, True], [True, False]],
        "three": 450,
        "quoted": 1,
    }
    assert sandbox.salesforce.row(odd)["Company"] == "Acme"


def test_salesforce_queries(salesforce: Talk, sandbox: Sandbox) -> None:
    emails = [f"lead{n:02}@acme.example" for n in range(23)]
    for n, email in enumerate(emails):
        values = {"LastName": f"N{n}", "Company": "Acme", "Email": email, "Title": "CTO" if n > 11 else "Cook"}
        sandbox.salesforce.add("Lead", values)
    account = sandbox.salesforce.add("Account", {"Name": "Acme"})
    sandbox.salesforce.add("Contact", {"LastName": "Lee", "AccountId": account})
    assert salesforce("queries") == {
        "total": 23,
        "pages": True,
        "rows": emails,
        "all": 23,
        "built": emails[12:17],
        "parent": ["Acme"],
        "counted": 23,
        "wrong": "INVALID_FIELD",
    }


def test_salesforce_describes_and_feeds_of_changes(salesforce: Talk, sandbox: Sandbox) -> None:
    lead = sandbox.salesforce.add("Lead", {"LastName": "Lee", "Company": "Acme"})
    assert salesforce("describes", lead=lead) == {
        "objects": True,
        "prefix": "00Q",
        "statuses": 4,
        "updated": [True, "string"],
        "deleted": [lead],
    }


def test_salesforce_collections(salesforce: Talk, sandbox: Sandbox) -> None:
    lead = sandbox.salesforce.add("Lead", {"LastName": "Lee", "Company": "Acme"})
    assert salesforce("collections", lead=lead) == {
        "created": [True, True, False],
        "why": "REQUIRED_FIELD_MISSING",
        "updated": [True, True],
        "read": ["Buyer", "Buyer"],
        "rolled": [False, False],
        "after": "Buyer",
        "removed": [True, True],
    }


def test_salesforce_bulk(salesforce: Talk) -> None:
    assert salesforce("bulk") == {
        "loaded": [2, ["REQUIRED_FIELD_MISSING"], 0],
        "changed": ["false", "false"],
        "rows": [["one@bulk.example", 'Acme, "Inc"', "Buyer"], ["two@bulk.example", "Acme", "Buyer"]],
    }


def test_salesforce_a_new_field_is_hidden_until_it_is_granted(salesforce: Talk) -> None:
    assert salesforce("setup") == {"made": True, "before": "INVALID_FIELD"}


# --- Mailchimp -------------------------------------------------------------------------------------------------------


def test_mailchimp_account(mailchimp: Talk, sandbox: Sandbox) -> None:
    assert mailchimp("account") == {
        "pong": "Everything's Chimpy!",
        "account": "string",
        "lists": [sandbox.mailchimp.audience],
        "stranger": [401, "API Key Invalid"],
    }


def test_mailchimp_members(mailchimp: Talk) -> None:
    seen = mailchimp("members")
    fields = seen["patched"].pop()
    assert (fields["FNAME"], fields["LNAME"]) == ("Ann", "Lee")
    assert seen == {
        "put": [True, "transactional", "Ann"],
        "twice": [400, "Member Exists"],
        "patched": ["subscribed"],
        "again": "subscribed",
        "page": [2, 1],
        "found": ["bob@acme.test", "subscribed", ["warm"], None],
        "archived": "archived",
        "none": [404, "Resource Not Found"],
    }


def test_mailchimp_tags_and_events(mailchimp: Talk, sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_member("ann@acme.test", "subscribed")
    assert mailchimp("tags", email="ann@acme.test") == {
        "kept": ["lb: warm"],
        "known": ["lb: cold", "lb: warm"],
        "events": [["demo_asked", {"plan": "pro"}]],
    }


def test_mailchimp_merge_fields(mailchimp: Talk) -> None:
    seen = mailchimp("fields")
    assert seen["made"] == ["SCORE", "number"]
    assert seen["bad"] == [400, "SCORE"]
    assert seen["renamed"] == "Points"
    assert set(seen["all"]) == {"FNAME", "LNAME", "ADDRESS", "PHONE", "BIRTHDAY", "SCORE"}


def test_mailchimp_batches(mailchimp: Talk) -> None:
    assert mailchimp("batch") == {
        "first": "pending",
        "last": "finished",
        "counts": [3, 3, 1],
        "results": [200, True],
        "many": [1, 1, "one@acme.test"],
    }


def test_mailchimp_journeys_campaigns_and_reports(mailchimp: Talk, sandbox: Sandbox) -> None:
    sandbox.mailchimp.add_member("ann@acme.test", "subscribed")
    sandbox.mailchimp.add_journey(7, "Welcome", step_id=70)
    campaign = sandbox.mailchimp.add_campaign("News", SENT)
    for action in ("sent", "open"):
        sandbox.mailchimp.add_campaign_activity(campaign, "ann@acme.test", action, SENT)
    seen = mailchimp("mail", email="ann@acme.test", journey=7, step=70, campaign=campaign)
    assert {"open", "sent", "generic_signup"} == set(seen.pop("feed"))
    assert seen == {
        "none": [404, "Resource Not Found"],
        "campaigns": True,
        "activity": [["ann@acme.test", ["open"]]],
        "opened": ["ann@acme.test"],
    }
    assert any(effect.kind == "journey_entered" for call in sandbox.world.journal for effect in call.effects)
