"""Somebody of an account lets leadbridge in: over the sandbox's consent pages and token endpoints, by real HTTP."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from typer.testing import CliRunner, Result

from leadbridge import cli, logs
from leadbridge.config.load import load
from leadbridge.errors import NeedsOperator
from leadbridge.sandbox.server import Sandbox
from leadbridge.store import Store, grants, tables
from sync import accounts, wiring
from tests.helpers.databases import KEY

FILE = """
store: sqlite:///{folder}/leadbridge.db
connections:
  hubspot: {{client_id: sandbox-hubspot-client, client_secret: "${{HUBSPOT_SECRET}}", base_url: "{url}",
             authorize_url: "{url}/oauth/authorize"}}
  mailchimp: {{client_id: sandbox-mailchimp-client, client_secret: "${{MAILCHIMP_SECRET}}", login_url: "{url}",
               audience: a36b032126}}
fields: {{job_title: {{hubspot: jobtitle}}}}
write_back: {{}}
scores:
  lead:
    categories: {{fit: {{max: 100}}}}
    grades: {{A: 50, B: 0}}
    rules: [{{name: known, category: fit, when: {{job_title: {{present: true}}}}, points: 15}}]
"""
SECRETS = {"HUBSPOT_SECRET": "sandbox-hubspot-secret", "MAILCHIMP_SECRET": "sandbox-mailchimp-secret"}
VENDORS = ["hubspot", "mailchimp"]
Connect = Callable[..., Result]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def file(store: Store, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "leadbridge.yaml"
    config.write_text(FILE.format(folder=tmp_path, url=sandbox.url))
    for name, value in {**SECRETS, "LEADBRIDGE_KEY": KEY.hex()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(logs, "configure", lambda **_: None)  # to the runner's stream, which it closes
    return config


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def connect(file: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Runs the command; `browser` is given the page's address, in a thread of its own, as soon as it is shown."""

    def command(vendor: str, *words: str, browser: Callable[[str], object] | None = None, code: int = 0) -> Result:
        threads: list[threading.Thread] = []

        def shown(address: str) -> None:
            if browser is not None:
                threads.append(threading.Thread(target=browser, args=(address,)))
                threads[0].start()

        monkeypatch.setattr("leadbridge.commands.connect._show", shown)
        line = ["connect", vendor, "--config", str(file), "--port", str(port), "--wait", "20", *words]
        found = CliRunner().invoke(cli.app, line)
        for thread in threads:
            thread.join()
        if code == 0:
            assert found.exception is None, found.output
        return found

    return command


def operations(sandbox: Sandbox) -> list[str]:
    return [call.operation for call in sandbox.world.journal]


@pytest.mark.parametrize("vendor", VENDORS)
def test_whoever_says_yes_lets_leadbridge_in(vendor: str, connect: Connect, sandbox: Sandbox, store: Store) -> None:
    pages: list[requests.Response] = []
    found = connect(vendor, browser=lambda address: pages.append(requests.get(address, timeout=20)))
    assert pages[0].status_code == 200
    assert "close this page" in pages[0].text
    assert f"connected to {vendor} account {accounts.pinned(store, vendor)}" in found.output
    # The code is exchanged, what it brought is sealed in the store, and only then used.
    asked = operations(sandbox)
    assert asked[:2] == ["oauth.authorize", "oauth.token"]
    assert len(asked) > 2
    with store.reading() as tx:
        held = grants.read(tx, store.vault, vendor)
        raw = tx.execute(tables.grants.select()).one()
    assert held is not None
    assert held["access"].encode() not in raw.sealed
    assert held["access"] not in found.output


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_was_granted_is_used_by_every_later_process(
    vendor: str, connect: Connect, sandbox: Sandbox, file: Path
) -> None:
    with pytest.raises(NeedsOperator, match=f"run `leadbridge connect {vendor}`"):
        room_account(file, vendor)
    assert operations(sandbox) == []
    connect(vendor, browser=lambda address: requests.get(address, timeout=20))
    assert room_account(file, vendor)


