"""Connections to PostgreSQL are cut, again and again: late, never lost (reliability G1, G10, G32; fault 22)."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from leadbridge.sandbox.hubspot.webhooks import post
from leadbridge.store import inbox
from tests.helpers.databases import Server
from tests.helpers.queues import NoRedis, Redis
from tests.helpers.scaled import WEB, WORKER, Site, site, until
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers

PEOPLE = 20


@pytest.fixture
def scaled(tmp_path: Path, postgres_server: Server) -> Iterator[Site]:
    try:
        redis = Redis(tmp_path)
    except NoRedis as missing:
        pytest.skip(str(missing))
    with postgres_server.database() as url, site(tmp_path, url, redis.url, count=PEOPLE) as found:
        yield found
    redis.close()


def cut_connections(server: Server, made: Site) -> None:
    """End every connection to the site's database, as an administrator or a failover does."""
    name = made.store_url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(host=str(server.folder), user="leadbridge", dbname="postgres", autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )


@pytest.mark.slow
def test_while_connections_are_cut_again_and_again_what_is_acknowledged_is_worked(
    scaled: Site, postgres_server: Server
) -> None:
    scaled.start(*WORKER)
    web = scaled.start(*WEB)
    url = web.heard(r"listens on (http\S+)")[1]
    until(lambda: len(scaled.written()) == PEOPLE)
    record = min(scaled.contacts(), key=int)
    address, secret = f"{url}/webhooks/hubspot", scaled.environ["HUBSPOT_APP_SECRET"]
    acknowledged = 0
    for number in range(40):
        if number % 4 == 0:
            cut_connections(postgres_server, scaled)
        portal = scaled.sandbox.hubspot.portal_id
        body = hubspot_body(hubspot_change(number, objectId=int(record), portalId=portal))
        status = post(address, body, hubspot_headers(secret, address, body, int(time.time() * 1000)), 10.0)
        assert status in (204, 503), status
        acknowledged += status == 204
    assert acknowledged > 20

    def all_done() -> bool:
        with scaled.store() as store, store.reading() as tx:
            return inbox.pending(tx) == 0

    until(all_done, 120)
    with scaled.store() as store, store.reading() as tx:
        done = tx.exec_driver_sql("SELECT count(*) FROM inbox WHERE done_at IS NOT NULL").scalar_one()
    assert done >= acknowledged
    assert "Traceback" not in web.words
