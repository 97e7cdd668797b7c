"""What the tests of sync share: an installation, its clock, and a store on each database that lasts for the run and is
emptied for each test.

Half of what a round costs is the building of its statements, which an engine does once: a fresh store for each of
hundreds of tests would do little else.
"""

import io
import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from leadbridge import logs
from leadbridge.store import Store, open_store
from leadbridge.store.tables import metadata
from tests.helpers.databases import KEY, Fresh
from tests.helpers.syncing import Moving, Stage, moving, stage


class Lasting:
    """The stores of this run, by database, with their addresses."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.stores: dict[str, tuple[Store, str]] = {}

    def open(self, database: str, url: str) -> None:
        store = open_store(url, key=KEY)
        self.stack.callback(store.close)
        self.stores[database] = store, url

    def empty(self, database: str) -> None:
        """Nothing but what a migration leaves."""
        store, _ = self.stores[database]
        tables = [table.name for table in reversed(metadata.sorted_tables) if table.name != "facts"]  # its key is there
        words = [f"DELETE FROM {name}" for name in tables]
        with store.writing() as tx:
            for portion in words if database == "sqlite" else ["; ".join(words)]:  # SQLite takes one at a time
                tx.exec_driver_sql(portion)


@pytest.fixture(scope="session")
def _lasting() -> Iterator[Lasting]:
    found = Lasting()
    yield found
    found.stack.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, _lasting: Lasting, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the empty store, on each database in turn."""
    database: str = request.param
    if database in _lasting.stores:
        _lasting.empty(database)
    elif database == "sqlite":
        file: Path = tmp_path_factory.mktemp("lasting") / "store.db"
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), file)
        _lasting.open(database, f"sqlite:///{file}")
    else:
        server = request.getfixturevalue("postgres_server")
        _lasting.open(database, _lasting.stack.enter_context(server.database()))
    return _lasting.stores[database][1]


@pytest.fixture
def store(_lasting: Lasting, store_url: str) -> Store:
    """The empty store, on each database in turn."""
    return next(store for store, url in _lasting.stores.values() if url == store_url)


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    """A whole installation over a sandbox; files that need another configuration make their own."""
    with stage(store) as found:
        yield found


@pytest.fixture
def time(made: Stage) -> Iterator[Moving]:
    """The clock of that installation and its vendors, to be moved."""
    with moving(made) as found:
        yield found


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything the process logs, at the finest level."""
    root = logging.getLogger()
    handlers, level, hidden = list(root.handlers), root.level, set(logs._hidden)
    out = io.StringIO()
    logs.configure(json=True, level=logging.DEBUG, stream=out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    logs._hidden.clear()
    logs._hidden.update(hidden)


@pytest.fixture
def fresh(_sqlite_template: Path, tmp_path: Path) -> Fresh:
    """A store for each example of a property: `fresh()`."""
    return Fresh(_sqlite_template, tmp_path)
