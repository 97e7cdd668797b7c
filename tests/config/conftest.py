"""A small sound file, ways to change it, and what loading says of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from leadbridge.config.load import load
from leadbridge.config.schema import Config
from leadbridge.errors import ConfigError, Fault

Loaded: TypeAlias = Callable[..., Config]
FaultsOf: TypeAlias = Callable[..., list[Fault]]
Changed: TypeAlias = Callable[..., str]

ENVIRONMENT = {
    "HUBSPOT_TOKEN": "pat-eu1-0000aaaa-token",
    "HUBSPOT_APP_SECRET": "0000aaaa-app-secret",
    "MAILCHIMP_KEY": "0000aaaa-key-us6",
}

SOUND = """\
connections:
  hubspot: {token: "${HUBSPOT_TOKEN}"}
  mailchimp: {api_key: "${MAILCHIMP_KEY}", audience: a36b032126}
fields:
  job_title: {hubspot: jobtitle}
  country: {hubspot: country}
  employees: {hubspot: company.numberofemployees, type: integer}
  budget: {hubspot: budget_amount, type: number}
  partner: {hubspot: is_partner, type: boolean}
  renewal: {hubspot: renewal_date, type: date}
write_back:
  score: {hubspot: leadbridge_score, mailchimp: LBSCORE}
scores:
  lead:
    categories: {fit: {max: 40}, engagement: {max: 40}}
    rules:
      - {name: decision maker, category: fit, when: {job_title: {words: [vp, head]}}, points: 15}
      - {name: pricing page, category: engagement, activity: page_view, where: {url: {contains: /pricing}}, points: 8}
    grades: {A: 30, B: 10}
stages:
  sql: {when: {score.lead: {at_least: 60}}, until: {score.lead: {below: 45}}}
  mql: {when: {score.lead: {at_least: 35}}}
buyer_journey:
  awareness: {score.lead: {above: 0}}
segments:
  small: {employees: {below: 50}}
nurture:
  journeys:
    - {name: guides, mailchimp: {tag: lb-guides}, when: {segment: small, buyer_journey: awareness}}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Put text into a file."""

    def put(text: str | bytes) -> Path:
        path = tmp_path / "leadbridge.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put


@pytest.fixture
def loaded(write: Callable[[str | bytes], Path]) -> Loaded:
    """Load text that has to be sound."""

    def go(text: str | bytes, environ: Mapping[str, str] = ENVIRONMENT) -> Config:
        return load(write(text), environ)

    return go


@pytest.fixture
def faults_of(write: Callable[[str | bytes], Path]) -> FaultsOf:
    """Everything wrong with text that has to be faulty."""

    def go(text: str | bytes, environ: Mapping[str, str] = ENVIRONMENT) -> list[Fault]:
        with pytest.raises(ConfigError) as caught:
            load(write(text), environ)
        return caught.value.faults

    return go


@pytest.fixture
def changed() -> Changed:
    """The sound file with pieces of it replaced; every piece has to be there."""

    def go(*pairs: tuple[str, str]) -> str:
        text = SOUND
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new)
        return text

    return go


@pytest.fixture
def environment() -> dict[str, str]:
    return dict(ENVIRONMENT)
