"""How a store comes to have this version's tables."""

import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from leadbridge.errors import StoreError
from leadbridge.store import Store, migrations, open_store
from leadbridge.store.tables import metadata
from tests.helpers.databases import KEY, Server
from tests.helpers.tally import Tally


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a store without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        server: Server = request.getfixturevalue("postgres_server")
        with server.database("template0") as url:
            yield url


def test_the_tables_are_those_the_migrations_make(store: Store) -> None:
    with store.reading() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_migration_is_the_one_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files(migrations)))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == migrations.HEAD
    dates = [revision.revision for revision in script.walk_revisions()]
    assert dates == sorted(dates, reverse=True)
    assert all(Path(revision.path).name.startswith(revision.revision) for revision in script.walk_revisions())


def test_a_store_without_tables_says_how_to_make_them(empty_url: str) -> None:
    store = open_store(empty_url, key=KEY)
    assert not store.is_current()
    for transaction in (store.reading, store.writing):
        with pytest.raises(StoreError, match="has no tables yet; run: leadbridge migrate"), transaction():
            pytest.fail("opened")
    store.migrate()
    assert store.is_current()
    with store.writing():
        pass
    store.close()


def test_migrating_twice_changes_nothing(store: Store) -> None:
    def everything() -> list[Any]:
        with store.reading() as tx:
            return [sorted(map(repr, tx.execute(sa.select(table)).all())) for table in metadata.sorted_tables]

    before = everything()
    store.migrate()
    assert everything() == before
    assert store.is_current()


@pytest.mark.parametrize(
    ("stamp", "words"),
    [("20200101", "run: leadbridge migrate"), ("29990101", "install the leadbridge it was made with")],
)
def test_a_store_of_another_version_is_not_used(store_url: str, stamp: str, words: str) -> None:
    store = open_store(store_url, key=KEY)
    with store.writing() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = :stamp"), {"stamp": stamp})
    store.close()
    later = open_store(store_url, key=KEY)
    assert not later.is_current()
    with pytest.raises(StoreError, match=words), later.reading():
        pytest.fail("opened")
    with pytest.raises(StoreError, match=r"made by another leadbridge.*: update leadbridge, or restore"):
        later.migrate()
    later.close()


@pytest.mark.parametrize("before", [(2, 9, 30, 45), pytest.param(tuple(range(1, 90, 4)), marks=pytest.mark.slow)])
def test_a_migration_killed_half_way_leaves_the_store_as_it_was_and_is_done_next_time(
    empty_url: str, processes: Callable[..., dict[str, Any]], before: Sequence[int], tally: Tally
) -> None:
    stamps = processes(url=empty_url, statements=before)["stamps"]
    assert stamps[-1] == migrations.HEAD
    assert len(stamps) == len(before) + 1
    store = open_store(empty_url, key=KEY)
    with store.reading() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []
    store.close()
    tally(45, trials=len(before), wrong=sum(one is not None for one in stamps[:-1]))


def test_a_writer_killed_at_any_moment_leaves_all_of_a_transaction_or_nothing(
    store_url: str, processes: Callable[..., dict[str, Any]]
) -> None:
    done = processes(url=store_url, rounds=12)
    assert done["acknowledged"] >= 12
    assert (done["torn"], done["lost"]) == (0, 0)


def test_a_fresh_sqlite_store_is_ready_within_300_ms(tmp_path: Path) -> None:
    import alembic.command  # noqa: F401 - imported once per process, and only when there is something to migrate

    took = []
    for number in range(3):
        begun = time.process_time()
        store = open_store(f"sqlite:///{tmp_path}/{number}.db", key=KEY)
        store.migrate()
        took.append(time.process_time() - begun)
        store.close()
    assert min(took) < 0.3


def test_an_installed_wheel_can_migrate(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from leadbridge.store import engine\n"
        "assert engine.__file__.startswith(sys.argv[1]), engine.__file__\n"
        "store = engine.open_store('sqlite:///leads.db')\n"
        "store.migrate()\n"
        "assert store.is_current()\n"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "installed")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
