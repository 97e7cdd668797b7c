"""URL to open store, and the few things SQLite and PostgreSQL say differently. Only `rows` and `within`
tell them apart beside it.

Both behave alike: readers see one moment, writers begin as writers and wait at most 30 s for their turn, and a commit
that has returned is on stable storage (reliability G1, G9, pattern 17).
"""

import hashlib
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Engine, Index, Integer, Text, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from leadbridge import clock
from leadbridge.errors import StoreConflict, StoreError
from leadbridge.metrics import STORE_CONFLICTS
from leadbridge.store.rows import with_given
from leadbridge.store.vault import Vault, load_key, previous_keys
from leadbridge.store.within import among as among

WAIT_SECONDS = 30
"""How long a writer waits for another before it gives up."""

BIG_ID = BigInteger().with_variant(Integer(), "sqlite")  # on SQLite only INTEGER PRIMARY KEY counts up by itself
EXACT_TEXT = Text(collation="C").with_variant(Text(), "sqlite")  # compared by code point, as SQLite does by itself
NEVER_REUSED: dict[str, Any] = {"sqlite_autoincrement": True}
"""A deleted id must not come back as somebody else; PostgreSQL's never do."""

_BUGS = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)  # ours; the store is well
_CONFLICTS = {"40P01": "deadlock", "40001": "serialization"}  # SQLSTATE of PostgreSQL; SQLite has one writer
_WRITING = "leadbridge_writing"
_MIGRATING = "leadbridge_migrating"
_MODE = "leadbridge_mode"
_NETWORKS = "leadbridge_networks"
_POSTGRESQL = ("postgresql", "postgresql+psycopg", "postgres")
_OLDEST_POSTGRESQL = 13
_OLDEST_SQLITE = (3, 35)  # the first with RETURNING
_SQLITE_SETTINGS = (
    "synchronous=FULL", "fullfsync=ON", "checkpoint_fullfsync=ON", "foreign_keys=ON",
    "secure_delete=ON",  # what is erased leaves no trace in the file (G25)
)  # fmt: skip
# What may be lost is lost silently, so a server that may lose is refused (reliability G1).
_POSTGRESQL_MUST = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
    "server_encoding": ("UTF8",),
}


class Store:
    """An open store. Thread-safe; open it after a fork, not before. Made by `open_store`."""

    def __init__(self, engine: Engine, vault: Vault, where: str) -> None:
        self.vault = vault
        self.where = where  # the address without its password, for people
        self._engine = engine
        self._ready = False
        if engine.dialect.name == "sqlite":
            self._readers = engine
            self._writers = engine.execution_options(**{_WRITING: True})
            self._turn: threading.Lock | None = threading.Lock()  # SQLite's own waiting polls; threads queue here first
        else:
            self._readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writers = engine.execution_options(isolation_level="READ COMMITTED", **{_WRITING: True})
            self._turn = None

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql", for people; code that needs it belongs in this file."""
        return self._engine.dialect.name

    @property
    def one_writer(self) -> bool:
        """Do writers wait for one another whatever they write, so that several gain nothing?"""
        return self._turn is not None

    def free_space(self) -> int | None:
        """Bytes free where the store's file is; None where the store is another machine's business, or unreachable."""
        if (file := self.file) is None:
            return None
        try:
            return shutil.disk_usage(file.parent).free
        except OSError:
            return None

    @property
    def file(self) -> Path | None:
        """The store's file; None on another database."""
        file = self._engine.url.database
        return Path(file) if self._engine.dialect.name == "sqlite" and file else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment and cannot write. Raises StoreError when the store cannot be used."""
        self._be_ready()
        with _store_errors(), self._readers.begin() as tx:
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that begins as a writer: committed and synced at the end, undone by any error.

        Keep it short and call no vendor inside. Raises StoreError when the store cannot be used, is full, or another
        writer does not end within 30 s; then nothing was written, unless the connection broke during the commit itself.
        """
        self._be_ready()
        with self._write() as tx:
            yield tx

    @contextmanager
    def _write(self, **options: bool) -> Iterator[Connection]:
        if self._turn is not None and not self._turn.acquire(timeout=WAIT_SECONDS):
            raise StoreError(f"the store is busy: another write has not ended within {WAIT_SECONDS} s")
        try:
            # Options make an engine, which costs a door more than the rest of beginning.
            writers = self._writers.execution_options(**options) if options else self._writers
            with _store_errors(), writers.begin() as tx:
                yield tx
        finally:
            if self._turn is not None:
                self._turn.release()

    def migrate(self) -> None:
        """Bring the tables up to this version: all of it or, when killed, none of it. Repeating changes nothing."""
        from leadbridge.store import migrations  # Alembic takes its time to import

        with self._write(**{_MIGRATING: True}) as tx:
            exclusive(tx, "migrate")
            migrations.upgrade(tx)
            if not _rows_fit(tx):
                raise StoreError("the store's rows do not fit together after migrating, so nothing was changed")
            migrations.claim_key(tx, self.vault)

    @contextmanager
    def rebuilding(self) -> Iterator[Connection]:
        """A transaction that fills a store without tables. Raises StoreError when it has some, or rows do not fit."""
        from leadbridge.store import migrations

        with self._write(**{_MIGRATING: True}) as tx:
            exclusive(tx, "migrate")
            if migrations.stamp(tx) is not None:
                raise StoreError(
                    f"the store {self.where} has tables already; restore into a new one and move this away"
                )
            yield tx
            if not _rows_fit(tx):
                raise StoreError("the rows do not fit together, so nothing was restored")

    def flush_erased(self) -> None:
        """After an erasure: let no earlier version of a page linger beside the SQLite file.

        A log that others still read is emptied by the next call. PostgreSQL cleans up by itself (vacuum).
        """
        if self.dialect == "sqlite":
            with _store_errors(), self._engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_current(self) -> bool:
        """Are the tables those of this version?"""
        from leadbridge.store import migrations

        with _store_errors(), self._readers.begin() as tx:
            return migrations.stamp(tx) == migrations.HEAD

    def close(self) -> None:
        """Close every connection. The store may be used again and reconnects then."""
        self._engine.dispose()

    def _be_ready(self) -> None:
        if self._ready:
            return
        from leadbridge.store import migrations

        with _store_errors(), self._readers.begin() as tx:
            migrations.check(tx, self.vault, self.where)
        self._ready = True


