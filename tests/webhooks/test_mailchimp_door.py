"""Mailchimp's door: probe, path secret, form, optional signature (mailchimp.md 11; reliability G3, G4, fault 13)."""

import json
import time
from urllib.parse import urlencode

import pytest

from connectors.events import read_event
from connectors.grants import SIGNING
from leadbridge import clock
from leadbridge.config.schema import Config
from leadbridge.store import Store, grants
from leadbridge.types import EventKind
from tests.helpers.signers import mailchimp_header
from tests.webhooks.conftest import AUDIENCE, MAILCHIMP_PATH, MAILCHIMP_SIGNING, Door, OpenDoor, on_sqlite, settings

LEFT = {
    "type": "unsubscribe",
    "fired_at": "2026-01-06 21:40:57",
    "data[action]": "unsub",
    "data[reason]": "manual",
    "data[id]": "8a25ff1d98",
    "data[list_id]": AUDIENCE,
    "data[email]": "lead@acme.example",
    "data[merges][FNAME]": "Caio ☃",
}
PATH = f"/webhooks/mailchimp/{MAILCHIMP_PATH}"


@on_sqlite
def test_the_probe_is_answered_200_on_our_path_and_like_nothing_elsewhere(door: Door) -> None:
    for method in ("GET", "HEAD"):
        answer = door.ask(method, PATH)
        assert (answer.status, answer.body) == (200, b"")
    nowhere = door.ask("GET", "/no/such/page")
    assert (nowhere.status, nowhere.error) == (404, "not_found")
    for wrong in (MAILCHIMP_PATH[:-1], MAILCHIMP_PATH + "x", MAILCHIMP_PATH.upper(), "x", "%00", "%ff", "%C3%A9"):
        for method in ("GET", "POST"):
            answer = door.ask(method, f"/webhooks/mailchimp/{wrong}", b"" if method == "POST" else None)
            assert (answer.status, answer.body) == (404, nowhere.body)


def test_a_delivery_is_stored_and_readable_by_the_worker(door: Door) -> None:
    answer = door.mailchimp(LEFT)
    assert (answer.status, answer.body) == (204, b"")
    assert door.bodies("mailchimp") == [LEFT]
    event = read_event("mailchimp", json.dumps(door.bodies("mailchimp")[0]).encode())
    assert (event.kind, event.emails) == (EventKind.UNSUBSCRIBED, ("lead@acme.example",))


@on_sqlite
def test_a_delivery_to_a_guessed_path_leaves_no_trace(door: Door) -> None:
    assert door.mailchimp(LEFT, path="guessed-guessed-guessed-guessed").status == 404
    assert door.count() == 0


def test_a_repeat_is_one_row_and_anything_else_said_is_another(door: Door) -> None:
    for _ in range(3):
        assert door.mailchimp(LEFT).status == 204
    assert door.count() == 1
    again = dict(reversed(LEFT.items()))  # the order of fields says nothing
    door.mailchimp(again)
    assert door.count() == 1
    for change in ({"fired_at": "2026-01-06 21:40:58"}, {"data[email]": "other@acme.example"}, {"type": "subscribe"}):
        assert door.mailchimp(LEFT | change).status == 204
    assert door.count() == 4


@on_sqlite
def test_signed_hooks_are_checked_and_unsigned_ones_refused_once_a_signing_secret_is_set(open_door: OpenDoor) -> None:
    mailchimp = {"api_key": "k-us1", "audience": AUDIENCE, "webhook_secret": MAILCHIMP_PATH}
    door = open_door(connections={"mailchimp": {**mailchimp, "webhook_signing_secret": MAILCHIMP_SIGNING}})
    body, now = urlencode(LEFT).encode(), int(time.time())
    signed = {"X-Mailchimp-Signature": mailchimp_header(MAILCHIMP_SIGNING, body, now)}
    assert door.mailchimp(LEFT).error == "missing_signature"
    assert door.mailchimp(LEFT | {"data[email]": "x@acme.example"}, headers=signed).error == "bad_signature"
    old = {"X-Mailchimp-Signature": mailchimp_header(MAILCHIMP_SIGNING, body, now - 302)}
    assert door.mailchimp(LEFT, headers=old).error == "too_old"
    assert door.count() == 0
    assert door.mailchimp(LEFT, headers=signed).status == 204
    assert door.mailchimp(LEFT, headers=signed, path="guessed-guessed-guessed-guessed").status == 404


