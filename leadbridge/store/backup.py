"""A backup: every row of one moment in one sealed file, and the way back (reliability G31).

The same form for both databases, so that a store can also move from one to the other. A frame is its length (4 bytes)
and that many sealed bytes, whose place in the file is part of what is sealed: a frame lost, repeated, moved or taken
from another backup does not open, and a file cut short lacks its last frame. Sealed under the key of the store, which
is not in it.
"""

import json
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy import Connection

from leadbridge import clock
from leadbridge.errors import StoreError
from leadbridge.progress import Tell, unheard
from leadbridge.store import audit, leases, lineage, migrations, stops
from leadbridge.store.engine import Store, high_ids, set_high_ids
from leadbridge.store.rows import in_pieces
from leadbridge.store.tables import metadata
from leadbridge.store.vault import Vault

MAGIC = b"leadbridge backup 1\n"
ROWS = 2000
"""Rows in a frame: what is in memory at a time."""

_BYTES = "\x00bytes:"  # no text of the store holds a NUL


@dataclass(frozen=True, slots=True)
class Backup:
    """What a file holds."""

    at: datetime
    rows: int
    size: int  # bytes


def backup(store: Store, target: Path, tell: Tell = unheard) -> Backup:
    """Write the store as it is at one moment, while everybody works on. The file (0600) is there whole, or not at all.

    Raises StoreError when it cannot be written, or is there already.
    """
    if target.exists():
        raise StoreError(f"{target} is there already; a backup does not replace another, name a new file")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                at, rows = _write(store, file, tell)
                file.flush()
                os.fsync(file.fileno())
            size = part.stat().st_size
            os.link(part, target)  # unlike a rename, never in place of another
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"the backup {target} cannot be written: {error.strerror}; nothing was kept of it") from error
    return Backup(at, rows, size)


def _write(store: Store, file: BinaryIO, tell: Tell) -> tuple[datetime, int]:
    file.write(MAGIC)
    out = _Frames(store.vault, file, secrets.token_hex(16))
    rows = 0
    with store.reading() as tx:
        now = clock.now()
        out.put(
            {"id": out.id, "revision": migrations.HEAD, "at": now.isoformat(), "high_ids": high_ids(tx)}, first=True
        )
        for table in metadata.sorted_tables:
            plain = [sa.type_coerce(column, _driver_type(column.type)).label(column.name) for column in table.columns]
            booleans = [column.name for column in table.columns if isinstance(column.type, sa.Boolean)]
            for piece in in_pieces(tx, sa.select(*plain), ROWS):
                cells = [[_to_json(cell) for cell in row] for row in piece]
                names = [column.name for column in table.columns]
                out.put({"table": table.name, "columns": names, "booleans": booleans, "rows": cells})
                rows += len(piece)
                tell("rows", rows)
    out.put({"end": rows})
    return now, rows


def restore(store: Store, source: Path, who: str, tell: Tell = unheard) -> Backup:
    """Bring back a backup into a store without tables: all of it, or when killed nothing. Contact is stopped then,
    until `sync.reconcile` has read at the vendors what came after the backup.

    Raises StoreError for a store that is in use, and a file that is damaged, cut short, or of another key.
    """
    try:
        file = source.open("rb")
    except OSError as error:
        raise StoreError(f"the backup {source} cannot be read: {error.strerror}") from error
    with file, store.rebuilding() as tx:
        frames = _read(store.vault, file, source)
        head = next(frames)
        migrations.upgrade(tx, str(head["revision"]))
        at = datetime.fromisoformat(head["at"])
        rows, end = 0, None
        for frame in frames:
            if (end := frame.get("end")) is not None:
                break
            _load(tx, frame)
            rows += len(frame["rows"])
            tell("rows", rows)
        if end != rows:
            raise StoreError(f"the backup {source} is cut short; nothing was restored")
        set_high_ids(tx, head["high_ids"])
        migrations.upgrade(tx)
        migrations.check(tx, store.vault, store.where)
        leases.end_all(tx)
        lineage.forget(tx)
        now = clock.now()
        stops.stop(
            tx,
            stops.RESTORED,
            who,
            f"the store is as of {at:%Y-%m-%d %H:%M} UTC; `leadbridge reconcile` ends this",
            now,
        )
        audit.note(tx, who, "restored", {"backup_of": at.isoformat(), "rows": rows}, now)
    return Backup(at, rows, source.stat().st_size)


def _load(tx: Connection, frame: dict[str, Any]) -> None:
    booleans = set(frame["booleans"])
    table = sa.table(frame["table"], *(sa.column(name) for name in frame["columns"]))
    named = [zip(frame["columns"], row, strict=True) for row in frame["rows"]]
    tx.execute(sa.insert(table), [{name: _from_json(cell, name in booleans) for name, cell in row} for row in named])


def _driver_type(kind: Any) -> Any:
    """The type as the driver has it: what is stored, not what it means."""
    return kind.impl if isinstance(kind, sa.types.TypeDecorator) else kind


def _to_json(cell: Any) -> Any:
    return _BYTES + bytes(cell).hex() if isinstance(cell, bytes | memoryview | bytearray) else cell


def _from_json(cell: Any, boolean: bool) -> Any:
    if isinstance(cell, str) and cell.startswith(_BYTES):
        return bytes.fromhex(cell.removeprefix(_BYTES))
    return bool(cell) if boolean and cell is not None else cell


class _Frames:
    """Sealed frames going into a file."""

    def __init__(self, vault: Vault, file: BinaryIO, id_: str) -> None:
        self.id = id_
        self._vault, self._file, self._number = vault, file, 0

    def put(self, frame: dict[str, Any], *, first: bool = False) -> None:
        packed = zlib.compress(json.dumps(frame, ensure_ascii=False).encode("utf-8"), 1)
        sealed = self._vault.seal(packed, _place("" if first else self.id, self._number))
        self._file.write(struct.pack(">I", len(sealed)) + sealed)
        self._number += 1


def _read(vault: Vault, file: BinaryIO, source: Path) -> Iterator[dict[str, Any]]:
    if file.read(len(MAGIC)) != MAGIC:
        raise StoreError(f"{source} is no backup of leadbridge")
    id_, number = "", 0
    while length := file.read(4):
        (size,) = struct.unpack(">I", length.rjust(4, b"\0"))
        sealed = file.read(size)
        frame: dict[str, Any] = json.loads(zlib.decompress(vault.open(sealed, _place(id_, number))))
        id_ = id_ or frame["id"]
        number += 1
        yield frame
    raise StoreError(f"the backup {source} is cut short; nothing was restored")


def _place(id_: str, number: int) -> str:
    return f"backup:{id_}:{number}"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