def open_store(
    url: str, *, key: bytes | None = None, also: Sequence[bytes] = (), machine_networks: Sequence[str] = ()
) -> Store:
    """Open `sqlite:///FILE` or `postgresql://USER@HOST/NAME`, making the SQLite file (0600) if there is none.

    Without `key` it is read as `leadbridge.store.vault.load_key` says; the key file of `leads.db` is `leads.key`.
    `also`, else LEADBRIDGE_KEY_PREVIOUS, opens what an earlier key sealed (`leadbridge.store.rotation`). Opens and
    clicks of mail from `machine_networks` are stored as a machine's.
    Raises StoreError for an address, server setting or key that cannot keep the promises of this module.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError("store: not an address; write sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        path = _sqlite_file(parsed)
        vault = Vault(key or _key_beside(path), also or previous_keys(os.environ))
        engine = _sqlite_engine(path)
    elif parsed.drivername in _POSTGRESQL:
        vault = Vault(key or load_key(None, os.environ), also or previous_keys(os.environ))
        engine = _postgresql_engine(parsed.set(drivername="postgresql+psycopg"))
    else:
        raise StoreError(
            f"store: {parsed.drivername!r} is no database we keep; write sqlite:///FILE or postgresql://USER@HOST/NAME"
        )
    engine.update_execution_options(**{_NETWORKS: tuple(machine_networks)})
    store = Store(engine, vault, parsed.render_as_string(hide_password=True))
    with _store_errors(), engine.connect():  # the checks at connect speak up now
        return store


# --- SQLite --------------------------------------------------------------------------------------------------------


def _sqlite_file(url: URL) -> Path:
    name = url.database or ":memory:"
    if name == ":memory:" or name.startswith("file:"):
        raise StoreError("store: SQLite needs a file that lasts; write sqlite:///leadbridge.db")
    for setting, value in url.query.items():
        if setting != "synchronous" or str(value).upper() not in ("FULL", "EXTRA"):
            raise StoreError(f"store: {setting}={value} is refused, it could lose what was acknowledged; leave it out")
    path = Path(name)
    if not path.parent.is_dir():
        raise StoreError(f"store: the folder {path.parent} is not there; make it, or name another file")
    if path.is_dir():
        raise StoreError(
            f"store: {path} is a folder: it cannot be opened for writing; see its rights, or name another file"
        )
    return path


def _key_beside(path: Path) -> bytes:
    key_file = path.with_suffix(".key")
    made_here = "LEADBRIDGE_KEY" not in os.environ and "LEADBRIDGE_KEY_FILE" not in os.environ
    if made_here and not key_file.exists() and path.exists() and path.stat().st_size:
        raise StoreError(
            f"the store {path} is there but its key file {key_file} is not: put it back from the backup, or give the "
            "key in LEADBRIDGE_KEY (without it, suppressions cannot be read, so nothing is opened)"
        )
    return load_key(key_file, os.environ)


def _sqlite_engine(path: Path) -> Engine:
    _make(path)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"store: SQLite 3.35 or later is needed; this Python has {sqlite3.sqlite_version}")
    engine = sa.create_engine(
        URL.create("sqlite", database=str(path)),
        hide_parameters=True,  # parameters are people
        connect_args={"timeout": WAIT_SECONDS, "cached_statements": 512},
        pool_timeout=WAIT_SECONDS,
    )
    event.listen(engine, "connect", lambda connection, _record: _set_up_sqlite(connection, path))
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "before_cursor_execute", with_given, retval=True)
    return engine


def _make(path: Path) -> None:
    # A file that is there already is not opened here: closing it again would drop the locks which this process holds on
    # it through another connection, and another process could take the log away (sqlite.org/howtocorrupt, section 2.2).
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite gives its side files these rights
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise StoreError(
                f"store: {path} cannot be opened for writing; see its rights, or name another file"
            ) from None
    except OSError as error:
        raise StoreError(f"store: {path} cannot be opened for writing: {error.strerror}") from error


def _set_up_sqlite(connection: sqlite3.Connection, path: Path) -> None:
    with _closed_on_error(connection):
        connection.isolation_level = None  # transactions begin below, not when Python's driver thinks fit
        run = connection.execute
        if run("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise StoreError(f"store: {path} cannot use write-ahead logging; put it on a local disk, not a shared one")
        for setting in _SQLITE_SETTINGS:
            run(f"PRAGMA {setting}")
        if run("PRAGMA synchronous").fetchone()[0] < 2 or run("PRAGMA foreign_keys").fetchone()[0] != 1:
            raise StoreError("this SQLite library was built without synchronous writes or foreign keys; use another")


def _begin_sqlite(connection: Connection) -> None:
    writing, migrating = is_writing(connection), _MIGRATING in connection.get_execution_options()
    if connection.info.get(_MODE) != (writing, migrating):  # a door's short transactions would feel these two
        # SQLite changes a table by copying and dropping it, which must not delete the rows that refer to it.
        connection.exec_driver_sql(f"PRAGMA foreign_keys={'OFF' if migrating else 'ON'}")
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writing else 'ON'}")
        connection.info[_MODE] = (writing, migrating)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


def _postgresql_engine(url: URL) -> Engine:
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=WAIT_SECONDS,
        connect_args={"connect_timeout": 10, "application_name": "leadbridge", "client_encoding": "utf8"},
    )

    event.listen(engine, "connect", _set_up_postgresql)
    event.listen(engine, "before_cursor_execute", with_given, retval=True)
    return engine


def _set_up_postgresql(connection: Any, _record: object) -> None:
    with _closed_on_error(connection):
        with connection.cursor() as cursor:
            names = [*_POSTGRESQL_MUST, "server_version_num"]
            *values, version = cursor.execute(
                "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
            ).fetchone()
            # A process stopped inside a transaction must not hold its locks, and so an unsubscribe, for ever.
            # Nor may a plan made while a table was small be kept for when it has grown: with hundreds of ids given, it
            # would compare each with every row.
            cursor.execute(
                f"SET lock_timeout = '{WAIT_SECONDS}s'; SET idle_in_transaction_session_timeout = '300s';"
                " SET plan_cache_mode = force_custom_plan"
            )
        connection.commit()
        if int(version) < _OLDEST_POSTGRESQL * 10000:
            raise StoreError(f"store: PostgreSQL {_OLDEST_POSTGRESQL} or later is needed")
        given = zip(_POSTGRESQL_MUST.items(), values, strict=True)
        if faults := [(name, value, allowed[0]) for (name, allowed), value in given if value not in allowed]:
            found = " and ".join(f"{name}={value}" for name, value, _ in faults)
            cure = " and ".join(f"{name} to {right}" for name, _, right in faults)
            raise StoreError(
                f"store: PostgreSQL runs with {found}, which could lose or change what was stored; set {cure}"
            )


# --- for both ------------------------------------------------------------------------------------------------------


@contextmanager
def _closed_on_error(connection: Any) -> Iterator[None]:
    """SQLAlchemy leaves a connection open that it could not set up."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except _BUGS:
        raise
    except (DatabaseError, InterfaceError) as error:
        if (kind := _CONFLICTS.get(getattr(error.orig, "sqlstate", None) or "")) is not None:
            STORE_CONFLICTS.add(kind=kind)
            raise StoreConflict(f"the database ended a transaction ({kind}); it can be tried again") from error
        said = str(error.orig).strip().splitlines()
        raise StoreError(f"the store cannot be used now: {said[0] if said else type(error.orig).__name__}") from error
    except PoolTimeout as error:
        raise StoreError(f"the store is busy: no connection became free within {WAIT_SECONDS} s") from error


