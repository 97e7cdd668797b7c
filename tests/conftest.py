"""What every test may ask for: a store on each database; and the rule that a run in CI leaves nothing out."""

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # rooms without a store need not wait for SQLAlchemy
    from leadbridge.store import Store
    from tests.helpers.databases import Server
    from tests.helpers.tally import Tally


def pytest_configure() -> None:
    """Let what tests write be in memory, unless somebody says where."""
    from tests.helpers import memory

    if (place := memory.place()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the garbage collector need not look through them again and again."""
    gc.collect()
    gc.freeze()


# How long an example takes says nothing on a machine that others use too, and a store is made for each that needs one.
settings.register_profile(
    "leadbridge",
    settings.get_profile(
        settings.get_current_profile_name()
    ),  # in CI Hypothesis's own, whose examples are the same each time
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("leadbridge")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each worker of pytest-xdist which process is the run."""
    node.workerinput["run_pid"] = os.getpid()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Server":
    """The PostgreSQL server of this run; the test is skipped where there is none."""
    from tests.helpers.databases import NoPostgres, shared_server

    worker = getattr(request.config, "workerinput", None)
    folder = tmp_path_factory.getbasetemp()
    try:
        if worker is None:
            return shared_server(folder, os.getpid())
        return shared_server(folder.parent, worker["run_pid"])
    except NoPostgres as error:
        pytest.skip(f"PostgreSQL: {error}")


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.helpers.databases import sqlite_template

    return sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a fresh, migrated store, on each database in turn. Its key is `tests.helpers.databases.KEY`."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            file = tmp_path / "store.db"
            shutil.copyfile(request.getfixturevalue("_sqlite_template"), file)
            yield f"sqlite:///{file}"
        else:
            server: Server = request.getfixturevalue("postgres_server")
            yield stack.enter_context(server.database())


@pytest.fixture
def store(store_url: str) -> "Iterator[Store]":
    """A fresh, migrated store, on each database in turn."""
    from leadbridge.store import open_store
    from tests.helpers.databases import KEY

    opened = open_store(store_url, key=KEY)
    yield opened
    opened.close()


@pytest.fixture
def tally(record_property: Any) -> "Tally":
    """Say what became of a fault: see `tests.helpers.tally`."""
    from tests.helpers.tally import Tally

    return Tally(record_property)


# --- CI demands that nothing was skipped ------------------------------------------------------------------------------


def _skipped(config: pytest.Config) -> list[Any]:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or os.environ.get("CI", "").lower() not in ("1", "true"):
        return []
    return list(reporter.stats.get("skipped", []))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    _tell_faults(terminalreporter)
    if skipped := _skipped(config):
        terminalreporter.section("CI demands that nothing was skipped", red=True)
        for report in skipped:
            terminalreporter.line(
                f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}"
            )


# --- what became of faults --------------------------------------------------------------------------------------------


def _tell_faults(terminalreporter: Any) -> None:
    ended = [
        one for word in ("passed", "failed") for one in terminalreporter.stats.get(word, []) if one.user_properties
    ]
    if not ended:
        return
    from tests.helpers.tally import lines

    if told := list(lines(ended)):
        terminalreporter.section("what became of the faults that were caused")
        for line in told:
            terminalreporter.line(line)
