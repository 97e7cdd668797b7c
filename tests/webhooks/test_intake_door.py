"""The intake's door: the public tracking API's calls, limits and answers (reliability G1, G3, G4, G6-G8, G27)."""

import base64
import gzip
import json
from typing import Any

import pytest

from connectors.deliveries.intake import MAX_EVENT
from leadbridge.metrics import WEBHOOK_EVENTS, WEBHOOK_REFUSED
from tests.webhooks.conftest import Door, OpenDoor, on_sqlite

KEY, OLD_KEY = "canary-write-key-0123456789", "canary-write-key-old-98765"
INTAKE = {"write_key": KEY, "write_key_previous": OLD_KEY}
TRACK = {"userId": "u1", "event": "Order Completed", "properties": {"revenue": 39.9}, "messageId": "m1"}


@pytest.fixture
def tracked(open_door: OpenDoor) -> Door:
    return open_door(intake=INTAKE)


def send(door: Door, kind: str, call: Any, *, key: str = KEY, **headers: str) -> Any:
    body = call if isinstance(call, bytes) else json.dumps(call).encode()
    given = {
        "Content-Type": "application/json",
        "Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}",
    }
    return door.ask(
        "POST", f"/v1/{kind}", body, given | {name.replace("_", "-"): text for name, text in headers.items()}
    )


def test_every_kind_of_call_is_stored_and_answered_as_the_public_api_does(tracked: Door) -> None:
    person = {"userId": "u1"}
    calls = {
        "identify": {**person, "traits": {"email": "ann@acme.example"}},
        "track": TRACK,
        "page": {"anonymousId": "a1", "name": "Pricing", "properties": {"url": "https://acme.example/pricing"}},
        "screen": {**person, "name": "Home"},
        "group": {**person, "groupId": "g1", "traits": {"employees": 120}},
        "alias": {"previousId": "a1", "userId": "u1"},
        "batch": {"batch": [{"type": "track", "event": "Signed Up", "userId": "u2"}], "sentAt": "2026-11-22T12:00:00Z"},
    }
    for kind, call in calls.items():
        answer = send(tracked, kind, call)
        assert (answer.status, json.loads(answer.body)) == (200, {"success": True}), kind
        assert answer.headers["Content-Type"] == "application/json"
    stored = tracked.bodies("intake")
    assert sorted(event["type"] for event in stored) == sorted(["track", *(kind for kind in calls if kind != "batch")])


def test_a_message_id_is_one_event_however_often_and_wherever_it_comes(tracked: Door) -> None:
    for _ in range(2):
        send(tracked, "track", TRACK)
    send(tracked, "batch", {"batch": [TRACK | {"type": "track"}, TRACK | {"type": "track", "messageId": "m2"}]})
    assert tracked.count() == 2
    assert WEBHOOK_EVENTS.value(vendor="intake", outcome="repeated") == 2


def test_without_a_message_id_a_repeat_is_told_by_all_it_says(tracked: Door) -> None:
    call = {"userId": "u1", "event": "Signed Up", "timestamp": "2026-11-22T12:00:00Z"}
    for other in (call, call | {"sentAt": "2026-11-22T12:00:09Z"}, call | {"userId": "u2"}):
        send(tracked, "track", other)
    assert tracked.count() == 2


@on_sqlite
def test_only_a_write_key_opens_the_door_and_both_do_while_rotating(tracked: Door, open_door: OpenDoor) -> None:
    assert send(tracked, "track", TRACK, key=OLD_KEY).status == 200
    wrong = send(tracked, "track", TRACK, key="guessed-guessed-guessed")
    assert (wrong.status, json.loads(wrong.body)["code"]) == (401, "bad_write_key")
    for header in ("Bearer x", "Basic !!!", "Basic /w==", "", "Basic " + "A" * 9000):
        answer = tracked.ask("POST", "/v1/track", b"{}", {"Authorization": header} if header else {})
        assert (answer.status, answer.error in ("bad_write_key", "missing_write_key")) == (401, True), header
    assert tracked.count() == 1
    assert tracked.ask("GET", "/v1/track").status == 405
    assert send(open_door(), "track", TRACK).status == 404  # not set up


def test_packed_calls_are_read_and_a_bomb_is_not(tracked: Door) -> None:
    packed = gzip.compress(json.dumps({"batch": [TRACK | {"type": "track"}]}).encode())
    assert send(tracked, "batch", packed, Content_Encoding="gzip").status == 200
    assert tracked.count() == 1
    bomb = gzip.compress(b"[" * 60_000_000, 9)
    cases = {bomb: "too_large", packed[:-9]: "bad_gzip", packed + b"x": "bad_gzip", b"no gzip": "bad_gzip"}
    for body, reason in cases.items():
        answer = send(tracked, "batch", body, Content_Encoding="gzip")
        assert (answer.status, answer.error) == (400, reason)
    assert send(tracked, "batch", packed, Content_Encoding="br").status == 415


