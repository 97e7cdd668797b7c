"""Compiling a configured score, and the hash that names what it means."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from leadbridge.config.lists import NAMED_LISTS, WORD_LISTS
from leadbridge.config.scores import ScoreModel
from leadbridge.types import ActivityKind
from scoring.compile import compile_model, model_hash
from scoring.frames import KIND_CODES

TYPES = {"title": "text", "size": "integer", "domain": "text"}
RAW: dict[str, Any] = {
    "applies_to": {"title": {"present": True}},
    "categories": {"fit": {"max": 40}, "engagement": {"min": -10, "max": 40}},
    "rules": [
        {"name": "boss", "category": "fit", "points": 15,
         "when": {"title": {"words": ["vp", "head"]}, "size": {"between": [5, 50]}}},
        {"name": "free", "category": "fit", "points": -10, "exclusive": "x",
         "when": {"any": [{"domain": {"in": "free_mail_domains"}}, {"domain": {"in": ["a.example", "b.example"]}}]}},
        {"name": "page", "category": "engagement", "points": 8, "activity": ["page_view", "chat"], "at_most": 3,
         "within": "30d", "half_life": "14d", "where": {"url": {"contains": "/pricing"}}},
    ],
    "grades": {"A": 30, "B": 20},
}  # fmt: skip


def named(raw: dict[str, Any]) -> str:
    return model_hash("lead", ScoreModel.model_validate(raw))


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    raw = copy.deepcopy(RAW)
    change(raw)
    return raw


def backwards(raw: Any) -> Any:
    """The same with the keys of every mapping in another order."""
    if isinstance(raw, dict):
        return {key: backwards(value) for key, value in reversed(raw.items())}
    return [backwards(part) for part in raw] if isinstance(raw, list) else raw


def test_the_hash_is_sixteen_hexadecimal_digits_and_the_same_every_time() -> None:
    assert named(RAW) == named(copy.deepcopy(RAW)) == compile_model("lead", ScoreModel.model_validate(RAW), TYPES).hash
    assert len(named(RAW)) == 16
    assert int(named(RAW), 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["rules"][0]["when"]["title"]["words"].reverse(),
        lambda raw: raw["rules"][1]["when"]["any"].reverse(),
        lambda raw: raw["rules"][2]["activity"].reverse(),
        lambda raw: raw["rules"][2]["where"]["url"].update(contains=["/pricing"]),
        lambda raw: raw.update(grade_from="fit"),
        lambda raw: raw["categories"]["fit"].update(min=0),
        lambda raw: raw["rules"][2].update(within="720h", exclusive=None, first_only=False),
    ],
)
def test_another_spelling_of_the_same_keeps_the_hash(change: Callable[[dict[str, Any]], Any]) -> None:
    assert named(changed(change)) == named(RAW)


def test_the_order_of_keys_keeps_the_hash() -> None:
    assert named(backwards(RAW)) == named(RAW)


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda raw: raw.update(applies_to={"title": {"present": False}}),
    lambda raw: raw.pop("applies_to"),
    lambda raw: raw["categories"]["fit"].update(max=41),
    lambda raw: raw["categories"]["engagement"].update(min=-11),
    lambda raw: raw["categories"].update(more={}),
    lambda raw: raw["rules"][0].update(name="chief"),
    lambda raw: raw["rules"][0].update(points=15.5),
    lambda raw: raw["rules"][0].update(category="engagement"),
    lambda raw: raw["rules"][0]["when"]["title"]["words"].append("chief"),
    lambda raw: raw["rules"][0]["when"]["size"].update(between=[5, 51]),
    lambda raw: raw["rules"][0].update(when={"not": RAW["rules"][0]["when"]}),
    lambda raw: raw["rules"][1].update(exclusive="y"),
    lambda raw: raw["rules"][1].update(when={"all": RAW["rules"][1]["when"]["any"]}),
    lambda raw: raw["rules"][1]["when"]["any"][0]["domain"].update({"in": "country_fr"}),
    lambda raw: raw["rules"][2].update(activity=["page_view"]),
    lambda raw: raw["rules"][2].update(at_most=4),
    lambda raw: raw["rules"][2].update(within="31d"),
    lambda raw: raw["rules"][2].update(half_life="15d"),
    lambda raw: raw["rules"][2].update(cap=5),
    lambda raw: raw["rules"][2].update(each="value"),
    lambda raw: raw["rules"][2].update(distinct="url"),
    lambda raw: raw["rules"][2].update(distinct="title"),
    lambda raw: (raw["rules"][2].pop("at_most"), raw["rules"][2].update(first_only=True)),
    lambda raw: raw["rules"][2].update(sequence={"then": "call", "within": "7d"}),
    lambda raw: raw["rules"][2].update(sequence={"then": "chat", "within": "7d"}),
    lambda raw: raw["rules"][2].update(sequence={"then": "call", "within": "8d"}),
    lambda raw: raw["rules"][2].update(sequence={"then": "call", "within": "7d", "where": {"url": "/x"}}),
    lambda raw: raw["rules"][2].update(where={"url": {"contains": "/blog"}}),
    lambda raw: raw["rules"][2].update(where={"url": {"starts_with": "/pricing"}}),
    lambda raw: raw["rules"][2].update(where={"path": {"contains": "/pricing"}}),
    lambda raw: raw["rules"].reverse(),
    lambda raw: raw["rules"].pop(),
    lambda raw: raw["grades"].update(A=31),
    lambda raw: raw.update(grade_from="engagement"),
    lambda raw: raw.update(max=99),
    lambda raw: raw.update(min=-1),
]


def test_every_change_of_meaning_gives_another_hash() -> None:
    hashes = [named(RAW), *(named(changed(change)) for change in CHANGES)]
    assert len(set(hashes)) == len(hashes)
    assert model_hash("customer", ScoreModel.model_validate(RAW)) not in hashes


def test_the_contents_of_a_named_list_are_part_of_the_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    before = named(RAW)
    monkeypatch.setitem(NAMED_LISTS, "country_fr", frozenset({"x"}))
    assert named(RAW) == before
    monkeypatch.setitem(NAMED_LISTS, "free_mail_domains", NAMED_LISTS["free_mail_domains"] | {"new.example"})
    assert named(RAW) != before


def test_a_list_among_words_means_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(*given: str) -> dict[str, Any]:
        return changed(lambda raw: raw["rules"][0]["when"]["title"].update(words=list(given)))

    before = named(words("job_level_vp", "head"))
    assert before == named(words("HEAD", *WORD_LISTS["job_level_vp"]))
    assert before != named(words("head"))
    monkeypatch.setitem(WORD_LISTS, "job_level_vp", frozenset({"x"}))
    assert before != named(words("job_level_vp", "head"))


def test_every_unknown_fact_and_category_is_named_at_once() -> None:
    raw = changed(lambda raw: raw["rules"][0].update(category="fitt", when={"titel": "vp"}))
    with pytest.raises(ValueError, match=r"rule 'boss': no category 'fitt'; rule 'boss': no fact 'titel'"):
        compile_model("lead", ScoreModel.model_validate(raw), TYPES)


def test_a_score_is_no_input_to_a_score() -> None:
    raw = changed(lambda raw: raw["rules"][0].update(when={"score.lead": {"at_least": 10}}))
    with pytest.raises(ValueError, match=r"no fact 'score\.lead'"):
        compile_model("lead", ScoreModel.model_validate(raw), TYPES)


def test_a_compiled_model_says_what_must_be_read_for_it() -> None:
    compiled = compile_model("lead", ScoreModel.model_validate(RAW), TYPES)
    assert compiled.fields == {"title", "size", "domain"}
    assert compiled.keys == {"url"}
    assert compiled.kinds == frozenset({KIND_CODES[ActivityKind.PAGE_VIEW], KIND_CODES[ActivityKind.CHAT]})
    assert compiled.reach == 30 * 86_400 * 1_000_000
    unbounded = changed(
        lambda raw: raw["rules"].append({"name": "c", "category": "fit", "activity": "call", "points": 1})
    )
    assert compile_model("lead", ScoreModel.model_validate(unbounded), TYPES).reach is None
    quiet = changed(
        lambda raw: raw["rules"].append({"name": "q", "category": "fit", "no_activity_for": "60d", "points": 1})
    )
    compiled = compile_model("lead", ScoreModel.model_validate(quiet), TYPES)
    assert (compiled.kinds, compiled.reach) == (None, 60 * 86_400 * 1_000_000)


def test_what_a_sequence_and_a_first_need_is_read_too() -> None:
    def compiled(**rule: Any) -> Any:
        raw = {"name": "r", "category": "fit", "points": 1, "activity": "call", "within": "30d", **rule}
        model = ScoreModel.model_validate({"categories": {"fit": {}}, "rules": [raw]})
        return compile_model("lead", model, TYPES)

    then = compiled(sequence={"then": "chat", "within": "90d", "where": {"topic": "price"}}, distinct="url")
    assert then.kinds == frozenset({KIND_CODES[ActivityKind.CALL], KIND_CODES[ActivityKind.CHAT]})
    assert (then.keys, then.reach) == ({"topic", "url"}, 30 * 86_400 * 1_000_000)
    assert compiled(first_only=True).reach is None  # the first ever may be long ago


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"when": {"title": "vp"}, "first_only": True}, "first_only needs activity"),
        ({"when": {"title": "vp"}, "sequence": {"then": "call", "within": "7d"}}, "sequence needs activity"),
        ({"activity": "call", "first_only": True, "at_most": 2}, "first_only counts one activity"),
        ({"activity": "call", "at_least": 3, "at_most": 5}, "at_least gives its points once, so it does not go with"),
        ({"activity": []}, "at least 1 item"),
        ({"activity": "call", "first_only": True, "distinct": "url"}, "does not go with distinct"),
        ({"activity": "call", "no_activity_for": "60d", "distinct": "url"}, "distinct counts activity"),
        ({"activity": "call", "sequence": {"then": [], "within": "7d"}}, "at least 1 item"),
        ({"no_activity_for": "60d", "activity": "call", "within": "5d", "cap": 3}, "within, cap counts activity"),
        ({"when": {"title": "vp"}, "name": "at most 40"}, "'at most 40' is what explanations call a bound"),
        ({"when": {"title": "vp"}, "name": "rounding"}, "'rounding' is what explanations call a bound"),
        ({"when": {"title": "vp"}, "points": float("nan")}, "finite"),
        ({"activity": "call", "cap": float("inf")}, "finite"),
    ],
)
def test_the_schema_refuses_what_the_engine_gives_no_meaning(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ScoreModel.model_validate(
            {"categories": {"fit": {}}, "rules": [{"name": "r", "category": "fit", "points": 1, **rule}]}
        )


@pytest.mark.parametrize("bounds", [{"max": float("inf")}, {"min": float("nan")}])
def test_the_schema_refuses_bounds_that_are_no_numbers(bounds: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="finite"):
        ScoreModel.model_validate(changed(lambda raw: raw["categories"].update(fit=bounds)))
