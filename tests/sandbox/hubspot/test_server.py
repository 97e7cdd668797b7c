"""The server, its faults, and the control interface."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from leadbridge.sandbox.server import Sandbox
from tests.helpers.waiting import quickest

Api = Callable[..., requests.Response]
Control = Callable[..., Any]
ROOT = "/crm/v3/objects/contacts"


@pytest.fixture
def contact(sandbox: Sandbox) -> str:
    return sandbox.hubspot.add_contact({"email": "ann@x.com", "jobtitle": "Dev"})


def promote(api: Api, contact: str) -> requests.Response:
    return api("PATCH", f"{ROOT}/{contact}", json={"properties": {"jobtitle": "CTO"}})


def title(sandbox: Sandbox, contact: str) -> str:
    return str(sandbox.hubspot.dump()["objects"]["contacts"][contact]["properties"]["jobtitle"])


def test_connections_are_kept(sandbox: Sandbox, contact: str) -> None:
    request = f"GET {ROOT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox-hubspot-token\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as connection:
        for _ in range(3):
            connection.sendall(request)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_simple_call_takes_a_few_milliseconds(api: Api, contact: str) -> None:
    def fifty() -> None:
        for _ in range(50):
            api("GET", f"{ROOT}/{contact}")

    assert quickest(fifty, within=1, goes=10) < 1  # a wide margin for a busy machine; about 2 ms for each otherwise


@pytest.mark.parametrize("status", [423, 429, 500, 503])
def test_a_status_comes_with_the_vendors_body_and_nothing_is_done(
    sandbox: Sandbox, api: Api, control: Control, contact: str, status: int
) -> None:
    control("POST", "/faults", {"kind": "status", "status": status, "operation": "contacts.update"})
    answer = promote(api, contact)
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    assert title(sandbox, contact) == "Dev"
    [call] = sandbox.world.journal
    assert (call.operation, call.status) == ("contacts.update", status)
    assert promote(api, contact).status_code == 200


def test_a_fault_may_carry_headers(api: Api, control: Control) -> None:
    control("POST", "/faults", {"kind": "status", "status": 477, "headers": {"Retry-After": "3600"}})
    assert api("GET", ROOT).headers["Retry-After"] == "3600"


def test_faults_are_skipped_counted_and_cleared(api: Api, control: Control) -> None:
    control(
        "POST", "/faults", {"kind": "status", "vendor": "hubspot", "operation": "contacts.*", "skip": 1, "times": 2}
    )
    assert [api("GET", ROOT).status_code for _ in range(4)] == [200, 500, 500, 200]
    control("POST", "/faults", {"kind": "status"})
    control("DELETE", "/faults")
    assert api("GET", ROOT).status_code == 200


def test_html_and_empty_bodies(api: Api, control: Control) -> None:
    control("POST", "/faults", {"kind": "html", "status": 502})
    page = api("GET", ROOT)
    assert page.headers["Content-Type"].startswith("text/html")
    control("POST", "/faults", {"kind": "empty", "status": 504})
    empty = api("GET", ROOT)
    assert (empty.status_code, empty.content, empty.headers.get("Content-Type")) == (504, b"", None)


@pytest.mark.parametrize(("kind", "after"), [("reset_before", "Dev"), ("reset_after", "CTO")])
def test_the_connection_is_cut_before_or_after_the_work(
    sandbox: Sandbox, api: Api, control: Control, contact: str, kind: str, after: str
) -> None:
    control("POST", "/faults", {"kind": kind})
    with pytest.raises(requests.ConnectionError):
        promote(api, contact)
    assert title(sandbox, contact) == after
    assert [call.status for call in sandbox.world.journal] == [0 if kind == "reset_before" else 200]


def test_half_of_the_json(sandbox: Sandbox, api: Api, control: Control, contact: str) -> None:
    control("POST", "/faults", {"kind": "truncate"})
    answer = promote(api, contact)
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert title(sandbox, contact) == "CTO"


def test_a_hanging_call_is_done_in_the_end(sandbox: Sandbox, api: Api, control: Control, contact: str) -> None:
    control("POST", "/faults", {"kind": "hang", "seconds": 0.2})
    start = time.monotonic()
    assert promote(api, contact).status_code == 200
    assert time.monotonic() - start >= 0.2


def test_latency_holds_every_answer_back(api: Api, control: Control) -> None:
    control("POST", "/settings", {"latency": 0.1})
    start = time.monotonic()
    api("GET", ROOT)
    assert time.monotonic() - start >= 0.1


def test_faults_reach_mailchimp_too(sandbox: Sandbox, control: Control) -> None:
    control("POST", "/faults", {"kind": "status", "status": 503, "vendor": "mailchimp"})
    answer = requests.get(f"{sandbox.url}/3.0/ping", auth=("x", sandbox.mailchimp.api_key), timeout=20)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_the_journal_names_every_call(api: Api, control: Control, contact: str) -> None:
    promote(api, contact)
    api("GET", "/nowhere")
    journal = control("GET", "/journal")
    assert [(call["seq"], call["operation"], call["status"]) for call in journal] == [
        (0, "contacts.update", 200),
        (1, "unknown", 404),
    ]
    assert journal[0]["effects"][0]["detail"]["new"] == "CTO"
    assert control("GET", "/journal?since=1") == journal[1:]


def test_a_reset_goes_back_to_the_snapshot(sandbox: Sandbox, api: Api, control: Control, contact: str) -> None:
    control("POST", "/snapshot")
    before = control("GET", "/dump")
    for _ in range(2):
        promote(api, contact)
        sandbox.hubspot.merge(contact, sandbox.hubspot.add_contact({"email": "b@x.com"}))
        sandbox.hubspot.add_event(sandbox.hubspot.add_contact({"email": "c@x.com"}), "e", sandbox.world.clock.now(), {})
        control("POST", "/clock", {"advance_seconds": 3600})
        assert control("GET", "/dump") != before
        control("POST", "/reset")
        assert control("GET", "/dump") == before
        assert control("GET", "/journal") == []
        assert control("GET", "/clock") == {"now": "2026-11-22T02:00:00+00:00"}


def test_search_does_not_remember_what_was_reset(api: Api, control: Control, contact: str) -> None:
    control("POST", "/snapshot")
    body = {"filterGroups": [{"filters": [{"propertyName": "jobtitle", "operator": "EQ", "value": "CTO"}]}]}
    promote(api, contact)
    assert api("POST", f"{ROOT}/search", json=body).json()["total"] == 1
    control("POST", "/reset")
    assert api("POST", f"{ROOT}/search", json=body).json()["total"] == 0


def test_equal_stories_leave_equal_dumps(contact: str, control: Control, api: Api) -> None:
    dumps = []
    control("POST", "/snapshot")
    for seconds in (1, 60):
        control("POST", "/clock", {"advance_seconds": seconds})
        promote(api, contact)
        dumps.append(control("GET", "/dump"))
        control("POST", "/reset")
    assert dumps[0] == dumps[1]


def test_seeding_from_another_process(control: Control, contact: str) -> None:
    event = {"contact_id": contact, "event_type": "e_visited_page", "occurred_at": "2026-11-01T00:00:00Z"}
    made = control("POST", "/hubspot/do/add_event", {**event, "properties": {"hs_url": "/"}})
    assert made["result"].startswith("leviathan-")
    with pytest.raises(requests.HTTPError, match="404"):
        control("POST", "/hubspot/do/restore", {})


@pytest.mark.parametrize("body", [{"burst_limit": -1}, {"no_such_switch": True}, {"index_delay": "long"}])
def test_a_wrong_setting_is_refused(control: Control, body: dict[str, Any]) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        control("POST", "/hubspot/settings", body)


def test_a_stopped_sandbox_leaves_no_connection() -> None:
    with Sandbox() as sandbox, socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.recv(65_536)
        sandbox.stop()
        idle.settimeout(2)
        assert idle.recv(1) == b""
