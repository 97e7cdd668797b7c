"""The program written by hand that `scoring` compares with: what somebody would write who knew the model, the store's
tables and nothing else, and keeps the same facts about each person as leadbridge does.

It reads rows through the database's own driver, scores in NumPy, and stores of everybody who moved: the value, grade
and categories, the stage and since when, the reasons; a line of history with every rule's points; and what the CRM
record has to show. No other worker may be about, nothing may change meanwhile, and a death loses a range of people.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.engine import LINES, ByHand, by_hand
from benchmarks.micro_batch import AT, TYPES
from leadbridge.columns import micros
from scoring.frames import KIND_CODES, Activities, Documents, people_frame

RANGE = 50_000  # people it reads, and stores, at one time

READ_PEOPLE = "SELECT id, email, attributes FROM persons WHERE id BETWEEN {} AND {} ORDER BY id"
READ_DONE = """SELECT person_id, kind, at, attributes FROM activities WHERE person_id BETWEEN {} AND {}
               ORDER BY person_id, at"""
READ_HELD = """SELECT person_id, value, fit, engagement, worth, stage, since FROM by_hand
               WHERE person_id BETWEEN {} AND {} ORDER BY person_id"""
READ_RECORDS = "SELECT person_id, record_id FROM records WHERE vendor = 'hubspot' AND person_id {}"

HELD = ("person_id", "value", "grade", "fit", "engagement", "worth", "stage", "since", "reasons", "model", "at")
TABLES = (
    """CREATE TABLE IF NOT EXISTS by_hand (
           person_id BIGINT PRIMARY KEY, value INTEGER, grade TEXT,
           fit DOUBLE PRECISION, engagement DOUBLE PRECISION, worth DOUBLE PRECISION,
           stage TEXT, since BIGINT, reasons TEXT, model TEXT, at BIGINT)""",
    """CREATE TABLE IF NOT EXISTS by_hand_history (
           person_id BIGINT, value INTEGER, grade TEXT, stage TEXT, contributions TEXT, model TEXT, at BIGINT)""",
    "CREATE INDEX IF NOT EXISTS ix_by_hand_history ON by_hand_history (person_id)",
    "CREATE TABLE IF NOT EXISTS by_hand_wishes (record_id TEXT PRIMARY KEY, person_id BIGINT, wanted TEXT)",
)
MODEL = "by hand"
STAGES = (None, "mql", "sql")


@dataclass(frozen=True)
class Before:
    """What is stored of the people of a range; -1 where nothing is."""

    whole: NDArray[np.int64]  # value and categories in whole points, shape (4, people)
    stage: NDArray[np.int64]  # index into STAGES
    since: NDArray[np.int64]


def connect(url: str) -> Any:
    """A connection with the program's own tables."""
    connection: Any
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
    else:
        connection = psycopg.connect(url, autocommit=True)
    for table in TABLES:
        connection.execute(table)
    return connection


def everybody(connection: Any, days: float) -> tuple[int, int]:
    """Score everybody as of so many days after all that happened, and keep what moved: (people, moved)."""
    moved = people = 0
    highest = connection.execute("SELECT max(id) FROM persons").fetchone()[0]
    for first in range(1, highest + 1, RANGE):
        last = first + RANGE - 1
        ids, found = _scored(connection, first, last, days)
        before = _before(connection, first, last, ids)
        whole = np.vstack([found.value, *np.rint(found.categories)]).astype(np.int64)
        stage = np.where((found.value >= 50) | ((before.stage == 2) & (found.value >= 40)), 2, found.value >= 25)
        rows = np.flatnonzero((whole != before.whole).any(axis=0) | (stage != before.stage))
        _keep(connection, ids, found, stage, before, rows, micros(AT + timedelta(days=days)))
        moved, people = moved + len(rows), people + len(ids)
    return people, moved


def _scored(connection: Any, first: int, last: int, days: float) -> tuple[NDArray[np.int64], ByHand]:
    rows = connection.execute(READ_PEOPLE.format(first, last)).fetchall()
    facts = json.loads(f"[{','.join(row[2] for row in rows)}]")
    for row, one in zip(rows, facts, strict=True):
        one["email_domain"] = row[1].rpartition("@")[2]
    people = people_frame([row[0] for row in rows], facts, TYPES)
    texts: dict[str, int] = {}
    pieces = []
    if isinstance(connection, sqlite3.Connection):
        cursor: Any = connection.execute(READ_DONE.format(first, last))
    else:
        connection.execute("BEGIN")
        cursor = connection.cursor("done")
        cursor.execute(READ_DONE.format(first, last))
    while found := cursor.fetchmany(50_000):
        people_of, words, instants, told = zip(*found, strict=True)
        pieces.append(
            (
                np.array(people_of),
                np.array([KIND_CODES[word] for word in words], np.int8),
                np.array(instants),
                np.array([texts.setdefault(one, len(texts)) for one in told], np.int32),
            )
        )
    cursor.close()
    if not isinstance(connection, sqlite3.Connection):
        connection.execute("COMMIT")
    person, kind, at, document = (np.concatenate(column) for column in zip(*pieces, strict=True))
    documents = Documents(document, json.loads(f"[{','.join(texts)}]"))
    done = Activities(people.rows_of(person), kind, at, documents)
    return people.ids, by_hand(people, done, AT + timedelta(days=days))


