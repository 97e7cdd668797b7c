"""A small sound configuration, ways to change it, and what loading says of it."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from leadbridge.config.load import load
from leadbridge.errors import ConfigError, Fault

ENVIRONMENT: Mapping[str, str] = {
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


def write(directory: Path, text: str | bytes) -> Path:
    """Put text into a file called leadbridge.yaml."""
    path = directory / "leadbridge.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


def loaded(text: str | bytes, environ: Mapping[str, str] = ENVIRONMENT) -> Any:
    """The Config of text that has to be sound; untyped, since tests read deep into conditions whose kind they know."""
    with TemporaryDirectory() as directory:
        return load(write(Path(directory), text), environ)


def refused(text: str | bytes, environ: Mapping[str, str] = ENVIRONMENT) -> ConfigError:
    """The error of text that has to be faulty."""
    with pytest.raises(ConfigError) as caught:
        loaded(text, environ)
    return caught.value


def faults_of(text: str | bytes, environ: Mapping[str, str] = ENVIRONMENT) -> list[Fault]:
    """Everything wrong with text that has to be faulty."""
    return refused(text, environ).faults


def changed(*pairs: tuple[str, str]) -> str:
    """The sound file with pieces of it replaced; every piece has to be there."""
    text = SOUND
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text