def room_account(file: Path, vendor: str) -> str:
    parts = wiring.build(load(file))
    try:
        (room,) = [one for one in parts.rooms if one.vendor == vendor]
        return room.account()
    finally:
        parts.close()


@pytest.mark.parametrize("vendor", VENDORS)
def test_somebody_elses_answer_connects_nothing_and_does_not_end_the_waiting(
    vendor: str, connect: Connect, sandbox: Sandbox, port: int
) -> None:
    """A page elsewhere could lead our browser here with a code of its own account; what it cannot know is the state."""
    refused: list[int] = []

    def browser(address: str) -> None:
        answer = f"http://127.0.0.1:{port}/leadbridge?code=of-another-account"
        for forged in (answer, f"{answer}&state=guessed", f"{answer}&state=", f"{answer}&error=access_denied"):
            refused.append(requests.get(forged, timeout=20).status_code)
        assert "oauth.token" not in operations(sandbox)
        requests.get(address, timeout=20)

    connect(vendor, browser=browser)
    assert refused == [400] * 4
    assert operations(sandbox).count("oauth.token") == 1


@pytest.mark.parametrize("vendor", VENDORS)
def test_whoever_says_no_is_believed(vendor: str, connect: Connect, sandbox: Sandbox, store: Store) -> None:
    sandbox.hubspot.settings.consents = sandbox.mailchimp.settings.consents = False
    found = connect(vendor, browser=lambda address: requests.get(address, timeout=20), code=1)
    assert "did not let leadbridge in (access_denied)" in str(found.exception)
    assert operations(sandbox) == ["oauth.authorize"]
    with store.reading() as tx:
        assert grants.read(tx, store.vault, vendor) is None


def test_nobody_answers(connect: Connect, sandbox: Sandbox) -> None:
    assert "nobody answered within 1 seconds" in str(connect("hubspot", "--wait", "1", code=1).exception)
    assert operations(sandbox) == []


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("forged", [False, True], ids=["the answer", "with another state"])
def test_where_no_browser_is_near_the_address_is_pasted(
    vendor: str, forged: bool, file: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paste(*_: object, **__: object) -> str:
        answer = requests.get(shown[0], timeout=20, allow_redirects=False).headers["Location"]
        return re.sub("state=[^&]*", "state=guessed", answer) if forged else answer

    shown: list[str] = []
    monkeypatch.setattr("leadbridge.commands.connect._show", shown.append)
    monkeypatch.setattr("typer.prompt", paste)
    line = ["connect", vendor, "--config", str(file), "--redirect", "https://admin.acme.example/back", "--json"]
    found = CliRunner().invoke(cli.app, line)
    if forged:
        assert "not the answer to this asking" in str(found.exception)
        assert operations(sandbox) == ["oauth.authorize"]
    else:
        assert json.loads(found.output)["vendor"] == vendor


def test_the_page_is_asked_for_what_leadbridge_needs(connect: Connect, port: int) -> None:
    shown: list[str] = []

    def browser(address: str) -> None:
        shown.append(address)
        requests.get(address, timeout=20)

    connect("hubspot", browser=browser)
    asked = parse_qs(urlsplit(shown[0]).query)
    assert {"crm.objects.contacts.read", "crm.objects.contacts.write"} <= set(asked["scope"][0].split())
    assert asked["redirect_uri"] == [f"http://localhost:{port}/leadbridge"]
    assert len(asked["state"][0]) >= 24


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_wrong_secret_is_told_and_stores_nothing(
    vendor: str, connect: Connect, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "not-the-secret")
    found = connect(vendor, browser=lambda address: requests.get(address, timeout=20), code=1)
    assert isinstance(found.exception, NeedsOperator)
    assert "not-the-secret" not in str(found.exception)
    with store.reading() as tx:
        assert grants.read(tx, store.vault, vendor) is None
