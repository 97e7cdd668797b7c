"""A whole account pulled over HTTP with the vendor's limit on: is everything there, and is the limit what bounds it?

The account is in the sandbox, in a process of its own; what pulls is another process, with the vendor's own SDK, the
limits of the configuration and an empty store. The figure is the share of the calls allowed that were made, from
the end of the first window on, while there was something left to read; beside it stand every record missing, calls
refused (429), the peak memory of the puller, and how long it took.

    python -m benchmarks.pull [--quick] [--json] [--people N] [--latency SECONDS] [--limit CALLS] [--ours CALLS]
                              [--store sqlite|postgresql]
"""

import argparse
import base64
import json
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import func, select

from benchmarks.accounts import LISTS, Size, expected, serve, shared_out
from benchmarks.webhook import stores
from leadbridge.config.schema import Config
from leadbridge.store import Store, open_store
from leadbridge.store.rows import in_pieces
from leadbridge.store.tables import activities, records

KEY = bytes(range(32))
FULL = Size(people=100_000, events=1_000_000, mail=900_000, submissions=50_000, members=50_000)
QUICK = Size(people=1_000, events=17_000, mail=6_000, submissions=300, members=300)
LIMIT, QUICK_LIMIT = 190, 50
SPAN = 10.0
BOUND, MOST_MB = 0.95, 500


def configuration(url: str, store: str, ours: int) -> Config:
    rules = [{"name": "known", "category": "fit", "when": {"job_title": {"present": True}}, "points": 5}]
    hubspot = {"token": "sandbox-hubspot-token", "base_url": url, "requests_per_10s": ours}
    return Config.model_validate(
        {
            "store": store,
            "connections": {"hubspot": hubspot},
            "fields": {
                "job_title": {"hubspot": "jobtitle"},
                "employees": {"hubspot": "company.numberofemployees", "type": "integer"},
            },
            "scores": {"lead": {"categories": {"fit": {"max": 100}}, "rules": rules}},
        }
    )


def pull_all(url: str, store: str, ours: int, pipe: Connection) -> None:
    """Pull everything, as `leadbridge pull` does; tells what it took."""
    from sync import pull, wiring

    os.environ["LEADBRIDGE_KEY"] = base64.b64encode(KEY).decode()
    parts = wiring.build(configuration(url, store, ours))
    began, busy = time.perf_counter(), time.process_time()
    pulled = pull.pull(parts.store, parts.crms, parts.platform, owner="benchmark")
    pipe.send(
        {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - busy,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "skipped": dict(pulled.skipped),
            "sources_missing": pulled.missing,
        }
    )
    parts.close()


def missing(store: Store, size: Size) -> dict[str, int]:
    """Rows that differ from what the account holds, by what they are; leads without activities of theirs too."""
    found: dict[str, int] = {}
    with store.reading() as tx:
        kept = tx.execute(select(func.count()).select_from(records)).scalar_one()
        found["leads"] = abs(size.people - kept)
        orphans = select(func.count()).select_from(activities).where(activities.c.person_id.is_(None))
        found["activities of nobody"] = tx.execute(orphans).scalar_one()
        for source, ids in expected(size).items():
            query = select(activities.c.source_id).where(activities.c.source == source)
            rows = (row[0] for piece in in_pieces(tx, query.order_by(activities.c.source_id), 10_000) for row in piece)
            found[source] = sum(one != other.partition(":")[0] for one, other in _both(ids, rows))
        joined = select(func.count()).select_from(activities).where(activities.c.source == "hubspot.lists")
        found["hubspot.lists"] = abs(sum(shared_out(size.members, LISTS)) - tx.execute(joined).scalar_one())
    return found


def _both(ids: Iterator[str], rows: Iterator[str]) -> Iterator[tuple[str, str]]:
    return zip_longest(ids, rows, fillvalue="")


def used(calls: list[tuple[float, str, int]], ours: int) -> dict[str, Any]:
    """How much of the allowed rate was used, whole and in the worst stretch of three windows, by the vendor's count."""
    times = sorted(at for at, _, _ in calls)
    begin, end = times[0] + SPAN, times[-1]
    steady = [at for at in times if at > begin]
    stretch = 3 * SPAN
    worst = min(
        (
            sum(start < at <= start + stretch for at in steady) / (ours * stretch / SPAN)
            for start in [begin + n * SPAN for n in range(int((end - stretch - begin) / SPAN) + 1)]
        ),
        default=0.0,
    )
    return {
        "of_the_allowed_rate": round(len(steady) / (ours * (end - begin) / SPAN), 3),
        "of_the_allowed_rate_at_worst": round(worst, 3),
        "calls": len(calls),
        "refused": sum(status == 429 for _, _, status in calls),
        "calls_by_operation": dict(Counter(operation for _, operation, _ in calls).most_common(6)),
    }


def shrunk(people: int) -> Size:
    """The full size with so many people: twenty activities each."""
    return Size(people, 10 * people, 9 * people, people // 2, people // 2)


def measure(size: Size, limit: int, ours: int, latency: float, kind: str) -> dict[str, Any]:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    vendor = spawn.Process(target=serve, args=(size, limit, latency, there))
    vendor.start()
    with stores([kind]) as found:
        store_url = found[kind]
        try:
            url = here.recv()
            mine, theirs = spawn.Pipe()
            puller = spawn.Process(target=pull_all, args=(url, store_url, ours, theirs))
            puller.start()
            theirs.close()
            took = mine.recv()
            puller.join()
            here.send("calls")
            calls = here.recv()
        finally:
            here.send("stop")
            vendor.join(30)
        store = open_store(store_url, key=KEY)
        lacking = missing(store, size)
        store.close()
    return {
        "store": kind, "people": size.people, "activities": size.activities, "latency_ms": round(1000 * latency),
        "account_limit_per_10s": limit, "our_limit_per_10s": ours,
        "missing": sum(lacking.values()), "missing_by_source": {name: n for name, n in lacking.items() if n},
        **used(calls, ours),
        **{name: round(value, 1) if isinstance(value, float) else value for name, value in took.items()},
    }  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="end within a minute: 1,000 leads, 23,600 activities")
    arguments.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    arguments.add_argument("--people", type=int, help="so many people instead, with twenty activities each")
    arguments.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    arguments.add_argument("--latency", type=float, default=0.1, help="seconds every answer is held back")
    arguments.add_argument("--limit", type=int, help="calls the account allows in ten seconds")
    arguments.add_argument("--ours", type=int, help="calls we allow ourselves (default: the same)")
    given = arguments.parse_args()
    limit = given.limit or (QUICK_LIMIT if given.quick else LIMIT)
    size = shrunk(given.people) if given.people else QUICK if given.quick else FULL
    details = measure(size, limit, given.ours or limit, given.latency, given.store)
    figure = details.pop("of_the_allowed_rate")
    whole = details["missing"] == 0 and details["refused"] == 0 and details["peak_mb"] < MOST_MB
    found = {
        "name": "pull", "figure": figure, "unit": "of the allowed rate, with a backlog", "bound": BOUND,
        "holds": figure >= BOUND and whole, "details": {**details, "memory_bound_mb": MOST_MB},
    }  # fmt: skip
    if given.json:
        print(json.dumps(found))
    else:
        rows = [(key, value) for key, value in found.items() if key != "details"] + list(found["details"].items())
        print("\n".join(f"{key:<34}{value}" for key, value in rows))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
