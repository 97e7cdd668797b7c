"""What `leadbridge sandbox` says on a terminal is enough to point a configuration at it."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.helpers.waiting import LONG

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "leadbridge.cli"]


@pytest.fixture
def said(request: pytest.FixtureRequest) -> Iterator[str]:
    """What a sandbox with these options prints on a terminal; it runs meanwhile."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, "sandbox", "--port", "0", "--people", "20", *request.param]
    process = subprocess.Popen(command, stdout=theirs, cwd=ROOT)
    os.close(theirs)
    with os.fdopen(ours) as terminal:
        lines = []
        for line in terminal:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        yield "".join(lines)
        process.terminate()
        process.wait(LONG)


@pytest.mark.slow
@pytest.mark.parametrize(("said", "crm"), [([], "hubspot"), (["--crm", "salesforce"], "salesforce")], indirect=["said"])
def test_a_configuration_with_what_the_sandbox_prints_works_on_it(said: str, crm: str, tmp_path: Path) -> None:
    secrets = dict(re.findall(r"(\w+)=(\S+)", said))
    yaml = YAML()
    raw = yaml.load((ROOT / f"examples/{crm}-mailchimp.yaml").read_text(encoding="utf-8"))
    for vendor in (crm, "mailchimp"):
        (line,) = re.findall(rf"^  {vendor}: +{{(.*), \.\.\.}}", said, re.MULTILINE)
        raw["connections"][vendor].update(dict(one.split(": ", 1) for one in line.split(", ")))
    file = tmp_path / "leadbridge.yaml"
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(raw, out)
    told = subprocess.run(
        [*COMMAND, "check", "--live", "--config", str(file)],
        env={**os.environ, **secrets, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "the accounts agree with it" in told.stdout


SIGNALLED = """
import signal, sys, threading
from leadbridge.sandbox.serve import serve

signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored

def told():
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

threading.Thread(target=told, daemon=True).start()
serve(people_count=5, port=0, seed=1)
"""


def test_it_stops_whichever_of_its_threads_the_system_gives_the_signal_to() -> None:
    command = [sys.executable, "-c", SIGNALLED]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["people"] == 5
            _, said = process.communicate("now\n", timeout=LONG)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in said) == (0, False), said


INTERRUPTED = """
import signal
from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.serve import serve

signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background has it ignored

begin = Salesforce.serve_events

def begun(*given):
    begin(*given)
    signal.raise_signal(signal.SIGINT)

Salesforce.serve_events = begun
serve(people_count=5, port=0, seed=1)
"""


def test_stopped_while_it_starts_it_ends_without_a_stack() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stderr) == (0, "")
