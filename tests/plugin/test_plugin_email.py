"""An e-mail platform from another package: found by its entry point, and held to the same contract as Mailchimp."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from connectors.base import EmailPlatform
from leadbridge.call import Pace
from leadbridge.config.load import load
from leadbridge.config.schema import Config
from leadbridge.testing import EmailContract, EmailStage, Skipping, Trouble
from sync import cycle, wiring
from tests.plugin.acme_server import KEY as ACME_KEY
from tests.plugin.acme_server import AcmeServer
from tests.plugin.bolt_server import KEY, BoltServer
from tests.plugin.installing import installed

FILE = """
store: sqlite:///{folder}/leadbridge.db
connections:
  plugins:
    acme: {{key: "${{ACME_KEY}}", base_url: "{acme}"}}
    bolt: {{key: "${{BOLT_KEY}}", base_url: "{bolt}"}}
fields:
  job_title: {{plugins: {{acme: title}}}}
write_back:
  score: {{plugins: {{bolt: score}}}}
  grade: {{plugins: {{bolt: grade}}}}
  stage: {{plugins: {{bolt: stage}}}}
  reasons: {{plugins: {{bolt: reasons}}}}
scores:
  lead:
    categories: {{fit: {{max: 100}}}}
    grades: {{A: 10, B: 0}}
    rules: [{{name: known, category: fit, when: {{job_title: {{present: true}}}}, points: 15}}]
nurture:
  journeys:
    - {{name: guides, plugins: {{bolt: "tag:guides"}}, when: {{score.lead: {{at_least: 10}}}}}}
    - {{name: demo, plugins: {{bolt: "flow:7"}}, when: {{score.lead: {{at_least: 90}}}}}}
"""


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path, monkeypatch, acme="acme_crm:Acme", bolt="bolt_mail:Bolt"):
        yield


def configured(folder: Path, bolt: str, acme: str = "http://127.0.0.1:9", key: str = KEY) -> Config:
    file = folder / "leadbridge.yaml"
    file.write_text(FILE.format(folder=folder, acme=acme, bolt=bolt))
    return load(file, {"ACME_KEY": ACME_KEY, "BOLT_KEY": key})


@dataclass
class BoltStage:
    """Bolt's side of the contract."""

    server: BoltServer
    folder: Path
    vendor: str = "bolt"
    credential: str = "key"
    address: str = "base_url"
    repeatable: str = "guides"
    bare: str = "demo"
    fields: Sequence[str] = ("score", "grade", "stage", "reasons")
    stream: str = "newsletters"

    def room(self, pace: Pace | None = None, **connection: Any) -> EmailPlatform:
        url = connection.get("base_url", self.server.url)
        config = configured(self.folder, url, key=connection.get("key", KEY))
        return registry.email_platform("bolt", config, pace=pace or Skipping().pace())

    def calls(self, operation: str = "") -> int:
        return self.server.calls(operation)

    def trouble(self, trouble: Trouble) -> None:
        self.server.trouble(trouble)

    def calm(self) -> None:
        self.server.troubles.clear()

    def put(self, email: str, status: str, *, at: datetime | None = None) -> None:
        self.server.account.put(email, status, at)

    def is_public(self, field: str) -> bool:
        return self.server.account.fields[field]

    def status(self, email: str) -> str:
        return self.server.account.members[email].status

    def held(self, email: str) -> Mapping[str, str]:
        return self.server.account.members[email].fields

    def unsubscribe(self, email: str) -> None:
        self.server.account.put(email, "unsubscribed")

    def bounce(self, email: str) -> None:
        self.server.account.put(email, "cleaned")

    def entries(self) -> int:
        return self.server.account.entries

    def mails(self) -> int:
        return self.server.account.mails

    def raised(self) -> int:
        return 0  # the service has no call that could

    def reject_journeys(self, *, loudly: bool) -> None:
        self.server.account.loud = loudly

    def newsletter(self, at: datetime) -> str:
        return f"news of {at:%d %B}"

    def engage(self, newsletter: str, email: str, what: str, at: datetime, url: str = "") -> None:
        done = self.server.account.engagement
        row = {"number": len(done) + 1, "email": email, "what": what, "at": at.isoformat(), "url": url}
        done.append(row | {"newsletter": newsletter})


class TestBolt(EmailContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[EmailStage]:
        with BoltServer() as server:
            yield BoltStage(server, tmp_path)


def test_the_loop_runs_over_a_crm_and_an_e_mail_platform_from_other_packages(tmp_path: Path) -> None:
    with AcmeServer() as acme, BoltServer() as bolt:
        acme.account.touch("1000", {"email": "ann@acme.example", "title": "Head of Ops"})
        acme.account.touch("1001", {"email": "bob@acme.example"})
        for name in ("ann", "bob"):
            bolt.account.put(f"{name}@acme.example", "subscribed")
        parts = wiring.build(configured(tmp_path, bolt.url, acme.url))
        try:
            for room in parts.rooms:
                room.create(room.specs())
            cycle.sync(parts)
        finally:
            parts.close()
        assert bolt.account.members["ann@acme.example"].fields["score"] == "15"
        assert bolt.account.entries == 1
