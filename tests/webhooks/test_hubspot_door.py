"""HubSpot's door over real HTTP and a real store (reliability G1-G8; faults 4, 6, 7, 8, 10)."""

import json
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from leadbridge import clock
from leadbridge.metrics import WEBHOOK_DELIVERIES, WEBHOOK_EVENTS, WEBHOOK_REFUSED
from leadbridge.store import quarantine
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers, hubspot_v2
from tests.helpers.tally import Tally
from tests.helpers.waiting import until
from tests.webhooks.conftest import HUBSPOT_OLD_SECRET, HUBSPOT_SECRET, PUBLIC, Door, OpenDoor, on_sqlite

BODY = hubspot_body(hubspot_change(1), hubspot_change(2, propertyValue="Geschäftsführer – 営業部"))


def test_a_genuine_delivery_is_stored_event_by_event_and_answered_204(door: Door) -> None:
    answer = door.hubspot(BODY)
    assert (answer.status, answer.body) == (204, b"")
    assert WEBHOOK_DELIVERIES.value(vendor="hubspot") == 1
    assert door.bodies() == json.loads(BODY)
    assert WEBHOOK_EVENTS.value(vendor="hubspot", outcome="new") == 2


@on_sqlite
def test_the_worker_is_woken_and_a_repeat_gives_it_nothing_to_do(door: Door) -> None:
    door.hubspot(BODY)
    until(lambda: door.woken)
    assert door.count() == 2
    door.hubspot(BODY)
    assert door.count() == 2
    assert WEBHOOK_EVENTS.values() == {("hubspot", "new"): 2, ("hubspot", "repeated"): 2}


@on_sqlite
def test_a_forged_delivery_leaves_no_trace(door: Door) -> None:
    now = int(time.time() * 1000)
    address = f"{PUBLIC}/webhooks/hubspot"
    true = hubspot_headers(HUBSPOT_SECRET, address, BODY, now)
    v3 = {"X-HubSpot-Signature-v3": ""}
    v2 = {"X-HubSpot-Signature": hubspot_v2(HUBSPOT_SECRET, "POST", address, BODY), "X-HubSpot-Signature-Version": "v2"}
    answers = {
        "guessed secret": (door.hubspot(BODY, secret="guessed"), "bad_signature"),
        "altered body": (door.ask("POST", "/webhooks/hubspot", BODY.replace(b"CTO", b"CEO"), true), "bad_signature"),
        "other target": (door.ask("POST", "/webhooks/hubspot?x=1", BODY, true), "bad_signature"),
        "other scheme": (door.hubspot(BODY, public=PUBLIC.replace("https", "http")), "bad_signature"),
        "v1 only": (door.hubspot(BODY, headers=v3), "old_scheme"),
        "v2 only": (door.hubspot(BODY, headers=v3 | v2), "old_scheme"),
        "no signature": (door.ask("POST", "/webhooks/hubspot", BODY), "missing_signature"),
        "no time": (door.hubspot(BODY, headers={"X-HubSpot-Request-Timestamp": ""}), "missing_timestamp"),
        "garbled time": (door.hubspot(BODY, headers={"X-HubSpot-Request-Timestamp": "yesterday"}), "bad_timestamp"),
        "too old": (door.hubspot(BODY, at=now - 301_000), "too_old"),
        "from the future": (door.hubspot(BODY, at=now + 310_000), "from_the_future"),
    }
    assert {what: (answer.status, answer.error) for what, (answer, _) in answers.items()} == {
        what: (401, reason) for what, (_, reason) in answers.items()
    }
    assert (door.count(), door.quarantined(), door.woken) == (0, [], [])
    reasons = Counter(reason for _, reason in answers.values())
    assert WEBHOOK_REFUSED.values() == {("hubspot", reason): count for reason, count in reasons.items()}


@on_sqlite
def test_both_secrets_are_good_during_rotation(door: Door) -> None:
    assert door.hubspot(hubspot_body(hubspot_change(1)), secret=HUBSPOT_SECRET).status == 204
    assert door.hubspot(hubspot_body(hubspot_change(2)), secret=HUBSPOT_OLD_SECRET).status == 204
    assert door.count() == 2


