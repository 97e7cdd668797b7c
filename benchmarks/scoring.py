"""A whole audience scored from store to store, beside a program written by hand for the same model on the same store.

Each database is filled with an invented audience (`audience.py`, no part of any figure). Then everybody is scored for
the first time, and once more a day later, when decay alone has moved some: by leadbridge's pass over everybody, and by
a program in NumPy (`program.py`) that reads the rows through the database's driver and keeps of everybody who moved the
same facts: score, grade, categories, every rule's points, stage, reasons, and what is to be written to the CRM. The two
must agree.

The figure is leadbridge's time over the program's, one process each: the greatest of both times on both databases.
A third time, two days later, leadbridge shares the pass between so many processes.
Memory is the highest of any process of leadbridge's. Growth is the cost of a person at full size to that at a tenth.

    python -m benchmarks.scoring [--people 1000000] [--activities 20000000] [--database sqlite|postgresql|both]
                                 [--processes 2] [--quick] [--json]
"""

import base64
import contextlib
import multiprocessing
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import arguments, program, tell
from benchmarks.audience import KEY, Audience, config, fill
from benchmarks.micro_batch import AT
from leadbridge import clock
from leadbridge.store import passes as pass_store
from sync import passes, rescore, wiring

BOUND = 2.0  # of leadbridge's time to the program's
GROWTH = 1.2  # cost of a person at full size to that at a tenth of it
MEMORY_MB = 1000


@dataclass(frozen=True)
class Run:
    """What one process did."""

    seconds: float
    processor: float  # seconds of its own processor time; a database server's are not in it
    memory_mb: float
    people: int
    moved: int


