"""A store that is locked or full, and strangers who want more memory than there is (reliability G1, G6, G32; faults 3
and 9). The door is a real process; what starves it is the operating system."""

import gzip
import os
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import requests

from leadbridge import clock
from leadbridge.errors import StoreError
from leadbridge.store import ballast, inbox, open_store
from tests.helpers.databases import KEY
from tests.helpers.served_door import deliver, served, stored
from tests.helpers.tally import Tally
from tests.webhooks.conftest import MAILCHIMP_PATH

LOCKING = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE');"
    "print('locked', flush=True); sys.stdin.readline(); c.execute('ROLLBACK')"
)
ROOM = 64 * 1024 * 1024  # bytes of addresses beyond what the served process has when it is warm


@pytest.fixture(name="file")
def _file(tmp_path: Path, _sqlite_template: Path) -> Path:
    found = tmp_path / "store.db"
    shutil.copyfile(_sqlite_template, found)
    return found


def until_stored(url: str, number: int) -> None:
    """Send the event as a vendor does, again until it is taken."""
    for _ in range(200):
        if deliver(url, number) == 204:
            return
        threading.Event().wait(0.05)
    raise AssertionError("the door does not recover")


@contextmanager
def locked_by_another(store_url: str) -> Iterator[None]:
    """Nobody else can write to this store."""
    if store_url.startswith("postgresql"):
        with psycopg.connect(store_url) as other:
            other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
            yield
            other.rollback()
        return
    command = [sys.executable, "-c", LOCKING, store_url.removeprefix("sqlite:///")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        yield
        process.stdin.close()


@pytest.mark.parametrize("seconds", [0.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_while_another_process_locks_the_store_nothing_is_acknowledged_and_afterwards_all_is(
    store_url: str, seconds: float, tally: Tally
) -> None:
    with served(store_url) as (url, _):
        assert deliver(url, 1) == 204
        with locked_by_another(store_url):
            began, turned_away = time.monotonic(), 0
            while turned_away < 2 or time.monotonic() - began < seconds:
                assert deliver(url, 2 + turned_away) == 503
                turned_away += 1
        began = time.monotonic()
        for number in range(2, 3 + turned_away):
            until_stored(url, number)
        recover = time.monotonic() - began
    sent = set(range(1, 3 + turned_away))
    tally(3, trials=turned_away, lost=len(sent - stored(store_url)), recover=[recover])


@contextmanager
def on_a_small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 4 MB mounted here, where that is allowed; says whether it was."""
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, pid: int, *, mounted: bool) -> Callable[[], None]:
    """Leave no room for this process to write more; returns what gives it back."""
    if mounted:
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as out, suppress(OSError):
            for size in (65536, 4096, 1):
                with suppress(OSError):
                    while out.write(b"x" * size):
                        pass
        return filler.unlink
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)  # no file may grow beyond what it has: EFBIG
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))

    def give_back() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    return give_back


def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_kept_and_space_alone_mends_it(
    file: Path, tmp_path: Path
) -> None:
    made = file
    folder = tmp_path / "disk"
    folder.mkdir()
    with on_a_small_disk(folder) as mounted:
        file = Path(shutil.copyfile(made, folder / "store.db"))
        with served(file) as (url, pid):
            assert deliver(url, 1) == 204
            make_room = fill(folder, pid, mounted=mounted)
            answers = {number: deliver(url, number, padding=200_000) for number in range(2, 8)}
            assert set(answers.values()) == {503}
            make_room()
            until_stored(url, 8)
        assert {1, 8} <= stored(file)
        with sqlite3.connect(file) as found:
            assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found.close()


def test_before_the_disk_is_full_deliveries_are_turned_away_and_taken_again_once_there_is_room(
    file: Path, tmp_path: Path
) -> None:
    made, folder = file, tmp_path / "disk"
    folder.mkdir()
    with on_a_small_disk(folder) as mounted:
        file = Path(shutil.copyfile(made, folder / "store.db"))
        free = shutil.disk_usage(folder).free // 1_000_000
        reserve = 1 if mounted else free - min(300, free // 2)
        with served(file, keep_free=reserve) as (url, _):
            assert deliver(url, 1) == 204
            filler = folder / "filler"
            with filler.open("wb") as out:
                for _ in range(1000):
                    if shutil.disk_usage(folder).free < reserve * 1_000_000:
                        break
                    os.posix_fallocate(out.fileno(), out.seek(0, 2), 100_000 if mounted else 20_000_000)
                    out.seek(0, 2)
            threading.Event().wait(1.1)  # a look at the disk is good for a second
            assert deliver(url, 2) == 503
            bad = requests.get(f"{url}/healthz", timeout=20)
            assert (bad.status_code, bad.json()["faults"]) == (503, ["disk_low"])
            assert requests.get(f"{url}/readyz", timeout=20).json()["faults"] == ["disk_low"]
            filler.unlink()
            until_stored(url, 3)
        assert {1, 3} <= stored(file)


def test_on_a_disk_that_others_filled_the_ballast_gives_the_store_room(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder = file, tmp_path / "disk"
    folder.mkdir()
    with on_a_small_disk(folder) as mounted:
        file = Path(shutil.copyfile(made, folder / "store.db"))
        kept = folder / "store.db.ballast"
        store = open_store(f"sqlite:///{file}", key=KEY)
        with store.writing() as tx:
            inbox.keep(tx, store.vault, "hubspot", [("before", b"{}")], clock.now())
        ballast.tend(store, 0)
        assert not kept.exists()
        ballast.tend(store, 1_000_000)
        assert kept.stat().st_size == 125_000 <= kept.stat().st_blocks * 512  # really there, no hole
        make_room = monkeypatch.undo
        if mounted:
            make_room = fill(folder, os.getpid(), mounted=mounted)
            with pytest.raises(StoreError, match="full"), store.writing() as tx:
                inbox.keep(tx, store.vault, "hubspot", [("full", b"x" * 50_000)], clock.now())
        else:
            monkeypatch.setattr(store, "free_space", lambda: 0)
        ballast.tend(store, 1_000_000)
        assert not kept.exists()
        with store.writing() as tx:
            inbox.keep(tx, store.vault, "hubspot", [("after", b"x" * 50_000)], clock.now())
        ballast.tend(store, 1_000_000)
        assert not kept.exists()  # there is no room for it yet
        make_room()
        ballast.tend(store, 1_000_000)
        assert kept.exists()
        with store.reading() as tx:
            assert inbox.pending(tx) == 2
        store.close()


# --- memory -----------------------------------------------------------------------------------------------------------


def attacks() -> list[tuple[bytes, bytes, int]]:
    """Head of a request, a piece of its body, and how often the piece is sent unless the server hangs up."""
    bomb = gzip.compress(b"0" * 200_000_000, 1)
    head = b"POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    hubspot, mailchimp = b"/webhooks/hubspot", f"/webhooks/mailchimp/{MAILCHIMP_PATH}".encode()
    million = b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n"
    return [
        (head % (hubspot, b"Transfer-Encoding: chunked\r\n"), million, 200),
        (head % (hubspot, b"Content-Length: 200000000\r\n"), b"x" * 1_000_000, 200),
        (head % (hubspot, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(bomb)), bomb, 1),
        (head % (hubspot, b"X-Many: y\r\n" * 400_000), b"", 1),
        (b"POST /" + b"x" * 100_000_000, b"", 1),
        (head % (mailchimp, form % 900_000), b"a=&" * 300_000, 1),
        (head % (mailchimp, form % 900_000), b"data[x]=%00" * 81_818 + b"ab", 1),
        (head % (hubspot, b"Content-Length: 900000\r\n"), b"[" * 900_000, 1),
    ]


def attack(url: str, head: bytes, piece: bytes, times: int) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=20) as made:
        made.sendall(head)
        for _ in range(times):
            made.sendall(piece)
        made.shutdown(socket.SHUT_WR)
        while made.recv(65536):
            pass


def test_strangers_who_send_without_end_starve_nobody_else(file: Path, tally: Tally) -> None:
    """Under a limit of memory that any one of these bodies would break, were it held or unpacked."""
    with served(file) as (url, pid):
        assert deliver(url, 1) == 204
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmSize:\s+(\d+) kB", status)
        assert found
        limit = int(found[1]) * 1024 + ROOM
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        answers: dict[int, int] = {}
        for each in attacks():
            threads = [threading.Thread(target=attack, args=(url, *each)) for _ in range(2)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) or len(answers) < 10:
                number = len(answers) + 2
                answers[number] = deliver(url, number)
            for thread in threads:
                thread.join()
    turned_away = [number for number, status in answers.items() if status != 204]
    tally(9, trials=len(attacks()), lost=len(turned_away) + len({1, *answers} - stored(file)))