def test_a_replay_within_the_window_is_a_repeat_and_outside_it_is_refused(door: Door, tally: Tally) -> None:
    now = int(time.time() * 1000)
    try:
        assert door.hubspot(BODY, at=now).status == 204
        assert door.hubspot(BODY, at=now).status == 204
        for step in (timedelta(hours=1), timedelta(days=-1)):
            real = clock.now()
            clock.set_source(lambda moved=real + step: moved)  # type: ignore[misc]
            assert door.hubspot(BODY, at=now).status == 401
        clock.set_source(None)
        assert door.hubspot(BODY, at=now).status == 204  # a clock that was wrong for a while reopens nothing
    finally:
        clock.set_source(None)
    tally(7, trials=5, lost=max(0, 2 - door.count()), duplicate=max(0, door.count() - 2))
    assert WEBHOOK_EVENTS.value(vendor="hubspot", outcome="repeated") == 4


def test_the_next_try_of_an_event_signed_anew_in_another_batch_is_one_row(door: Door) -> None:
    door.hubspot(hubspot_body(hubspot_change(1), hubspot_change(2)))
    again = hubspot_body(hubspot_change(2, attemptNumber=3), hubspot_change(1, attemptNumber=1), hubspot_change(3))
    assert door.hubspot(again, at=int(time.time() * 1000) + 5000).status == 204
    assert [event["eventId"] for event in door.bodies()] == [1, 2, 3]


def test_each_part_of_the_delivery_key_tells_events_apart(door: Door) -> None:
    changes: list[dict[str, Any]] = [
        {"eventId": 99}, {"portalId": 99}, {"objectId": 99}, {"occurredAt": 1795312700000},
        {"propertyName": "email"}, {"subscriptionType": "contact.creation"}, {"subscriptionId": 99},
    ]  # fmt: skip
    door.hubspot(hubspot_body(hubspot_change(1), *(hubspot_change(1, **change) for change in changes)))
    assert door.count() == 1 + len(changes)


def test_merges_and_associations_are_told_apart_by_the_records_they_join(door: Door) -> None:
    def event(**fields: Any) -> dict[str, Any]:
        return {"eventId": 1, "portalId": 62515, "occurredAt": 1795312799000, "attemptNumber": 0, **fields}

    merge = {"subscriptionType": "contact.merge", "primaryObjectId": 101, "mergedObjectIds": [102], "newObjectId": 903}
    link = {"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_COMPANY",
            "fromObjectId": 512, "toObjectId": 9, "associationRemoved": False}  # fmt: skip
    events = [
        event(**merge), event(**merge | {"mergedObjectIds": [103]}), event(**merge | {"newObjectId": 904}),
        event(**link), event(**link | {"toObjectId": 10}), event(**link | {"associationRemoved": True}),
        event(**link | {"isPrimaryAssociation": True}), event(**merge | {"attemptNumber": 1}),
    ]  # fmt: skip
    door.hubspot(hubspot_body(*events))
    stored = door.bodies()
    assert len(stored) == 7
    assert all(event in stored for event in events[:-1])


def test_events_that_name_neither_id_nor_time_are_told_apart_by_all_they_say(door: Door) -> None:
    bare = {"subscriptionType": "contact.creation", "objectId": 1, "portalId": 62515}
    door.hubspot(hubspot_body(bare, {**bare, "changeFlag": "NEW"}, {**bare, "attemptNumber": 4}))
    assert sorted(map(len, door.bodies())) == [3, 4]


def test_twenty_deliveries_at_once_are_one_row_each_answered_2xx(door: Door, tally: Tally) -> None:
    start = threading.Barrier(20)
    answers: list[int] = []

    def send() -> None:
        start.wait()
        answers.append(door.hubspot(BODY).status)

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [204] * 20
    tally(4, trials=20, lost=max(0, 2 - door.count()), duplicate=max(0, door.count() - 2))
    counts = WEBHOOK_EVENTS.values()
    assert counts["hubspot", "new"] == 2
    assert counts["hubspot", "repeated"] == 38


def test_two_servers_over_one_store_keep_one_row(open_door: OpenDoor) -> None:
    doors = [open_door(), open_door()]
    events = [hubspot_change(number) for number in range(10)]
    answers: list[int] = []

    def send(number: int) -> None:  # forwards and backwards, so that rows are wanted crosswise
        answers.append(doors[number % 2].hubspot(hubspot_body(*events[:: 1 if number % 2 else -1])).status)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [204] * 8
    assert doors[0].count() == 10


