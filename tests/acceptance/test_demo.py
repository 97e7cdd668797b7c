"""What a newcomer sees first."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
PROMISED = {
    "pulled", "activities", "scored", "written", "enrolled", "refused", "rescored_by_webhook", "vendor_calls",
    "seconds",
}  # fmt: skip


def demo(*options: str) -> str:
    command = [sys.executable, "-m", "leadbridge.cli", "demo", *options]
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HUBSPOT", "MAILCHIMP", "LEADB"))
    }
    found = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=180, cwd="/")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Traceback" not in found.stderr
    return found.stdout


def test_the_demo_prints_one_object_with_the_promised_figures() -> None:
    figures: dict[str, Any] = json.loads(demo("--json", "--people", "250"))
    assert figures.keys() >= PROMISED
    assert figures["pulled"] == figures["scored"] == figures["written"] == 250
    assert figures["rescored_by_webhook"] > 0
    assert figures["second_run_writes"] == 0
    assert set(figures["vendor_calls"]) == {"hubspot", "mailchimp"}


def test_the_demo_ends_with_the_tables_a_person_came_for() -> None:
    told = demo("--people", "250", "--seed", "3")
    for heading in ("Who to call first", "Rescored in the CRM after its webhook", "Journeys", "leadbridge check"):
        assert heading in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x_education", "olist"])
def test_the_main_job_runs_on_real_leads(name: str) -> None:
    found = {"x_education": "leads.csv.gz", "olist": "marketing_qualified_leads.csv.gz"}
    data = DATA / name / found[name]
    if not data.exists():
        pytest.skip(f"no real leads here: {data.relative_to(ROOT.parent)} is not there")
    mapping = ROOT / "examples" / "data" / f"{name}.yaml"
    figures: dict[str, Any] = json.loads(
        demo("--json", "--data", str(data), "--mapping", str(mapping), "--limit", "1000")
    )
    assert figures["pulled"] == figures["scored"] == 1000
    assert figures["written"] > 0
    assert figures["enrolled"] > 0
    assert figures["rescored_by_webhook"] > 0
    assert figures["second_run_writes"] == 0
