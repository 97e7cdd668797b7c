"""What each test of a condition means, by example."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from leadbridge.columns import Coded, Columns, Instants, Numbers, coded, columns_of, micros
from leadbridge.conditions import holds, prepare
from leadbridge.config.conditions import AnyOf, Test, parse_condition
from leadbridge.types import Value

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def asked(test: Any, value: Value, kind: str = "text") -> bool:
    """Does {it: test} hold for one person whose `it` is this value?"""
    columns = columns_of([{"it": value}], {"it": kind})
    return bool(holds(parse_condition({"it": test}), columns, AT)[0])


@pytest.mark.parametrize(
    ("test", "value", "kind", "wanted"),
    [
        ("acme", " ACME ", "text", True),
        ({"equals": "STRASSE"}, "Straße", "text", True),
        ({"equals": "ｖｐ"}, "VP", "text", True),
        ({"equals": 5}, 5, "integer", True),
        ({"equals": 5}, "5", "text", True),
        ({"equals": "5"}, 5, "integer", True),
        ({"equals": "5"}, 5.0, "number", True),
        ({"equals": "apple"}, 5, "integer", False),
        ({"equals": True}, True, "boolean", True),
        ({"equals": "yes"}, True, "boolean", True),
        ({"equals": True}, "true", "text", True),
        ({"equals": False}, 0, "number", False),
        ({"equals": "2026-02-28"}, datetime(2026, 2, 28, 23, tzinfo=UTC), "datetime", True),
        ({"equals": "2026-02-28"}, date(2026, 2, 28), "date", True),
        ({"equals": "2026-02-28T23:00:00Z"}, datetime(2026, 2, 28, 22, tzinfo=UTC), "datetime", False),
        ({"is_not": "acme"}, "other", "text", True),
        ({"is_not": "acme"}, None, "text", False),
        ({"not_in": ["acme"]}, None, "text", False),
        ({"in": "country_fr"}, "France", "text", True),
        ({"in": ["apple", "5"]}, 5, "integer", True),
        ({"not_in": "country_fr"}, "plum", "text", True),
        ({"at_least": 10}, 10, "integer", True),
        ({"at_least": 10}, 9.99, "number", False),
        ({"at_least": 10}, "12.5", "text", True),
        ({"at_least": 10}, "a dozen", "text", False),
        ({"at_least": 0}, True, "boolean", False),
        ({"at_most": 10}, 10, "integer", True),
        ({"above": 10}, 10, "integer", False),
        ({"below": 10}, 10, "integer", False),
        ({"between": [50, 500]}, 500, "integer", True),
        ({"between": [50, 500]}, 501, "integer", False),
        ({"at_least": 5, "below": 6}, 5, "integer", True),
        ({"words": ["chief", "vp"]}, "Mischief maker", "text", False),
        ({"words": ["chief", "vp"]}, "Deputy VP, Sales", "text", True),
        ({"words": ["chief"]}, "chief_officer", "text", True),
        ({"words": ["officer"]}, "chief_officer", "text", True),
        ({"words": ["vice president"]}, "Vice  President of Sales", "text", True),
        ({"words": ["c++"]}, "C++ developer", "text", True),
        ({"words": ["c++"]}, "c++11", "text", False),
        ({"words": ["é"]}, "e\u0301 bien", "text", True),
        ({"words": ["vp.*"]}, "vp of all", "text", False),
        ({"matches": r"^(vp|head) of \w+$"}, "VP of Sales", "text", True),
        ({"matches": r"^(vp|head) of \w+$"}, "SVP of Sales", "text", False),
        ({"matches": ["x", r"/pricing/\d+"]}, "https://acme.example/Pricing/12?a=1", "text", True),
        ({"matches": "e\u0301$"}, "caf\u00e9", "text", True),
        ({"matches": r"^50{3}$"}, 5000, "integer", True),
        ({"matches": "a.b"}, "a\ud800b a\x00b", "text", True),
        ({"contains": "/pricing"}, "https://acme.example/Pricing?a=1", "text", True),
        ({"contains": ["a", "b"]}, "xbx", "text", True),
        ({"contains": " "}, "a b", "text", False),
        ({"contains": "00"}, 5000, "integer", True),
        ({"starts_with": "HTTPS:"}, "https://acme.example", "text", True),
        ({"ends_with": [".example", ".test"]}, "acme.TEST ", "text", True),
        ({"present": True}, "x", "text", True),
        ({"present": True}, "  ", "text", False),
        ({"present": False}, "", "text", True),
        ({"present": False}, float("nan"), "number", True),
        ({"present": True}, 0, "integer", True),
        ({"present": True}, False, "boolean", True),
    ],
)
def test_a_test_means_what_it_says(test: Any, value: Value, kind: str, wanted: bool) -> None:
    assert asked(test, value, kind) is wanted


@pytest.mark.parametrize("kind", ["text", "integer", "number", "boolean", "date", "datetime"])
@pytest.mark.parametrize("unknown", [None, "", " \t", float("nan"), float("inf"), -float("inf"), 10**400])
def test_no_test_but_absence_holds_for_the_unknown(kind: str, unknown: Value) -> None:
    arguments = {"in_": ["x"], "not_in": ["x"], "words": ["x"], "between": (0, 1), "within": "1d", "older_than": "1d"}
    arguments["in_next"] = "1d"
    for name in Test.model_fields:
        if name == "present":
            continue
        argument = arguments.get(name, 1 if name in ("at_least", "at_most", "above", "below") else "x")
        assert not asked({"in" if name == "in_" else name: argument}, unknown, kind), name
    assert asked({"present": False}, unknown, kind)
    assert not asked({"present": True}, unknown, kind)


def test_a_field_nobody_has_is_unknown_for_everyone() -> None:
    columns = columns_of([{"a": "x"}, {"a": "y"}], {"a": "text"})
    assert holds(parse_condition({"b": {"present": False}}), columns, AT).tolist() == [True, True]
    assert holds(parse_condition({"b": {"is_not": "x"}}), columns, AT).tolist() == [False, False]


def test_not_around_the_unknown_is_plain_logic() -> None:
    columns = columns_of([{"a": None}, {"a": "x"}], {"a": "text"})
    assert holds(parse_condition({"not": {"a": "x"}}), columns, AT).tolist() == [True, False]


def test_all_any_and_not_nest_and_an_empty_any_is_nobody() -> None:
    columns = columns_of([{"n": n} for n in range(6)], {"n": "integer"})
    nested = {"any": [{"n": 0}, {"all": [{"n": {"above": 1}}, {"not": {"n": {"in": [3, 4]}}}]}]}
    assert holds(parse_condition(nested), columns, AT).tolist() == [True, False, True, False, False, True]
    assert not holds(AnyOf(()), columns, AT).any()


@pytest.mark.parametrize(
    ("age", "holding"),
    [
        (timedelta(days=-30, microseconds=-1), None),
        (timedelta(days=-30), "in_next"),
        (timedelta(microseconds=-1), "in_next"),
        (timedelta(0), "within"),
        (timedelta(days=30) - timedelta(microseconds=1), "within"),
        (timedelta(days=30), "older_than"),
        (timedelta(days=4000), "older_than"),
    ],
)
def test_the_tests_on_dates_share_out_past_and_future_to_the_microsecond(age: timedelta, holding: str | None) -> None:
    for test in ("within", "older_than", "in_next"):
        assert asked({test: "30d"}, AT - age, "datetime") is (test == holding)
        assert asked({test: "30d"}, (AT - age).isoformat(), "text") is (test == holding)


def test_a_date_is_its_midnight_in_utc_and_an_instant_without_a_zone_is_utc() -> None:
    assert asked({"within": "12h"}, date(2026, 3, 1), "date") is False
    assert asked({"within": "13h"}, date(2026, 3, 1), "date") is True
    assert asked({"older_than": "1h"}, datetime(2026, 3, 1, 11), "datetime") is True  # noqa: DTZ001


def test_the_ends_of_the_calendar_are_no_error() -> None:
    for value in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", date.min, date.max):
        for test in ({"equals": "2026-01-01"}, {"contains": "0001"}, {"older_than": "100d"}, {"present": True}):
            for kind in ("datetime", "date", "text"):
                assert asked(test, value, kind) in (True, False)


def test_an_instant_of_asking_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="names no zone"):
        holds(parse_condition({"a": 1}), columns_of([], {}), datetime(2026, 3, 1))  # noqa: DTZ001


def test_an_unknown_list_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no list named 'frut'; there is: .*, free_mail_domains, "):
        prepare(parse_condition({"a": {"in": "frut"}}))


def test_the_shipped_lists_are_there_by_default() -> None:
    columns = columns_of([{"email_domain": "GMAIL.com"}, {"email_domain": "acme.example"}], {"email_domain": "text"})
    free = parse_condition({"email_domain": {"in": "free_mail_domains"}})
    assert holds(free, columns, AT).tolist() == [True, False]


@pytest.mark.parametrize(
    ("test", "value", "wanted"),
    [
        ({"words": "decision_makers"}, "Directora de Marketing", True),
        ({"words": ["decision_makers"]}, "Vice  President, EMEA", True),
        ({"words": "job_level_c_suite"}, "Vice President", False),
        ({"words": "job_level_c_suite"}, "Consejero Delegado", True),
        ({"words": ["job_level_student", "pupil"]}, "becaria en prácticas", True),
        ({"words": "department_finance"}, "Tesoreria", True),
        ({"words": "department_it"}, "Security Guard", False),
        ({"in": "eu_countries"}, "DE", True),
        ({"in": "eu_countries"}, " Alemania ", True),
        ({"in": "eu_countries"}, "GERMANY", True),
        ({"in": "eu_countries"}, "deu", True),
        ({"in": "eu_countries"}, "Espana", True),
        ({"in": "eu_countries"}, "Switzerland", False),
        ({"in": "dach_countries"}, "Suiza", True),
        ({"in": "latin_american_countries"}, "Mexico", True),
        ({"not_in": "english_speaking_countries"}, "Nueva Zelanda", False),
        ({"in": "country_us"}, "EE.UU.", True),
    ],
)
def test_shipped_lists_meet_the_spellings_people_use(test: Any, value: str, wanted: bool) -> None:
    columns = columns_of([{"a": value}], {"a": "text"})
    assert holds(parse_condition({"a": test}), columns, AT).tolist() == [wanted]


def test_a_test_that_tests_nothing_is_refused_not_true_for_everybody() -> None:
    with pytest.raises(ValueError, match="present"):
        parse_condition({"a": None})


def test_numbers_by_column_and_by_value_give_one_answer() -> None:
    values = [-3.5, 0.0, 5.0, 50.0, float("nan"), float("inf")]
    fast = Columns(6, {"n": Numbers(np.array(values))})
    slow = Columns(6, {"n": Coded(np.arange(6, dtype=np.int32), values)})
    for test in (
        {"equals": 5},
        {"is_not": "5"},
        {"in": [0, "50"]},
        {"at_least": 0},
        {"between": [-4, 5]},
        {"below": 5},
    ):
        condition = parse_condition({"n": test})
        assert holds(condition, fast, AT).tolist() == holds(condition, slow, AT).tolist(), test


def test_columns_of_a_store_need_no_python_object_per_row() -> None:
    columns = Columns(
        3,
        {
            "title": Coded(np.array([1, -1, 0], np.int32), ["vp", "head"]),
            "since": Instants(np.array([micros(AT) - 1, np.iinfo(np.int64).min, 0])),
        },
    )
    assert holds(parse_condition({"title": "head", "since": {"within": "1d"}}), columns, AT).tolist() == [
        True,
        False,
        False,
    ]


def test_columns_of_differing_length_are_refused() -> None:
    with pytest.raises(ValueError, match="another length than 2"):
        Columns(2, {"a": coded(["x"])})


def test_one_true_and_one_point_zero_stay_three_values() -> None:
    column = coded([1, True, 1.0, None, "1", [1]])  # type: ignore[list-item]
    assert column.codes.tolist() == [0, 1, 2, -1, 3, -1]
    assert [type(value) for value in column.values] == [int, bool, float, str]


def test_no_pattern_takes_more_than_linear_time() -> None:
    tests = prepare(parse_condition({"a": {"matches": ["(a*)*b", "(a|aa)+$c", "(x+x+)+y"]}}))
    columns = columns_of([{"a": "ax" * 100_000 + "a" * 100_000}], {"a": "text"})
    started = time.process_time()
    assert not holds(tests, columns, AT)[0]
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(a", "missing"),
        (r"(a)\1", "look-ahead"),
        ("(?<=a)b", "look-ahead"),
        (" ", "empty"),
        ("a" * 501, "longer than 500"),
    ],
)
def test_a_pattern_that_is_none_is_refused_with_the_reason(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_condition({"a": {"matches": pattern}})


def test_hostile_text_is_searched_in_linear_time() -> None:
    words = prepare(parse_condition({"a": {"words": ["a" * 40 + "b", "a a a a b"]}}))
    columns = columns_of([{"a": "a " * 50_000 + "a" * 50_000}], {"a": "text"})
    started = time.process_time()
    assert not holds(words, columns, AT)[0]
    assert time.process_time() - started < 2
