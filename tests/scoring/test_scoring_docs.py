"""docs/scoring.md says nothing that the loader does not take."""

import re
from pathlib import Path

import pytest

from leadbridge.config.behaviour import Behaviour, Take
from leadbridge.config.company import Company
from leadbridge.config.conditions import test_names as names_of_tests
from leadbridge.config.lists import NAMED_LISTS, WORD_LISTS
from leadbridge.config.questions import Question
from leadbridge.config.schema import BUILT_IN_FIELDS
from leadbridge.config.scores import Category, Drift, Matrix, Persona, Rule, ScoreModel, Sequence, StageRule, Trait
from sync.outlook import Scorer
from tests.helpers.config_files import loaded
from tests.scoring.predict.test_predict_likely import trained

PAGE = (Path(__file__).parents[2] / "docs" / "scoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = (
    ScoreModel,
    Category,
    Rule,
    Sequence,
    Matrix,
    Persona,
    Trait,
    Behaviour,
    Question,
    Company,
    StageRule,
    Drift,
)
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
  renewal: {hubspot: renewal_date, type: date}
  deal: {hubspot: deal_state}
""",
    "scores": """scores:
  lead:
    categories: {fit: {max: 40}, engagement: {max: 40}}
    rules: [{name: known, category: fit, when: {job_title: {present: true}}, points: 5}]
    grades: {A: 5}
""",
}


@pytest.fixture(autouse=True)
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trained model that the page speaks of, in the folder at hand."""
    rule = {
        "name": "decision maker",
        "category": "fit",
        "when": {"job_title": {"words": "decision_makers"}},
        "points": 15,
    }
    weight = {"rule": rule["name"], "text": Rule.model_validate(rule).text, "weight": 0.1, "error": 0.01, "low": 0.0,
              "high": 15.0, "typical": 15.0, "given": 50}  # fmt: skip
    (tmp_path / "lead.model.json").write_text(trained(weights=[weight]).model_dump_json())
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition(":")[0])
def test_each_example_is_a_sound_part_of_a_file(block: str) -> None:
    own = {line.partition(":")[0] for line in block.splitlines() if re.match(r"\w+:", line)}
    Scorer(loaded("".join(text for part, text in PARTS.items() if part not in own) + block))


def test_every_word_of_the_language_is_on_the_page() -> None:
    named = {word for word in NAMED_LISTS if not re.fullmatch("country_[a-z]{2}", word)}
    words = {*names_of_tests(), *Take.__args__, *named, *WORD_LISTS, *BUILT_IN_FIELDS}  # type: ignore[attr-defined]
    beside = {"hand_off_reason", "hand_off_to"}  # "and what belongs to it"
    assert {word for word in words - beside if f"`{word}`" not in PAGE and f"`{word}:" not in PAGE} == set()
    shown = "".join(BLOCKS)
    keys = {key for section in SECTIONS for key in section.model_fields}
    assert {key for key in keys if not re.search(rf"\b{key}:", shown)} == set()
