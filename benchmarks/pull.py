"""A whole account pulled over HTTP with the vendor's limit on: is everything there, and is the limit what bounds it?

The account is in the sandbox, in a process of its own; what pulls is another process, with the vendor's own SDK, the
limits of the configuration and an empty store. Of HubSpot the figure is the share of the calls allowed that were made,
from the end of the first window on, while there was something left to read. Salesforce and Mailchimp have no limit of
calls in a span, but give thousands of rows in one: there it is the rows that a call brought. Beside it stand every
record missing, calls refused (429), the peak memory of the puller, and how long it took.

    python -m benchmarks.pull [--vendor hubspot|salesforce|mailchimp] [--quick] [--json] [--people N]
                              [--latency SECONDS] [--limit CALLS] [--ours CALLS] [--store sqlite|postgresql]
"""

import base64
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import func, select

from benchmarks import arguments, tell
from benchmarks.accounts import (
    LISTS,
    Size,
    expected,
    hubspot,
    mailchimp,
    of_mailchimp,
    of_salesforce,
    salesforce,
    serve,
    shared_out,
)
from benchmarks.webhook import stores
from leadbridge.config.schema import Config
from leadbridge.sandbox.salesforce import CLIENT_ID, CLIENT_SECRET
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store, open_store
from leadbridge.store.rows import in_pieces
from leadbridge.store.tables import activities, records

KEY = bytes(range(32))
FULL = Size(people=100_000, events=1_000_000, mail=900_000, submissions=50_000, members=50_000)
QUICK = Size(people=1_000, events=17_000, mail=6_000, submissions=300, members=300)
LIMIT, QUICK_LIMIT = 190, 50
SPAN = 10.0
BOUND, ROWS, MOST_MB = 0.95, 200, 500
FEW, SOME = 500, 2_000
OTHERS = {"salesforce": (salesforce, of_salesforce), "mailchimp": (mailchimp, of_mailchimp)}
SPAWN = multiprocessing.get_context("spawn")


def connections(vendor: str, url: str, ours: int) -> dict[str, Any]:
    hubspot: dict[str, Any] = {"token": "sandbox-hubspot-token", "base_url": url, "requests_per_10s": ours}
    salesforce = {"domain": "acme.my", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "base_url": url}
    mailchimp = {"api_key": "sandbox-mailchimp-key-us1", "audience": "a36b032126", "base_url": f"{url}/3.0"}
    return {
        "hubspot": {"hubspot": hubspot},
        "salesforce": {"salesforce": {**salesforce, "objects": ["Lead"]}},
        "mailchimp": {"hubspot": hubspot, "mailchimp": mailchimp},
    }[vendor]


def configuration(vendor: str, url: str, store: str, ours: int) -> Config:
    rules = [{"name": "known", "category": "fit", "when": {"job_title": {"present": True}}, "points": 5}]
    return Config.model_validate(
        {
            "store": store,
            "connections": connections(vendor, url, ours),
            "fields": {
                "job_title": {"hubspot": "jobtitle", "salesforce": "Title"},
                "employees": {"hubspot": "company.numberofemployees", "type": "integer"},
            },
            "scores": {"lead": {"categories": {"fit": {"max": 100}}, "rules": rules}},
        }
    )


def pull_all(vendor: str, url: str, store: str, ours: int, pipe: Connection) -> None:
    """Pull everything, as `leadbridge pull` does; tells what it took."""
    from sync import pull, wiring

    os.environ["LEADBRIDGE_KEY"] = base64.b64encode(KEY).decode()
    parts = wiring.build(configuration(vendor, url, store, ours))
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


def missing_of(store: Store, people: int, counts: Mapping[str, int]) -> dict[str, int]:
    """The same where rows are counted: of which everyone must belong to one of the people."""
    with store.reading() as tx:
        kept = tx.execute(select(func.count()).select_from(records)).scalar_one()
        owned = activities.c.person_id.is_not(None)
        found = {
            source: abs(count - tx.execute(
                select(func.count()).select_from(activities).where(activities.c.source == source, owned)
            ).scalar_one())
            for source, count in counts.items()
        }  # fmt: skip
    return {"leads": abs(people - kept), **found}


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


