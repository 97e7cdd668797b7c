"""A store with a configuration beside it, and the commands over them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from leadbridge import cli, logs
from leadbridge.store import Store, open_store
from tests.helpers.commands import Run
from tests.helpers.config_files import ENVIRONMENT, SOUND
from tests.helpers.databases import KEY


@pytest.fixture
def store(tmp_path: Path, _sqlite_template: Path) -> Iterator[Store]:
    """A fresh store on SQLite: what a command does is the same on the other one, and `tests/store` shows that."""
    file = tmp_path / "leadbridge.db"
    file.write_bytes(_sqlite_template.read_bytes())
    opened = open_store(f"sqlite:///{file}", key=KEY)
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Gives a command over `store`, by a user called olga, and demands the exit code `code`."""
    config = tmp_path / "leadbridge.yaml"
    config.write_text(f"store: sqlite:///{tmp_path}/leadbridge.db\n{SOUND}")
    for name, value in {**ENVIRONMENT, "LEADBRIDGE_KEY": KEY.hex(), "LOGNAME": "olga"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "configure", lambda **_: None)  # to the runner's stream, which it closes

    def command(*words: str, code: int = 0) -> Result:
        found = CliRunner().invoke(cli.app, [*words, "--config", str(config)])
        assert found.exit_code == code, found.output
        return found

    return command