@on_sqlite
def test_what_is_no_form_of_theirs_is_4xx_and_stores_nothing(door: Door) -> None:
    cases = {
        b"": (400, "no_type"),
        b"no form at all": (400, "bad_form"),
        b'{"type":"unsubscribe"}': (400, "bad_form"),
        b"type=": (400, "no_type"),
        b"data%5Bemail%5D=lead%40acme.example": (400, "no_type"),
        b"type=unsubscribe&data%5Bemail%5D=%ff%fe": (400, "bad_encoding"),
        b"type=unsubscribe&x=\xff": (400, "bad_encoding"),
        b"&".join(b"f%d=1" % number for number in range(1001)): (413, "too_many_fields"),
        b"type=unsubscribe&x=" + b"y" * 1_000_000: (413, "too_large"),
    }
    for body, expected in cases.items():
        answer = door.ask("POST", PATH, body, {"Content-Type": "application/x-www-form-urlencoded"})
        assert (answer.status, answer.error) == expected, body[:40]
    assert (door.count(), door.quarantined()) == (0, [])


def test_an_event_that_cannot_be_handled_is_set_aside_and_answered_2xx(door: Door) -> None:
    cases = [
        ({"data[list_id]": "another"}, "foreign_audience"),
        ({"data[email]": ""}, "no_address"),
        ({"data[email]": "a\0@acme.example"}, "bad_email"),
        ({"data[email]": "a" * 1001}, "bad_email"),
        ({"data[reason]": "x" * 101}, "bad_reason"),
    ]
    for change, _ in cases:
        assert door.mailchimp(LEFT | change).status == 204
    assert door.quarantined() == sorted(("inbox:mailchimp", reason) for _, reason in cases)
    assert door.count() == 0


@on_sqlite
def test_a_name_given_twice_is_set_aside_where_we_would_have_to_choose(door: Door) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(LEFT).encode()
    assert door.ask("POST", PATH, body + b"&data%5Bemail%5D=other%40acme.example", form).status == 204
    assert door.quarantined() == [("inbox:mailchimp", "repeated_name")]
    assert door.ask("POST", PATH, body + b"&tag=a&tag=b&tag=c", form).status == 204
    assert door.bodies("mailchimp")[0]["tag"] == ["a", "b", "c"]


def test_an_address_change_and_an_unknown_type_are_kept(door: Door) -> None:
    moved = {
        "type": "upemail",
        "data[list_id]": AUDIENCE,
        "data[old_email]": "a@acme.example",
        "data[new_email]": "b@acme.example",
    }
    assert door.mailchimp(moved).status == 204
    assert door.mailchimp({"type": "something new"}).status == 204
    assert door.count() == 2


def test_a_path_secret_too_easy_to_guess_or_unfit_for_a_path_is_refused() -> None:
    for secret in ("short", "x" * 21, "has/slash/in/it/for/sure", "has space in it for sure", "", "é" * 30):
        mailchimp = {"api_key": "k-us1", "audience": AUDIENCE, "webhook_secret": secret}
        with pytest.raises(ValueError, match="at least 22"):
            Config.model_validate(settings(connections={"mailchimp": mailchimp}))


@on_sqlite
def test_the_old_path_is_good_too_while_rotating(open_door: OpenDoor) -> None:
    old = "old-secret-part-of-the-path"
    mailchimp = {
        "api_key": "k-us1",
        "audience": AUDIENCE,
        "webhook_secret": MAILCHIMP_PATH,
        "webhook_secret_previous": old,
    }
    door = open_door(connections={"mailchimp": mailchimp})
    assert door.ask("GET", f"/webhooks/mailchimp/{old}").status == 200
    assert door.mailchimp(LEFT, path=old).status == 204


@on_sqlite
def test_the_secret_of_a_webhook_that_apply_made_is_known_without_being_written_anywhere(
    open_door: OpenDoor, store: Store
) -> None:
    with store.writing() as tx:
        grants.keep(tx, store.vault, SIGNING, {"secret": MAILCHIMP_SIGNING}, clock.now())
    door = open_door()
    assert door.mailchimp(LEFT).status == 401
    body = urlencode(LEFT).encode()
    signed = {"X-Mailchimp-Signature": mailchimp_header(MAILCHIMP_SIGNING, body, int(time.time()))}
    assert door.mailchimp(LEFT, headers=signed).status == 204
