"""What is learned beside the truth: an audience drawn from known weights, chance, planted leaks, and real leads."""

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from leadbridge.columns import Mask, micros
from leadbridge.config.scores import Rule
from leadbridge.config.trained import Trained, TrainedFile, sealed
from scoring.compile import UNIT, compile_model
from scoring.engine import rule_points, score
from scoring.frames import activities_frame, people_frame
from scoring.predict import figures, leaks
from scoring.predict.fit import Floats, fit
from scoring.predict.scorecard import scorecard
from sync.outlook import Scorer
from tests.scoring.test_scoring_point_in_time import APPROVED, AT, CUT, ENDED, EVENTS, KINDS, MODEL, Did, cases
from tests.scoring.test_scoring_ready_models import DATA, _people, model

WEIGHTS = np.array([0.12, -0.08, 0.05, 0.0, 0.2, -0.03])
FIGURES = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "average_precision": 0.5}


def audience(rng: np.random.Generator, n: int) -> tuple[Floats, Mask]:
    """Six rules as rules are (mostly silent, some fading, two that overlap), and what becomes of people by WEIGHTS."""
    first = rng.random(n) < 0.3
    points = np.column_stack(
        [
            15 * first,
            -10 * (rng.random(n) < 0.2),
            8 * (rng.random(n) < 0.4) * 0.5 ** rng.exponential(1, n),
            5 * (rng.random(n) < 0.5),
            10 * (rng.random(n) < np.where(first, 0.5, 0.1)),
            np.minimum(2.0 * rng.poisson(1.5, n), 12),
        ]
    ).astype(np.float64)
    return points, rng.random(n) < 1 / (1 + np.exp(2.2 - points @ WEIGHTS))


def trained(points: Floats, became: Mask) -> Trained:
    """A model as training makes it, with figures that do not matter."""
    learned = fit(points, became)
    given = (points != 0).sum(axis=0)
    weights = [
        {"rule": f"r{index}", "text": "-", "weight": float(learned.weights[index]),
         "error": float(learned.errors[index]), "low": float(learned.low[index]), "high": float(learned.high[index]),
         "typical": float(points[:, index].sum() / max(given[index], 1)), "given": int(given[index])}
        for index in range(points.shape[1])
    ]  # fmt: skip
    looked = [{"at": "2026-01-01", "people": 1, "became": 1, "held_out": held} for held in (False, True)]
    return sealed(score="lead", rules="-", reaches="customer", within=1.0, trained_at="-", looked=looked,
                  share=float(became.mean()), intercept=learned.intercept, weights=weights, confidence=0.95,
                  held_out=FIGURES, by_hand=FIGURES)  # fmt: skip


def test_the_weights_that_people_were_drawn_from_lie_within_their_intervals() -> None:
    rng = np.random.default_rng(3)
    learned = fit(*audience(rng, 20_000))
    assert np.all(np.abs(learned.weights - WEIGHTS) < 2.64 * learned.errors)  # 95 % for all six at once
    assert np.all(learned.errors < 0.02)
    points, became = audience(rng, 20_000)
    said = learned.probability(points)
    told = figures.calibration(said, became)
    assert told.interval is not None
    assert told.interval[0] < 1 < told.interval[1]
    assert abs(told.expected - told.came) < 3 * np.sqrt(told.expected)
    assert all(abs(tenth.expected - tenth.came) < 4 * np.sqrt(tenth.expected) for tenth in told.tenths)
    sure = {line.rule: line.points for line in scorecard(trained(points, became)) if line.sure}
    assert sure["r0"] == pytest.approx(15 * 0.12 * 10 / math.log(2), rel=0.15)  # 10 points double the odds
    assert sure["r1"] == pytest.approx(10 * 0.08 * 10 / math.log(2), rel=0.15)  # takes points, and is for it
    assert sure["r5"] < 0
    assert "r3" not in sure  # says nothing


def test_errors_are_as_large_as_estimates_differ_between_samples_of_some_hundred() -> None:
    rng = np.random.default_rng(4)
    fits = [fit(*audience(rng, 800)) for _ in range(60)]
    spread = np.std([one.weights for one in fits], axis=0)
    said = np.mean([one.errors for one in fits], axis=0)
    assert np.all((spread / said > 0.7) & (spread / said < 1.25))


