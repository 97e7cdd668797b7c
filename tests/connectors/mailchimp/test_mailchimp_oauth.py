"""Access by an OAuth token instead of a key: where the account is, and what a bad token looks like."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.serving import make_server

from leadbridge.errors import NeedsOperator
from leadbridge.sandbox.server import Sandbox
from tests.helpers import rooms

TOKEN = "sandbox-mailchimp-token"


def room(url: str, token: str = TOKEN) -> Any:
    connection = {"api_key": None, "access_token": token, "base_url": None, "login_url": url}
    return rooms.mailchimp(rooms.configuration(url, mailchimp=connection))


def test_the_data_centre_is_asked_for_once(sandbox: Sandbox) -> None:
    one = room(sandbox.url)
    sandbox.mailchimp.add_member("dana@acme.example", "subscribed")
    assert one.account()
    list(one.read_members(["dana@acme.example"]))
    assert [call.operation for call in sandbox.world.journal].count("oauth.metadata") == 1


def test_a_bad_token_is_seen_although_the_answer_is_a_success(sandbox: Sandbox) -> None:
    with pytest.raises(NeedsOperator, match="access_token"):
        room(sandbox.url, "revoked").account()
    assert [call.operation for call in sandbox.world.journal] == ["oauth.metadata"]


@contextmanager
def login(answer: dict[str, str]) -> Iterator[str]:
    def app(_: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://api.mailchimp.com.evil.example",
        "http://us1.api.mailchimp.com",
        "https://us1.api.mailchimp.com@evil.example",
        "https://evil.example/us1.api.mailchimp.com",
        "http://127.0.0.1:9",
    ],
)
def test_an_address_that_is_not_mailchimps_is_never_called(endpoint: str) -> None:
    with login({"dc": "us1", "api_endpoint": endpoint}) as url, pytest.raises(NeedsOperator, match="not Mailchimp"):
        room(url).account()


def test_the_token_is_in_no_looks_of_the_room(sandbox: Sandbox) -> None:
    one = room(sandbox.url)
    one.account()
    shown = f"{one!r} {vars(one)!r} {vars(one._api)!r} {vars(one._api._client)!r}"
    assert TOKEN not in shown