def _rows_fit(tx: Connection) -> bool:
    """Is there each row that another refers to? PostgreSQL never lets it be otherwise."""
    return tx.dialect.name != "sqlite" or tx.exec_driver_sql("PRAGMA foreign_key_check").first() is None


def is_writing(tx: Connection) -> bool:
    """Was this transaction begun by `Store.writing`?"""
    return bool(tx.get_execution_options().get(_WRITING))


def machine_networks(tx: Connection) -> tuple[str, ...]:
    """Networks whose every open and click of mail is a machine's, as `open_store` was told."""
    found: tuple[str, ...] = tx.get_execution_options().get(_NETWORKS, ())
    return found


def database_now(tx: Connection) -> datetime:
    """The database's own clock, by which leases run (reliability patterns 4 and 16); replaced time, while a test or a
    replay has replaced it."""
    if (replaced := clock.replaced()) is not None:
        return replaced
    return running_now(tx)


def running_now(tx: Connection) -> datetime:
    """The database's own clock even while time is replaced: for spans between calls that really leave."""
    if tx.dialect.name == "sqlite":
        return datetime.fromisoformat(
            tx.exec_driver_sql("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')").scalar_one()
        )
    at: datetime = tx.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return at.astimezone(UTC)


def lineage(tx: Connection) -> str | None:
    """The server and its timeline, which is another one after each failover and each restore by its own means; None on
    SQLite, and where a hosted PostgreSQL does not tell. For a writer."""
    if tx.dialect.name == "sqlite":
        return None
    try:
        with tx.begin_nested():  # a refusal must not end the transaction
            found: str = tx.exec_driver_sql(
                "SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
                " FROM pg_control_system()"
            ).scalar_one()
    except (ProgrammingError, NotSupportedError):
        return None
    return found


