"""What someone at a keyboard meets: words that say what to do, the promised exit code, never a traceback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.waiting import LONG

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hubspot-mailchimp.yaml"
SECRETS = {"HUBSPOT_TOKEN": "t0ken-of-hubspot", "HUBSPOT_APP_SECRET": "app-s3cret", "MAILCHIMP_KEY": "k3y-us21"}


def leadbridge(*words: str, code: int, folder: Path, environ: dict[str, str] | None = None) -> tuple[str, str]:
    """What the command said on its two streams. Fails unless it ends with `code`, or when it shows a stack."""
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "leadbridge.cli", *words]
    found = subprocess.run(
        command, env={**known, **(environ or {})}, cwd=folder, capture_output=True, text=True, timeout=LONG
    )
    assert found.returncode == code, found.stdout + found.stderr
    assert "Traceback" not in found.stdout + found.stderr
    for secret in (environ or {}).values():
        assert secret not in found.stdout + found.stderr
    return found.stdout, found.stderr


def test_check_is_content_with_the_example_and_names_what_is_not_set_here(tmp_path: Path) -> None:
    told, _ = leadbridge("check", "--config", str(EXAMPLE), code=0, folder=tmp_path)
    assert "Not set here: HUBSPOT_TOKEN, HUBSPOT_APP_SECRET, MAILCHIMP_KEY." in told
    told, _ = leadbridge("check", "--config", str(EXAMPLE), code=0, folder=tmp_path, environ=SECRETS)
    assert "Not set" not in told


def test_what_needs_secrets_does_not_begin_without_them(tmp_path: Path) -> None:
    _, told = leadbridge("sync", "--config", str(EXAMPLE), code=2, folder=tmp_path)
    assert told.count("is not set; set it, or") == 3
    assert list(tmp_path.iterdir()) == []


def test_faults_of_the_file_are_told_whether_its_secrets_are_set_or_not(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(EXAMPLE.read_text(encoding="utf-8").replace("points: 15\n", "points: fifteen\n", 1))
    line = next(number for number, text in enumerate(wrong.read_text().splitlines(), 1) if "fifteen" in text)
    for environ in ({}, SECRETS):
        _, told = leadbridge("check", "--config", "wrong.yaml", code=2, folder=tmp_path, environ=environ)
        first, last = told.splitlines()
        assert first.startswith(f"wrong.yaml:{line}: scores.lead.rules[0].points: needs a number")
        assert last == "1 fault in wrong.yaml; nothing was contacted."
    told, _ = leadbridge("check", "--json", "--config", "wrong.yaml", code=2, folder=tmp_path)
    (fault,) = json.loads(told)["faults"]
    assert (fault["line"], fault["where"]) == (line, "scores.lead.rules[0].points")


def test_a_misspelt_connection_is_one_fault(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(EXAMPLE.read_text(encoding="utf-8").replace("  hubspot:\n", "  hubspott:\n", 1))
    _, told = leadbridge("check", "--config", "wrong.yaml", code=2, folder=tmp_path)
    assert "did you mean hubspot?" in told
    assert "1 fault in wrong.yaml" in told


@pytest.mark.parametrize("command", ["check", "plan", "apply", "sync", "status", "run", "migrate"])
def test_without_a_configuration_every_command_says_where_to_get_one(command: str, tmp_path: Path) -> None:
    _, told = leadbridge(command, code=2, folder=tmp_path)
    assert told.startswith("leadbridge.yaml is not there; copy examples/hubspot-mailchimp.yaml")


def test_the_server_says_which_address_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = EXAMPLE.read_text(encoding="utf-8").replace("port: 8080", f"port: {port}")
        (tmp_path / "leadbridge.yaml").write_text(text)
        _, told = leadbridge("run", code=1, folder=tmp_path, environ=SECRETS)
    assert f"cannot listen on 127.0.0.1:{port}" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("demo", "--data", "there.csv"), "--data and --mapping go together"),
        (("sandbox", "--data", "there.csv"), "--data and --mapping go together"),
        (("demo", "--limit", "3"), "--limit goes with --data"),
        (("demo", "--data", "gone.csv", "--mapping", "there.csv"), "'gone.csv' does not exist"),
        (("demo", "--config", "gone.yaml"), "'gone.yaml' does not exist"),
        (("demo", "--config", "there.csv"), "there.csv:1: "),
        (("demo", "--people", "3"), "greater than or equal to 50"),
        (("sandbox", "--port", "99999"), "less than or equal to 65535"),
        (("sandbox", "--data", "there.csv", "--mapping", "there.csv"), "must be a mapping of keys to values"),
        (("demo", "--data", "there.csv", "--mapping", "there.csv"), "must be a mapping of keys to values"),
        (("demo", "--data", "broken.csv.gz", "--mapping", "there.csv"), "broken.csv.gz cannot be read"),
    ],
)
def test_options_that_cannot_work_are_wrong_usage(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("number\n1\n")
    (tmp_path / "broken.csv.gz").write_bytes(b"this is no gzip")
    _, said = leadbridge(*words, code=2, folder=tmp_path)
    assert told in said
