"""A CRM from another package: found by its entry point, configured by its own keys, held to the same contract."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from connectors.base import Crm
from leadbridge.call import Pace
from leadbridge.clock import now
from leadbridge.config.load import load
from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError
from leadbridge.testing import CrmContract, CrmStage, Skipping, Trouble
from leadbridge.types import RecordRef
from sync import cycle, wiring
from tests.plugin.acme_server import KEY, AcmeServer
from tests.plugin.installing import installed

FILE = """
store: sqlite:///{folder}/leadbridge.db
connections:
  plugins:
    acme: {{key: "${{ACME_KEY}}", base_url: "{url}"}}
fields:
  job_title: {{plugins: {{acme: title}}}}
  employees: {{plugins: {{acme: staff}}, type: integer}}
  budget: {{plugins: {{acme: budget}}, type: number}}
write_back:
  score: {{plugins: {{acme: lb_score}}}}
  score.fit: {{plugins: {{acme: lb_fit}}}}
  grade: {{plugins: {{acme: lb_grade}}}}
  reasons: {{plugins: {{acme: lb_reasons}}}}
scores:
  lead:
    categories: {{fit: {{max: 60}}, engagement: {{max: 40}}}}
    grades: {{A: 10, B: 0}}
    rules:
      - {{name: known, category: fit, when: {{job_title: {{present: true}}}}, points: 15}}
      - {{name: visit, category: engagement, activity: page_view, points: 5, at_most: 3}}
"""


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path, monkeypatch, acme="acme_crm:Acme"):
        yield


def configured(folder: Path, url: str, *, key: str = KEY, change: tuple[str, str] = ("", "")) -> Config:
    file = folder / "leadbridge.yaml"
    file.write_text(FILE.format(folder=folder, url=url).replace(*change))
    return load(file, {"ACME_KEY": key})


@dataclass
class AcmeStage:
    """Acme's side of the contract."""

    server: AcmeServer
    folder: Path
    vendor: str = "acme"
    credential: str = "key"
    streams: Sequence[str] = ("visits",)
    page_sizes: Mapping[str, int] = field(default_factory=lambda: {"visits": 100})
    dated_by_edit: Collection[str] = ()
    score: str = "lb_score"
    fit: str = "lb_fit"
    grade: str = "lb_grade"
    title: str = "title"
    bad: Mapping[str, str] = field(default_factory=lambda: {"lb_fit": "plenty"})
    unknown: str = "99999999"
    rest: float = 1.0

    def room(self, pace: Pace | None = None, **connection: Any) -> Crm:
        config = configured(self.folder, self.server.url, key=connection.get("key", KEY))
        return registry.crm("acme", config, pace=pace or Skipping().pace())

    def ref(self, record_id: str) -> RecordRef:
        return RecordRef("acme", "person", record_id)

    def refs(self, record_ids: Sequence[str]) -> list[RecordRef]:
        return [self.ref(one) for one in record_ids]

    def calls(self, operation: str = "") -> int:
        return self.server.calls(operation)

    def reads(self) -> int:
        return self.calls("GET /people")

    def calls_to_read(self, count: int) -> int:
        return -(-count // 100)

    def trouble(self, trouble: Trouble) -> None:
        self.server.trouble(trouble)

    def add(self, count: int, *, at: datetime | None = None) -> list[str]:
        found = []
        for n in range(count):
            one = str(1000 + len(self.server.account.people))
            values = {"email": f"lead{n}@acme.example", "title": f"Title {n}", "staff": "120"}
            self.server.account.touch(one, values, at)
            found.append(one)
        return found

    def edit(self, record_id: str, title: str) -> None:
        self.server.account.touch(record_id, {"title": title})

    def merge(self, one: str, other: str) -> tuple[str, list[str]]:
        self.server.account.people.pop(other)
        self.server.account.merged[other] = one
        self.server.account.touch(one, {})
        return one, [other]

    def archive(self, record_id: str) -> None:
        self.server.account.people.pop(record_id)

    erase = archive

    def held(self, record_id: str) -> Mapping[str, str]:
        return self.server.account.people[record_id].values

    def lose_property(self, name: str) -> None:
        self.server.account.properties.pop(name)

    def properties(self) -> object:
        return dict(self.server.account.properties)

    def lack_a_source(self) -> str:
        self.server.account.has_visits = False
        return "visits"

    def act(self, stream: str, record_id: str, count: int, now: datetime) -> None:
        visits = self.server.account.visits
        for n in range(count):
            at = now - timedelta(minutes=n + 1)
            row = {"number": len(visits) + 1, "person": record_id, "at": at.isoformat(), "url": f"/{n}"}
            visits.append(row)


class TestAcme(CrmContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> Iterator[CrmStage]:
        with AcmeServer() as server:
            yield AcmeStage(server, tmp_path)


def test_the_loop_runs_over_a_crm_from_another_package(tmp_path: Path) -> None:
    with AcmeServer() as server:
        stage = AcmeStage(server, tmp_path)
        one, other = stage.add(2)
        stage.act("visits", one, 5, now())
        parts = wiring.build(configured(tmp_path, server.url))
        try:
            parts.crms[0].create(parts.crms[0].specs())
            done = cycle.sync(parts)
        finally:
            parts.close()
        assert done.written.written == 2
        assert stage.held(one)["lb_score"] == "30"
        assert stage.held(other)["lb_score"] == "15"
        assert stage.held(one)["lb_reasons"].startswith(("visit", "known"))


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        (("base_url", "bas_url"), 5, "did you mean base_url?"),
        (("    acme: {key", "    acne: {key"), 5, "no installed package connects acne; offered: acme"),
        (('"${ACME_KEY}"', "written-here"), 5, "is a secret"),
        (("{plugins: {acme: title}}", "{plugins: {acne: title}}"), 7, "add connections.plugins.acne"),
    ],
)
def test_a_fault_in_a_plugins_part_of_the_file_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], line: int, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, "http://127.0.0.1:1", change=change)
    assert any(fault.line == line and told in str(fault) for fault in caught.value.faults), caught.value.faults
