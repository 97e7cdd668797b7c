"""Deliveries that wait for their commit hold no thread, and are answered however it ends (reliability G1, G2, G6)."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from leadbridge.config.schema import Config
from leadbridge.errors import StoreError
from leadbridge.metrics import WEBHOOK_UNAVAILABLE
from leadbridge.store.engine import Store
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers
from tests.helpers.waiting import LONG, quickest, until
from tests.webhooks.conftest import HUBSPOT_SECRET, PUBLIC, Door, OpenDoor, Seam, on_sqlite, settings
from webhooks.app import HEADERS, create_app, running

pytestmark = on_sqlite


def body(number: int) -> bytes:
    return hubspot_body(hubspot_change(number))


def test_more_deliveries_than_threads_wait_for_a_commit_and_the_server_goes_on_answering(
    open_door: OpenDoor, store: Store
) -> None:
    seam = Seam(store)
    door = open_door(over=seam)
    seam.go.clear()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(door.hubspot, body(number)) for number in range(20)]
        writer = running(door.server._app).writer
        until(lambda: len(writer._waiting) + len(writer._committing) == 20)

        def ask() -> None:
            assert door.ask("GET", "/no/such/page").status == 404

        assert quickest(ask, within=1) < 1
        assert not any(one.done() for one in waiting)
        seam.go.set()
        assert {one.result(LONG).status for one in waiting} == {204}
    assert door.count() == 20


class Hanging(Seam):
    """A store that can be written to, and whose reading hangs until it is let go on."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.read = threading.Event()
        self.asked = 0
        self.reading = self._hang

    @contextmanager
    def _hang(self) -> Iterator[sa.Connection]:
        self.asked += 1
        assert self.read.wait(LONG)
        with self._store.reading() as tx:
            yield tx


def test_pages_that_hang_hold_up_no_delivery(open_door: OpenDoor, store: Store) -> None:
    seam = Hanging(store)
    door = open_door(over=seam, portal="62515")
    with ThreadPoolExecutor(8) as pool:
        pages = [pool.submit(door.ask, "GET", page) for page in ["/healthz", "/readyz"] * 4]
        try:
            until(lambda: seam.asked)
            numbers = itertools.count()

            def deliver() -> None:
                assert [door.hubspot(body(next(numbers))).status for _ in range(5)] == [204] * 5

            assert quickest(deliver, within=2) < 2
        finally:
            seam.read.set()
        assert {page.result(LONG).status for page in pages} == {200}
    assert door.count() == next(numbers)


def test_a_store_that_hangs_when_a_door_asks_it_holds_one_delivery_and_the_others_are_answered(
    open_door: OpenDoor, store: Store
) -> None:
    """Mailchimp's door looks for a signing secret that `apply` may have stored; HubSpot's needs nothing more."""
    seam = Hanging(store)
    door = open_door(over=seam, portal="62515")
    with ThreadPoolExecutor(4) as pool:
        told = [pool.submit(door.mailchimp, {"type": "profile", "data[email]": "ada@acme.example"}) for _ in range(3)]
        try:
            until(lambda: seam.asked)
            assert door.hubspot(body(1)).status == 204
            until(lambda: sum(one.done() for one in told) == 2)
        finally:
            seam.read.set()
        assert sorted(one.result(LONG).status for one in told) == [204, 503, 503]
    assert seam.asked >= 1


def test_a_commit_that_hangs_is_answered_503_in_time_and_what_comes_after_it_is_kept(
    open_door: OpenDoor, store: Store
) -> None:
    seam = Seam(store)
    door = open_door(over=seam)
    running(door.server._app).writer._patience = 0.2
    seam.go.clear()
    began = time.monotonic()
    answer = door.hubspot(body(1))
    assert time.monotonic() - began < 2
    assert (answer.status, answer.error, answer.headers["Retry-After"]) == (503, "busy", "30")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert WEBHOOK_UNAVAILABLE.value(vendor="hubspot", reason="busy") == 1
    seam.go.set()
    until(lambda: door.hubspot(body(2)).status == 204)
    assert door.count() == 2  # the first arrived all the same


def test_a_sender_that_leaves_before_its_commit_harms_nobody(open_door: OpenDoor, store: Store) -> None:
    seam = Seam(store)
    door = open_door(over=seam)
    seam.go.clear()

    host, writer = door.server.url.removeprefix("http://"), running(door.server._app).writer
    senders = [http.client.HTTPConnection(host) for _ in range(3)]
    for number, sender in enumerate(senders):
        at = int(time.time() * 1000)
        headers = hubspot_headers(HUBSPOT_SECRET, f"{PUBLIC}/webhooks/hubspot", body(number), at)
        sender.request("POST", "/webhooks/hubspot", body(number), headers)
    until(lambda: len(writer._waiting) + len(writer._committing) == 3)
    for sender in senders:
        sender.close()
    seam.go.set()
    assert door.hubspot(body(3)).status == 204
    assert door.count() == 4


@pytest.mark.parametrize(("fault", "status"), [(None, 204), (StoreError("full"), 503)])
def test_under_any_other_wsgi_server_the_answer_waits_too(store: Store, fault: Exception | None, status: int) -> None:
    seam = Seam(store)
    seam.fault = fault
    app = create_app(Config.model_validate(settings()), seam, wake=lambda: None)  # type: ignore[arg-type]
    try:
        headers = hubspot_headers(HUBSPOT_SECRET, f"{PUBLIC}/webhooks/hubspot", body(1), int(time.time() * 1000))
        answer = app.test_client().post(
            "/webhooks/hubspot", data=body(1), headers=headers,
            environ_base={"REQUEST_URI": "/webhooks/hubspot", "SERVER_PORT": "443"},
        )  # fmt: skip
        assert answer.status_code == status
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    finally:
        running(app).stop()
    assert Door(store, None, Config.model_validate(settings())).count() == (fault is None)  # type: ignore[arg-type]