def apart(work: Callable[..., Run], *given: Any, processes: int = 1) -> Run:
    """The same work in so many new processes at once, so that memory and time are its own."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(time.sleep, [0.2] * processes):  # they have started
            pass
        start = time.perf_counter()
        runs = [each.result() for each in [pool.submit(work, *given) for _ in range(processes)]]
        seconds = time.perf_counter() - start
    return Run(
        seconds if processes > 1 else runs[0].seconds,
        sum(run.processor for run in runs),
        max(run.memory_mb for run in runs),
        sum(run.people for run in runs),
        sum(run.moved for run in runs),
    )


@contextlib.contextmanager
def _measured() -> Iterator[Callable[[int, int], Run]]:
    start, before = time.perf_counter(), time.process_time()

    def end(people: int, moved: int) -> Run:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return Run(time.perf_counter() - start, time.process_time() - before, memory, people, moved)

    yield end


# --- leadbridge ----------------------------------------------------------------------------------------------------


def ask(url: str, days: float) -> None:
    """Ask for a pass over everybody, as of so many days after everything that happened."""
    parts = _parts(url, days)
    passes.ask(parts)
    parts.close()


def leadbridge(url: str, days: float) -> Run:
    """Take part in the pass until nothing is left of it."""
    parts, done = _parts(url, days), rescore.Rescored()
    with parts.store.reading() as tx:
        pass_store.remaining(tx)  # the connection is made, and the tables are checked
    with _measured() as end:
        while passes.step(parts, done):
            pass
        found = end(done.seen, done.changed)
    parts.close()
    return found


def _parts(url: str, days: float) -> wiring.Parts:
    at = AT + timedelta(days=days)
    clock.set_source(lambda: at)
    return wiring.build(config(url), migrate=False)


# --- by hand -------------------------------------------------------------------------------------------------------


def by_hand(url: str, days: float) -> Run:
    """The same by the program."""
    connection = program.connect(url)
    with _measured() as end:
        found = end(*program.everybody(connection, days))
    connection.close()
    return found


# --- the whole -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def store_of(database: str) -> Iterator[str]:
    """Address of an empty store: a file of its own, or a database of a server started for it."""
    if database == "sqlite":
        with tempfile.TemporaryDirectory(prefix="leadbridge-") as folder:
            yield f"sqlite:///{Path(folder) / 'audience.db'}"
        return
    from psycopg import sql

    from tests.helpers.databases import binaries, start

    server = start(os.getpid(), binaries(), shared_buffers="256MB", autovacuum="on")
    server.run(sql.SQL("CREATE DATABASE audience"))
    yield server.url("audience")


def measure_one(database: str, audience: Audience, processes: int) -> dict[str, Any]:
    with store_of(database) as url:
        start = time.perf_counter()
        fill(url, audience)
        filled = time.perf_counter() - start
        _tell(f"{database}, {audience.people} people: filled", filled)
        runs: dict[str, Run] = {}
        for name, days, together in (("first", 0.0, 1), ("day_later", 1.0, 1), ("shared", 2.0, processes)):
            if name != "shared":
                runs[f"by_hand_{name}"] = apart(by_hand, url, days)
                _tell(f"{database}, {audience.people} people: {name}, by hand", runs[f"by_hand_{name}"].seconds)
            ask(url, days)
            runs[f"leadbridge_{name}"] = apart(leadbridge, url, days, processes=together)
            _tell(f"{database}, {audience.people} people: {name}, leadbridge", runs[f"leadbridge_{name}"].seconds)
        differing = _differing(url)
    return {"filled_s": filled, "runs": runs, "differing": differing}


def _tell(what: str, seconds: float) -> None:
    print(f"{what} in {seconds:.1f} s", file=sys.stderr, flush=True)  # a full run takes its time


def _differing(url: str) -> int:
    """Of how many people the two disagree as of the day later. What moved since is in the history."""
    query = """SELECT count(*) FROM by_hand
               JOIN (SELECT person_id, max(id) AS id FROM score_history WHERE at <= {} GROUP BY person_id) last
                 ON last.person_id = by_hand.person_id
               JOIN score_history h ON h.id = last.id WHERE h.value <> by_hand.value"""
    query = query.format(round((AT + timedelta(days=1)).timestamp() * 1e6))
    connection: Any = (
        sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)
    )
    found = connection.execute(query).fetchone()[0]
    connection.close()
    return int(found)


def measure(people: int, activities: int, databases: list[str], processes: int, *, growth: bool) -> dict[str, Any]:
    os.environ["LEADBRIDGE_KEY"] = base64.b64encode(KEY).decode()
    audience = Audience(people, max(1, round(activities / people)))
    details: dict[str, Any] = {"people": people, "activities": people * audience.each, "rules": 40}
    ratios, holds = [], True
    for database in databases:
        found = measure_one(database, audience, processes)
        runs: dict[str, Run] = found["runs"]
        ratio = runs["leadbridge_day_later"].seconds / runs["by_hand_day_later"].seconds
        memory = max(run.memory_mb for name, run in runs.items() if name.startswith("leadbridge"))
        at_first = runs["leadbridge_first"].seconds / runs["by_hand_first"].seconds
        ratios += [ratio, at_first]
        details |= {f"{database}: filled in s": round(found["filled_s"], 1)}
        for name, run in runs.items():
            details |= {
                f"{database}: {name} s": round(run.seconds, 2),
                f"{database}: {name} processor s": round(run.processor, 2),
                f"{database}: {name} moved": run.moved,
            }
        details |= {
            f"{database}: times the program, day later": round(ratio, 2),
            f"{database}: times the program, first": round(at_first, 2),
            f"{database}: load at the end": round(os.getloadavg()[0], 1),
            f"{database}: peak memory MB": round(memory),
            f"{database}: people on whom the two differ": found["differing"],
        }
        holds = holds and memory <= MEMORY_MB and not found["differing"]
        if growth:
            tenth = measure_one(database, Audience(max(1, people // 10), audience.each), 1)["runs"][
                "leadbridge_day_later"
            ]
            full = runs["leadbridge_day_later"]
            cost = (full.processor / full.people) / (tenth.processor / tenth.people)
            details |= {f"{database}: processor time per person, full to a tenth": round(cost, 2)}
            holds = holds and cost <= GROWTH
    figure = max(ratios)
    return {
        "name": "scoring",
        "figure": round(figure, 2),
        "unit": "times a program written by hand for the same model on the same store",
        "bound": BOUND,
        "holds": holds and figure <= BOUND,
        "details": details | {"bound of memory MB": MEMORY_MB, "bound of growth": GROWTH},
    }


def main() -> int:
    parser = arguments(__doc__, quick="6,000 people with 20 activities each, no growth")
    parser.add_argument("--people", type=int, default=1_000_000, help="how many people")
    parser.add_argument("--activities", type=int, default=20_000_000, help="how many activities, of all together")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--processes", type=int, default=2, help="processes that share a pass, the third time")
    given = parser.parse_args()
    if given.people < 1 or given.activities < 1 or given.processes < 1:
        parser.error("--people, --activities and --processes must be 1 or more")
    databases = ["sqlite", "postgresql"] if given.database == "both" else [given.database]
    people, activities = (6_000, 120_000) if given.quick else (given.people, given.activities)
    found = measure(people, activities, databases, given.processes, growth=not given.quick)
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
