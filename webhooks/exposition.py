"""`/metrics` for Prometheus: counters of all processes together, and how it goes by the store (reliability G14, G26).

Any web process answers for all of them, since the numbers are in the store. Labels are names and codes of ours and of
the configuration; nothing of a person and no secret is among them. For whom the status page is closed, this is too.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from leadbridge import logs, metrics
from leadbridge.config.schema import Config
from leadbridge.errors import StoreError
from leadbridge.store import counts
from leadbridge.store.engine import Store
from sync import figures
from webhooks.base import Answer
from webhooks.dashboard.page import closed
from webhooks.doors import respond, route

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logs.logger(__name__)

FRESH_FOR = 5.0
"""Seconds a reading of the store is told again, so that asking often costs little."""

PREFIX = "leadbridge_"


class Reading:
    """What is told: a collector in the sense of prometheus_client. Thread-safe."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._lock = threading.Lock()
        self._seen: tuple[float, metrics.Amounts, figures.Figures] | None = None

    def collect(self) -> "Iterator[Metric]":
        """Every family with its samples. Raises StoreError."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > FRESH_FOR:
                counts.flush(self._store)
                with self._store.reading() as tx:
                    totals = counts.totals(tx)
                self._seen = time.monotonic(), totals, figures.read(self._store, self._config)
            _, totals, found = self._seen
        yield from _counters(totals)
        yield from _gauges(found)


def _counters(totals: metrics.Amounts) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily

    for counter in metrics.counters():
        family = CounterMetricFamily(PREFIX + counter.name, counter.help, labels=counter.labels)
        for (name, labels), value in sorted(totals.items()):
            if name == counter.name and len(labels) == len(counter.labels):
                family.add_metric(labels, value)
        yield family


def _gauges(now: figures.Figures) -> "Iterator[Metric]":
    def one(name: str, help_text: str, value: float) -> "Metric":
        return _family(name, help_text, "", [("", value)])

    yield one("people", "People in the store", now.people)
    yield one("contactable", "People who may be mailed, as far as we know", now.contactable)
    yield _family("waiting", "Work that waits, by kind: inbox (events), due (people), writes (records)", "kind",
                  now.waiting.items())  # fmt: skip
    yield _family("oldest_due_seconds", "How long the oldest due work of a kind has waited; alarm above 120", "kind",
                  now.oldest.items())  # fmt: skip
    yield _family("quarantine", "Items set aside, by where they came from; alarm when it grows", "source",
                  now.quarantine.items())  # fmt: skip
    yield one("quarantine_items", "Items set aside, all together", sum(now.quarantine.values()))
    yield _family("enrolments", "Rows of the ledger of contact, by state; alarm on any uncertain", "state",
                  now.enrolments.items())  # fmt: skip
    yield _family("alerts", "Alerts to people at the company, by state; alarm on any failed", "state",
                  now.alerts.items())  # fmt: skip
    yield one(
        "contact_allowed", "How many may be contacted at once, by caps, canary and stop switch", now.contact.allowed
    )
    yield one("contact_last_hour", "Contacts of the last hour", now.contact.last_hour)
    yield one("contact_last_day", "Contacts of the last day", now.contact.last_day)
    yield one("contact_stopped", "1 while contact is stopped", now.contact.stopped)
    yield one("contact_canary", "1 while what decides on contact is a canary, not yet released", now.contact.canary)
    yield one("needs_operator", "Things that only an operator can put right; alarm on any", len(now.needs_operator))
    yield one("gaps_open", "Vendors of which something may have been missed that was not read since", len(now.gaps))
    yield _family("source_read_timestamp_seconds", "When a source of a vendor last moved on", "source",
                  ((name, at.timestamp()) for name, at in now.read_at.items()))  # fmt: skip
    for what, words in (
        ("used", "Calls of the account's day that are used, by all of its apps"),
        ("limit", "Calls of the account's day"),
        ("left", "Calls of the account's day that are left to leadbridge; the rest is for humans; alarm on none"),
    ):
        yield _family(f"vendor_day_calls_{what}", words, "vendor",
                      ((vendor, day[what]) for vendor, day in now.day.items()))  # fmt: skip
    yield _family("vendor_quiet_seconds", "For how long a vendor still wants no call, by limit", "limit",
                  now.quiet.items())  # fmt: skip


def _family(name: str, help_text: str, label: str, samples: Iterable[tuple[str, float]]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(PREFIX + name, help_text, labels=[label] if label else None)
    for value_of_label, value in samples:
        family.add_metric([value_of_label] if label else [], float(value))
    return family


def add_to(app: Flask, config: Config, store: Store) -> None:
    """Add `/metrics`."""
    reading = Reading(store, config)

    def view() -> Response:
        if (refusal := closed(config)) is not None:
            return refusal
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        registry = CollectorRegistry()
        registry.register(reading)
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        try:
            return Response(encode(registry), content_type=kind)
        except StoreError as error:
            log.warning("metrics: the store does not answer", why=str(error))
            return respond(Answer(503, "store_unreachable", 30))

    route(app, "/metrics", "metrics", view, "GET", "HEAD")
