"""The scaled shape as its users start it: real processes over PostgreSQL and Redis, against a sandbox in this one."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from leadbridge import demo
from leadbridge.sandbox import people
from leadbridge.sandbox.server import Sandbox
from leadbridge.starting import example
from leadbridge.store import Store, open_store
from tests.helpers.databases import KEY
from tests.helpers.waiting import LONG, until

ROOT = Path(__file__).parents[2]
RUN, BEAT = ("run",), ("beat",)
WEB, WORKER = ("web", "--processes", "2"), ("worker", "--processes", "2")
"""The commands that `deploy/` starts."""


class Process:
    """One `leadbridge` process, with all it said."""

    def __init__(self, *words: str, environ: dict[str, str], command: list[str] | None = None) -> None:
        """`command` starts something else than leadbridge's own command line."""
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "leadbridge.cli", *words],
            cwd=ROOT, env=os.environ | environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said: list[str] = []
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def heard(self, pattern: str, seconds: float = LONG) -> re.Match[str]:
        """Wait until it says something like this."""
        until(lambda: re.search(pattern, self.words) or self._process.poll() is not None, seconds)
        found = re.search(pattern, self.words)
        assert found, self.words
        return found

    @property
    def words(self) -> str:
        return "".join(self.said)

    def children(self) -> list[int]:
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in found.split()]

    def end(self, by: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Send a signal and wait; the exit code (negative: of the signal)."""
        if self._process.poll() is None:
            self._process.send_signal(by)
        code = self._process.wait(seconds)
        self._ear.join(LONG)
        return code

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def signal(self, what: signal.Signals) -> None:
        self._process.send_signal(what)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(LONG)
        self._ear.join(LONG)
        if self._process.stderr:
            self._process.stderr.close()

    def _listen(self) -> None:
        assert self._process.stderr
        with contextlib.suppress(ValueError):  # closed under our hands at the end
            for line in self._process.stderr:
                self.said.append(line)


class Site:
    """One company's accounts in a sandbox, a configuration over one store, and whatever processes are started."""

    def __init__(self, folder: Path, sandbox: Sandbox, store_url: str, queue: str | None, count: int) -> None:
        people.load(people.invent(count, 5, sandbox.world.clock.now()), sandbox.hubspot, sandbox.mailchimp)
        for record in sandbox.hubspot.dump()["objects"]["contacts"]:
            sandbox.hubspot.edit_contact(
                record, {"jobtitle": "Assistant"}
            )  # no rule's word, so that any other moves it
        self.sandbox = sandbox
        self.store_url = store_url
        self.file, environ = demo.configuration(folder, demo.Sandbox(sandbox.url, count), example())
        self.environ = environ | {"LEADBRIDGE_KEY": KEY.hex()}
        text = self.file.read_text(encoding="utf-8")
        text = re.sub(r"(?m)^store:[^\n]*\n(?:[ ]+[^\n]*\n)*", lambda _: f"store: {store_url}\n", text)  # may be folded
        self.file.write_text(text + (f"\nqueue: {queue}\n" if queue else ""), encoding="utf-8")
        self.processes: list[Process] = []

    def start(self, *words: str, **environ: str) -> Process:
        found = Process(*words, "--config", str(self.file), environ=self.environ | environ)
        self.processes.append(found)
        return found

    def run(self, *words: str) -> None:
        """Run a command to its end."""
        process = self.start(*words)
        assert process.wait(120) == 0, process.words

    def subscribe(self, url: str, *properties: str) -> None:
        """Have the CRM tell about these properties."""
        self.sandbox.hubspot.webhooks.subscribe([f"contact.propertyChange:{name}" for name in properties])
        self.sandbox.hubspot.webhooks.set_target(f"{url}/webhooks/hubspot", self.environ["HUBSPOT_APP_SECRET"])

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        opened = open_store(self.store_url, key=KEY)
        try:
            yield opened
        finally:
            opened.close()

    def contacts(self) -> dict[str, dict[str, str]]:
        objects = self.sandbox.hubspot.dump()["objects"]["contacts"]
        return {key: row["properties"] for key, row in objects.items() if not row["archived"]}

    def scores(self) -> dict[str, str | None]:
        return {key: row.get("leadbridge_score") for key, row in self.contacts().items()}

    def written(self) -> Counter[str]:
        """How often each contact's score was changed by us."""
        return Counter(
            e.detail["id"] for call in self.sandbox.world.journal for e in call.effects
            if e.kind == "property_changed" and e.detail["name"] == "leadbridge_score"
        )  # fmt: skip

    def entered(self) -> Counter[str]:
        """How often each member entered each journey."""
        return Counter(
            f"{e.detail['journey']} {e.detail['email_hash']}"
            for call in self.sandbox.world.journal for e in call.effects
            if e.kind == "journey_entered"
        )  # fmt: skip

    def forbidden(self) -> int:
        """How often somebody entered a journey who may not be mailed."""
        return sum(
            e.kind == "journey_entered" and e.detail["status"] != "subscribed"
            for call in self.sandbox.world.journal for e in call.effects
        )  # fmt: skip

    def close(self) -> None:
        for process in self.processes:
            process.close()


@contextlib.contextmanager
def site(folder: Path, store_url: str, queue: str | None, *, count: int = 30) -> Iterator[Site]:
    """A site whose accounts have leadbridge's properties; every process ends with the block."""
    with Sandbox() as sandbox:
        found = Site(folder, sandbox, store_url, queue, count)
        try:
            found.run("apply")
            yield found
        finally:
            found.close()
