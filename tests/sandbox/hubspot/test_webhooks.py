"""What HubSpot tells a receiver, and how stubbornly."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from hubspot.utils.signature import Signature

from leadbridge.sandbox.server import Sandbox
from tests.helpers.waiting import until

Api = Callable[..., requests.Response]
Control = Callable[..., Any]


@dataclass
class Receiver:
    """Keeps what arrives and answers what it is told to."""

    url: str = ""
    answers: list[int] = field(default_factory=list)  # then 204
    delay: float = 0.0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.got for event in json.loads(body)]

    def kinds(self) -> list[str]:
        return [event["subscriptionType"] for event in self.events()]

    def wait_for(self, requests_seen: int) -> None:
        until(lambda: len(self.got) >= requests_seen)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(kept.delay)
            with kept.lock:
                kept.got.append((dict(self.headers), body))
                status = kept.answers.pop(0) if kept.answers else 204
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}/webhooks/hubspot?tenant=acme%3Aeu"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


@pytest.fixture
def quiet(sandbox: Sandbox, receiver: Receiver) -> Receiver:
    """A receiver which gets something only when ``deliver`` is asked for."""
    sandbox.hubspot.settings.webhook_gather_seconds = 3600
    sandbox.hubspot.settings.webhook_retry_seconds = 3600
    sandbox.hubspot.webhooks.set_target(receiver.url)
    return receiver


def test_seeding_tells_nobody(sandbox: Sandbox, quiet: Receiver) -> None:
    sandbox.hubspot.add_contact({"email": "a@x.com"}, company_id=sandbox.hubspot.add_company({"name": "X"}))
    assert sandbox.hubspot.webhooks.waiting() == 0
    assert len(sandbox.world.journal) == 0


def test_a_human_edit_and_an_api_write_are_told_apart(
    sandbox: Sandbox, api: Api, control: Control, quiet: Receiver
) -> None:
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    control("POST", f"/hubspot/contacts/{contact}", {"properties": {"jobtitle": "CTO"}})
    api("PATCH", f"/crm/v3/objects/contacts/{contact}", json={"properties": {"jobtitle": "CEO"}})
    assert control("POST", "/hubspot/webhooks/deliver") == {"requests": 1, "delivered": 2, "failed": 0, "lost": 0}
    human, program = quiet.events()
    assert human == {
        "eventId": 3181526001,
        "subscriptionId": human["subscriptionId"],
        "portalId": 62515,
        "appId": 54321,
        "occurredAt": 1795312800000,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": int(contact),
        "changeSource": "CRM_UI",
        "sourceId": "userId:9586504",
        "propertyName": "jobtitle",
        "propertyValue": "CTO",
    }
    assert program["changeSource"] == "INTEGRATION"
    assert [call.operation for call in sandbox.world.journal] == ["contacts.update", "webhook.delivery"]
    assert (list(sandbox.world.journal)[-1].status, list(sandbox.world.journal)[-1].items) == (204, 2)


def test_only_what_is_subscribed_is_told(sandbox: Sandbox, control: Control, quiet: Receiver) -> None:
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    sandbox.hubspot.edit_contact(contact, {"city": "Bonn"})
    assert sandbox.hubspot.webhooks.waiting() == 0
    subscriptions = [{"subscriptionType": "contact.propertyChange", "propertyName": "city"}, "contact.deletion"]
    control("POST", "/hubspot/webhooks/target", {"url": quiet.url, "subscriptions": subscriptions})
    sandbox.hubspot.edit_contact(contact, {"city": "Kiel", "jobtitle": "CTO"})
    assert sandbox.hubspot.webhooks.waiting() == 1


def test_an_equal_value_is_no_event(sandbox: Sandbox, quiet: Receiver) -> None:
    contact = sandbox.hubspot.add_contact({"email": "a@x.com", "jobtitle": "CTO"})
    sandbox.hubspot.edit_contact(contact, {"jobtitle": "CTO"})
    assert sandbox.hubspot.webhooks.waiting() == 0


def test_the_signature_satisfies_the_vendors_own_helper(sandbox: Sandbox, quiet: Receiver) -> None:
    sandbox.hubspot.settings.webhook_wall_time = True  # the helper reads the real clock
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    sandbox.hubspot.edit_contact(contact, {"jobtitle": "Geschäftsführer"})
    sandbox.hubspot.webhooks.deliver()
    [(headers, body)] = quiet.got
    common = {"client_secret": "sandbox-hubspot-secret", "request_body": body.decode(), "http_method": "POST"}
    assert Signature.is_valid(
        signature=headers["X-HubSpot-Signature-v3"],
        http_uri=quiet.url.replace("%3A", ":"),
        signature_version="v3",
        timestamp=headers["X-HubSpot-Request-Timestamp"],
        **common,
    )
    assert headers["X-HubSpot-Signature-Version"] == "v1"
    assert Signature.is_valid(signature=headers["X-HubSpot-Signature"], http_uri="", signature_version="v1", **common)


def test_a_merge_is_told_with_the_new_id(sandbox: Sandbox, quiet: Receiver) -> None:
    one, two = (sandbox.hubspot.add_contact({"email": f"{name}@x.com"}) for name in "ab")
    sandbox.hubspot.settings.merge_deletes = True
    merged = sandbox.hubspot.merge(one, two)
    sandbox.hubspot.webhooks.deliver()
    told, *losers = quiet.events()
    assert told["subscriptionType"] == "contact.merge"
    assert (told["primaryObjectId"], told["mergedObjectIds"], told["newObjectId"]) == (
        int(one),
        [int(two)],
        int(merged),
    )
    assert [(event["subscriptionType"], event["objectId"]) for event in losers] == [
        ("contact.deletion", int(one)),
        ("contact.deletion", int(two)),
    ]


def test_a_privacy_deletion_is_told_twice(sandbox: Sandbox, quiet: Receiver) -> None:
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    sandbox.hubspot.gdpr_delete(contact)
    sandbox.hubspot.webhooks.deliver()
    assert quiet.kinds() == ["contact.privacyDeletion", "contact.deletion"]


def test_a_primary_company_is_told_as_primary_and_unlabelled(sandbox: Sandbox, api: Api, quiet: Receiver) -> None:
    contact, company = sandbox.hubspot.add_contact({"email": "a@x.com"}), sandbox.hubspot.add_company({"name": "X"})
    api("PUT", f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{company}")
    sandbox.hubspot.webhooks.deliver()
    assert [(event["associationType"], event["isPrimaryAssociation"]) for event in quiet.events()] == [
        ("CONTACT_TO_COMPANY", True),
        ("CONTACT_TO_COMPANY", False),
    ]


def test_a_new_contact_is_told_with_its_values(api: Api, sandbox: Sandbox, quiet: Receiver) -> None:
    api("POST", "/crm/v3/objects/contacts", json={"properties": {"email": "a@x.com", "city": "Bonn"}})
    sandbox.hubspot.webhooks.deliver()
    assert quiet.kinds() == ["contact.creation", "contact.propertyChange"]
    assert quiet.events()[0]["changeFlag"] == "NEW"


def test_at_most_100_events_a_delivery(sandbox: Sandbox, quiet: Receiver) -> None:
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    for n in range(250):
        sandbox.hubspot.edit_contact(contact, {"jobtitle": str(n)})
    sandbox.hubspot.webhooks.deliver()
    assert [len(json.loads(body)) for _, body in quiet.got] == [100, 100, 50]


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
def test_every_refusal_is_tried_again_with_the_same_event_id(sandbox: Sandbox, quiet: Receiver, status: int) -> None:
    quiet.answers = [status]
    sandbox.hubspot.edit_contact(sandbox.hubspot.add_contact({"email": "a@x.com"}), {"jobtitle": "CTO"})
    assert sandbox.hubspot.webhooks.deliver().failed == 1
    first_headers = quiet.got[0][0]
    sandbox.world.clock.set(sandbox.world.clock.now().replace(minute=5))
    assert sandbox.hubspot.webhooks.deliver().delivered == 1
    first, second = quiet.events()
    assert first["eventId"] == second["eventId"]
    assert (first["attemptNumber"], second["attemptNumber"]) == (0, 1)
    for name in ("X-HubSpot-Request-Timestamp", "X-HubSpot-Signature-v3"):
        assert first_headers[name] != quiet.got[1][0][name]
    assert [call.status for call in sandbox.world.journal] == [status, 204]


def test_after_ten_tries_an_event_is_lost(sandbox: Sandbox, quiet: Receiver) -> None:
    quiet.answers = [500] * 20
    sandbox.hubspot.edit_contact(sandbox.hubspot.add_contact({"email": "a@x.com"}), {"jobtitle": "CTO"})
    lost = [sandbox.hubspot.webhooks.deliver().lost for _ in range(11)]
    assert lost == [0] * 9 + [1, 0]
    assert len(quiet.got) == 10


def test_a_receiver_that_is_too_slow_gets_it_again(sandbox: Sandbox, quiet: Receiver) -> None:
    sandbox.hubspot.settings.webhook_timeout = 0.05
    quiet.delay = 0.2
    sandbox.hubspot.edit_contact(sandbox.hubspot.add_contact({"email": "a@x.com"}), {"jobtitle": "CTO"})
    assert sandbox.hubspot.webhooks.deliver().failed == 1
    quiet.delay = 0
    sandbox.hubspot.settings.webhook_timeout = 5
    assert sandbox.hubspot.webhooks.deliver().delivered == 1
    assert next(iter(sandbox.world.journal)).status == 0
    quiet.wait_for(2)


def test_nobody_listening_is_a_failed_try(sandbox: Sandbox, quiet: Receiver) -> None:
    sandbox.hubspot.webhooks.set_target("http://127.0.0.1:9/")
    sandbox.hubspot.edit_contact(sandbox.hubspot.add_contact({"email": "a@x.com"}), {"jobtitle": "CTO"})
    assert sandbox.hubspot.webhooks.deliver().failed == 1
    assert sandbox.hubspot.webhooks.waiting() == 1


def test_deliveries_happen_by_themselves_and_are_repeated(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.hubspot.settings.webhook_gather_seconds = 0.01
    sandbox.hubspot.settings.webhook_retry_seconds = 0.01
    receiver.answers = [503]
    sandbox.hubspot.webhooks.set_target(receiver.url)
    sandbox.hubspot.edit_contact(sandbox.hubspot.add_contact({"email": "a@x.com"}), {"jobtitle": "CTO"})
    receiver.wait_for(2)
    assert [event["attemptNumber"] for event in receiver.events()] == [0, 1]


def test_an_advanced_clock_brings_the_next_try_at_once(sandbox: Sandbox, control: Control, receiver: Receiver) -> None:
    sandbox.hubspot.settings.webhook_gather_seconds = 0.01
    sandbox.hubspot.settings.webhook_retry_seconds = 3600
    receiver.answers = [503]
    sandbox.hubspot.webhooks.set_target(receiver.url)
    sandbox.hubspot.edit_contact(sandbox.hubspot.add_contact({"email": "a@x.com"}), {"jobtitle": "CTO"})
    receiver.wait_for(1)
    for _ in range(50):  # the refusal may not have been noted yet when the clock is first moved
        control("POST", "/clock", {"advance_seconds": 3600})
        time.sleep(0.1)
        if len(receiver.events()) > 1:
            break
    receiver.wait_for(2)


def test_duplicates_and_disorder_on_demand(sandbox: Sandbox, control: Control, quiet: Receiver) -> None:
    control("POST", "/hubspot/settings", {"webhook_duplicate_every": 5, "webhook_reorder": True})
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    for n in range(20):
        sandbox.hubspot.edit_contact(contact, {"jobtitle": str(n)})
    sandbox.hubspot.webhooks.deliver()
    ids = [event["eventId"] for event in quiet.events()]
    assert (len(ids), len(set(ids))) == (24, 20)
    assert ids != sorted(ids)
