"""Conditions and kinds of values made in Python, without a file."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from leadbridge.columns import fold
from leadbridge.config.conditions import (
    AllOf,
    AnyOf,
    Duration,
    FieldTest,
    Not,
    Test,
    fields_of,
    parse_condition,
    parse_duration,
)
from leadbridge.config.countries import SPELLINGS, country_of
from leadbridge.config.guards import Cap, Guards
from leadbridge.config.kinds import HttpAddress, Share
from leadbridge.config.lists import NAMED_LISTS, WORD_LISTS, free_mail_domains
from leadbridge.config.schema import Config
from leadbridge.config.wording import in_words, listed, nearest, path_text


def test_a_condition_of_plain_data_becomes_a_tree() -> None:
    raw = {"any": [{"country": "NO"}, {"not": {"employees": {"below": 5}}}], "email": {"present": True}}
    found = parse_condition(raw)
    assert found == AllOf((
        AnyOf((FieldTest("country", Test(equals="NO")), Not(FieldTest("employees", Test(below=5))))),
        FieldTest("email", Test(present=True)),
    ))  # fmt: skip
    assert fields_of(found) == {"country", "employees", "email"}
    assert parse_condition(found) is found


def test_every_wrong_part_is_named_with_its_path() -> None:
    raw = {
        "any": [{"country": {}}, {"not": {"a": {"between": [9, 1]}}}, {}],
        "b": {"within": "5"},
        "all": {},
        "c": {"in": []},
    }
    with pytest.raises(ValueError) as caught:
        parse_condition(raw)
    for path in ("any[0].country: ", "any[1].not.a: ", "any[2]: ", "b.within: ", "all: ", "c.in: "):
        assert path in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"at_least": 500, "at_most": 50}, "no number is from 500 up and to 50 at once"),
        ({"above": 5, "at_most": 5}, "no number is from 5 up"),
        ({"between": [1, 3], "above": 3}, "no number is from 3 up"),
        ({"present": False, "words": ["vp"]}, "asks for the unknown, which passes no other test"),
        ({"within": "30d", "older_than": "60d"}, "the longer time goes with within"),
        ({"in_next": "30d", "within": "60d"}, "in_next is of the time to come"),
    ],
)
def test_a_test_that_no_value_can_pass_is_refused(test: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"can never hold: .*{words}"):
        parse_condition({"a": test})


def test_tests_that_go_together_are_taken() -> None:
    for test in (
        {"at_least": 5, "at_most": 5},
        {"within": "60d", "older_than": "30d"},
        {"present": True, "words": "x"},
    ):
        assert parse_condition({"a": test}) == FieldTest("a", Test.model_validate(test))


@pytest.mark.parametrize("raw", [None, {}, [], "x", 5])
def test_what_is_no_condition_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match="needs at least one field and its test"):
        parse_condition(raw)


@given(st.integers(1, 3000), st.sampled_from("smhdw"), st.booleans())
def test_a_length_of_time_is_a_number_and_a_unit(number: int, unit: str, capital: bool) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[unit]
    assert parse_duration(f"{number}{unit.upper() if capital else unit}") == number * seconds
    assert parse_duration(f" {number}.5 {unit} ") == (number + 0.5) * seconds


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("30", "needs a unit: 30d for days"),
        (30, "needs a unit: 30d for days"),
        ("d", "is not a length of time"),
        ("-3d", "is not a length of time"),
        ("1e3d", "is not a length of time"),
        ("infd", "is not a length of time"),
        ("3 days", "is not a length of time"),
        ("", "is not a length of time"),
        ("0d", "must be longer than nothing"),
        ("99999w", "shorter than a hundred years"),
        (True, "is not a length of time"),
    ],
)
def test_what_is_no_length_of_time_is_refused(raw: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(Duration).validate_python(raw)


@pytest.mark.parametrize(
    ("written", "share"), [("10%", 0.1), ("0%", 0), ("100%", 1), ("0.5%", 0.005), (" 7% ", 0.07), (0.25, 0.25)]
)
def test_a_share_is_a_percentage(written: Any, share: float) -> None:
    assert TypeAdapter(Share).validate_python(written) == pytest.approx(share)


@pytest.mark.parametrize("written", ["0.1", "10", "101%", "-5%", "nan%", "inf%", "1e1%", "%", "10 %%", 10, 1.5, None])
def test_what_is_no_share_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError, match="is not a share; write a percentage"):
        TypeAdapter(Share).validate_python(written)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://acme.example/", "https://acme.example"),
        ("https://acme.example:8443/base", "https://acme.example:8443/base"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost/3.0", "http://localhost/3.0"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_is_https_or_this_machine(address: str, kept: str) -> None:
    assert TypeAdapter(HttpAddress).validate_python(address) == kept


@pytest.mark.parametrize(
    "address",
    [
        "http://acme.example", "http://localhost.acme.example", "http://127.0.0.1.acme.example",
        "http://127.0.0.1@acme.example", "https://user:pass@acme.example", "https://acme.example?x=1",
        "https://acme.example#x", "ftp://acme.example", "acme.example", "https://", "https://a b",
        "javascript:alert(1)", "http://localhost:80@acme.example/",
    ],
)  # fmt: skip
def test_any_other_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(HttpAddress).validate_python(address)
    assert "acme" not in in_words(caught.value.errors()[0])


def test_guards_of_python_are_checked_too() -> None:
    assert Guards.model_validate({"per_hour": [10, "1%"]}).per_hour == Cap(count=10, share=0.01)
    with pytest.raises(ValidationError, match="loosened_on_purpose"):
        Guards(per_hour=Cap(count=101, share=0.01))
    assert Guards(per_hour=Cap(count=101, share=0.01), loosened_on_purpose=True).per_hour.count == 101


def test_a_config_never_changes() -> None:
    rule = {"name": "a", "category": "fit", "points": 1, "when": {"email": {"present": True}}}
    raw = {"connections": {}, "scores": {"lead": {"categories": {"fit": {}}, "rules": [rule]}}}
    config = Config.model_validate(raw)
    with pytest.raises(ValidationError, match="frozen"):
        config.store = "sqlite://"  # type: ignore[misc]


def test_named_lists_are_folded_as_tests_compare() -> None:
    assert not NAMED_LISTS.keys() & WORD_LISTS.keys()
    for words in (*NAMED_LISTS.values(), *WORD_LISTS.values()):
        assert words
        assert all(word == fold(word) for word in words)
    assert len(free_mail_domains) >= 100
    assert {"gmail.com", "gmx.de", "yahoo.co.uk", "mail-free.example"} <= free_mail_domains
    assert not any("/" in word or "@" in word for word in free_mail_domains)
    union = {word for word in NAMED_LISTS["eu_countries"] if len(word) == 2}
    assert len(union - {"el"}) == 27  # Greece has two codes in use


def test_every_country_is_there_by_its_codes_and_its_name_in_english_and_spanish() -> None:
    assert len(SPELLINGS) == 249  # ISO 3166-1
    assert all(code.lower() in spellings for code, spellings in SPELLINGS.items())
    assert (
        len({word for spellings in SPELLINGS.values() for word in spellings if re.fullmatch("[a-z]{3}", word)}) >= 249
    )
    named = [
        "Japan",
        "Japón",
        "Ivory Coast",
        "Costa de Marfil",
        "Marruecos",
        "UAE",
        "KOR",
        "Türkiye",
        "España",
        "日本",
        "Korea, Republic of",
        "Myanmar (Burma)",
    ]
    codes = ["JP", "JP", "CI", "CI", "MA", "AE", "KR", "TR", "ES", "JP", "KR", "MM"]
    assert [country_of(one) for one in named] == codes
    assert country_of("Atlantis") is None


def test_no_two_countries_share_a_spelling() -> None:
    spellings = [word for country in SPELLINGS.values() for word in country]
    assert len(spellings) == len(set(spellings))


def test_words_of_messages() -> None:
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(50)), most=2) == "0, 1 and 48 more"
    assert path_text(("scores", "lead", "rules", 3, "points")) == "scores.lead.rules[3].points"
    assert path_text(()) == "the file"
    assert nearest("job-titel", ["job_title", "country"]) == "job_title"
    assert nearest("zzz", ["job_title"]) is None
    assert nearest("", ["a"]) is None


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=150))
def test_the_nearest_word_is_one_of_the_allowed(word: str, allowed: list[str]) -> None:
    assert nearest(word, allowed) in {None, *allowed}