BAD: list[tuple[Any, str]] = [
    (17, "not_an_event"),
    (None, "not_an_event"),
    ([], "not_an_event"),
    ({}, "no_type"),
    ({"subscriptionType": 7}, "bad_subscriptionType"),
    ({"subscriptionType": "contact.creation"}, "no_object"),
    ({"subscriptionType": "contact.merge"}, "no_object"),
    (hubspot_change(5, objectId="../../etc"), "bad_objectId"),
    (hubspot_change(5, objectId=[1]), "bad_objectId"),
    (hubspot_change(5, objectId=1.5), "bad_objectId"),
    (hubspot_change(5, objectId=-4), "bad_objectId"),
    (hubspot_change(5, objectId=True), "bad_objectId"),
    (hubspot_change(5, occurredAt="now"), "bad_occurredAt"),
    (hubspot_change(5, occurredAt=2**62), "bad_occurredAt"),
    (hubspot_change(5, eventId=2**70), "number_too_large"),
    (hubspot_change(5, propertyName="a\0b"), "bad_propertyName"),
    (hubspot_change(5, propertyName="x" * 1001), "bad_propertyName"),
    (hubspot_change(5, mergedObjectIds="1,2"), "bad_mergedObjectIds"),
]
RAW = [  # what Python would read without a word, or not at all
    (b'{"subscriptionType":"contact.creation","objectId":1,"objectId":2}', "repeated_name"),
    (b'{"subscriptionType":"contact.creation","objectId":NaN}', "not_a_number"),
    (b'{"subscriptionType":"contact.creation","objectId":1e999}', "number_too_large"),
    (b'{"subscriptionType":"contact.creation","objectId":' + b"9" * 5000 + b"}", "number_too_large"),
    (b'{"subscriptionType":"contact.\\ud800","objectId":1}', "bad_subscriptionType"),
]


def test_one_bad_event_goes_to_quarantine_and_the_rest_are_kept(door: Door, tally: Tally) -> None:
    raws = [(hubspot_body(bad)[1:-1], reason) for bad, reason in BAD] + RAW
    for number, (raw, _) in enumerate(raws):
        good = [hubspot_body(hubspot_change(2 * number + side))[1:-1] for side in (0, 1)]
        body = b"[" + good[0] + b"," + raw + b"," + good[1] + b"]"
        assert door.hubspot(body).status == 204
        assert door.hubspot(body).status == 204  # the next try of the same delivery does not fill the quarantine
    assert door.quarantined() == sorted(("inbox:hubspot", reason) for _, reason in raws)
    kept, wanted = [event["eventId"] for event in door.bodies()], list(range(2 * len(raws)))
    tally(10, trials=len(raws), lost=len(set(wanted) - set(kept)), duplicate=len(kept) - len(set(kept)))
    assert kept == wanted


def test_a_bad_event_is_kept_with_the_bytes_it_came_in(door: Door) -> None:
    raw = b'{ "subscriptionType" : "contact.creation", "objectId" : NaN }'
    door.hubspot(b"[ " + raw + b" ]")
    assert door.quarantined() == [("inbox:hubspot", "not_a_number")]
    with door.store.reading() as tx:
        (item,) = quarantine.listing(tx)
        assert quarantine.body_of(tx, door.store.vault, item.id) == raw


@on_sqlite
def test_a_genuine_but_unreadable_delivery_is_4xx_and_stores_nothing(door: Door) -> None:
    cases = {
        b"": (400, "bad_json"),
        b"{}": (400, "not_an_array"),
        b'"text"': (400, "not_an_array"),
        b"[1,": (400, "bad_json"),
        b"\xff\xfe": (400, "bad_encoding"),
        b"[" * 100_000: (400, "too_deep"),
        b'[{"a":' + b"[" * 40 + b"]" * 40 + b"}]": (400, "too_deep"),
        b"[" + b"0," * 99_999 + b"0]": (413, "too_many_events"),
        b"[" + b" " * 1_000_000 + b"]": (413, "too_large"),
    }
    for body, expected in cases.items():
        answer = door.hubspot(body)
        assert (answer.status, answer.error) == expected, body[:40]
    assert (door.count(), door.quarantined()) == (0, [])


@on_sqlite
def test_an_empty_batch_is_fine(door: Door) -> None:
    assert door.hubspot(b"[]").status == 204
    assert door.count() == 0