@on_sqlite
def test_limits_and_malformed_calls_are_answered_400_and_store_nothing(tracked: Door) -> None:
    cases: list[tuple[str, bytes, str]] = [
        ("track", json.dumps(TRACK | {"x": "y" * 33_000}).encode(), "too_large"),
        ("batch", b'{"batch":[' + b"1," * 300_000 + b"1]}", "too_large"),
        ("batch", json.dumps({"batch": [1] * 1001}).encode(), "too_many_events"),
        ("track", b"", "bad_json"),
        ("track", b"[]", "not_an_object"),
        ("batch", b"{}", "no_batch"),
        ("track", b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
        ("track", b"\xff", "bad_encoding"),
    ]
    for kind, body, reason in cases:
        answer = send(tracked, kind, body)
        assert (answer.status, answer.error) == (400, reason), body[:40]
    assert (tracked.count(), tracked.quarantined()) == (0, [])
    assert sum(WEBHOOK_REFUSED.values().values()) == len(cases)


BAD: list[tuple[str, str]] = [
    ("17", "not_an_event"),
    ('{"type":"dance","userId":"u"}', "bad_type"),
    ('{"type":"track","event":"x"}', "no_id"),
    ('{"type":"track","userId":"u"}', "no_event_name"),
    ('{"type":"track","userId":["u"],"event":"x"}', "bad_userId"),
    ('{"type":"track","userId":"' + "u" * 301 + '","event":"x"}', "bad_userId"),
    ('{"type":"alias","userId":"u"}', "no_id"),
    ('{"type":"identify","userId":"u","traits":[]}', "bad_traits"),
    ('{"type":"track","userId":"u","event":"x","timestamp":"soon"}', "bad_timestamp"),
    (
        '{"type":"track","userId":"u","event":"x","timestamp":"0001-01-02T00:00:00Z","sentAt":"9999-12-30T00:00:00Z"}',
        "bad_timestamp",
    ),
    ('{"type":"track","userId":"u","event":"x","properties":{"a":NaN}}', "not_a_number"),
    ('{"type":"track","userId":"u","event":"x","properties":{"a":' + "9" * 5000 + "}}", "number_too_large"),
    ('{"type":"track","userId":"u","userId":"v","event":"x"}', "repeated_name"),
    ('{"type":"track","userId":"u","event":"x","properties":{"a":"' + "y" * 33_000 + '"}}', "too_large"),
]


def test_one_bad_event_of_a_batch_is_set_aside_and_the_rest_are_kept(tracked: Door) -> None:
    for number, (bad, reason) in enumerate(BAD):
        good = json.dumps(TRACK | {"type": "track", "messageId": f"good {number}"})
        assert send(tracked, "batch", f'{{"batch":[{bad},{good}]}}'.encode()).status == 200, reason
    assert tracked.count() == len(BAD)
    assert tracked.quarantined() == sorted(("inbox:intake", reason) for _, reason in BAD)


@on_sqlite
def test_the_limit_of_an_event_is_of_the_bytes_it_was_sent_in_whatever_the_script(tracked: Door) -> None:
    """Our own spelling of what is not ASCII takes three times the room."""
    call = {"userId": "u1", "event": "Опрос", "properties": {"answer": "Ж" * 15_000}}
    body = json.dumps(call, ensure_ascii=False).encode()
    assert len(body) < MAX_EVENT < len(json.dumps(call))
    assert send(tracked, "track", body).status == 200
    fits = call | {"type": "track", "userId": "u2"}
    two = {"batch": [fits, fits | {"properties": {"answer": "Ж" * 17_000}}]}
    assert send(tracked, "batch", json.dumps(two, ensure_ascii=False).encode()).status == 200
    assert tracked.count() == 1 + 1
    assert tracked.quarantined() == [("inbox:intake", "too_large")]


def test_of_the_context_only_what_is_worked_with_is_kept(tracked: Door) -> None:
    context = {"ip": "203.0.113.9", "userAgent": "canary-agent", "device": {"id": "canary-device"},
               "page": {"url": "https://acme.example/"}, "consent": {"categoryPreferences": {"Ads": True}}}  # fmt: skip
    send(tracked, "page", {"anonymousId": "a1", "context": context})
    (event,) = tracked.bodies("intake")
    assert event["page"] == {"url": "https://acme.example/"}
    assert event["consent"] == {"categoryPreferences": {"Ads": True}}
    assert "canary" not in json.dumps(event)
    assert "203.0.113.9" not in json.dumps(event)
