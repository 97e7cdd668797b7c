"""What was answered 2xx survives a disk that fails and power that goes (reliability G1; faults 1, 2, 3).

The door runs under strace, which lets the n-th sync or write fail, ends the process at the n-th write, or notes every
write and sync in order. From that note the disk is built as it would be found after a loss of power: with what had been
synced, and nothing else.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.served_door import deliver, served, stored
from tests.helpers.tally import Tally

SENT = 12
# The writer's thread makes 5 writes for its first commit and 4 for each later one; opening the store takes 8 of another
# thread's. strace counts each thread by itself.
CALLS = "pwrite64,ftruncate,fdatasync,fsync,sendto"
_LINE = re.compile(r"^(\d+) +(<\.\.\. )?(\w+)(\(| resumed>)(.*)$")
_FILE = re.compile(r"^\d+<([^>]*)>")
_WRITTEN = re.compile(r'^\d+<[^>]*>, "((?:\\x[0-9a-f]{2})*)", \d+, (\d+)')
_ACKNOWLEDGED = "".join(f"\\x{byte:02x}" for byte in b"HTTP/1.1 204")


@pytest.fixture(autouse=True)
def _strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace on PATH; on Debian and Ubuntu: apt-get install strace")


@pytest.fixture
def file(tmp_path: Path, _sqlite_template: Path) -> Path:
    found = tmp_path / "store.db"
    shutil.copyfile(_sqlite_template, found)
    return found


@contextmanager
def under_strace(file: Path, *options: str) -> Iterator[str]:
    """The door over this store, under strace; its address."""
    with served(file, "strace", "-f", "-qq", *options) as (url, _):
        yield url


# --- a disk that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inject",
    ["fdatasync,fsync:error=EIO:when=3..4", "pwrite64:error=ENOSPC:when=11..12", "pwrite64:error=EIO:when=18..19"],
)
def test_what_could_not_be_written_or_synced_is_not_acknowledged_and_the_door_recovers(
    file: Path, inject: str, tally: Tally
) -> None:
    with under_strace(file, "-e", f"trace={CALLS}", "-o", "/dev/null", "-e", f"inject={inject}") as url:
        answers = {number: deliver(url, number) for number in range(1, SENT + 1)}
    acknowledged = {number for number, status in answers.items() if status == 204}
    assert set(answers.values()) == {204, 503}
    assert answers[SENT] == 204  # the fault is over, and so is its effect
    tally(2, trials=SENT, lost=len(acknowledged - stored(file)))


@pytest.mark.parametrize("number", [11, *(pytest.param(number, marks=pytest.mark.slow) for number in range(9, 48, 3))])
def test_ended_at_the_nth_write_nothing_acknowledged_is_missing(file: Path, number: int, tally: Tally) -> None:
    injected = f"inject=pwrite64:signal=KILL:when={number}"
    with under_strace(file, "-e", f"trace={CALLS}", "-o", "/dev/null", "-e", injected) as url:
        answers = {one: deliver(url, one) for one in range(1, SENT + 1)}
    acknowledged = {one for one, status in answers.items() if status == 204}
    assert set(answers.values()) == {204, 0}  # it died in the middle
    tally(1, trials=1, lost=len(acknowledged - stored(file)))


# --- power that goes --------------------------------------------------------------------------------------------------


class Disk:
    """Files as they are on the disk itself: a write counts once a later sync of its file has ended."""

    def __init__(self, before: Path) -> None:
        self._synced: dict[str, bytearray] = {str(before): bytearray(before.read_bytes())}
        self._open: dict[str, list[tuple[int, bytes | None]]] = {}
        self._syncing: dict[tuple[str, str], tuple[str, int]] = {}

    def begin(self, pid: str, call: str, rest: str) -> None:
        """A system call was entered."""
        found = _FILE.match(rest)
        path = _plain(found[1]) if found else ""
        if call == "pwrite64" and (written := _WRITTEN.match(rest)):
            self._open.setdefault(path, []).append((int(written[2]), bytes.fromhex(written[1].replace("\\x", ""))))
        elif call == "ftruncate" and (cut := re.match(r"^\d+<[^>]*>, (\d+)", rest)):
            self._open.setdefault(path, []).append((int(cut[1]), None))
        elif call in ("fdatasync", "fsync"):
            self._syncing[pid, call] = path, len(self._open.get(path, ()))

    def end(self, pid: str, call: str) -> None:
        """A system call came back."""
        if call in ("fdatasync", "fsync") and (pid, call) in self._syncing:
            path, count = self._syncing.pop((pid, call))
            content = self._synced.setdefault(path, bytearray())
            for place, data in self._open.get(path, [])[:count]:
                if data is None:
                    del content[place:]
                else:
                    content.extend(bytes(max(0, place - len(content))))
                    content[place : place + len(data)] = data
            self._open[path] = self._open.get(path, [])[count:]

    def left(self, folder: Path, name: str) -> Path:
        """The store as it is found afterwards, in this folder."""
        folder.mkdir()
        for path, content in self._synced.items():
            if Path(path).name.startswith(name):
                (folder / Path(path).name).write_bytes(content)
        return folder / name


def _plain(text: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


def test_after_a_loss_of_power_at_any_answer_everything_acknowledged_by_then_is_there(
    file: Path, tmp_path: Path, tally: Tally
) -> None:
    before = tmp_path / "before.db"
    shutil.copyfile(file, before)
    note = tmp_path / "strace"
    with under_strace(file, "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(note)) as url:
        for number in range(1, SENT + 1):
            assert deliver(url, number) == 204
    shutil.copyfile(before, file)
    disk, acknowledged, writes, lost = Disk(file), 0, 0, 0
    for line in note.read_text(encoding="ascii").splitlines():
        if (found := _LINE.match(line)) is None:
            continue
        pid, resumed, call, _, rest = found.groups()
        if call == "sendto" and not resumed and _ACKNOWLEDGED in rest:
            acknowledged += 1
            left = disk.left(tmp_path / f"after {acknowledged}", file.name)
            lost += len(set(range(1, acknowledged + 1)) - stored(left))
        writes += call == "pwrite64"
        if not resumed:
            disk.begin(pid, call, rest)
        if resumed or "<unfinished" not in rest:
            disk.end(pid, call)
    assert acknowledged == SENT
    assert writes > SENT
    tally(1, trials=acknowledged, lost=lost)
