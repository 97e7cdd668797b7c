"""`/metrics`: one truth for all processes, complete, guarded, and without people or secrets (reliability G14, G26)."""

import re
from datetime import timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from leadbridge import clock, metrics
from leadbridge.errors import StoreError
from leadbridge.store import counts, gaps, inbox, quarantine
from leadbridge.store.engine import Store
from leadbridge.store.stops import CONTACT, stop
from tests.webhooks.conftest import CANARY, Door, OpenDoor, Seam, on_sqlite

PASSWORD = "a long password of the page"
OPEN: dict[str, str] = {}  # a `web:` section without a public address


def told(door: Door) -> dict[str, float]:
    """Every sample by its name and labels."""
    answer = door.ask("GET", "/metrics")
    assert answer.status == 200
    return {
        sample.name + "".join(f",{value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_metrics_tell_how_it_goes_by_the_store(open_door: OpenDoor, store: Store) -> None:
    now = clock.now()
    with store.writing() as tx:
        inbox.keep(tx, store.vault, "hubspot", [("one", b"{}")], now - timedelta(seconds=300))
        quarantine.put(tx, store.vault, "write_back:hubspot", "refused", b"", now, "a")
        quarantine.put(tx, store.vault, "inbox:mailchimp", "unreadable", b"", now, "b")
        stop(tx, CONTACT, "olga", "", now)
        gaps.mark(tx, "mailchimp", "bad_secret", now)
    found = told(open_door(web=OPEN))
    assert found["leadbridge_waiting,inbox"] == 1
    assert found["leadbridge_oldest_due_seconds,inbox"] >= 300
    assert found["leadbridge_oldest_due_seconds,due"] == 0
    assert found["leadbridge_quarantine,write_back:hubspot"] == 1
    assert found["leadbridge_quarantine_items"] == 2
    assert found["leadbridge_enrolments,uncertain"] == 0
    assert found["leadbridge_contact_stopped"] == 1
    assert found["leadbridge_contact_allowed"] == 0


def test_counters_of_all_processes_are_one_number(open_door: OpenDoor, store: Store) -> None:
    metrics.WEBHOOK_REFUSED.add(3, vendor="hubspot", reason="bad_signature")
    counts.flush(store)  # as the other process does
    metrics.reset()  # and this one begins with nothing
    door = open_door(web=OPEN)
    metrics.WEBHOOK_REFUSED.add(2, vendor="hubspot", reason="bad_signature")
    assert told(door)["leadbridge_webhook_refused_total,bad_signature,hubspot"] == 5
    counts.flush(store)
    with store.reading() as tx:
        assert counts.totals(tx)["webhook_refused", ("hubspot", "bad_signature")] == 5


@on_sqlite
def test_what_could_not_be_stored_is_counted_later_and_once(store: Store) -> None:
    metrics.reset()
    metrics.WRITES_PAUSED.add(vendor="hubspot")
    seam = Seam(store)
    seam.fault = OSError("disk gone")
    counts.try_flush(seam)  # type: ignore[arg-type]
    seam.fault = None
    counts.try_flush(seam)  # type: ignore[arg-type]
    counts.try_flush(seam)  # type: ignore[arg-type]
    with store.reading() as tx:
        assert counts.totals(tx) == {("writes_paused", ("hubspot",)): 1}


@on_sqlite
def test_every_metric_has_a_help_text_and_none_holds_a_secret(open_door: OpenDoor) -> None:
    door = open_door(web=OPEN)
    door.hubspot(b"[]", secret="wrong")
    text = door.ask("GET", "/metrics").body.decode()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    assert {f"leadbridge_{one.name}" for one in metrics.counters()} <= {family.name for family in families}
    assert all(f"{CANARY}-" not in line for line in text.splitlines())


@on_sqlite
def test_metrics_are_not_for_strangers(open_door: OpenDoor) -> None:
    assert open_door().ask("GET", "/metrics").error == "status_page_closed"
    guarded = open_door(web={"status_password": PASSWORD})
    assert guarded.ask("GET", "/metrics").status == 401


@on_sqlite
def test_a_store_that_does_not_answer_is_told_as_such(open_door: OpenDoor, store: Store) -> None:
    seam = Seam(store)
    door = open_door(over=seam, web=OPEN)
    metrics.WRITES_PAUSED.add(vendor="hubspot")
    seam.fault = StoreError("away")
    answer = door.ask("GET", "/metrics")
    assert (answer.status, answer.error) == (503, "store_unreachable")


@on_sqlite
def test_the_alarms_we_ship_look_at_metrics_that_are_told(open_door: OpenDoor) -> None:
    text = open_door(web=OPEN).ask("GET", "/metrics").body.decode()
    rules = (Path(__file__).parents[2] / "deploy/prometheus-alerts.yaml").read_text()
    named = set(re.findall(r"leadbridge_\w+", rules))
    assert named
    assert named <= set(re.findall(r"# HELP (\w+)", text))
