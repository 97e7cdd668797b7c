"""After a restore nobody is contacted twice, and nobody who left meanwhile (reliability G19, G20, G31)."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from leadbridge.errors import VendorError
from leadbridge.store import audit, backup, enrolments, open_store, stops
from leadbridge.store.engine import Store
from leadbridge.types import EnrolmentState
from sync import reconcile
from tests.helpers import databases
from tests.helpers.databases import KEY, NoPostgres, Server
from tests.helpers.syncing import TAG, TRIGGER, Stage, journey, moving, stage
from tests.webhooks.conftest import on_sqlite

S = EnrolmentState


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Store]:
    """A place for what comes back."""
    store = open_store(f"sqlite:///{tmp_path}/restored.db", key=KEY)
    yield store
    store.close()


def back(made: Stage, restored: Store, file: Path) -> Stage:
    """The company's leadbridge over the store as it was at the backup."""
    backup.restore(restored, file, "olga")
    return Stage(made.sandbox, restored, made.config, made.pace, made.made)


@on_sqlite
@pytest.mark.parametrize("name", [TAG, TRIGGER])
def test_whoever_was_contacted_after_the_backup_is_not_contacted_again(
    store: Store, restored: Store, tmp_path: Path, name: str
) -> None:
    with stage(store, journey(name)) as made:
        made.lead("ada@acme.example")
        made.until_enrol()
        backup.backup(store, tmp_path / "one")
        made.lead("late@acme.example")
        made.sync()  # after the backup: two are contacted
        assert set(made.entered().values()) == {1}
        assert len(made.entered()) == 2
        again = back(made, restored, tmp_path / "one")
        again.sync()
        assert made.entered() == {"ada@acme.example": 1, "late@acme.example": 1}
        done = reconcile.reconcile(again.parts, "olga")
        again.lead("new@acme.example")
        again.sync()
        assert made.entered() == {"ada@acme.example": 1, "late@acme.example": 1, "new@acme.example": 1}
        assert (done.entered, done.unknown) == ((2, 0) if name == TAG else (0, 2))
        assert again.states()[S.UNCERTAIN] == done.unknown


FIELD = "by field"


@on_sqlite
@pytest.mark.parametrize(("name", "ends_as"), [(TAG, S.DONE), (TRIGGER, S.UNCERTAIN), (FIELD, S.UNCERTAIN)])
def test_whoever_entered_after_the_backup_and_fits_again_long_after_the_restore_does_not_enter_again(
    store: Store, restored: Store, tmp_path: Path, name: str, ends_as: EnrolmentState
) -> None:
    by_field = {"mailchimp": {"merge_field": "LBNEXT=guides"}} if name == FIELD else {}
    with stage(store, journey(name, **by_field)) as made:
        made.sandbox.mailchimp.add_journey(13, FIELD, merge_field="LBNEXT=guides", reentry=True)
        ada = made.lead("ada@acme.example", jobtitle="")
        made.sync()
        assert made.entered() == {}  # fits nothing
        backup.backup(store, tmp_path / "one")
        made.edit(ada, jobtitle="Engineer")
        made.sync()
        assert made.entered() == {"ada@acme.example": 1}
        if name == FIELD:  # something else was started since: the field tells no more
            made.sandbox.mailchimp.member("ada@acme.example").merge_fields["LBNEXT"] = "studies"
        made.edit(ada, jobtitle="")
        again = back(made, restored, tmp_path / "one")
        done = reconcile.reconcile(again.parts, "olga")
        assert (done.entered, done.unknown) == (0, 0)  # nobody fits: nothing to ask about
        again.edit(ada, jobtitle="Engineer")
        again.sync()
        again.sync()
        assert made.entered() == {"ada@acme.example": 1}
        assert again.states() == {ends_as: 1}


@on_sqlite
def test_a_human_who_looked_lets_a_bare_trigger_go_after_a_restore(
    store: Store, restored: Store, tmp_path: Path
) -> None:
    with stage(store, journey(TRIGGER)) as made:
        ada = made.lead("ada@acme.example", jobtitle="")
        made.sync()
        backup.backup(store, tmp_path / "one")
        again = back(made, restored, tmp_path / "one")
        reconcile.reconcile(again.parts, "olga")
        again.edit(ada, jobtitle="Engineer")
        again.sync()
        (row,) = again.ledger()
        assert (row.state, made.entered()) == (S.UNCERTAIN, {})
        with restored.writing() as tx:
            assert enrolments.settle(tx, row.id, S.CHECKED, "settled by olga", again.now())
        again.sync()
        assert made.entered() == {"ada@acme.example": 1}


