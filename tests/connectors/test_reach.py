"""Calls go only where they may, whatever a name server says and however often it changes its word (G29, fault 40)."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from urllib3.exceptions import HTTPError

from connectors import registry
from connectors.mailchimp.auth import DataCentre
from connectors.salesforce import auth as salesforce_auth
from connectors.salesforce.connector import Salesforce
from leadbridge import call, reach
from leadbridge.config.schema import Config
from leadbridge.errors import NeedsOperator
from leadbridge.testing.stages import Skipping
from tests.helpers.syncing import BASE

if TYPE_CHECKING:
    from connectors.base import Crm, EmailPlatform

CONNECTIONS: dict[str, dict[str, Any]] = {
    "hubspot": {"token": "pat-na1-0123456789"},
    "salesforce": {"domain": "acme.my", "client_id": "c" * 20, "client_secret": "s" * 20},
    "mailchimp": {"api_key": "0123456789abcdef0123456789abcdef-us1", "audience": "a36b032126"},
}


@dataclass
class Inside:
    """A service inside the company that nobody outside may reach through us."""

    listening: socket.socket
    got: list[bytes] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.got.append(connection.recv(100))
                except OSError:
                    self.got.append(b"")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    """Every name leads to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Inside(server)
        port = server.getsockname()[1]

        def answer(host: str, *_: Any, **__: Any) -> list[Any]:
            found.asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        thread = threading.Thread(target=found.listen, daemon=True)
        thread.start()
        yield found
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def room_of(vendor: str, **connection: Any) -> "Crm | EmailPlatform":
    config = Config.model_validate(
        {"scores": BASE["scores"], "fields": BASE["fields"], "connections": {vendor: CONNECTIONS[vendor] | connection}}
    )
    build: Callable[..., Crm | EmailPlatform] = registry.email_platform if vendor == "mailchimp" else registry.crm
    return build(vendor, config, pace=Skipping().pace())


@pytest.mark.parametrize("vendor", sorted(CONNECTIONS))
@pytest.mark.parametrize("proxy", [False, True])
def test_a_vendors_name_that_leads_inside_is_sent_nothing(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, vendor: str, proxy: bool
) -> None:
    if proxy:  # of the environment: where it goes is not seen, so it is not asked
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{inside.listening.getsockname()[1]}")
    room = room_of(vendor)
    with pytest.raises(NeedsOperator, match="not on the internet"):
        room.account()
    assert inside.asked
    assert b"".join(inside.got) == b""


@pytest.mark.parametrize("name", ["login.mailchimp.com", "us1.api.mailchimp.com"])
def test_a_token_goes_neither_to_a_login_host_nor_to_a_data_centre_that_leads_inside(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name != "login.mailchimp.com":  # the data centre that the login host named
        monkeypatch.setattr(DataCentre, "_ask", lambda *_: f"https://{name}/3.0")
    connection = {"access_token": "0123456789abcdef0123456789abcdef", "audience": "a36b032126"}
    monkeypatch.setitem(CONNECTIONS, "mailchimp", connection)
    with pytest.raises(NeedsOperator, match="not on the internet"):
        room_of("mailchimp").account()
    assert inside.asked[0] == name
    assert b"".join(inside.got) == b""


def test_a_change_stream_whose_name_leads_inside_is_not_opened(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salesforce_auth.Api, "grant", lambda *_, **__: None)
    room = room_of("salesforce", change_events=True)
    assert isinstance(room, Salesforce)
    with pytest.raises(NeedsOperator, match="not on the internet"):
        next(iter(room.listen(None, threading.Event())))
    assert inside.asked == ["api.pubsub.salesforce.com"]
    assert b"".join(inside.got) == b""


def test_the_peer_counts_not_what_the_name_server_said_before(inside: Inside) -> None:
    manager = urllib3.PoolManager(retries=False)
    reach.guard(manager, ())
    for _ in range(2):
        with pytest.raises(HTTPError) as raised:
            manager.request("GET", "http://paging.example/next")
        error = call.transport_error("hubspot", "contacts.list", raised.value)
        assert isinstance(error, NeedsOperator)
    assert b"".join(inside.got) == b""


def test_a_host_that_the_configuration_names_may_be_anywhere(inside: Inside) -> None:
    manager = urllib3.PoolManager(retries=False)
    reach.guard(manager, reach.named("http://gateway.acme.example:8080/hubspot", None))
    with pytest.raises(HTTPError):  # it takes the request, and does not answer
        manager.request("GET", "http://gateway.acme.example/")
    assert b"GET / HTTP/1.1" in b"".join(inside.got)


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("104.16.1.1", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("169.254.169.254", False), ("192.168.0.1", False), ("100.64.0.1", False), ("0.0.0.0", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False),
        ("::ffff:104.16.1.1", True), ("224.0.0.1", False), ("::", False), ("::ffff:224.0.0.1", False),
        ("64:ff9b::6810:101", True), ("64:ff9b::7f00:1", False), ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::6810:101", False), ("2002:6810:101::1", True), ("2002:a01:203::1", False),
        ("::10.1.2.3", False), ("::127.0.0.1", False),
    ],
)  # fmt: skip
def test_what_is_on_the_internet(address: str, outside: bool) -> None:
    assert reach.is_outside(address) is outside
