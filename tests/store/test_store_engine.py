"""Opening a store, and what its transactions promise."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from leadbridge.errors import StoreError
from leadbridge.store import Store, open_store
from leadbridge.store.engine import among, exclusive
from leadbridge.store.rows import insert_all, update_each, upsert
from leadbridge.store.tables import deliveries, facts, persons
from tests.helpers.databases import KEY, Server, binaries, start
from tests.helpers.store_people import NOW, people
from tests.helpers.tally import Tally
from tests.helpers.waiting import LONG


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not an address; write sqlite:///FILE"),
        ("mysql://ada@host/leads", "'mysql' is no database we keep; write sqlite:///FILE or postgresql://"),
        ("sqlite://", "a file that lasts"),
        ("sqlite:///:memory:", "a file that lasts"),
        ("sqlite:///file:leads.db?uri=true", "a file that lasts"),
        ("sqlite:///leads.db?synchronous=OFF", "synchronous=OFF is refused, it could lose"),
        ("sqlite:///leads.db?synchronous=NORMAL", "synchronous=NORMAL is refused"),
        ("sqlite:///leads.db?nolock=1", "nolock=1 is refused"),
        ("sqlite:////no/such/folder/leads.db", "the folder /no/such/folder is not there; make it"),
    ],
)
def test_an_address_that_cannot_keep_the_promises_is_refused_in_clear_words(url: str, words: str) -> None:
    with pytest.raises(StoreError) as refusal:
        open_store(url, key=KEY)
    assert words in str(refusal.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "leads.db"
    file.write_text("Dear diary, " * 100)
    with pytest.raises(StoreError, match="cannot be used now: file is not a database"):
        open_store(f"sqlite:///{file}", key=KEY)
    assert file.read_text().startswith("Dear diary")


def test_no_password_shows_in_an_error_or_in_the_name_of_the_store() -> None:
    with pytest.raises(StoreError) as refusal:
        open_store("postgresql://ada:hunter2@127.0.0.1:1/leads?connect_timeout=1", key=KEY)
    assert "cannot be used now" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_sqlite_is_opened_durable_whatever_its_file_says(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/leads.db?synchronous=full", key=KEY)
    store.migrate()
    with store.reading() as tx:
        settings = [tx.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    store.close()


def test_only_its_owner_can_read_a_sqlite_store(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/leads.db", key=KEY)
    store.migrate()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    store.close()


@pytest.mark.usefixtures("postgres_server")
def test_a_postgresql_server_that_may_lose_is_refused() -> None:
    careless = start(os.getpid(), binaries(), fsync="off", full_page_writes="off")
    with pytest.raises(StoreError) as refusal:
        open_store(careless.url("postgres"), key=KEY)
    assert "runs with fsync=off and full_page_writes=off, which could lose" in str(refusal.value)
    assert "set fsync to on and full_page_writes to on" in str(refusal.value)


def test_a_postgresql_database_that_may_lose_is_refused(postgres_server: Server) -> None:
    with postgres_server.database() as url:
        name = sql.Identifier(url.split("/")[3].split("?")[0])
        postgres_server.run(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
        with pytest.raises(StoreError, match="synchronous_commit=off"):
            open_store(url, key=KEY)


def test_a_postgresql_database_that_changes_text_is_refused(postgres_server: Server) -> None:
    create = sql.SQL("CREATE DATABASE ascii_only TEMPLATE template0 ENCODING 'SQL_ASCII'")
    postgres_server.run(create.format())
    try:
        with pytest.raises(StoreError, match="server_encoding=SQL_ASCII"):
            open_store(postgres_server.url("ascii_only"), key=KEY)
    finally:
        postgres_server.run(sql.SQL("DROP DATABASE ascii_only").format())


def _count(tx: sa.Connection) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(persons)).scalar_one()


def test_an_error_undoes_the_whole_transaction(store: Store) -> None:
    def break_off() -> None:
        with store.writing() as tx:
            people(tx, 3)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    with store.reading() as tx:
        assert _count(tx) == 0


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises((StoreError, DBAPIError), match=r"read.?only"), store.reading() as tx:
        people(tx, 1)


def test_a_reader_sees_one_moment(store: Store) -> None:
    with store.reading() as before:
        assert _count(before) == 0
        with store.writing() as tx:
            people(tx, 2)
        assert _count(before) == 0
    with store.reading() as after:
        assert _count(after) == 2


def test_a_writer_reads_what_it_wrote(store: Store) -> None:
    with store.writing() as tx:
        people(tx, 2)
        assert _count(tx) == 2


def test_writers_wait_for_each_other_and_none_is_lost(store: Store) -> None:
    def write() -> None:
        for _ in range(10):
            with store.writing() as tx:
                exclusive(tx, "count")
                value = tx.execute(sa.select(facts.c.value).where(facts.c.name == "count")).scalar()
                upsert(
                    tx,
                    facts,
                    [{"name": "count", "value": str(int(value or 0) + 1)}],
                    key=["name"],
                    change=lambda new: {"value": new.value},
                )

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as tx:
        assert tx.execute(sa.select(facts.c.value).where(facts.c.name == "count")).scalar() == "40"


def test_two_openings_of_one_store_wait_for_each_other(store: Store, store_url: str) -> None:
    other = open_store(store_url, key=KEY)
    written = threading.Event()

    def write() -> None:
        with other.writing() as tx:
            exclusive(tx, "turn")
            people(tx, 1)
        written.set()

    with store.writing() as tx:
        exclusive(tx, "turn")
        thread = threading.Thread(target=write)
        thread.start()
        assert not written.wait(0.2)
        people(tx, 1)
    thread.join()
    other.close()
    with store.reading() as tx:
        assert _count(tx) == 2


def test_opening_a_store_again_keeps_the_locks_that_hold_its_log(tmp_path: Path) -> None:
    """A second opening once let go of the first one's locks: the next process to close took the log from under it."""
    file = tmp_path / "leads.db"
    first = open_store(f"sqlite:///{file}", key=KEY)
    first.migrate()
    open_store(f"sqlite:///{file}", key=KEY).close()
    another_process = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version'); c.close()"
    )
    subprocess.run([sys.executable, "-c", another_process, file], check=True, timeout=LONG)
    assert file.with_name("leads.db-wal").exists()
    with first.writing() as tx:
        people(tx, 1)
    first.close()


