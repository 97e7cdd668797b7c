"""Room in reserve beside a SQLite store, in a file that can be thrown overboard (reliability pattern 18).

A full disk blocks even deletes. The door turns deliveries away long before (`web.keep_free`), but what else lives on
the disk may fill it all the same: then the file goes, and the worker can finish and clean up in the room it leaves.
"""

import os
from contextlib import suppress
from pathlib import Path

from leadbridge import logs
from leadbridge.store.engine import Store

log = logs.logger(__name__)

SHARE = 8
"""The file holds an eighth of what is to stay free."""

SUFFIX = ".ballast"


def tend(store: Store, keep_free: int) -> None:
    """Make the file while there is plenty of room, take it away when the disk is full. Cheap; to be called often.

    `keep_free`: bytes that are to stay free; 0 for no reserve. Never raises: the store says for itself what it lacks.
    """
    free, file = store.free_space(), _file(store)
    size = keep_free // SHARE
    if free is None or file is None or not size:
        return
    if file.exists():
        if free < size:
            with suppress(OSError):
                file.unlink(missing_ok=True)
                log.error("the disk is full; the room in reserve is given to the store", bytes=size)
    elif free > keep_free + size:
        _make(file, size)


def _make(file: Path, size: int) -> None:
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            os.posix_fallocate(out.fileno(), 0, size)
    except FileExistsError:  # another process was faster
        pass
    except OSError as error:
        log.warning("no room is kept in reserve", why=error.strerror)
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _file(store: Store) -> Path | None:
    path = store.file
    return None if path is None else path.with_name(path.name + SUFFIX)