def exclusive(tx: Connection, name: str) -> None:
    """Of all writing transactions that ask for this name, one at a time goes on from here, until it ends.

    For a count and an act upon it, such as a cap. On SQLite every writing transaction is alone anyway.
    """
    if tx.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def high_ids(tx: Connection) -> dict[str, int]:
    """The highest id each table with ids of its own ever gave (`NEVER_REUSED`)."""
    if tx.dialect.name == "sqlite":
        return {name: int(seq) for name, seq in tx.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")}
    rows = tx.exec_driver_sql(
        "SELECT t.relname, s.last_value FROM pg_sequences s JOIN pg_depend d"
        " ON d.objid = (quote_ident(s.schemaname) || '.' || quote_ident(s.sequencename))::regclass"
        " AND d.deptype IN ('a', 'i') JOIN pg_class t ON t.oid = d.refobjid WHERE s.last_value IS NOT NULL"
    )
    return {name: int(last) for name, last in rows}


def set_high_ids(tx: Connection, highest: Mapping[str, int]) -> None:
    """Give no id up to these again."""
    for name, last in sorted((name, last) for name, last in highest.items() if last):
        if tx.dialect.name == "sqlite":
            tx.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            tx.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), {"name": name, "last": last})
        else:
            statement = "SELECT setval(CAST(pg_get_serial_sequence(:name, 'id') AS regclass), CAST(:last AS bigint))"
            tx.execute(sa.text(statement), {"name": name, "last": last})


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> Index:
    """An index over the rows where `where` holds."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def new_token(at: datetime) -> int:
    """A fencing number: grows with time, and two claims never share one even within a millisecond."""
    return (int(at.timestamp() * 1000) << 20) | secrets.randbits(20)
