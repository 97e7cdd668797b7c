"""Keys, errors, paging and partial answers: what every call has in common (vendor page, 1, 2, 12, 14)."""

import threading
import time
from typing import Any

import pytest
import requests

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import World
from tests.sandbox.mailchimp.conftest import LIST, NOW, Api


def test_basic_and_bearer_are_both_taken(api: Api, mailchimp: Mailchimp) -> None:
    assert api.ok("GET", "/ping") == {"health_status": "Everything's Chimpy!"}
    for token in (mailchimp.api_key, "sandbox-mailchimp-token"):
        answer = requests.get(f"{api.root}/", headers={"Authorization": f"Bearer {token}"}, timeout=20)
        assert answer.json()["role"] == "owner"


@pytest.mark.parametrize(
    ("key", "status", "detail"),
    [
        ("", 401, "Your request did not include an API key."),
        ("wrong-us1", 401, "Your API key may be invalid, or you've attempted to access the wrong datacenter."),
        ("sandbox-mailchimp-key-us6", 403, "The API key provided is linked to datacenter 'us6'"),
    ],
)
def test_a_bad_key_is_refused_and_noted(api: Api, world: World, key: str, status: int, detail: str) -> None:
    problem = api.refused("GET", "/lists", auth=("anyone", key))
    assert (problem["status"], problem["detail"]) == (status, detail)
    assert [(call.operation, call.status) for call in world.journal] == [("lists.list", status)]


def test_a_key_in_the_query_must_not_disagree_with_the_header(api: Api) -> None:
    assert api.refused("GET", "/ping?apikey=other-us1")["status"] == 401


def test_any_prefix_before_3_0_is_served(api: Api) -> None:
    assert requests.get(api.root.replace("/3.0", "/some/where/3.0/ping"), auth=("x", api.key), timeout=20).ok


@pytest.mark.parametrize(
    ("name", "status", "title"),
    [
        ("APIKeyMissing", 401, "API Key Invalid"),
        ("Forbidden", 403, "Forbidden"),
        ("TooManyRequests", 429, "Too Many Requests"),
        ("InternalServerError", 500, "Internal Server Error"),
    ],
)
def test_errors_can_be_forced(api: Api, name: str, status: int, title: str) -> None:
    problem = api.refused("GET", "/ping", headers={"X-Trigger-Error": name})
    assert (problem["status"], problem["title"]) == (status, title)


