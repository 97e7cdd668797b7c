"""Fields worked out from what people did, and scores that take up others: against the oracle, and by example."""

import math
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.columns import micros, values_of
from leadbridge.config.behaviour import Behaviour
from leadbridge.config.scores import ScoreModel
from leadbridge.types import Value
from scoring.behaviour import compile_behaviour, measured
from scoring.compile import compile_model, in_order, model_hash
from scoring.engine import score, score_facts
from scoring.frames import People, activities_frame, people_frame
from tests.scoring import reference
from tests.scoring.drawn import AT, TYPES, audiences, behaviours, worlds
from tests.scoring.reference import Did
from tests.scoring.test_scoring_against_oracle import CLOSE, Audience, lines_of

SHOP = [
    Did("purchase", AT - timedelta(days=200), {"amount": 40, "category": "Books"}),
    Did("purchase", AT - timedelta(days=20), {"amount": "60.5", "category": "books "}),
    Did("purchase", AT - timedelta(days=3), {"amount": 9.5, "category": "music"}),
    Did("purchase", AT + timedelta(days=1), {"amount": 1000, "category": "music"}),
    Did("email_sent", AT - timedelta(days=9), {}),
    Did("email_sent", AT - timedelta(days=8), {}),
    Did("email_clicked", AT - timedelta(days=8), {}),
    Did("survey_answered", AT - timedelta(days=70), {"score": 3}),
    Did("survey_answered", AT - timedelta(days=7), {"score": 9}),
]


def worked_out(raw: dict[str, Any], *people: list[Did]) -> list[Value]:
    """The field of each of these people."""
    ids = range(1, len(people) + 1)
    frame = people_frame(list(ids), [{} for _ in people], {})
    rows = [
        (person, one.kind, one.at, one.attributes) for person, done in zip(ids, people, strict=True) for one in done
    ]
    compiled = compile_behaviour({"field": Behaviour.model_validate(raw)})
    return values_of(measured(compiled, len(people), activities_frame(frame, rows), micros(AT))["field"])


@pytest.mark.parametrize(
    ("raw", "buyer", "nobody"),
    [
        ({"of": "purchase"}, 3, 0),
        ({"of": "purchase", "within": "90d"}, 2, 0),
        ({"of": "purchase", "take": "sum", "value": "amount"}, 110, 0),
        ({"of": "purchase", "take": "average", "value": "amount", "within": "90d"}, 35, None),
        ({"of": "purchase", "take": "largest", "value": "amount"}, 60.5, None),
        ({"of": "purchase", "take": "smallest", "value": "amount"}, 9.5, None),
        ({"of": "survey_answered", "take": "latest", "value": "score"}, 9, None),
        ({"of": "purchase", "take": "distinct", "value": "category"}, 2, 0),
        (
            {"of": "purchase", "take": "distinct", "value": "category", "without": {"of": "purchase", "within": "9d"}},
            1,
            0,
        ),
        ({"of": "purchase", "take": "most", "value": "category"}, "books", None),
        ({"of": "purchase", "take": "last_at"}, AT - timedelta(days=3), None),
        ({"of": "purchase", "take": "first_at"}, AT - timedelta(days=200), None),
        ({"of": "purchase", "where": {"category": "books"}}, 2, 0),
        ({"of": "email_clicked", "within": "30d", "per": {"of": "email_sent", "within": "30d"}}, 0.5, None),
    ],
)
def test_a_field_of_behaviour_is_what_it_says_and_nothing_done_is_unknown_not_zero_where_it_has_no_number(
    raw: dict[str, Any], buyer: Value, nobody: Value
) -> None:
    assert worked_out(raw, SHOP, []) == [buyer, nobody]


