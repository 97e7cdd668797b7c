"""Names to rooms: those written out, and those other packages offer."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from connectors.base import Crm, EmailPlatform
from leadbridge.config.plugins import GROUP
from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError
from tests.helpers.rooms import configuration


@pytest.fixture
def config() -> Config:
    return configuration("http://127.0.0.1:1")


def without(config: Config, name: str) -> Config:
    return config.model_copy(update={"connections": config.connections.model_copy(update={name: None})})


def test_what_is_connected_is_built(config: Config) -> None:
    assert registry.crms(config) == ["hubspot", "salesforce"]
    assert registry.email_platforms(config) == ["mailchimp"]
    crm, platform = registry.crm("hubspot", config), registry.email_platform("mailchimp", config)
    assert isinstance(crm, Crm)
    assert isinstance(platform, EmailPlatform)
    assert (crm.vendor, platform.vendor) == ("hubspot", "mailchimp")


def test_what_is_not_connected_is_neither_listed_nor_built(config: Config) -> None:
    bare = without(config, "hubspot")
    assert registry.crms(bare) == ["salesforce"]
    with pytest.raises(ConfigError, match=r"connections\.hubspot: is not connected"):
        registry.crm("hubspot", bare)


def test_a_room_of_the_other_contract_is_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"connections\.mailchimp: is no Crm"):
        registry.crm("mailchimp", config)
    with pytest.raises(ConfigError, match=r"is not connected"):
        registry.email_platform("pigeon", config)


def test_the_registry_loads_no_sdk() -> None:
    sdks = "('hubspot', 'simple_salesforce', 'mailchimp_marketing')"
    code = f"import sys, connectors.registry; print([m for m in {sdks} if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Pigeon:
    """No contract at all."""


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that offers itself under a built-in name, as packages are really found: by their metadata."""
    info = tmp_path / "pigeon_post-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1\n")
    lines = [
        "[leadbridge.connectors]",
        "hubspot = pigeon_post:Post",
        "pigeon = pigeon_post:Post",
        "rat = pigeon_post:Rat",
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (tmp_path / "pigeon_post.py").write_text(
        "from connectors.hubspot.connector import HubSpot\nclass Post(HubSpot):\n    vendor = 'pigeon'\nRat = object\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("pigeon_post", None)


def test_another_package_can_offer_a_room_but_not_take_a_built_in_name(config: Config, offered: None) -> None:
    assert registry.crm("hubspot", config).vendor == "hubspot"
    found: Any = registry._offered("pigeon", Crm)
    assert found.vendor == "pigeon"
    assert registry._offered("pigeon", EmailPlatform) is None
    assert registry._offered("rat", Crm) is None
    assert EntryPoint("pigeon", "pigeon_post:Post", GROUP).load() is found
