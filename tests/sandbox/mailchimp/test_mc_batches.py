"""``/batches`` from submission to archive (vendor page, 8)."""

import io
import json
import tarfile
from datetime import timedelta
from typing import Any

import pytest
import requests

from leadbridge.sandbox.mailchimp import Mailchimp
from leadbridge.sandbox.world import World
from tests.sandbox.mailchimp.conftest import LIST, Api, Receiver, effects, hashed

ANN = "ann@acme.test"
PHASES = ["preprocessing", "started", "finalizing", "finished"]


def put(email: str, status: str = "subscribed") -> dict[str, str]:
    body = json.dumps({"email_address": email, "status_if_new": status})
    return {"method": "PUT", "path": f"/lists/{LIST}/members/{hashed(email)}", "operation_id": email, "body": body}


def finish(api: Api, batch_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in PHASES:
        found = api.ok("GET", f"/batches/{batch_id}")
    assert found["status"] == "finished"
    return found


def results(url: str) -> list[dict[str, Any]]:
    """Walk every regular file of the archive, empty ones too."""
    answer = requests.get(url, timeout=20)
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = []
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as tar:
        entries = tar.getmembers()
        assert entries[0].isdir()
        assert any(entry.isfile() and entry.size == 0 for entry in entries)
        for entry in entries:
            if entry.isfile():
                stream = tar.extractfile(entry)
                assert stream is not None
                rows += json.loads(stream.read() or b"[]")
    return rows


def test_a_batch_moves_on_with_every_poll(client: Any, world: World) -> None:
    batch = client.batches.start({"operations": [put(ANN)]})
    assert (batch["status"], batch["total_operations"], batch["completed_at"]) == ("pending", 0, "")
    seen = [client.batches.status(batch["id"]) for _ in range(5)]
    assert [one["status"] for one in seen] == [*PHASES, "finished"]
    assert [one["total_operations"] for one in seen] == [0, 1, 1, 1, 1]
    assert len(effects(world, "member_created")) == 1
    assert seen[3]["response_body_url"] != seen[4]["response_body_url"]  # a fresh one each time


def test_finished_is_not_success(api: Api, mailchimp: Mailchimp) -> None:
    operations = [put(ANN), put("nobody"), {"method": "GET", "path": f"/lists/{LIST}/members/{hashed('x@x')}"}]
    batch = finish(api, api.ok("POST", "/batches", {"operations": operations})["id"])
    assert (batch["total_operations"], batch["finished_operations"], batch["errored_operations"]) == (3, 3, 2)
    rows = results(batch["response_body_url"])
    assert [(row["operation_id"], row["status_code"]) for row in rows] == [(ANN, 200), ("nobody", 400), (None, 404)]
    assert json.loads(rows[0]["response"])["email_address"] == ANN  # a second parse
    assert list(mailchimp.dump()["audiences"][LIST]["members"]) == [ANN]


def test_operations_go_through_the_same_rules_as_calls(api: Api, mailchimp: Mailchimp, world: World) -> None:
    mailchimp.add_journey(12, "tour", step_id=34)
    mailchimp.add_member(ANN, "unsubscribed", opted_out_by_person=True)
    trigger = "/customer-journeys/journeys/12/steps/34/actions/trigger"
    operations = [
        {**put(ANN), "body": json.dumps({"status": "subscribed"})},
        {"method": "POST", "path": trigger, "body": json.dumps({"email_address": ANN})},
        {"method": "POST", "path": "/batches", "body": json.dumps({"operations": []})},
        {**put(ANN), "body": "{nonsense"},
    ]
    batch = finish(api, api.ok("POST", "/batches", {"operations": operations})["id"])
    assert [row["status_code"] for row in results(batch["response_body_url"])] == [400, 204, 404, 400]
    assert [one.kind for one in effects(world)] == ["journey_refused"]
    run = next(call for call in world.journal if call.operation == "batches.run")
    assert run.items == 4


def test_a_body_must_be_a_json_string(api: Api) -> None:
    operation = {**put(ANN), "body": {"email_address": ANN}}
    problem = api.refused("POST", "/batches", {"operations": [operation]})
    assert problem["errors"][0]["field"] == "operations.item:0.body"


def test_a_get_without_count_pages_by_itself(api: Api, mailchimp: Mailchimp) -> None:
    mailchimp.settings.batch_page = 4
    for number in range(10):
        mailchimp.add_member(f"p{number}@acme.test", "subscribed")
    operations = [
        {"method": "GET", "path": f"/lists/{LIST}/members", "operation_id": "all", "params": {"status": "subscribed"}},
        {"method": "GET", "path": f"/lists/{LIST}/members", "operation_id": "two", "params": {"count": 2}},
    ]
    batch = finish(api, api.ok("POST", "/batches", {"operations": operations})["id"])
    assert batch["total_operations"] == 4
    found: dict[str, list[str]] = {"all": [], "two": []}
    for row in results(batch["response_body_url"]):
        found[row["operation_id"]] += [one["email_address"] for one in json.loads(row["response"])["members"]]
    assert found["all"] == [f"p{number}@acme.test" for number in range(10)]
    assert len(found["two"]) == 2


def test_the_archive_is_fetched_without_a_key_and_within_ten_minutes(api: Api, world: World) -> None:
    batch = finish(api, api.ok("POST", "/batches", {"operations": [put(ANN)]})["id"])
    url = batch["response_body_url"]
    assert requests.get(url, auth=("x", api.key), timeout=20).status_code == 400
    assert requests.get(url.replace("Signature=", "Signature=0"), timeout=20).status_code == 403
    world.clock.advance(timedelta(minutes=11))
    assert requests.get(url, timeout=20).status_code == 403
    fresh = api.ok("GET", f"/batches/{batch['id']}")["response_body_url"]
    assert len(results(fresh)) == 1


def test_results_are_kept_for_seven_days(api: Api, world: World) -> None:
    batch = finish(api, api.ok("POST", "/batches", {"operations": [put(ANN)]})["id"])
    world.clock.advance(timedelta(days=8))
    assert api("GET", f"/batches/{batch['id']}").status_code == 404


def test_a_batch_nobody_polls_runs_all_the_same(api: Api, mailchimp: Mailchimp, world: World) -> None:
    api.ok("POST", "/batches", {"operations": [put(ANN)]})
    api.ok("GET", "/ping")
    assert mailchimp.dump()["audiences"][LIST]["members"] == {}
    world.clock.advance(timedelta(seconds=31))
    api.ok("GET", "/ping")
    assert list(mailchimp.dump()["audiences"][LIST]["members"]) == [ANN]


def test_a_deleted_batch_keeps_what_ran_and_loses_its_results(client: Any, api: Api, mailchimp: Mailchimp) -> None:
    batch = client.batches.start({"operations": [put(ANN)]})
    for _ in range(2):
        client.batches.status(batch["id"])
    client.batches.delete_request(batch["id"])
    assert api("GET", f"/batches/{batch['id']}").status_code == 404
    assert list(mailchimp.dump()["audiences"][LIST]["members"]) == [ANN]


def test_five_hundred_unfinished_batches_are_enough(api: Api, mailchimp: Mailchimp) -> None:
    client = mailchimp.app.test_client()
    for _ in range(500):
        client.post("/3.0/batches", json={"operations": []}, headers={"Authorization": f"Bearer {api.key}"})
    assert api.refused("POST", "/batches", {"operations": []})["status"] == 429


@pytest.mark.parametrize("body", [{}, {"operations": "all"}, {"operations": [{"method": "BREW", "path": "/"}]}])
def test_batches_that_are_refused(api: Api, body: dict[str, Any]) -> None:
    assert api.refused("POST", "/batches", body)["status"] == 400


def test_a_batch_webhook_tells_of_the_end(client: Any, api: Api, mailchimp: Mailchimp, receiver: Receiver) -> None:
    hook = client.batchWebhooks.create({"url": receiver.url})
    assert (len(receiver.probes), hook["enabled"]) == (1, True)
    batch = finish(api, api.ok("POST", "/batches", {"operations": [put(ANN)]})["id"])
    assert mailchimp.settle()
    assert len(receiver.posts) == 1
    assert f"data%5Bid%5D={batch['id']}".encode() in receiver.posts[0][1]
    assert receiver.posts[0][1].startswith(b"type=batch_operation_completed&fired_at=")
