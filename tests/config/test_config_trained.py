"""A trained model in the file: read at its place, and every fault of it told with its line."""

from pathlib import Path
from typing import Any

import pytest

from leadbridge.config.load import load
from leadbridge.config.report import describe
from leadbridge.errors import ConfigError
from nurture import policy
from sync.outlook import Scorer
from sync.passes import rules_digest
from tests.helpers.config_files import ENVIRONMENT, SOUND, loaded, write
from tests.scoring.predict.test_predict_likely import trained

LINE = "    categories: {fit: {max: 40}, engagement: {max: 40}}\n"


def rules() -> list[dict[str, Any]]:
    found: Any = loaded(SOUND).scores["lead"].rules
    return [{"name": rule.name, "points": rule.points, "text": rule.text} for rule in found]


def made(**more: Any) -> str:
    """The text of a model of the sound file's rules."""
    weights = [
        {"rule": rule["name"], "text": rule["text"], "weight": 0.1, "error": 0.01, "low": 0.0, "high": rule["points"],
         "typical": rule["points"], "given": 50}
        for rule in rules()
    ]  # fmt: skip
    return trained(weights=weights, **more).model_dump_json(indent=1)


def file(folder: Path, model: str | None) -> Path:
    if model is not None:
        (folder / "lead.json").write_text(model)
    line = f"    categories:\n      fit: {{max: 40}}\n      engagement: {{max: 40}}\n" \
           f"      likely:\n        max: 20\n        model: {folder / 'lead.json'}\n"  # fmt: skip
    assert LINE in SOUND
    return write(folder, SOUND.replace(LINE, line))


def test_the_model_is_part_of_the_configuration_and_a_new_one_of_what_decides(tmp_path: Path) -> None:
    """So a new model is a new version of the score: everybody is scored anew, and contact begins as a canary (G23)."""
    old = load(file(tmp_path, made()), ENVIRONMENT)
    same = load(file(tmp_path, made()), ENVIRONMENT)
    new = load(file(tmp_path, made(share=0.06)), ENVIRONMENT)
    assert old.scores["lead"].trained is not None
    assert policy.digest(old) == policy.digest(same) != policy.digest(new)
    digests = [rules_digest(Scorer(one)) for one in (old, same, new)]
    assert digests[0] == digests[1] != digests[2]


def test_check_says_which_model_it_is_and_which_rules_it_knows_nothing_of(tmp_path: Path) -> None:
    path = file(tmp_path, made())
    told = dict(describe(load(path, ENVIRONMENT)))["model of lead"]
    assert told.endswith("learned 2026-02-01 with 1,800 people: who reaches customer")
    path.write_text(
        path.read_text().replace(
            "    grades:", "      - {name: new, category: fit, when: {budget: 1}, points: 1}\n    grades:"
        )
    )
    assert dict(describe(load(path, ENVIRONMENT)))["model of lead"].endswith("customer; knows nothing of: new")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "cannot be read: No such file or directory; `leadbridge train --out FILE` writes it"),
        ("{}", "is no model that `leadbridge train` wrote"),
        ("not json", "is no model that `leadbridge train` wrote"),
        (made().replace('"share": 0.05', '"share": 0.06'), "was changed after it was trained"),
        (made(score="customer"), "trained for score customer"),
        (made().replace('"decision maker"', '"boss"'), "was changed after it was trained"),
    ],
)
def test_a_model_that_does_not_serve_is_told(tmp_path: Path, model: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file(tmp_path, model), ENVIRONMENT)
    (fault,) = caught.value.faults
    assert said in str(fault)
    assert fault.line


def test_rules_changed_since_are_told_with_the_way_out(tmp_path: Path) -> None:
    path = file(tmp_path, made())
    path.write_text(path.read_text().replace("points: 15}", "points: 16}"))
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRONMENT)
    (fault,) = caught.value.faults
    assert "trained with rule 'decision maker' as it was before; take `model` out" in str(fault)
