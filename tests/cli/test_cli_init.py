"""`leadbridge init` writes a file that passes `check` as it stands, and never touches one that is there."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leadbridge.cli import app
from leadbridge.config.load import as_written

SECRETS = {
    "hubspot": ["HUBSPOT_TOKEN", "HUBSPOT_APP_SECRET", "MAILCHIMP_KEY"],
    "salesforce": ["SF_CLIENT_ID", "SF_CLIENT_SECRET", "MAILCHIMP_KEY"],
    "both": ["HUBSPOT_TOKEN", "SF_CLIENT_ID", "SF_CLIENT_SECRET", "MAILCHIMP_KEY"],
}


@pytest.mark.parametrize("crm", list(SECRETS))
def test_what_is_written_passes_check_and_says_which_secrets_to_set(
    crm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {name for names in SECRETS.values() for name in names}:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "leadbridge.yaml"
    done = CliRunner().invoke(app, ["init", "--crm", crm, "--config", str(file), "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"file": str(file), "unset": SECRETS[crm]})
    found, _ = as_written(file)
    assert (found.connections.hubspot is None, found.connections.salesforce is None) == (
        crm == "salesforce",
        crm == "hubspot",
    )
    assert CliRunner().invoke(app, ["check", "--config", str(file)]).exit_code == 0
    assert "Copy this file" not in file.read_text(encoding="utf-8")


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(app, ["init", "--config", str(file)])
    assert (done.exit_code, file.read_text(encoding="utf-8")) == (1, "mine")
    assert "is there already and was not touched" in done.output


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", "--config", str(tmp_path / "no" / "leadbridge.yaml")])
    assert (done.exit_code, "cannot be written: No such file" in done.output) == (1, True)
