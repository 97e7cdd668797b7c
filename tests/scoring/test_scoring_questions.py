"""What is known of a person, what is good enough, and what to ask next."""

from datetime import timedelta
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.columns import columns_of, micros, values_of
from leadbridge.config.questions import STATES, Question
from leadbridge.config.scores import ScoreModel
from leadbridge.types import Value
from scoring.compile import compile_model, model_hash
from scoring.engine import score
from scoring.frames import People, activities_frame, people_frame
from scoring.questions import Answers, answered, compile_questions
from tests.scoring import reference
from tests.scoring.drawn import AT, TYPES, facts, on_people

FIELDS = {"budget": "number", "title": "text", "need": "text", "source": "text", "given": "date"}
BANT: dict[str, Any] = {
    "need": {"ask": "What for?", "field": "need", "source": "source", "dated": "given", "good_for": "90d"},
    "budget": {"ask": "How much?", "field": "budget", "enough": {"budget": {"at_least": 10000}}, "weight": 3},
    "authority": {"ask": "Who decides?", "field": "title", "enough": {"title": {"words": "head"}}, "weight": 3},
}


def questions(raw: dict[str, Any]) -> dict[str, Question]:
    return {name: Question.model_validate(each) for name, each in raw.items()}


def of(row: dict[str, Value], raw: dict[str, Any] = BANT) -> Answers:
    return answered(compile_questions(questions(raw)), columns_of([row], FIELDS), micros(AT))


def test_each_question_is_unknown_met_or_not() -> None:
    found = of({"budget": 500, "title": "Head of Sales"})
    known = {name: values_of(column)[0] for name, column in found.columns().items()}
    assert known == {"known.need": "unknown", "known.budget": "not_met", "known.authority": "met", "completeness": 86}


def test_the_heaviest_unknown_question_is_asked_next_and_none_when_all_is_known() -> None:
    assert of({}).next_question(0) == "How much?"
    assert of({"budget": 1}).next_question(0) == "Who decides?"
    everything: dict[str, Value] = {"budget": 1, "title": "x", "need": "y"}
    assert of(everything).values(0)["next_question"] == ""
    assert of(everything).values(0)["completeness"] == 100


def test_an_answer_older_than_it_is_good_for_is_unknown_again() -> None:
    for days, wanted in ((89, "met"), (90, "unknown")):
        given_on = AT - timedelta(days=days)
        found = answered(
            compile_questions(questions(BANT)),
            columns_of([{"need": "speed", "given": given_on}], FIELDS | {"given": "datetime"}),
            micros(AT),
        )
        assert values_of(found.columns()["known.need"])[0] == wanted


def test_what_is_told_names_value_source_and_date_and_nothing_of_it_can_act() -> None:
    row: dict[str, Value] = {"need": "<b>*|FNAME|* {{ x }}", "source": "form", "given": AT.date(), "budget": 20000}
    assert of(row).told(0) == "need met (b * FNAME * x, form, 2026-03-01); budget met (20000); authority unknown"


def test_a_score_looks_at_questions_and_its_hash_follows_their_meaning() -> None:
    raw = {"categories": {"bant": {}},
           "rules": [{"name": "budget", "category": "bant", "when": {"known.budget": "met"}, "points": 10},
                     {"name": "well known", "category": "bant", "each": "completeness", "points": 0.1}]}  # fmt: skip
    model, asked = ScoreModel.model_validate(raw), questions(BANT)
    people = people_frame([1], [{"budget": 20000}], FIELDS)
    answers = answered(compile_questions(asked), people.facts, micros(AT))
    people = People(people.ids, people.facts.adding(answers.columns()))
    compiled = compile_model("lead", model, FIELDS, questions=asked)
    (found,) = score(compiled, people, activities_frame(people, []), AT).scores()
    assert found.value == 14  # 10, and 4.3 for three of seven parts known
    stricter = questions(BANT | {"budget": BANT["budget"] | {"enough": {"budget": {"at_least": 50000}}}})
    assert model_hash("lead", model, questions=stricter) != compiled.hash
    with pytest.raises(ValueError, match=r"no fact 'known.budget' to look at"):
        compile_model("lead", model, FIELDS)


@settings(max_examples=100, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from(list(TYPES)), st.none() | on_people, st.sampled_from([0.1, 1, 3])), max_size=4),
    facts,
)
def test_questions_are_what_the_obvious_evaluator_says(
    asked: list[tuple[str, dict[str, Any] | None, float]], row: dict[str, Value]
) -> None:
    raw = questions(
        {f"q{place}": {"ask": "?", "field": name, "weight": weight, "enough": enough}
         for place, (name, enough, weight) in enumerate(asked)}
    )  # fmt: skip
    found = answered(compile_questions(raw), columns_of([row], TYPES), micros(AT))
    known = []
    for place, question in enumerate(raw.values()):
        there = reference.fitted(row.get(question.field), TYPES[question.field]) is not None
        enough = question.enough is None or reference.holds(question.enough, row, TYPES, AT)
        known.append(there)
        assert STATES[found.states[place, 0]] == ("unknown" if not there else "met" if enough else "not_met")
    if raw:
        weights = [Fraction(each.weight).limit_denominator(10) for each in raw.values()]
        share = sum(weight for weight, there in zip(weights, known, strict=True) if there) / sum(weights)
        assert found.completeness[0] == floor(100 * share + Fraction(1, 2))
