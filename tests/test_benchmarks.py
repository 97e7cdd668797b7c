"""The benchmarks of scoring run, tell what they promise to tell, and what they compare agrees. No figure is judged."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def run(name: str, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert ran.returncode in (0, 1), ran.stderr  # 1: a figure missed its bound, as it may on a busy machine
    found: dict[str, Any] = json.loads(ran.stdout)
    assert found.keys() == {"name", "figure", "unit", "bound", "holds", "details"}
    assert found["name"] == name
    assert found["holds"] is (ran.returncode == 0)
    assert found["figure"] > 0
    return found


@pytest.mark.slow
def test_scoring_everybody_agrees_with_the_program_written_by_hand(postgres_server: object) -> None:
    details = run("scoring")["details"]
    for database in ("sqlite", "postgresql"):
        assert details[f"{database}: people on whom the two differ"] == 0
        assert details[f"{database}: leadbridge_first moved"] == details["people"]
        assert 0 < details[f"{database}: leadbridge_day_later moved"] < details["people"]
        assert 0 < details[f"{database}: leadbridge_shared moved"] < details["people"]
        assert details[f"{database}: peak memory MB"] > 0


@pytest.mark.slow
def test_the_engine_agrees_with_the_program_written_by_hand() -> None:
    assert run("engine")["details"]["scores_that_differ"] == 0


@pytest.mark.slow
def test_the_deadband_saves_writes_and_the_longer_it_waits_the_more() -> None:
    details = run("drift")["details"]
    ways = ("every move", "by default", "waiting 30 days")
    every, default, month = (details[f"writes by time alone, {way}"] for way in ways)
    assert every > default > month > 0
    assert details["furthest a score shown was off by default"] < 3


@pytest.mark.slow
def test_a_batch_of_changed_people_is_measured_in_its_parts() -> None:
    details = run("micro_batch")["details"]
    for size in (1, 10, 100):
        parts = [details[f"{size}_{part}_ms"] for part in ("load", "score", "plan")]
        assert details[f"{size}_load_score_plan_ms"] == pytest.approx(sum(parts), abs=0.05)
        assert details[f"{size}_store_ms"] > 0


@pytest.mark.slow
def test_every_event_of_a_stream_and_of_a_backlog_becomes_a_score_in_the_crm() -> None:
    details = run("freshness")["details"]
    assert details["confirmed"] == details["events"] > 0
    assert details["backlog_confirmed"] == details["backlog_leads"] > 0
    assert details["calls_per_100_leads"] >= details["fewest_per_100_leads"]


@pytest.mark.slow
def test_a_pull_with_the_limit_on_brings_everything_and_is_never_refused() -> None:
    details = run("pull")["details"]
    assert details["missing_by_source"] == {}
    assert details["refused"] == 0
    assert details["peak_mb"] < 500
    assert details["calls"] > 2 * details["our_limit_per_10s"]  # so that the limit had a say


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["salesforce", "mailchimp"])
def test_a_pull_of_many_rows_a_call_brings_everything_and_is_never_refused(vendor: str) -> None:
    details = run("pull", "--vendor", vendor)["details"]
    assert details["missing_by_source"] == {}
    assert details["refused"] == 0
    assert details["peak_mb"] < 500


@pytest.mark.slow
def test_everybody_planned_has_a_place_and_the_calls_are_the_least_there_are() -> None:
    details = run("enrol")["details"]
    for what in ("entries", "kept out", "exits", "may not be contacted"):
        assert details[f"planned: {what}"] > 0
    assert details["carried out: entered"] > 100
    assert details["carried out: calls in units of the least"] <= 1.02