@on_sqlite
def test_an_entry_again_is_held_after_a_restore_until_the_time_to_re_enter_has_passed_since(
    store: Store, restored: Store, tmp_path: Path
) -> None:
    later = journey(re_enter_after="90d")
    with stage(store, later) as made, moving(made) as time:
        made.lead("ada@acme.example")
        made.sync()
        backup.backup(store, tmp_path / "one")
        time.on(days=80)
        again = back(made, restored, tmp_path / "one")
        reconcile.reconcile(again.parts, "olga")
        time.on(days=11)  # due by the ledger; but she may have entered again in the 80 days
        again.sync(full=True)
        assert again.states() == {S.DONE: 1, S.UNCERTAIN: 1}
        assert made.entered() == {"ada@acme.example": 1}

        bert = made.lead("bert@acme.example")  # new since: nothing is unknown of him
        again.sync()
        assert made.entered()["bert@acme.example"] == 1
        time.on(days=91)
        again.sync(full=True)
        assert made.entered()["bert@acme.example"] == 2
        assert bert


@on_sqlite
def test_whoever_left_after_the_backup_is_not_contacted(store: Store, restored: Store, tmp_path: Path) -> None:
    with stage(store, journey()) as made:
        made.lead("ada@acme.example")
        made.until_enrol()
        backup.backup(store, tmp_path / "one")
        made.sandbox.mailchimp.person_unsubscribes("ada@acme.example")
        again = back(made, restored, tmp_path / "one")
        reconcile.reconcile(again.parts, "olga")
        again.sync()
        assert made.entered() == {}


@on_sqlite
def test_contact_stays_stopped_while_a_vendor_cannot_be_read(store: Store, restored: Store, tmp_path: Path) -> None:
    with stage(store, journey()) as made:
        made.lead()
        backup.backup(store, tmp_path / "one")
        again = back(made, restored, tmp_path / "one")
        made.fault("status", "members.list", status=503, times=1000)
        with pytest.raises(VendorError):
            reconcile.reconcile(again.parts, "olga")
        with restored.reading() as tx:
            assert stops.stopped(tx, stops.CONTACT) is not None
        assert made.entered() == {}


@pytest.fixture
def server() -> Server:
    """A server of the test's own, which it may stop."""
    try:
        found = databases.start(os.getpid(), databases.binaries())
    except NoPostgres as missing:
        pytest.skip(str(missing))
    found.run(sql.SQL("CREATE DATABASE own"))
    return found


def taken_over(server: Server, copy: Path) -> None:
    """A standby with all but the last commits takes over."""
    server.stop_hard()
    subprocess.run(["rm", "-r", server.folder / "data"], check=True)
    subprocess.run(["cp", "-a", copy, server.folder / "data"], check=True)
    subprocess.run(["cp", "-a", "--attributes-only", copy / "PG_VERSION", server.folder / "data" / "standby.signal"],
                   check=True)  # fmt: skip
    server.start_again()
    server.run(sql.SQL("SELECT pg_promote()"))


@pytest.mark.parametrize("name", [TAG, TRIGGER])
def test_after_a_failover_that_lost_the_last_commits_nobody_is_contacted_again(
    server: Server, tmp_path: Path, name: str
) -> None:
    store = open_store(server.url("own"), key=KEY)
    store.migrate()
    with stage(store, journey(name)) as made:
        made.lead("early@acme.example")
        made.sync()
        made.lead("ada@acme.example")
        made.until_enrol()
        server.stop_hard()
        subprocess.run(["cp", "-a", server.folder / "data", tmp_path / "copy"], check=True)
        server.start_again()
        made.sync()
        assert made.entered() == {"early@acme.example": 1, "ada@acme.example": 1}
        taken_over(server, tmp_path / "copy")
        for _ in range(2):
            made.sync()
        assert made.entered() == {"early@acme.example": 1, "ada@acme.example": 1}
        with store.reading() as tx:
            assert "failover" in str(stops.stopped(tx, stops.CONTACT))
        done = reconcile.reconcile(made.parts, "olga")
        made.lead("new@acme.example")
        made.sync()
        assert made.entered() == {"early@acme.example": 1, "ada@acme.example": 1, "new@acme.example": 1}
        assert (done.entered, done.unknown) == ((1, 0) if name == TAG else (0, 1))
    store.close()


@on_sqlite
def test_a_store_that_was_not_restored_has_nothing_to_reconcile(store: Store) -> None:
    with stage(store, journey()) as made:
        calls = made.calls()
        assert not reconcile.reconcile(made.parts, "olga").was_restored
        assert made.calls() == calls
        with store.reading() as tx:
            assert [note for note in audit.listing(tx) if note.what == "ledger reconciled"] == []