def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "leads.db").mkdir()
    with pytest.raises(StoreError, match="cannot be opened for writing; see its rights, or name another file"):
        open_store(f"sqlite:///{tmp_path / 'leads.db'}", key=KEY)


def test_a_folder_is_told_as_one_and_gets_no_key_beside_it(tmp_path: Path) -> None:
    (tmp_path / "leads.db").mkdir()
    with pytest.raises(StoreError, match="is a folder"):
        open_store(f"sqlite:///{tmp_path / 'leads.db'}")
    assert not (tmp_path / "leads.key").exists()


def test_work_goes_on_after_the_database_ended_every_connection(postgres_server: Server, tally: Tally) -> None:
    with postgres_server.database() as url:
        store = open_store(url, key=KEY)
        terminate = sql.SQL(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'leadbridge' AND datname = {}"  # other tests use the same server
        ).format(sql.Literal(sa.make_url(url).database))
        with store.writing() as tx:
            people(tx, 1)
        postgres_server.run(terminate)
        with store.writing() as tx:
            assert _count(tx) == 1

        def cut_off() -> None:
            with store.writing() as tx:
                people(tx, 1)
                postgres_server.run(terminate)
                people(tx, 1)

        with pytest.raises(StoreError, match="cannot be used now"):
            cut_off()
        with store.writing() as tx:
            there = _count(tx)
        tally(22, trials=2, lost=max(0, 1 - there), wrong=max(0, there - 1))
        store.close()


def test_a_question_may_name_any_number_of_rows(store: Store) -> None:
    with store.writing() as tx:
        ids = people(tx, 5)
        many = [*ids, *range(10**9, 10**9 + 100_000)]
        found = tx.execute(sa.select(persons.c.id).where(among(tx, persons.c.id, many)).order_by(persons.c.id))
        assert list(found.scalars()) == ids
        assert tx.execute(sa.select(persons.c.id).where(among(tx, persons.c.id, []))).all() == []
        assert tx.execute(sa.select(facts.c.name).where(among(tx, facts.c.name, []))).all() == []


def test_an_upsert_inserts_changes_or_leaves_alone_and_says_which(store: Store) -> None:
    def put(values: dict[str, str]) -> set[str]:
        rows = upsert(
            tx,
            facts,
            [{"name": name, "value": value} for name, value in values.items()],
            key=["name"],
            change=lambda new: {"value": new.value},
            only_if=lambda new: new.value > facts.c.value,
            returning=[facts.c.name],
        )
        return {row.name for row in rows}

    with store.writing() as tx:
        assert put({"a": "5", "b": "5"}) == {"a", "b"}
        assert put({"a": "6", "b": "4", "c": "1"}) == {"a", "c"}
        assert upsert(tx, facts, [{"name": "a", "value": "9"}], key=["name"], returning=[facts.c.name]) == []
        found = dict(tx.execute(sa.select(facts.c.name, facts.c.value).where(facts.c.name < "d")).all())
        assert found == {"a": "6", "b": "5", "c": "1"}


def test_rows_are_inserted_and_updated_in_bulk_each_with_its_own_values(store: Store) -> None:
    with store.writing() as tx:
        rows = [{"created_at": NOW, "changed_at": NOW, "email": f"p{n}@acme.example"} for n in range(3)]
        ids = [row.id for row in insert_all(tx, persons, rows, returning=[persons.c.id])]
        update_each(
            tx, persons, [{"id": i, "email": None if i == ids[0] else f"new{i}", "opted_out": True} for i in ids[:2]],
            key=["id"],
        )  # fmt: skip
        insert_all(tx, persons, [])
        update_each(tx, persons, [], key=["id"])
        found = tx.execute(sa.select(persons.c.email, persons.c.opted_out).order_by(persons.c.id)).all()
        assert found == [(None, True), (f"new{ids[1]}", True), ("p2@acme.example", False)]


def test_any_number_of_rows_is_stored_in_order_whatever_they_hold(store: Store) -> None:
    count = 256 + 64 + 7
    with store.writing() as tx:
        given: dict[str, list[Any]] = {
            "vendor": ["hubspot"] * count,
            "account": [None if n % 3 else f'ä"{{}},{n}\\n' for n in range(count)],
            "events": list(range(count)),
            "body": [bytes([n % 256, 0, 255]) for n in range(count)],
            "received_at": [NOW] * count,
        }
        insert_all(tx, deliveries, given)
        columns = [deliveries.c[name] for name in given]
        found = tx.execute(sa.select(*columns).order_by(deliveries.c.id)).all()
        assert found == list(zip(*given.values(), strict=True))


def test_an_id_is_never_used_twice(store: Store) -> None:
    with store.writing() as tx:
        first = people(tx, 3)[-1]
        tx.execute(persons.delete())
        assert people(tx, 1)[0] > first
