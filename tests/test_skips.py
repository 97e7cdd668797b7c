"""CI demands that nothing was skipped: the rule in `tests/conftest.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.waiting import LONG

ROOT = Path(__file__).parents[1]


def _run(folder: Path, body: str, ci: str, *options: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(f"import pytest\n{body}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    lean = ["-p", "tests.conftest", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *lean, *options, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False, timeout=LONG
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_in_ci_a_skipped_test_fails_the_run_and_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, said = _run(tmp_path, "def test_left_out(): pytest.skip('no database here')", "true", *options)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "CI demands that nothing was skipped" in said
    assert "test_left_out: Skipped: no database here" in said


@pytest.mark.parametrize(
    ("ci", "body"),
    [("", "def test_left_out(): pytest.skip('no database here')"), ("true", "def test_done(): pass")],
    ids=["elsewhere", "nothing skipped"],
)
def test_the_run_passes_elsewhere_and_when_nothing_was_skipped(tmp_path: Path, ci: str, body: str) -> None:
    code, said = _run(tmp_path, body, ci)
    assert code == pytest.ExitCode.OK
    assert "CI demands" not in said
