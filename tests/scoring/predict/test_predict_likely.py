"""A trained probability inside a score: points that add up, reasons, and what would raise it."""

import math
from typing import Any

import pytest

from leadbridge.config.scores import Rule, ScoreModel
from leadbridge.config.trained import Trained, sealed
from leadbridge.types import Value
from scoring import explain, reading
from scoring.compile import compile_model
from scoring.engine import ScoreFrame, score
from scoring.frames import activities_frame, people_frame
from tests.scoring.drawn import AT

TYPES = {"job_title": "text", "country": "text"}
RULES: list[dict[str, Any]] = [
    {"name": "boss", "category": "fit", "when": {"job_title": "boss"}, "points": 10},
    {"name": "deputy", "category": "fit", "when": {"country": "spain"}, "points": 8},
    {"name": "pages", "category": "fit", "activity": "page_view", "points": 2, "half_life": "7d"},
]
FIGURES = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "average_precision": 0.3}


def trained(rules: list[dict[str, Any]] = RULES, **more: Any) -> Trained:
    """Bosses have thrice the odds, everybody else those of the average (one in twenty)."""
    weights = [
        {"rule": rule["name"], "text": Rule.model_validate(rule).text, "weight": weight, "error": 0.01, "low": 0.0,
         "high": 30.0, "typical": rule["points"], "given": 50}
        for rule, weight in zip(rules, (math.log(3) / 10, 0.0, -0.5), strict=False)
    ]  # fmt: skip
    looked = [{"at": "2026-01-01T00:00:00+00:00", "people": 900, "became": 45, "held_out": held} for held in (0, 1)]
    given = {"score": "lead", "rules": "-", "reaches": "customer", "within": 7776000.0, "trained_at": "2026-02-01",
             "looked": looked, "share": 0.05, "intercept": math.log(0.05 / 0.95), "weights": weights,
             "confidence": 0.95, "held_out": FIGURES, "by_hand": FIGURES}  # fmt: skip
    return sealed(**(given | more))


def config(model: Trained | None = None, rules: list[dict[str, Any]] = RULES, **more: Any) -> ScoreModel:
    likely = {"max": 40, "model": model or trained()}
    return ScoreModel.model_validate({"categories": {"fit": {"max": 60}, "likely": likely}, "rules": rules} | more)


def scored(model: ScoreModel, *rows: dict[str, Value], views: int = 0) -> ScoreFrame:
    """These people; the first looked at so many pages just now."""
    people = people_frame(range(len(rows)), rows, TYPES)
    done = activities_frame(people, [(0, "page_view", AT, {}) for _ in range(views)])
    return score(compile_model("lead", model, TYPES), people, done, AT)


def test_the_average_has_half_of_the_points_and_thrice_their_odds_give_three_quarters() -> None:
    frame = scored(config(), {"job_title": "boss"}, {})
    boss, other = frame.scores()
    assert boss.categories == pytest.approx({"fit": 10.0, "likely": 30.0})
    assert other.categories == pytest.approx({"fit": 0.0, "likely": 20.0})
    assert (boss.value, other.value) == (40, 20)
    assert boss.probability == pytest.approx(3 / 22)  # odds of 3 to 19
    assert other.probability == pytest.approx(0.05)
    assert explain.reasons(boss.contributions) == "likely to become customer +30; boss +10"
    (line,) = [line for line in boss.contributions if line.category == "likely"]
    assert line.rule == "likely to become customer"
    assert line.points == pytest.approx(30.0)


def test_nothing_is_made_of_more_than_was_seen_in_training() -> None:
    once, often = (next(scored(config(), {}, views=views).scores()).probability for views in (15, 500))
    assert once == often


def test_what_lost_in_its_group_still_tells() -> None:
    rules = [RULES[0], RULES[1] | {"points": 12}, RULES[2]]  # the deputy's are more
    grouped = [rule | ({"exclusive": "one"} if rule["name"] != "pages" else {}) for rule in rules]
    both: dict[str, Value] = {"job_title": "boss", "country": "spain"}
    alone, beside = (next(scored(config(trained(rules), each), both).scores()) for each in (rules, grouped))
    assert alone.categories["likely"] == beside.categories["likely"] == pytest.approx(30)  # bosses they are
    assert (alone.categories["fit"], beside.categories["fit"]) == (22, 12)


def test_whom_the_score_does_not_apply_to_has_no_probability() -> None:
    frame = scored(config(applies_to={"country": "spain"}), {"country": "spain"}, {"country": "france"})
    assert frame.probability is not None
    assert [math.isnan(one) for one in frame.probability] == [False, True]
    assert [None if one is None else one.probability for one in frame.of(frame.ids.astype(int))] == [
        pytest.approx(0.05),
        None,
    ]


def test_the_rules_that_make_somebody_likely_are_told_and_what_would_raise_the_score_counts_it() -> None:
    model = config()
    compiled = compile_model("lead", model, TYPES)
    people = people_frame([0], [{"job_title": "boss"}], TYPES)
    done = activities_frame(people, [(0, "page_view", AT, {})])
    found = reading.likelihood(compiled, model, people, done, AT)
    assert found is not None
    assert found.goal == "likely to become customer"
    assert found.probability == pytest.approx(3 / math.e / (19 + 3 / math.e))
    assert found.average == 0.05
    assert [rule for rule, _ in found.times] == ["boss", "pages"]
    assert [factor for _, factor in found.times] == pytest.approx([3, 1 / math.e])
    nobody = people_frame([0], [{}], TYPES)
    gains = reading.raising(compiled, model, nobody, activities_frame(nobody, []), AT)
    assert [(gain.rule, gain.points) for gain in gains] == [
        ("boss", 20),
        ("deputy", 8),
    ]  # pages take more than they give
    without = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": RULES})
    assert reading.likelihood(compile_model("lead", without, TYPES), without, people, done, AT) is None


def test_another_model_is_another_version_of_the_score() -> None:
    first, same, other = (
        compile_model("lead", config(model), TYPES).hash for model in (trained(), trained(), trained(share=0.06))
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (RULES[1:], "trained with rule 'boss', which is gone"),
        ([RULES[0] | {"points": 11}, *RULES[1:]], "trained with rule 'boss' as it was before"),
        (
            [*RULES, RULES[0] | {"name": "new", "category": "likely"}],
            "come from its model, so rule 'new' needs another",
        ),
    ],
)
def test_a_model_of_other_rules_is_refused(rules: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        config(rules=rules)
    config(rules=[*RULES, RULES[0] | {"name": "new"}])  # a rule it knows nothing of does no harm


def test_a_score_has_one_model() -> None:
    with pytest.raises(ValueError, match="keep one of them"):
        config(categories={"a": {"model": trained()}, "b": {"model": trained()}, "fit": {}})