def _before(connection: Any, first: int, last: int, ids: NDArray[np.int64]) -> Before:
    found = Before(*(np.full(shape, -1) for shape in ((4, len(ids)), len(ids), len(ids))))
    held = connection.execute(READ_HELD.format(first, last)).fetchall()
    if held:
        person, *numbers, stage, since = zip(*held, strict=True)
        rows = np.searchsorted(ids, np.array(person))
        found.whole[:, rows] = np.rint(np.array(numbers))
        found.stage[rows] = [STAGES.index(one) for one in stage]
        found.since[rows] = since
    return found


def _keep(
    connection: Any,
    ids: NDArray[np.int64],
    found: ByHand,
    stage: NDArray[np.int64],
    before: Before,
    rows: NDArray[np.intp],
    at: int,
) -> None:
    """Store the rows that moved, in one transaction."""
    people, stages = ids[rows].tolist(), [STAGES[code] for code in stage[rows].tolist()]
    value, categories = found.value[rows].tolist(), found.categories[:, rows].tolist()
    grades = np.array(["", "C", "B", "A"])[np.digitize(np.array(categories[0]), (5, 15, 30))].tolist()
    since = np.where(stage == before.stage, before.since, at)[rows].tolist()
    lines = np.ascontiguousarray(found.lines[:, rows].T)  # shape (people, rules)
    reasons, contributions = _reasons(lines), _contributions(lines)
    n = len(people)
    held = zip(people, value, grades, *categories, stages, since, reasons, [MODEL] * n, [at] * n, strict=True)
    history = zip(people, value, grades, stages, contributions, [MODEL] * n, [at] * n, strict=True)
    record_of = _records(connection, people)
    wishes = [
        (
            record_of[person],
            person,
            json.dumps(
                {
                    "leadbridge_score": str(one),
                    "leadbridge_grade": grade,
                    "leadbridge_stage": now or "",
                    "leadbridge_reasons": why,
                }
            ),
        )
        for person, one, grade, now, why in zip(people, value, grades, stages, reasons, strict=True)
    ]
    connection.execute("BEGIN")
    cursor, mark = connection.cursor(), "?" if isinstance(connection, sqlite3.Connection) else "%s"
    cursor.executemany(_upsert("by_hand", HELD, mark), list(held))
    cursor.executemany(f"INSERT INTO by_hand_history VALUES ({', '.join([mark] * 7)})", list(history))  # noqa: S608 - ours
    cursor.executemany(_upsert("by_hand_wishes", ("record_id", "person_id", "wanted"), mark), wishes)
    connection.execute("COMMIT")


def _upsert(table: str, names: Sequence[str], mark: str) -> str:
    key, *rest = names
    return f"""INSERT INTO {table} ({", ".join(names)}) VALUES ({", ".join([mark] * len(names))})
               ON CONFLICT ({key}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in rest)}"""  # noqa: S608 - ours


def _records(connection: Any, people: list[int]) -> dict[int, str]:
    if isinstance(connection, sqlite3.Connection):
        which, given = "IN (SELECT value FROM json_each(?))", json.dumps(people)
        return dict(connection.execute(READ_RECORDS.format(which), (given,)).fetchall())
    return dict(connection.execute(READ_RECORDS.format("= ANY(%s)"), (people,)).fetchall())


def _reasons(lines: NDArray[np.float64]) -> list[str]:
    """The three rules that gave most, in whole points."""
    whole = np.rint(lines).astype(np.int64)
    largest = np.argsort(-np.abs(whole), axis=1, kind="stable")[:, :3]
    points = np.take_along_axis(whole, largest, axis=1)
    return [
        "; ".join([f"{LINES[line]} {one:+d}" for line, one in zip(*both, strict=True) if one])
        for both in zip(largest.tolist(), points.tolist(), strict=True)
    ]


def _contributions(lines: NDArray[np.float64]) -> list[str]:
    """Every rule that gave anything, as JSON: [rule, points]."""
    person, line = np.nonzero(lines)
    texts = [f'["{LINES[code]}",{one}]' for code, one in zip(line.tolist(), lines[person, line].tolist(), strict=True)]
    ends = np.searchsorted(person, np.arange(len(lines)), "right").tolist()
    return [f"[{','.join(texts[start:end])}]" for start, end in zip([0, *ends[:-1]], ends, strict=True)]