@settings(max_examples=400, derandomize=True)
@given(behaviours(), audiences, st.randoms(use_true_random=False))
def test_a_field_of_behaviour_is_what_the_obvious_evaluator_says_in_any_order(
    behaviour: Behaviour, audience: Audience, order: random.Random
) -> None:
    frame = people_frame(list(range(len(audience))), [{} for _ in audience], {})
    rows = [(person, one.kind, one.at, one.attributes) for person, (_, done) in enumerate(audience) for one in done]
    order.shuffle(rows)
    compiled = compile_behaviour({"field": behaviour})
    found = values_of(measured(compiled, len(audience), activities_frame(frame, rows), micros(AT))["field"])
    for value, (_, done) in zip(found, audience, strict=True):
        wanted = reference.behaved(behaviour, done, AT)
        if isinstance(wanted, float) and isinstance(value, float):
            assert math.isclose(value, wanted, abs_tol=1e-6)
        else:
            assert value == wanted


@settings(max_examples=250, derandomize=True)
@given(worlds(), audiences)
def test_a_score_takes_up_behaviour_and_another_score_as_the_obvious_evaluator_does(
    world: tuple[dict[str, Behaviour], dict[str, ScoreModel]], audience: Audience
) -> None:
    behaviour, models = world
    people = people_frame(list(range(len(audience))), [row for row, _ in audience], TYPES)
    rows = [(person, one.kind, one.at, one.attributes) for person, (_, done) in enumerate(audience) for one in done]
    activities = activities_frame(people, rows)
    facts = people.facts.adding(measured(compile_behaviour(behaviour), len(people), activities, micros(AT)))
    frames = {}
    for name in in_order(models):
        compiled = compile_model(name, models[name], TYPES, behaviour=behaviour, others=models)
        frames[name] = score(compiled, People(people.ids, facts), activities, AT)
        facts = facts.adding(score_facts([frames[name]]))

    types = TYPES | {name: each.type for name, each in behaviour.items()} | {"score.base": "number"}
    types |= {"grade.base": "text"} | {f"score.base.{category}": "number" for category in models["base"].categories}
    for person, (row, done) in enumerate(audience):
        known = row | {name: reference.behaved(each, done, AT) for name, each in behaviour.items()}
        base = reference.score(models["base"], known, types, done, AT)
        known |= reference.facts_of(base, "base")
        wanted = reference.score(models["lead"], known, types, done, AT)
        found = frames["lead"].score(person)
        assert (found is None) == (wanted is None)
        if found is None or wanted is None:
            continue
        assert (found.value, found.grade) == (wanted.value, wanted.grade)
        lines = lines_of(found)
        for line in lines.keys() | wanted.lines.keys():
            assert math.isclose(lines.get(line, 0.0), wanted.lines.get(line, 0.0), abs_tol=CLOSE), line


def taking(*, up: str) -> ScoreModel:
    rule = {"name": "taken up", "category": "fit", "each": up, "points": 0.5}
    return ScoreModel.model_validate({"categories": {"fit": {}}, "rules": [rule]})


def test_a_score_has_another_hash_once_the_meaning_of_what_it_takes_up_changes() -> None:
    often = Behaviour.model_validate({"of": "purchase"})
    rarely = Behaviour.model_validate({"of": "purchase", "within": "30d"})
    model = taking(up="often")
    assert model_hash("a", model, behaviour={"often": often}) != model_hash("a", model, behaviour={"often": rarely})
    beside = {"often": often, "other": rarely}
    assert model_hash("a", model, behaviour={"often": often}) == model_hash("a", model, behaviour=beside)
    other = taking(up="score.b")
    through = [
        model_hash("a", other, behaviour={"often": each}, others={"a": other, "b": model}) for each in (often, rarely)
    ]
    assert through[0] != through[1]


def test_scores_that_go_round_in_a_circle_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a → b → a|b → a → b"):
        in_order({"a": taking(up="score.b"), "b": taking(up="score.a")})


def test_points_are_multiplied_by_a_number_only() -> None:
    with pytest.raises(ValueError, match="to multiply by"):
        compile_model("lead", taking(up="title"), TYPES)
