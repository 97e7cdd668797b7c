"""No secret is in a process list, a metric, a log or what a command says; and nobody's address in those (G26, G27)."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.helpers.scaled import ROOT, RUN, Process, Site, site
from tests.helpers.tally import Tally
from tests.helpers.waiting import until

PEOPLE = 10
COMMANDS = (("status", "--json"), ("check", "--live"), ("quarantine", "list"))


def said_by(made: Site, words: tuple[str, ...]) -> str:
    """Everything a command writes."""
    command = [sys.executable, "-m", "leadbridge.cli", *words, "--config", str(made.file)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | made.environ, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout + done.stderr


def listed(process: Process) -> str:
    """What anybody on this machine sees of a process of ours and those below it."""
    return "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in (process.pid, *process.children()))


def test_no_secret_and_nobodys_address_is_where_others_look(tmp_path: Path, tally: Tally) -> None:
    with site(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", None, count=PEOPLE) as made:
        secrets = {value for name, value in made.environ.items() if name.endswith(("TOKEN", "SECRET", "KEY"))}
        assert len(secrets) >= 4
        addresses = {row["email"] for row in made.contacts().values() if row.get("email")}
        assert len(addresses) == PEOPLE
        run = made.start(*RUN)
        url = run.heard(r"listens on (http\S+)")[1]
        until(lambda: len(made.written()) == PEOPLE)
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
            metrics = answer.read().decode()
        assert "leadbridge_people 10.0" in metrics
        process_list = listed(run)
        assert "leadbridge.cli" in process_list
        commands = {words: said_by(made, words) for words in COMMANDS}
        assert json.loads(commands["status", "--json"])["people"] == PEOPLE
        assert run.end() == 0
        open_to_many = {"/metrics": metrics, "process list": process_list, "log": run.words}
        places = open_to_many | {" ".join(words): said for words, said in commands.items()}
        seen = [place for place, text in places.items() for secret in secrets if secret in text]
        seen += [place for place, text in open_to_many.items() for address in addresses if address in text]
        assert seen == []
        tally(41, trials=len(places), wrong=len(seen))
