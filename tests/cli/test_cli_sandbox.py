"""What `leadbridge sandbox` says on a terminal is enough to point a configuration at it."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "leadbridge.cli"]


@pytest.fixture
def said() -> Iterator[str]:
    """What a sandbox prints on a terminal; it runs meanwhile."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, "sandbox", "--port", "0", "--people", "20"], stdout=theirs, cwd=ROOT)
    os.close(theirs)
    with os.fdopen(ours) as terminal:
        lines = []
        for line in terminal:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        yield "".join(lines)
        process.send_signal(signal.SIGINT)
        process.wait(20)


@pytest.mark.slow
def test_a_configuration_with_what_the_sandbox_prints_works_on_it(said: str, tmp_path: Path) -> None:
    secrets = dict(re.findall(r"(\w+)=(\S+)", said))
    yaml = YAML()
    raw = yaml.load((ROOT / "examples/hubspot-mailchimp.yaml").read_text(encoding="utf-8"))
    for vendor in ("hubspot", "mailchimp"):
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
import signal, threading
from leadbridge.sandbox.serve import Sandbox, serve

start = Sandbox.start

def told(sandbox):
    start(sandbox)
    threading.Timer(1, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()

Sandbox.start = told
serve(people_count=5, port=0, seed=1)
"""


def test_it_stops_whichever_of_its_threads_the_system_gives_the_signal_to() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
