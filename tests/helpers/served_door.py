"""The door as a process of its own, over a SQLite file or another store, and a client that signs."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from leadbridge.sandbox.hubspot.webhooks import post
from leadbridge.store import open_store
from leadbridge.store.tables import inbox
from sync import deliveries
from tests.helpers.databases import KEY
from tests.helpers.signers import hubspot_body, hubspot_change, hubspot_headers
from tests.helpers.waiting import LONG
from tests.webhooks.conftest import HUBSPOT_SECRET, PUBLIC, settings


@contextmanager
def served(where: Path | str, *under: str, keep_free: int = 0) -> Iterator[tuple[str, int]]:
    """The door over this file or address of a store, under this command; its address and its process. `keep_free`:
    megabytes in reserve."""
    process = subprocess.Popen(
        [*under, sys.executable, "-m", "tests.helpers.door_zygote"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        print(
            json.dumps(
                {"store": address(where), "config": settings(web={"public_url": PUBLIC, "keep_free": keep_free})}
            ),
            file=process.stdin,
            flush=True,
        )
        born = json.loads(process.stdout.readline())
        yield born["url"], born["pid"]
        subprocess.run(["kill", "-9", str(born["pid"])], check=False, stderr=subprocess.DEVNULL)
        process.stdout.readline()
    finally:
        process.stdin.close()
        process.wait(LONG)
        process.stdout.close()


def deliver(url: str, number: int, *, padding: int = 0) -> int:
    """Send one event, with so many characters in its value; the status, or 0 when no answer came."""
    body = hubspot_body(hubspot_change(number, **({"propertyValue": "x" * padding} if padding else {})))
    headers = hubspot_headers(HUBSPOT_SECRET, f"{PUBLIC}/webhooks/hubspot", body, int(time.time() * 1000))
    return post(f"{url}/webhooks/hubspot", body, headers, 20.0)


def address(where: Path | str) -> str:
    return where if isinstance(where, str) else f"sqlite:///{where}"


def stored(where: Path | str) -> set[int]:
    """The events in this store."""
    store = open_store(address(where), key=KEY)
    try:
        deliveries.cut(store)
        with store.reading() as tx:
            rows = tx.execute(sa.select(inbox.c.delivery_key, inbox.c.body)).all()
        return {json.loads(store.vault.open(body, f"inbox:hubspot:{key}"))["eventId"] for key, body in rows}
    finally:
        store.close()
