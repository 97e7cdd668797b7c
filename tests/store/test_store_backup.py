"""A backup is one moment, whole, sealed; a restore is all or nothing, and stops contact (reliability G31, G19, G26)."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from leadbridge.errors import StoreError
from leadbridge.store import Store, backup, enrolments, grants, leads, open_store, quarantine, stops, watermarks
from leadbridge.store.tables import metadata, persons
from tests.helpers.databases import KEY
from tests.helpers.store_people import NOW, person

ADA = "ada@acme.example"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A store without tables, on each database in turn."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/other.db"
        else:
            url = stack.enter_context(request.getfixturevalue("postgres_server").database())
        opened = open_store(url, key=KEY)
        if request.param == "postgresql":
            with opened._write(leadbridge_migrating=True) as tx:
                tx.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield opened
        opened.close()


def fill(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1", ADA)
        person(tx, "2", "grace@acme.example")
        gone = person(tx, "3", "gone@acme.example")
        quarantine.put(tx, store.vault, "inbox:hubspot", "why \u2603", b"\x00\xff raw", NOW, "a")
        grants.keep(tx, store.vault, "salesforce", {"token": "canary-token"}, NOW)
        watermarks.save_progress(tx, "hubspot", "leads", {"at": "x"}, NOW)
        wish = enrolments.Intent(ada, "guides", 1, "mailchimp", ADA, "tag", "boss", NOW + timedelta(days=1))
        enrolments.intend(tx, [wish], NOW)
    with store.writing() as tx:
        tx.execute(sa.text("DELETE FROM person_keys WHERE person_id = :id"), {"id": gone})
        for table in metadata.sorted_tables:
            for column in table.columns:
                if table is not persons and any(key.column is persons.c.id for key in column.foreign_keys):
                    tx.execute(sa.delete(table).where(column == gone))
        tx.execute(sa.delete(persons).where(persons.c.id == gone))


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.reading() as tx:
        return {
            table.name: sorted((tuple(row) for row in tx.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def test_everything_comes_back_on_either_database_and_contact_is_stopped(
    store: Store, empty: Store, tmp_path: Path
) -> None:
    fill(store)
    made = backup.backup(store, tmp_path / "one.backup")
    before = dump(store)
    found = backup.restore(empty, tmp_path / "one.backup", "olga")
    assert (found.rows, found.at) == (made.rows, made.at)
    after = dump(empty)
    assert {name for name in before if before[name] != after[name]} == {"stops", "audit"}
    with empty.reading() as tx:
        stop = stops.stopped(tx, stops.CONTACT)
        assert stop is not None
        assert stop.who == "olga"
        assert grants.read(tx, empty.vault, "salesforce") == {"token": "canary-token"}
    with empty.writing() as tx:
        assert not stops.resume(tx, stops.CONTACT, "olga", NOW)  # only reconciling ends it
        assert leads.new_people(tx, 1, NOW)[0] > 3  # an id that was somebody's is nobody else's
    assert (tmp_path / "one.backup").stat().st_mode & 0o777 == 0o600


def test_a_backup_tells_nothing_without_the_key(store: Store, tmp_path: Path) -> None:
    fill(store)
    backup.backup(store, tmp_path / "one.backup")
    raw = (tmp_path / "one.backup").read_bytes()
    assert ADA.encode() not in raw
    other = open_store(f"sqlite:///{tmp_path}/other.db", key=bytes(32))
    with pytest.raises(StoreError, match="another key"):
        backup.restore(other, tmp_path / "one.backup", "olga")
    other.close()


@pytest.mark.parametrize("harm", ["cut", "flipped", "swapped", "empty"])
def test_a_damaged_backup_restores_nothing(store: Store, tmp_path: Path, harm: str) -> None:
    fill(store)
    backup.backup(store, tmp_path / "one.backup")
    raw = (tmp_path / "one.backup").read_bytes()
    harmed = {
        "cut": raw[: raw.rindex(b"\x00\x00\x00", 0, len(raw) - 8)],
        "flipped": raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:],
        "swapped": raw[: len(backup.MAGIC)] + raw[len(backup.MAGIC) :][::-1],
        "empty": b"",
    }[harm]
    (tmp_path / "two.backup").write_bytes(harmed)
    other = open_store(f"sqlite:///{tmp_path}/other.db", key=KEY)
    with pytest.raises(StoreError):
        backup.restore(other, tmp_path / "two.backup", "olga")
    with pytest.raises(StoreError, match="no tables"), other.reading():
        pass
    backup.restore(other, tmp_path / "one.backup", "olga")
    other.close()


def test_neither_a_store_in_use_nor_a_backup_is_replaced(store: Store, tmp_path: Path) -> None:
    backup.backup(store, tmp_path / "one.backup")
    with pytest.raises(StoreError, match="already"):
        backup.backup(store, tmp_path / "one.backup")
    with pytest.raises(StoreError, match="tables already"):
        backup.restore(store, tmp_path / "one.backup", "olga")
    assert sorted(file.name for file in tmp_path.glob("*backup*")) == ["one.backup"]
