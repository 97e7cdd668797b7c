"""Tables for spreadsheets, in which what strangers wrote stays text (reliability G28)."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from leadbridge.types import Value

_STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "|", "%")  # in full width too
_CONTROLS = dict.fromkeys([*range(32), 127])
_KEPT = {9: " ", 10: "\n", 13: None}


def cell(value: Value) -> str:
    """A value as no spreadsheet runs it: text that could begin a formula gets an apostrophe, which they show as text.

    That holds after spaces too, and for a telephone number in its international form. Numbers of ours stay numbers;
    control characters go, but for line ends.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    text = clean(value)
    return f"'{text}" if text.lstrip().startswith(_STARTS_A_FORMULA) else text


def clean(text: str) -> str:
    """Text without control characters, but for line ends."""
    return text.translate({**_CONTROLS, **_KEPT})


def write(out: TextIO, names: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
    """Write a table; returns how many rows. Every cell is quoted, so that no separator of any country splits one."""
    lines = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    lines.writerow([cell(name) for name in names])
    count = 0
    for row in rows:
        lines.writerow([cell(value) for value in row])
        count += 1
    return count


def save(path: Path, names: Sequence[str], rows: Iterable[Sequence[Value]]) -> int:
    """The same into a file that only its owner may read, all of it or nothing. Raises OSError when that fails.

    With a byte order mark, without which Excel takes UTF-8 for something else.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(opened, "w", encoding="utf-8-sig", newline="") as out:
            count = write(out, names, rows)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return count
