"""Scanners and privacy proxies qualify nobody; what they did can be seen, and what it would have done."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leadbridge.cli import app
from leadbridge.config.load import load
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store
from leadbridge.store.engine import machine_networks
from leadbridge.types import ActivityKind as K
from leadbridge.types import LifecycleStage
from sync import explain, machines, wiring
from sync.machines import Unmade
from tests.helpers import rooms
from tests.helpers.config_files import ENVIRONMENT, SOUND, write
from tests.helpers.syncing import Stage, configuration

ADA, EVE, PIA = "ada@acme.example", "eve@acme.example", "pia@acme.example"
LINKS = [f"https://acme.example/{n}" for n in range(4)]
RULES: list[dict[str, Any]] = [
    {"name": "clicks", "category": "engagement", "activity": "email_clicked", "points": 20},
    {"name": "opens", "category": "engagement", "activity": "email_opened", "points": 5},
    {"name": "quiet", "category": "engagement", "no_activity_for": "30d", "points": 1},
]


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    """Three people of one mailing: a scanner stands before Ada's mailbox, Pia's mail client fetches by proxy, and Eve
    reads for herself."""
    with Sandbox() as sandbox:
        rooms.unlimited(sandbox)
        hubspot = {"token": rooms.HUBSPOT_TOKEN, "base_url": sandbox.url, "activities": []}
        mailchimp = {"api_key": rooms.MAILCHIMP_KEY, "audience": rooms.AUDIENCE, "base_url": f"{sandbox.url}/3.0"}
        config = configuration(
            sandbox.url,
            connections={"hubspot": hubspot, "mailchimp": mailchimp},
            scores={"lead": {"categories": {"engagement": {"max": 100}}, "rules": RULES}},
            stages={"mql": {"when": {"score.lead": {"at_least": 60}}}},
        )
        made = Stage(sandbox, store, config)
        made.apply()
        for email in (ADA, EVE, PIA):
            made.lead(email)
        sent = made.now() - timedelta(hours=2)
        mail = sandbox.mailchimp.add_campaign("News", sent)
        sandbox.mailchimp.scanner_clicks(mail, ADA, sent + timedelta(minutes=1), LINKS)
        for minutes in range(12):
            sandbox.mailchimp.proxy_opens(mail, PIA, sent + timedelta(minutes=minutes))
        for n, link in enumerate(LINKS[:3]):
            sandbox.mailchimp.add_campaign_activity(mail, EVE, "click", sent + timedelta(minutes=5 + n), link)
        made.sync()
        yield made


def scored(made: Stage, email: str) -> tuple[int, LifecycleStage | None]:
    found = explain.explain(made.store, made.parts.scorer, email)
    assert found is not None
    return found.scores[0].value, found.stage


def test_machines_give_no_points_break_no_silence_and_the_evidence_is_shown(made: Stage) -> None:
    assert scored(made, EVE) == (60, LifecycleStage.MQL)
    assert scored(made, ADA) == scored(made, PIA) == (1, None)
    found = explain.explain(made.store, made.parts.scorer, ADA)
    assert found is not None
    assert len(found.machines) == 5  # an open, four clicks
    assert found.as_dict()["machines"] == list(found.machines)
    assert all("many links: 4 links within 3 s" in line for line in found.machines)
    assert LINKS[3] in found.machines[0]


def test_who_would_be_qualified_only_by_machines_is_told(made: Stage) -> None:
    found = machines.machines(made.store, made.parts.scorer)
    assert found.events == {
        (K.MACHINE_OPENED, "many links"): 1,
        (K.MACHINE_CLICKED, "many links"): 4,
        (K.MACHINE_OPENED, "privacy proxy"): 12,
    }
    assert found.people == 2
    assert found.unmade == [Unmade(email, None, LifecycleStage.MQL) for email in (ADA, PIA)]


def test_a_rule_may_count_them_by_name(made: Stage) -> None:
    rules = [RULES[0] | {"activity": ["email_clicked", "machine_clicked"]}]
    counting = configuration(
        made.sandbox.url, scores={"lead": {"categories": {"engagement": {"max": 100}}, "rules": rules}}, stages={}
    )
    made.config = counting
    made.parts = made.worker("w2")
    assert scored(made, ADA) == (80, None)


@pytest.mark.parametrize("how", [["--json"], []])
def test_the_report_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    file = write(tmp_path, f"store: sqlite:///{tmp_path}/leadbridge.db\n{SOUND}")
    found = CliRunner().invoke(app, ["report", "machines", "--config", str(file), *how])
    assert found.exit_code == 0, found.output
    if how:
        assert json.loads(found.stdout) == {"events": [], "people": 0, "qualified_only_by_machines": []}


def test_networks_that_the_file_names_are_known_to_whatever_stores_what_people_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    networks = 'machines: {networks: [203.0.113.0/24, "2001:DB8::/32"]}\n'
    parts = wiring.build(load(write(tmp_path, f"store: sqlite:///{tmp_path}/leadbridge.db\n{networks}{SOUND}")))
    with parts.store.writing() as tx:
        assert machine_networks(tx) == ("203.0.113.0/24", "2001:db8::/32")
    parts.close()
