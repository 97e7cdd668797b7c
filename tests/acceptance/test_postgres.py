"""PostgreSQL cut off, full up and stopped hard under load: late, never lost (reliability G1, G10, G32; fault 22)."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from leadbridge.sandbox.hubspot.webhooks import post
from leadbridge.store import inbox
from tests.helpers.databases import NoPostgres, Server, binaries, start
from tests.helpers.queues import NoRedis, Redis
from tests.helpers.scaled import WEB, WORKER, Site, site
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers
from tests.helpers.tally import Tally
from tests.helpers.waiting import until

PEOPLE = 20
DATABASE = "acme"
ROOM = 40
"""Connections the server takes."""


@pytest.fixture
def server() -> Server:
    """A server of the test's own, which it may stop."""
    try:
        found = start(os.getpid(), binaries(), max_connections=str(ROOM))
    except NoPostgres as missing:
        pytest.skip(str(missing))
    found.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    return found


@pytest.fixture
def scaled(tmp_path: Path, server: Server) -> Iterator[Site]:
    try:
        redis = Redis(tmp_path)
    except NoRedis as missing:
        pytest.skip(str(missing))
    with site(tmp_path, server.url(DATABASE), redis.url, count=PEOPLE) as found:
        yield found
    redis.close()


CUT = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(sql.Literal(DATABASE))
"""Ends every connection to the site's database, as an administrator or a failover does."""


@contextlib.contextmanager
def no_room(server: Server) -> Iterator[None]:
    """Take every connection the server has, the site's too."""

    def connect() -> psycopg.Connection:
        return psycopg.connect(host=str(server.folder), user="leadbridge", dbname="postgres", autocommit=True)

    with contextlib.ExitStack() as held:
        admin = held.enter_context(connect())
        for _ in range(3):  # the site may come first to a place that becomes free
            admin.execute(CUT)
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    held.enter_context(connect())
        yield


@dataclass
class Sender:
    """HubSpot, as far as the door can tell."""

    made: Site
    url: str
    sent: int = 0
    acknowledged: int = 0

    def send(self, times: int = 1) -> int:
        """Deliver so many events; how many were acknowledged. Whatever happens, the answer is 204 or 503."""
        record = min(self.made.contacts(), key=int)
        address, secret = f"{self.url}/webhooks/hubspot", self.made.environ["HUBSPOT_APP_SECRET"]
        before = self.acknowledged
        for _ in range(times):
            self.sent += 1
            change = hubspot_change(self.sent, objectId=int(record), portalId=self.made.sandbox.hubspot.portal_id)
            body = hubspot_body(change)
            status = post(address, body, hubspot_headers(secret, address, body, int(time.time() * 1000)), 10.0)
            assert status in (204, 503), status
            self.acknowledged += status == 204
        return self.acknowledged - before

    def back_to_normal(self) -> float:
        """From now on it takes no longer than a minute until the door takes events and all of them are worked (G32);
        how long it took."""
        began = time.monotonic()
        until(self.send)
        until(self._worked, 60 - (time.monotonic() - began))
        return time.monotonic() - began

    def lost(self) -> int:
        """Events that were acknowledged and are not worked."""
        with self.made.store() as store, store.reading() as tx:
            done: int = tx.exec_driver_sql("SELECT count(*) FROM inbox WHERE done_at IS NOT NULL").scalar_one()
        return max(0, self.acknowledged - done)

    def _worked(self) -> bool:
        with self.made.store() as store, store.reading() as tx:
            done = tx.exec_driver_sql("SELECT count(*) FROM inbox WHERE done_at IS NOT NULL").scalar_one()
            return inbox.pending(tx) == 0 and done >= self.acknowledged


@pytest.mark.slow
def test_cut_full_up_and_stopped_hard_under_load_postgresql_loses_nothing_and_a_minute_later_all_is_worked(
    scaled: Site, server: Server, tally: Tally
) -> None:
    scaled.start(*WORKER)
    web = scaled.start(*WEB)
    sender = Sender(scaled, web.heard(r"listens on (http\S+)")[1])
    until(lambda: len(scaled.written()) == PEOPLE)

    for _ in range(10):
        server.run(CUT)
        sender.send(4)
    assert sender.acknowledged > 20
    recover = [sender.back_to_normal()]

    with no_room(server):
        sender.send(4)
    recover.append(sender.back_to_normal())

    sender.send(4)
    server.stop_hard()
    assert sender.send(4) == 0  # what cannot be stored is not acknowledged
    server.start_again()
    recover.append(sender.back_to_normal())
    assert "Traceback" not in web.words
    tally(22, trials=12, lost=sender.lost(), duplicate=_twice(scaled), recover=recover)


def _twice(made: Site) -> int:
    entered = made.entered()
    return entered.total() - len(entered)