def test_of_shuffled_outcomes_nothing_is_learned_and_no_line_is_sure() -> None:
    rng = np.random.default_rng(5)
    points, became = audience(rng, 6000)
    shuffled = rng.permutation(became)
    learned = fit(points[:3000], shuffled[:3000])
    area = roc_auc_score(shuffled[3000:], learned.probability(points[3000:]))
    assert 0.46 < area < 0.54
    assert [line.rule for line in scorecard(trained(points, shuffled)) if line.sure] == []
    assert any(line.sure for line in scorecard(trained(points, became)))


def test_few_outcomes_leave_weights_small_and_a_perfect_sign_leaves_them_finite() -> None:
    became = np.arange(200) < 60
    perfect = np.column_stack([10.0 * became, np.where(np.arange(200) == 7, 5.0, 0.0), np.zeros(200)])
    learned = fit(perfect, became)
    assert 0 < learned.weights[0] < 1
    assert abs(learned.weights[1] * 5) < 2  # seen once
    assert (learned.weights[2], learned.errors[2]) == (0, 0)  # never given
    beyond = learned.probability(np.array([[10.0, 0, 0], [1e9, 0, 0]]))
    assert beyond[0] == beyond[1]  # nothing was learned of more than was seen
    with pytest.raises(ValueError, match="nothing to tell"):
        fit(np.zeros((20, 2)), np.arange(20) < 10)
    with pytest.raises(ValueError, match="nothing to tell"):
        fit(perfect, np.zeros(200, np.bool_))


def test_the_figures_are_those_of_a_library_that_knows_nothing_of_us() -> None:
    rng = np.random.default_rng(6)
    said = np.round(rng.random(500), 1)  # with many equals
    became = rng.random(500) < said * 0.5
    assert figures.average_precision(said, became) == pytest.approx(average_precision_score(became, said))
    assert figures.brier(said, became) == pytest.approx(brier_score_loss(became, said))
    assert leaks._area(said, became) == pytest.approx(roc_auc_score(became, said))


def test_a_planted_leak_is_named_and_an_honest_sign_is_not() -> None:
    rng = np.random.default_rng(7)
    points, became = audience(rng, 3000)
    given: dict[str, Floats] = {f"r{index}": points[:, index] for index in range(6)}
    planted: dict[str, Floats] = {
        "contract signed": np.where(became & (rng.random(3000) < 0.3), 5.0, 0.0),  # of a few, and of nobody else
        "closing date known": became.astype(np.float64),
        "not lost": np.where(~became & (rng.random(3000) < 0.97), -2.0, 1.0),
    }
    found = {leak.name: leak.why for leak in leaks.too_good(given | planted, became)}
    assert found.keys() == planted.keys()
    assert "alone tells" in found["closing date known"]
    assert "of " in found["contract signed"]


def test_what_is_known_only_afterwards_is_named() -> None:
    became = np.arange(100) < 40
    nothing, some = np.zeros(100, np.bool_), np.arange(100) % 2 == 0
    now = {"end": became.copy(), "asked": some, "new": np.ones(100, np.bool_)}
    found = list(leaks.only_afterwards({"end": nothing, "asked": some, "new": nothing}, now, became))
    assert [leak.name for leak in found] == ["field end"]


def test_a_model_is_a_file_that_says_when_it_was_changed(tmp_path: Path) -> None:
    made = trained(*audience(np.random.default_rng(8), 500))
    file, read = tmp_path / "lead.json", TypeAdapter(TrainedFile).validate_python
    file.write_text(made.model_dump_json(indent=1))
    assert read(str(file)) == made
    again = trained(*audience(np.random.default_rng(8), 500))
    assert again.version == made.version  # of what it holds, and of nothing else
    raw: dict[str, Any] = json.loads(file.read_text())
    raw["weights"][0]["weight"] += 0.01
    for content, said in (
        (json.dumps(raw), "was changed after it was trained"),
        (json.dumps(raw | {"intercept": "x"}), "at intercept"),
        ("[]", "is no model"),
        ("", "is no model"),
    ):
        file.write_text(content)
        with pytest.raises(ValidationError, match=said):
            read(str(file))
    with pytest.raises(ValidationError, match="cannot be read"):
        read(str(tmp_path / "none.json"))


