"""The key exchanged while everybody works, killed at any row; a stolen file tells no secret (G26, fault 44)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge.errors import StoreError
from leadbridge.store import Store, grants, inbox, open_store, quarantine, rotation, suppressions
from leadbridge.store.tables import metadata
from leadbridge.types import SuppressionReason
from tests.helpers.databases import KEY
from tests.helpers.store_people import NOW
from tests.helpers.tally import Tally

NEW = bytes(range(32, 64))
TOKEN = "canary-token-5d9a"
ADA = "ada@acme.example"


def fill(store: Store, count: int = 3) -> None:
    with store.writing() as tx:
        for number in range(count):
            inbox.keep_deliveries(tx, store.vault, [inbox.Delivery("hubspot", None, b"[%d]" % number, 1)], NOW)
            inbox.keep(tx, store.vault, "hubspot", [(f"key {number}", b"{%d}" % number)], NOW)
            quarantine.put(tx, store.vault, "inbox:hubspot", "why", b"raw", NOW, f"ref {number}")
        grants.keep(tx, store.vault, "salesforce", {"token": TOKEN}, NOW)
        suppressions.suppress(tx, store.vault, [(ADA, SuppressionReason.OPERATOR, "test", NOW)], NOW)


@contextmanager
def opened(url: str, key: bytes, *also: bytes) -> Iterator[Store]:
    store = open_store(url, key=key, also=also)
    try:
        yield store
    finally:
        store.close()


def whole(store: Store) -> None:
    """Everything opens, and who left is still known."""
    with store.writing() as tx:
        deliveries, closed = inbox.oldest_deliveries(tx, store.vault, limit=100, most_events=100)
        assert [one.body for one in deliveries] == [b"[%d]" % number for number in range(len(deliveries))]
        assert not closed
        events = inbox.claim_events(tx, store.vault, limit=100, owner="w", now=NOW)
        assert sorted(event.body for event in events) == [b"{%d}" % number for number in range(len(events))]
        inbox.release(tx, events)
        assert {quarantine.body_of(tx, store.vault, item.id) for item in quarantine.listing(tx)} == {b"raw"}
        assert grants.read(tx, store.vault, "salesforce") == {"token": TOKEN}
        assert suppressions.is_suppressed(tx, store.vault, ADA)


def test_the_old_key_is_worth_nothing_after_a_rotation_and_the_new_one_everything(store: Store, store_url: str) -> None:
    fill(store)
    with opened(store_url, NEW, KEY) as both:
        whole(both)
        assert rotation.rotate(both, "olga").unreadable == 0
        assert rotation.rotate(both, "olga").sealed == 0
    with opened(store_url, NEW) as new:
        whole(new)
    with opened(store_url, KEY) as old, pytest.raises(StoreError, match="does not belong"), old.reading():
        pass
    with opened(store_url, KEY, NEW) as swapped:  # a process that was not told yet which is newer
        whole(swapped)


@pytest.mark.parametrize("before", [(4, 9, 14), pytest.param(tuple(range(1, 30)), marks=pytest.mark.slow)])
def test_killed_at_any_statement_both_keys_open_and_the_next_rotation_ends_it(
    store: Store, store_url: str, processes: Callable[..., dict[str, Any]], before: Sequence[int], tally: Tally
) -> None:
    fill(store, 2)
    for statement in before:
        done = processes(url=store_url, rotation=[statement], key=NEW.hex(), old=KEY.hex())
        if statement == before[0]:
            assert done == {"killed": 1}
        for first, second in ((NEW, KEY), (KEY, NEW)):
            with opened(store_url, first, second) as both:
                whole(both)
    with opened(store_url, NEW, KEY) as both:
        unreadable = rotation.rotate(both, "olga").unreadable
    with opened(store_url, NEW) as new:
        whole(new)
    tally(44, trials=len(before), lost=unreadable)


def test_every_sealed_column_is_rotated() -> None:
    binary = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary) and table.name != "activity_packs"  # derived, of columns in plain
    }
    assert {(sealed.table.name, sealed.body.name) for sealed in rotation.SEALED} == binary


def test_a_stolen_file_shows_no_secret_and_no_raw_delivery(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with opened(url, KEY) as store:
        store.migrate()
        fill(store)
        with store.writing() as tx:
            inbox.keep(tx, store.vault, "mailchimp", [("m", f"data[email]={ADA}".encode())], NOW)
        raw = b"".join(file.read_bytes() for file in tmp_path.glob("store.db*"))
    assert TOKEN.encode() not in raw
    assert ADA.encode() not in raw
