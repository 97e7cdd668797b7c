"""Personas: nearness, the best one, and what is told of them."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.columns import columns_of
from leadbridge.conditions import holds
from leadbridge.config.conditions import parse_condition
from leadbridge.config.scores import Persona, ScoreModel
from leadbridge.types import Value
from scoring.compile import compile_model, model_hash
from scoring.engine import score
from scoring.frames import People, activities_frame, people_frame
from scoring.personas import PersonaFrame, compile_personas, nearness
from tests.scoring import reference
from tests.scoring.drawn import AT, TYPES, facts, on_people

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FIELDS = {"title": "text", "size": "integer"}
MARIA: dict[str, Any] = {
    "traits": [
        {"name": "company of our size", "when": {"size": {"between": [50, 500]}}},
        {"name": "works in marketing", "when": {"title": {"words": "department_marketing"}}, "weight": 2},
        {"name": "decision maker", "when": {"title": {"words": "decision_makers"}}},
    ]
}
CARLOS: dict[str, Any] = {
    "traits": [{"name": "a founder", "when": {"title": {"words": "founder"}}},
               {"name": "small company", "when": {"size": {"below": 60}}}],
    "at_least": 40,
}  # fmt: skip


def personas(**raw: Any) -> dict[str, Persona]:
    return {name: Persona.model_validate(one) for name, one in raw.items()}


def near(rows: list[dict[str, Value]], **raw: Any) -> PersonaFrame:
    return nearness(compile_personas(personas(**raw)), columns_of(rows, FIELDS), NOW)


def test_nearness_is_the_share_of_weights_that_hold() -> None:
    frame = near(
        [{"title": "Head of Marketing", "size": 70}, {"title": "Marketing", "size": 9}, {"size": 70}, {}], maria=MARIA
    )
    assert frame.nearness.tolist() == [[100, 50, 25, 0]]


def test_nearness_is_rounded_half_up_to_a_whole_number() -> None:
    third = {"traits": [{"name": str(n), "when": {"size": n}} for n in range(3)]}
    eighth = {"traits": [{"name": "a", "when": {"size": 1}}, {"name": "b", "when": {"size": 2}, "weight": 7}]}
    assert near([{"size": 1}], a=third, b=eighth).nearness.tolist() == [[33], [13]]


def test_the_persona_is_the_nearest_of_those_near_enough() -> None:
    rows: list[dict[str, Value]] = [
        {"title": "Head of Marketing", "size": 55},  # maria 100, carlos 50
        {"title": "Founder", "size": 20},  # carlos 100
        {"title": "Founder, Marketing", "size": 900},  # maria 75, carlos 50
        {"title": "clerk", "size": 300},  # maria 25: not near enough
        {},
    ]
    frame = near(rows, maria=MARIA, carlos=CARLOS)
    assert [frame.persona(row) for row in range(5)] == ["maria", "carlos", "maria", None, None]
    assert frame.nearness[:, 3].tolist() == [25, 0]


def test_of_equally_near_personas_the_first_in_the_file_counts() -> None:
    same = {"traits": [{"name": "x", "when": {"size": 5}}]}
    assert near([{"size": 5}], zoe=same, adam=same).persona(0) == "zoe"


def test_reasons_are_the_traits_that_hold_heaviest_first_and_safe() -> None:
    frame = near([{"title": "Head of Marketing", "size": 55}, {}], maria=MARIA)
    assert frame.reasons(0) == "works in marketing; company of our size; decision maker"
    assert frame.reasons(0, width=30) == "works in marketing"
    assert frame.reasons(1) == ""
    hostile = {"traits": [{"name": "=<b>*|EMAIL|*", "when": {"size": 1}}]}
    assert near([{"size": 1}], x=hostile).reasons(0) == "b * EMAIL *"


def test_what_is_written_back_names_every_persona() -> None:
    frame = near([{"title": "Founder", "size": 55}], maria=MARIA, carlos=CARLOS)
    assert frame.values(0) == {
        "persona": "carlos", "persona_reasons": "a founder; small company", "persona.maria": 50, "persona.carlos": 100,
    }  # fmt: skip
    assert near([{}]).values(0) == {}


def test_conditions_and_rules_look_at_personas() -> None:
    rows: list[dict[str, Value]] = [{"title": "Head of Marketing", "size": 55}, {"title": "clerk"}]
    people = people_frame([1, 2], rows, FIELDS)
    both = personas(maria=MARIA, carlos=CARLOS)
    people = People(people.ids, people.facts.adding(nearness(compile_personas(both), people.facts, NOW).facts()))
    assert holds(parse_condition({"persona": "Maria"}), people.facts, NOW).tolist() == [True, False]
    assert holds(parse_condition({"persona": {"present": False}}), people.facts, NOW).tolist() == [False, True]
    rules = [{"name": "like maria", "category": "fit", "points": 9, "when": {"persona.maria": {"at_least": 80}}}]
    model = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": rules})
    compiled = compile_model("lead", model, FIELDS, personas=both)
    assert score(compiled, people, activities_frame(people, []), NOW).value.tolist() == [9, 0]
    changed = personas(maria={**MARIA, "at_least": 60}, carlos=CARLOS)
    assert model_hash("lead", model, personas=changed) != compiled.hash
    plain = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": [{**rules[0], "when": {"size": 5}}]})
    assert model_hash("lead", plain, personas=changed) == model_hash("lead", plain, personas=both)


traits = st.lists(
    st.tuples(on_people, st.sampled_from([0.000001, 0.1, 0.3, 1, 2.5, 7, 1000])), min_size=1, max_size=4
).map(lambda drawn: {"traits": [{"name": str(n), "when": when, "weight": w} for n, (when, w) in enumerate(drawn)]})


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.tuples(traits, st.sampled_from([1, 50, 100])), max_size=3), st.lists(facts, max_size=4))
def test_nearness_is_what_the_obvious_evaluator_says(
    drawn: list[tuple[dict[str, Any], float]], rows: list[dict[str, Value]]
) -> None:
    wanted = personas(**{f"p{index}": {**raw, "at_least": least} for index, (raw, least) in enumerate(drawn)})
    frame = nearness(compile_personas(wanted), columns_of(rows, TYPES), AT)
    for index, row in enumerate(rows):
        expected = {name: reference.nearness(one, row, TYPES, AT) for name, one in wanted.items()}
        assert dict(zip(wanted, frame.nearness[:, index].tolist(), strict=True)) == expected
        enough = [name for name, found in expected.items() if found >= wanted[name].at_least]
        assert frame.persona(index) == max(enough, key=lambda name: expected[name], default=None)
