"""docs/scoring.md says nothing that the loader does not take."""

import re
from pathlib import Path

import pytest

from leadbridge.config.behaviour import Take
from leadbridge.config.conditions import test_names as names_of_tests
from sync.outlook import Scorer
from tests.helpers.config_files import loaded

PAGE = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PARTS: dict[str, str] = {
    "connections": 'connections:\n  hubspot: {token: "${HUBSPOT_TOKEN}"}\n',
    "fields": """fields:
  job_title: {hubspot: jobtitle}
  country: {hubspot: country}
  employees: {hubspot: company.numberofemployees, type: integer}
  budget: {hubspot: budget_amount, type: number}
  need: {hubspot: main_challenge}
  need_source: {hubspot: main_challenge_source}
  need_given_on: {hubspot: main_challenge_date, type: date}
  timeframe: {hubspot: purchase_timeframe}
  deal: {hubspot: deal_state}
""",
    "scores": """scores:
  lead:
    categories: {fit: {max: 40}, engagement: {max: 40}}
    rules: [{name: known, category: fit, when: {job_title: {present: true}}, points: 5}]
    grades: {A: 5}
""",
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition(":")[0])
def test_each_example_is_a_sound_part_of_a_file(block: str) -> None:
    own = {line.partition(":")[0] for line in block.splitlines() if re.match(r"\w+:", line)}
    Scorer(loaded("".join(text for part, text in PARTS.items() if part not in own) + block))


def test_every_test_and_everything_to_take_is_on_the_page() -> None:
    words = {*names_of_tests(), *Take.__args__}  # type: ignore[attr-defined]
    assert {word for word in words if f"`{word}`" not in PAGE and f"`{word}:" not in PAGE} == set()