@contextmanager
def vendor_served(put: Callable[[Sandbox], None], latency: float) -> Iterator[tuple[str, Connection]]:
    """The sandbox in a process of its own: its address, and whom to ask for its calls."""
    here, there = SPAWN.Pipe()
    served = SPAWN.Process(target=serve, args=(put, latency, there))
    served.start()
    try:
        yield here.recv(), here
    finally:
        here.send("stop")
        served.join(30)


def pulled(vendor: str, url: str, store_url: str, ours: int) -> dict[str, Any]:
    """What it took a process of its own to pull everything."""
    mine, theirs = SPAWN.Pipe()
    puller = SPAWN.Process(target=pull_all, args=(vendor, url, store_url, ours, theirs))
    puller.start()
    theirs.close()
    took: dict[str, Any] = mine.recv()
    puller.join()
    return took


def measure(size: Size, limit: int, ours: int, latency: float, kind: str) -> dict[str, Any]:
    """HubSpot: how much of its limit was used."""
    with stores([kind]) as found, vendor_served(partial(hubspot, size, limit), latency) as (url, ask):
        took = pulled("hubspot", url, found[kind], ours)
        ask.send("hubspot")
        calls = ask.recv()
        store = open_store(found[kind], key=KEY)
        lacking = missing(store, size)
        store.close()
    return {
        "store": kind, "people": size.people, "activities": size.activities, "latency_ms": round(1000 * latency),
        "account_limit_per_10s": limit, "our_limit_per_10s": ours,
        "missing": sum(lacking.values()), "missing_by_source": {name: n for name, n in lacking.items() if n},
        **used(calls, ours), **_rounded(took),
    }  # fmt: skip


def measure_rows(vendor: str, people: int, latency: float, kind: str) -> dict[str, Any]:
    """Salesforce or Mailchimp: how many rows a call brought."""
    put, counts = OTHERS[vendor]
    with stores([kind]) as found, vendor_served(partial(put, people), latency) as (url, ask):
        took = pulled(vendor, url, found[kind], LIMIT)
        ask.send(vendor)
        calls = ask.recv()
        store = open_store(found[kind], key=KEY)
        expected_rows = counts(people)
        lacking = missing_of(store, people, expected_rows)
        store.close()
    rows = sum(expected_rows.values()) + (people if vendor == "salesforce" else 0)
    return {
        "store": kind, "people": people, "activities": sum(expected_rows.values()),
        "latency_ms": round(1000 * latency), "rows_per_call": round(rows / len(calls), 1), "calls": len(calls),
        "refused": sum(status in (403, 429) for _, _, status in calls),
        "calls_by_operation": dict(Counter(operation for _, operation, _ in calls).most_common(6)),
        "missing": sum(lacking.values()), "missing_by_source": {name: n for name, n in lacking.items() if n},
        **_rounded(took),
    }  # fmt: skip


def _rounded(took: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in took.items()}


def main() -> int:
    parser = arguments(__doc__, quick="end within a minute: 1,000 leads, 23,600 activities")
    parser.add_argument("--vendor", choices=["hubspot", *OTHERS], default="hubspot")
    parser.add_argument("--people", type=int, help="so many people instead, with twenty activities each")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds every answer is held back")
    parser.add_argument("--limit", type=int, help="calls the account allows in ten seconds")
    parser.add_argument("--ours", type=int, help="calls we allow ourselves (default: the same)")
    given = parser.parse_args()
    limit = given.limit or (QUICK_LIMIT if given.quick else LIMIT)
    size = shrunk(given.people) if given.people else QUICK if given.quick else FULL
    if given.vendor == "hubspot":
        details = measure(size, limit, given.ours or limit, given.latency, given.store)
        figure, unit, bound = details.pop("of_the_allowed_rate"), "of the allowed rate, with a backlog", BOUND
    else:
        people = given.people or (FEW if given.quick else SOME)
        details = measure_rows(given.vendor, people, given.latency, given.store)
        figure, unit, bound = details.pop("rows_per_call"), "rows a call", ROWS
    whole = details["missing"] == 0 and details["refused"] == 0 and details["peak_mb"] < MOST_MB
    found = {
        "name": "pull", "figure": figure, "unit": unit, "bound": bound, "holds": figure >= bound and whole,
        "details": {"vendor": given.vendor, **details, "memory_bound_mb": MOST_MB},
    }  # fmt: skip
    return tell(found, given.json)


if __name__ == "__main__":
    sys.exit(main())
