"""What was answered 2xx is stored, however the process ends (reliability G1; fault 1)."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from leadbridge.store.engine import Store
from leadbridge.store.tables import inbox
from sync import deliveries
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers
from tests.helpers.tally import Tally
from tests.helpers.waiting import LONG
from tests.webhooks.conftest import HUBSPOT_SECRET, PUBLIC, settings

SEED = 20261122
EVENTS = 3  # in one delivery
SENDERS = 6


@pytest.fixture(scope="module")
def zygote() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.helpers.door_zygote"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    process.wait(LONG)
    process.stdout.close()


class Web:
    """A web process, from its start to its end."""

    def __init__(self, zygote: "subprocess.Popen[str]", store_url: str) -> None:
        assert zygote.stdin
        assert zygote.stdout
        self._said = zygote.stdout
        print(json.dumps({"store": store_url, "config": settings()}), file=zygote.stdin, flush=True)
        born = json.loads(self._said.readline())
        self.pid: int = born["pid"]
        self.url: str = born["url"]

    def end(self, by: signal.Signals) -> int:
        """Send a signal; the exit code (negative: of that signal)."""
        os.kill(self.pid, by)
        code: int = json.loads(self._said.readline())["exit"]
        return code


def deliver(url: str, number: int) -> int | None:
    """Send delivery `number`; its status, or None when no answer came."""
    body = hubspot_body(*(hubspot_change(number * EVENTS + part) for part in range(EVENTS)))
    headers = hubspot_headers(HUBSPOT_SECRET, f"{PUBLIC}/webhooks/hubspot", body, int(time.time() * 1000))
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", "/webhooks/hubspot", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def stored(store: Store) -> set[int]:
    deliveries.cut(store)
    with store.reading() as tx:
        rows = tx.execute(sa.select(inbox.c.delivery_key, inbox.c.body)).all()
    return {json.loads(store.vault.open(body, f"inbox:hubspot:{key}"))["eventId"] for key, body in rows}


@pytest.mark.parametrize("rounds", [4, pytest.param(150, marks=pytest.mark.slow)])  # 300 over both databases
def test_what_was_acknowledged_survives_kill_9_and_no_delivery_is_stored_in_part(
    zygote: "subprocess.Popen[str]", store_url: str, store: Store, rounds: int, tally: Tally
) -> None:
    acknowledged: set[int] = set()
    recover: list[float] = []
    sent = iter(range(10**6))
    chance = random.Random(SEED)
    for _ in range(rounds):
        began, before = time.monotonic(), len(acknowledged)
        web = Web(zygote, store_url)
        enough = before + chance.randrange(1, 40)
        stop = threading.Event()

        def send(url: str = web.url, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                number = next(sent)
                if deliver(url, number) == 204:
                    acknowledged.add(number)
                else:
                    stop.wait(0.01)

        threads = [threading.Thread(target=send) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while len(acknowledged) == before:
            assert time.monotonic() < deadline, "the web process acknowledges nothing"
            time.sleep(0.0005)
        recover.append(time.monotonic() - began)
        while len(acknowledged) < enough:
            assert time.monotonic() < deadline, "the web process acknowledges nothing"
            time.sleep(0.0005)
        assert web.end(signal.SIGKILL) == -signal.SIGKILL  # no pause before: commits and answers are under way
        stop.set()
        for thread in threads:
            thread.join()
    found = stored(store)
    assert len(acknowledged) >= rounds
    promised = {number * EVENTS + part for number in acknowledged for part in range(EVENTS)}
    whole = {number * EVENTS + part for number in {event // EVENTS for event in found} for part in range(EVENTS)}
    tally(1, trials=rounds, lost=len(promised - found), wrong=len(whole - found), recover=recover, seed=SEED)


def test_a_process_told_to_stop_commits_what_it_has_and_ends_well(
    zygote: "subprocess.Popen[str]", store_url: str, store: Store
) -> None:
    web = Web(zygote, store_url)
    assert deliver(web.url, 1) == 204
    assert web.end(signal.SIGTERM) == 0
    assert len(stored(store)) == EVENTS