def test_method_override_is_for_post_only(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member("a@acme.test", "subscribed")
    path = api.members("a@acme.test")
    assert api.refused("PUT", path, {}, headers={"X-HTTP-Method-Override": "PATCH"})["status"] == 422
    answer = api.ok("POST", path, {"vip": True}, headers={"X-HTTP-Method-Override": "PATCH"})
    assert answer["vip"] is True


def test_unknown_paths_ids_and_methods(api: Api) -> None:
    assert api.refused("GET", "/nothing")["title"] == "Resource Not Found"
    assert api.refused("GET", "/lists/0000000000")["title"] == "Resource Not Found"
    assert api.refused("GET", "/lists//merge-fields")["status"] == 401
    answer = api("DELETE", "/lists")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    answer = api("POST", f"/lists/{LIST}/members", data=b"{nonsense")
    assert answer.json()["title"] == "JSON Parse Exception"
    assert api.refused("POST", f"/lists/{LIST}/members", [1])["title"] == "Invalid Resource"


def test_an_empty_answer_has_a_content_type_and_no_body(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member("a@acme.test", "subscribed")
    answer = api("POST", api.members("a@acme.test") + "/tags", {"tags": []})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["X-Request-Id"]


def test_ten_rows_unless_asked_for_more_and_never_more_than_a_thousand(api: Api, mailchimp: Mailchimp) -> None:
    for number in range(1005):
        mailchimp.add_member(f"p{number}@acme.test", "subscribed")
    page = api.ok("GET", api.members())
    assert (len(page["members"]), page["total_items"]) == (10, 1005)
    assert len(api.ok("GET", api.members() + "?count=3000")["members"]) == 1000
    last = api.ok("GET", api.members() + "?count=1000&offset=1000&fields=members.email_address")
    assert [row["email_address"] for row in last["members"]] == [f"p{n}@acme.test" for n in range(1000, 1005)]
    assert api.refused("GET", api.members() + "?count=many")["status"] == 400


def test_partial_answers_go_by_paths_from_the_root(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member("a@acme.test", "subscribed", merge_fields={"FNAME": "Ann"})
    wanted = "?fields=members.id,members.merge_fields.FNAME,total_items"
    page = api.ok("GET", api.members() + wanted)
    assert page == {"members": [{"id": page["members"][0]["id"], "merge_fields": {"FNAME": "Ann"}}], "total_items": 1}
    assert set(api.ok("GET", api.members("a@acme.test") + "?fields=id,status")) == {"id", "status"}
    without = api.ok("GET", api.members() + "?exclude_fields=members.stats,_links")
    assert "_links" not in without
    assert "stats" not in without["members"][0]
    # without the name of the collection it does nothing
    assert "email_address" in api.ok("GET", api.members() + "?exclude_fields=email_address")["members"][0]
    assert api.refused("GET", api.members() + "?fields=a&exclude_fields=b")["status"] == 400


def test_metadata_of_a_bad_token_still_answers_200(api: Api) -> None:
    address = api.root.replace("/3.0", "/oauth2/metadata")
    good = requests.get(address, headers={"Authorization": "OAuth sandbox-mailchimp-token"}, timeout=20)
    assert good.json()["api_endpoint"] + "/3.0" == api.root
    bad = requests.get(address, headers={"Authorization": "OAuth revoked"}, timeout=20)
    assert (bad.status_code, bad.json()["error"]) == (200, "invalid_token")
    assert "api_endpoint" not in bad.json()


def test_the_eleventh_call_in_flight_is_refused(api: Api, mailchimp: Mailchimp, world: World) -> None:
    statuses: list[int] = []
    with mailchimp.core.lock:  # nobody gets an answer as long as we hold this
        threads = [
            threading.Thread(target=lambda: statuses.append(api("GET", "/lists").status_code)) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        while mailchimp.in_flight.count < 10:
            time.sleep(0.001)
        problem = api.refused("GET", "/ping")
    for thread in threads:
        thread.join()
    assert statuses == [200] * 10
    assert problem["detail"] == "You have exceeded the limit of 10 simultaneous connections."
    assert [call.status for call in world.journal if call.operation == "ping"] == [429]
    assert api("GET", "/ping").ok


def test_operations_have_stable_names(mailchimp: Mailchimp) -> None:
    expected = {
        ("GET", f"/3.0/lists/{LIST}/members"): "members.list",
        ("PUT", f"/3.0/lists/{LIST}/members/abc"): "members.put",
        ("POST", f"/3.0/lists/{LIST}/members/abc/tags"): "members.tags",
        ("POST", f"/3.0/lists/{LIST}/segments/7"): "segments.update",
        ("POST", "/3.0/customer-journeys/journeys/1/steps/2/actions/trigger"): "journeys.trigger",
        ("POST", "/3.0/batches"): "batches.create",
        ("GET", "/3.0/batches/b1"): "batches.status",
        ("GET", "/3.0/reports/c1/email-activity"): "reports.email_activity",
        ("GET", "/oauth2/metadata"): "oauth.metadata",
        ("GET", "/3.0/what"): "unknown",
    }
    assert {key: mailchimp.operation_of(*key) for key in expected} == expected


def test_a_snapshot_brings_everything_back(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.add_member("a@acme.test", "subscribed", tags=("warm",))
    before, kept = mailchimp.dump(), mailchimp.snapshot()
    api.ok("PATCH", api.members("a@acme.test"), {"status": "unsubscribed", "merge_fields": {"FNAME": "Ann"}})
    assert mailchimp.dump() != before
    for _ in range(2):
        mailchimp.restore(kept)
        assert mailchimp.dump() == before


def test_the_official_client_reads_errors_as_it_does_from_the_service(client: Any, mailchimp: Mailchimp) -> None:
    from mailchimp_marketing.api_client import ApiClientError

    assert client.ping.get() == {"health_status": "Everything's Chimpy!"}
    with pytest.raises(ApiClientError) as caught:
        client.lists.get_list_member(LIST, "0" * 32)
    assert caught.value.status_code == 404
    assert isinstance(caught.value.text, str)  # problem+json is not JSON to this client (vendor page, 13)
    mailchimp.add_member("a@acme.test", "subscribed")
    answer = client.lists.update_list_member_tags(LIST, "a@acme.test", {"tags": []})
    assert answer.status_code == 204  # an empty body comes back as a Response


def test_audiences_tell_how_they_are_set_up(client: Any, mailchimp: Mailchimp) -> None:
    mailchimp.add_audience("bbbbbbbbbb", "Second", double_optin=True, permissions={"p1": "E-mail"})
    first, second = client.lists.get_all_lists(count=1000)["lists"]
    assert (first["id"], first["double_optin"], first["marketing_permissions"]) == (LIST, False, False)
    assert (second["id"], second["double_optin"], second["marketing_permissions"]) == ("bbbbbbbbbb", True, True)
    assert first["date_created"] == NOW.isoformat()
