"""A CSV file to the intake: each line a call of a tracker, kept as one that came in by the door (docs/intake.md)."""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from connectors.deliveries.intake import BATCH, MAX_EVENT, fault_of
from connectors.intake.mapping import VENDOR
from leadbridge import addresses, clock
from leadbridge.store import inbox
from leadbridge.store.engine import Store

OURS = ("email", "user_id", "event", "timestamp", "message_id")
"""Columns with a meaning; every other one is a trait of a person, or a property of an event."""

PORTION = 100
"""Calls kept as one delivery: at the longest a call may be they stay under 4 MB."""

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,9})?")  # not 007: that is a name

_WORDS = {
    "no_id": "says nobody; it needs an email or a user_id",
    "bad_userId": "has a user_id that is too long to be one",
    "bad_messageId": "has a message_id that is too long to be one",
    "bad_timestamp": "has a timestamp that is none; write 2026-03-01T14:30:00Z, or a day",
    "too_large": "is longer than 32 kB",
}


Call = dict[str, Any]
"""A call as the Segment HTTP tracking API has it."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A line that cannot be a call."""

    line: int  # 1-based
    why: str

    def __str__(self) -> str:
        return f"line {self.line} {self.why}"


def read(file: TextIO, *, delimiter: str = ",", renamed: Mapping[str, str] | None = None) -> Iterator[Call | Unfit]:
    """The calls a table holds, line by line; with a header that does not do, only a word on that.

    `renamed`: what a column of the table is called here.
    """
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        header = [(renamed or {}).get(name, name) for name in names]
        problem = _shape(names, delimiter) or _header(header) or _lacking(names, renamed or {})
        if problem is not None:
            yield Unfit(1, problem)
            return
        for row in rows:
            if any(map(str.strip, row)):
                yield _call(header, row, rows.line_num)
    except csv.Error as error:
        yield Unfit(rows.line_num, f"cannot be read, nor what follows it: {error}")
    except UnicodeDecodeError:
        yield Unfit(rows.line_num + 1, "or one soon after it is not UTF-8; save the table as CSV UTF-8")


def keep(store: Store, calls: Iterable[Call]) -> int:
    """Keep these calls as deliveries; returns how many. Killed anywhere it may be done again: no call counts twice."""
    count = 0
    for portion in _portions(calls):
        body = json.dumps({"batch": portion}, ensure_ascii=False).encode()
        came = inbox.Delivery(VENDOR, None, BATCH.encode() + b"\n" + body, len(portion))
        with store.writing() as tx:
            inbox.keep_deliveries(tx, store.vault, [came], clock.now())
        count += len(portion)
    return count


def _portions(calls: Iterable[Call]) -> Iterator[list[Call]]:
    portion: list[Call] = []
    for call in calls:
        portion.append(call)
        if len(portion) == PORTION:
            yield portion
            portion = []
    if portion:
        yield portion


def _shape(names: list[str], delimiter: str) -> str | None:
    if not names:
        return "is empty"
    if len(names) == 1 and (other := next((one for one in ";\t,|" if one != delimiter and one in names[0]), None)):
        shown = "$'\\t'" if other == "\t" else f"'{other}'"
        return f"has one column only; say what stands between two: --delimiter {shown}"
    return None


def _header(names: list[str]) -> str | None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        return f"names a column twice: {', '.join(twice)}"
    if "" in names:
        return "has a column without a name"
    if not {"email", "user_id"} & set(names):
        return "has neither email nor user_id; say which column it is: --column THEIRS=email"
    return None


def _lacking(names: list[str], renamed: Mapping[str, str]) -> str | None:
    """A column that was named and is not there: what it should have become would be missed without a word."""
    lacking = [name for name in renamed if name not in names]
    return f"has no column {lacking[0]!r}, which --column names; it has: {', '.join(names)}" if lacking else None


def _call(header: list[str], row: list[str], line: int) -> Call | Unfit:
    if len(row) > len(header):
        return Unfit(line, f"has {len(row)} columns, the header {len(header)}")
    told = {name: value.strip() for name, value in zip(header, row, strict=False) if value.strip()}
    given = {name: told.pop(name) for name in OURS if name in told}
    event = given.get("event")
    if event and "timestamp" not in given:
        return Unfit(line, "has an event without a timestamp, which would count as of today")
    if "email" in given and "user_id" not in given and addresses.canonical(given["email"]) is None:
        return Unfit(line, "has an email that is no address, so that nobody could be found by it")
    who = {"email": given["email"]} if "email" in given else {}
    call: Call = {"type": "track" if event else "identify", "userId": given.get("user_id")}
    if event:
        call |= {"event": event, "traits": who, "properties": {name: _plain(value) for name, value in told.items()}}
    else:
        call |= {"traits": told | who}
    call["timestamp"] = given.get("timestamp")
    call = {name: value for name, value in call.items() if value is not None}
    text = json.dumps(call, sort_keys=True)
    if len(text) > MAX_EVENT - 400:  # its id, and letters that JSON spells longer
        return Unfit(line, _WORDS["too_large"])
    call["messageId"] = given.get("message_id") or f"table:{hashlib.sha256(text.encode()).hexdigest()}"
    if (problem := fault_of(call)) is not None:
        return Unfit(line, _WORDS.get(problem, problem))
    return call


def _plain(value: str) -> str | float:
    return float(value) if _NUMBER.fullmatch(value) else value