def test_text_of_leads_is_kept_as_it_is(door: Door) -> None:
    values = ["<script>alert(1)</script>", "*|FNAME|*", "{{ 7*7 }}", "=1+1", "a\0b", "\ud83d\ude00", "x" * 5000]
    events = [hubspot_change(number, propertyValue=value) for number, value in enumerate(values)]
    body = json.dumps(events).encode()
    assert door.hubspot(body).status == 204
    assert door.bodies() == json.loads(body)


def test_an_unknown_type_is_kept_for_the_worker_to_decide(door: Door) -> None:
    event = {"eventId": 1, "occurredAt": 1795312799000, "portalId": 62515, "subscriptionType": "moon.landing"}
    assert door.hubspot(hubspot_body(event)).status == 204
    assert door.bodies() == [event]


@on_sqlite
def test_an_event_of_another_account_is_set_aside_once_ours_is_known(open_door: OpenDoor) -> None:
    door = open_door(portal="62515")
    door.hubspot(hubspot_body(hubspot_change(1), hubspot_change(2, portalId=99), hubspot_change(3)))
    assert [event["eventId"] for event in door.bodies()] == [1, 3]
    assert door.quarantined() == [("inbox:hubspot", "foreign_portal")]


@on_sqlite
def test_a_proxy_may_strip_the_path_of_the_public_address_or_leave_it(open_door: OpenDoor) -> None:
    door = open_door(web={"public_url": "https://acme.example/lb"})
    headers = hubspot_headers(HUBSPOT_SECRET, "https://acme.example/lb/webhooks/hubspot", BODY, int(time.time() * 1000))
    assert door.ask("POST", "/webhooks/hubspot", BODY, headers).status == 204
    assert door.ask("POST", "/lb/webhooks/hubspot", BODY, headers).status == 204


@on_sqlite
def test_the_target_counts_exactly_as_it_was_sent(door: Door) -> None:
    for target, status in {
        "/webhooks/hubspot?tenant=acme%3Aeu&next=%2Fin%2Fbox&note=100%25%20J%C3%BCrgen": 204,
        "/webhooks/hubspot?a=1&a=2&=&&": 204,
        "/webhooks/hubspot?": 204,
        "/webhooks/%68ubspot": 204,  # spelled otherwise, and signed as spelled
        "//webhooks/hubspot": 204,
        "/webhooks/hubspot/": 404,
    }.items():
        assert door.hubspot(BODY, target=target).status == status, target
        plain = hubspot_headers(HUBSPOT_SECRET, f"{PUBLIC}/webhooks/hubspot", BODY, int(time.time() * 1000))
        assert door.ask("POST", target, BODY, plain).status in (401, 404), target


@on_sqlite
def test_headers_that_claim_another_address_have_no_say(door: Door, tally: Tally) -> None:
    hostile = {
        "Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example;proto=http", "X-Original-URL": "/webhooks/other", "X-Rewrite-URL": "/x",
        "X-Forwarded-Prefix": "/evil", "X-HTTP-Method-Override": "GET",
    }  # fmt: skip
    now = int(time.time() * 1000)
    true = hubspot_headers(HUBSPOT_SECRET, f"{PUBLIC}/webhooks/hubspot", BODY, now)
    false = hubspot_headers(HUBSPOT_SECRET, "http://evil.example/webhooks/hubspot", BODY, now)
    one_by_one = [{name: value} for name, value in hostile.items()]
    genuine = [door.ask("POST", "/webhooks/hubspot", BODY, true | some).status for some in (hostile, *one_by_one)]
    forged = [door.ask("POST", "/webhooks/hubspot", BODY, false | some).status for some in (hostile, *one_by_one)]
    lost, wrong = len(genuine) - genuine.count(204), len(forged) - forged.count(401)
    tally(8, trials=len(genuine) + len(forged), lost=lost, wrong=wrong)


@on_sqlite
def test_without_a_public_address_the_one_listened_on_counts(open_door: OpenDoor) -> None:
    for web in ({}, {"port": 0, "public_url": "http://127.0.0.1"}):
        door = open_door(web=web)
        assert door.hubspot(BODY, public=door.server.url).status == 204
        assert door.hubspot(BODY, public=PUBLIC).status == 401


@on_sqlite
def test_only_post_opens_the_door_and_no_door_is_open_without_a_secret(open_door: OpenDoor) -> None:
    door = open_door(connections={"hubspot": {"token": "t"}})
    assert door.hubspot(BODY).status == 404
    assert open_door().ask("GET", "/webhooks/hubspot").status == 405
