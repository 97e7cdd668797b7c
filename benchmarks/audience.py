"""An invented audience in a store, and a configuration that scores it: what the benchmarks of the whole way work on.

Rows go in by the shortest way of each database. That is no part of any figure; how long it took is said all the same.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.micro_batch import AT, KINDS, TITLES, URLS, model
from leadbridge.columns import micros
from leadbridge.config.schema import Config
from leadbridge.store import open_store
from leadbridge.store.columns import to_json
from leadbridge.types import ActivityKind

KEY = bytes(range(32))
WORDS = list(ActivityKind)
CHUNK = 50_000
"""People made at one time."""

PERSONS = ("id", "created_at", "email", "email_canonical", "attributes", "opted_out", "inputs_hash", "changed_at")
RECORDS = ("vendor", "object_type", "record_id", "person_id", "email", "email_canonical", "attributes", "opted_out",
           "modified_at", "read_at")  # fmt: skip
ACTIVITIES = ("person_id", "subject", "kind", "at", "source", "source_id", "attributes", "stored_at")


@dataclass(frozen=True)
class Audience:
    """How many people, and how many activities each has on average."""

    people: int
    each: int


def config(url: str) -> Config:
    """The forty rules of `micro_batch.model`, their score written back to HubSpot."""
    return Config.model_validate(
        {
            "store": url,
            "connections": {"hubspot": {"token": "none", "webhook_secret": "none"}},
            "fields": {
                "job_title": {"hubspot": "jobtitle"},
                "employees": {"hubspot": "employees", "type": "integer"},
                "budget": {"hubspot": "budget", "type": "number"},
            },
            "write_back": {
                "score": {"hubspot": "leadbridge_score"},
                "grade": {"hubspot": "leadbridge_grade"},
                "stage": {"hubspot": "leadbridge_stage"},
                "reasons": {"hubspot": "leadbridge_reasons"},
            },
            "scores": {"lead": model()},
            "stages": {
                "sql": {"when": {"score.lead": {"at_least": 50}}, "until": {"score.lead": {"below": 40}}},
                "mql": {"when": {"score.lead": {"at_least": 25}}},
            },
        }
    )


def fill(url: str, audience: Audience) -> None:
    """Make the tables and put the audience in. What happens lies up to 180 days before `micro_batch.AT`."""
    store = open_store(url, key=KEY)
    store.migrate()
    store.close()
    into = _into_sqlite if url.startswith("sqlite") else _into_postgresql
    into(url, audience)


def _rows(audience: Audience) -> Iterator[tuple[str, tuple[str, ...], Iterator[tuple[Any, ...]]]]:
    """(table, columns, rows), in pieces."""
    dice = np.random.default_rng(7)
    for start in range(1, audience.people + 1, CHUNK):
        size = min(CHUNK, audience.people + 1 - start)
        people = _people(dice, start, size)
        yield "persons", PERSONS, (row[0] for row in people)
        yield "records", RECORDS, (row[1] for row in people)
        yield "activities", ACTIVITIES, _activities(dice, start, size, audience.each)


def _people(dice: np.random.Generator, start: int, size: int) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    now = micros(AT)
    titles, numbers = dice.integers(0, len(TITLES), size).tolist(), dice.integers(0, 500, size).tolist()
    domains, employees = dice.integers(0, 20_000, size).tolist(), dice.integers(5, 3000, size).tolist()
    budgets, known = (dice.random(size) * 30_000).round(2).tolist(), (dice.random((3, size)) < 0.5).tolist()
    found = []
    for row in range(size):
        attributes: dict[str, Any] = {"job_title": f"{TITLES[titles[row]]} {numbers[row]}"}
        if known[0][row]:
            attributes["employees"] = employees[row]
        if known[1][row]:
            attributes["budget"] = budgets[row]
        person, text = start + row, to_json(attributes)
        email = f"p{person}@c{domains[row]}.example"
        found.append(
            (
                (person, now, email, email, text, False, "", now),
                ("hubspot", "contact", str(person), person, email, email, text, False, now, now),
            )
        )
    return found


def _activities(dice: np.random.Generator, start: int, size: int, each: int) -> Iterator[tuple[Any, ...]]:
    count, now = size * each, micros(AT)
    person = np.sort(dice.integers(start, start + size, count))
    kind = dice.choice(np.array(KINDS), count)
    at = now - dice.integers(0, 180 * 86_400_000_000, count)
    document = dice.integers(0, 20_000, count)
    texts = [json.dumps({"url": f"{URLS[n % len(URLS)]}/{n}", "value": n % 900}, separators=(",", ":"))
             for n in range(20_000)]  # fmt: skip
    rows = zip(person.tolist(), kind.tolist(), at.tolist(), document.tolist(), strict=True)
    for number, (who, code, when, text) in enumerate(rows):
        yield (
            who,
            f"hubspot:contact:{who}",
            WORDS[code].value,
            when,
            "events",
            f"{start:09}-{number:07}",
            texts[text],
            now,
        )


def _into_sqlite(url: str, audience: Audience) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")  # of this connection only
    for table, names, rows in _rows(audience):
        connection.execute("BEGIN")
        into = f"INSERT INTO {table} ({','.join(names)}) VALUES ({','.join('?' * len(names))})"  # noqa: S608 - ours
        connection.executemany(into, rows)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("ANALYZE")
    connection.close()


def _into_postgresql(url: str, audience: Audience) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for table, names, rows in _rows(audience):
            with connection.cursor().copy(f"COPY {table} ({','.join(names)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        connection.execute("SELECT setval(pg_get_serial_sequence('persons', 'id'), max(id)) FROM persons")
        connection.execute("ANALYZE")


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'audience.db'}"