def test_a_rule_has_another_text_when_it_may_give_another_thing() -> None:
    raw = {"name": "boss", "category": "fit", "points": 5, "when": {"job_title": {"words": ["head"]}}}
    text = Rule.model_validate(raw).text
    assert Rule.model_validate(raw | {"category": "other", "exclusive": "one"}).text == text
    for change in ({"points": 6}, {"when": {"job_title": {"words": ["vp"]}}}, {"activity": "call"}):
        assert Rule.model_validate(raw | change).text != text


# --- real leads ------------------------------------------------------------------------------------------------------


def later(points: Floats, by_hand: Floats, became: Mask, cut: int, what: str) -> tuple[float, figures.Calibration]:
    """Learned on the first `cut`, tried on the rest; prints how it went."""
    learned = fit(points[:cut], became[:cut])
    said, hand, won = learned.probability(points[cut:]), by_hand[cut:], became[cut:]
    area, told = float(roc_auc_score(won, said)), figures.calibration(said, won)
    print(f"\n{what}: learned from {cut}, tried on {len(won)} later ones, {won.mean():.1%} did")
    print(f"AUC {area:.3f}, by hand {roc_auc_score(won, hand):.3f}; Brier {figures.brier(said, won):.4f}")
    print(f"expected {told.expected:.0f}, came {told.came}; slope {told.slope} {told.interval}")
    for tenth in told.tenths:
        print(f"{tenth.people:>6} people {tenth.expected:>7.1f} expected {tenth.came:>5} came")
    assert area > roc_auc_score(won, hand)
    return area, told


def test_what_is_learned_of_leads_of_a_school_tells_later_ones_better_than_rules_by_hand() -> None:
    if not DATA.is_file():
        pytest.skip("the X Education leads are not beside this checkout (shared/data/x_education)")
    with gzip.open(DATA, "rt", encoding="utf-8-sig", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["Lead Number"]))
    scorer = Scorer(model("education"))
    (lead, *_) = scorer.models
    people = people_frame(range(len(rows)), _people(rows), scorer.types)
    view = scorer.view(people, activities_frame(people, []), [None] * len(rows), AT)
    table = np.zeros((len(lead.rules), len(rows)), np.int64)
    rule_points(lead, people, view.activities, micros(AT), table)
    points, became = table.T / UNIT, np.array([row["Converted"] == "1" for row in rows])
    cut = len(rows) * 2 // 3
    area, told = later(points, view.frames[0].value.astype(np.float64), became, cut, "X Education")
    assert area > 0.8
    assert abs(told.expected - told.came) < 0.15 * told.came
    assert told.slope is not None
    assert 0.7 < told.slope < 1.4
    given = {f"r{index}": points[:, index] for index in range(points.shape[1])}
    tags = np.array([row["Tags"] == "Will revert after reading the email" for row in rows], np.float64)
    assert [leak.name for leak in leaks.too_good(given | {"tags": tags}, became)] == ["tags"]


def test_what_is_learned_of_applications_tells_later_ones_as_of_their_seventh_day() -> None:
    if not EVENTS.is_file():
        pytest.skip("the applications of BPI 2012 are not beside this checkout (shared/data/bpi2012)")
    still_open = sorted(
        (
            (events[0][0], case, events)
            for case, events in cases().items()
            if not any(what in ENDED and at - events[0][0] <= CUT for at, what, _ in events)
        ),
        key=lambda one: one[:2],
    )
    people = people_frame(range(len(still_open)), [{} for _ in still_open], {})
    done: list[Did] = [
        (person, KINDS[what], AT - CUT + (at - begin), {"about": what})
        for person, (begin, _, events) in enumerate(still_open)
        for at, what, lifecycle in events
        if what in KINDS and lifecycle == "COMPLETE"
    ]
    became = np.array([any(what in APPROVED for _, what, _ in events) for _, _, events in still_open])
    compiled = compile_model("lead", MODEL, {})
    acts = activities_frame(people, done)
    table = np.zeros((len(compiled.rules), len(people)), np.int64)
    rule_points(compiled, people, acts, micros(AT), table)
    by_hand = score(compiled, people, acts, AT).value.astype(np.float64)
    area, told = later(table.T / UNIT, by_hand, became, len(people) * 2 // 3, "BPI 2012")
    assert area > 0.7
    assert abs(told.expected - told.came) < 0.25 * told.came
