"""Strict reading: bounded, nothing swallowed, one unfit item alone (reliability G6, G7, G8; fault 10)."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.deliveries.reading import MAX_DEPTH, MAX_INTEGER, MAX_ITEMS, Unfit, array_length, canonical, items
from leadbridge.errors import WebhookRefused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def refusal(body: bytes) -> tuple[str, int]:
    with pytest.raises(WebhookRefused) as refused:
        items(body)
    return refused.value.reason, refused.value.status


def values(body: bytes) -> list[Any]:
    return [value for value, _ in items(body)]


@given(st.lists(JSON, max_size=6), st.booleans(), st.sampled_from(["", " ", "\n\t"]))
def test_an_array_comes_back_item_by_item_with_its_own_bytes(array: list[Any], ascii_only: bool, space: str) -> None:
    try:
        parts = [json.dumps(item, ensure_ascii=ascii_only).encode() for item in array]
    except UnicodeEncodeError:  # half a surrogate pair has no bytes of its own, only an escape
        parts = [json.dumps(item).encode() for item in array]
    gap = space.encode()
    body = gap + b"[" + gap + (gap + b"," + gap).join(parts) + gap + b"]" + gap
    found = items(body)
    assert [value for value, _ in found] == array
    assert [raw for _, raw in found] == parts


@given(st.binary(max_size=200))
def test_any_bytes_give_items_or_a_refusal(body: bytes) -> None:
    try:
        found = items(body)
    except WebhookRefused:
        return
    assert canonical([value for value, _ in found if not isinstance(value, Unfit)])


@given(st.text(alphabet='[]{},:"\\0123456789.eE+- \nNaInfty', max_size=60))
def test_json_like_text_gives_items_or_a_refusal(text: str) -> None:
    try:
        found = items(text.encode())
    except WebhookRefused:
        return
    for value, raw in found:
        if not isinstance(value, Unfit):
            assert json.loads(raw) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "bad_json"),
        (b"   ", "bad_json"),
        (b"[", "bad_json"),
        (b"[1,]", "bad_json"),
        (b"[,]", "bad_json"),
        (b"[1 2]", "bad_json"),
        (b"[1]x", "bad_json"),
        (b"[1][2]", "bad_json"),
        (b'["abc]', "bad_json"),
        (b'["\x01"]', "bad_json"),
        (b"[01]", "bad_json"),
        (b"['a']", "bad_json"),
        (b"nonsense", "bad_json"),
        (b"type=unsubscribe&fired_at=x", "bad_json"),
        (b"\xef\xbb\xbf[]", "bad_json"),
        (b"\xff\xfe[]", "bad_encoding"),
        (b'["\xc3"]', "bad_encoding"),
        (b"{}", "not_an_array"),
        (b'{"a": [1, 2]}', "not_an_array"),
        (b"null", "not_an_array"),
        (b"NaN", "not_an_array"),
        (b"1", "not_an_array"),
        (b'"[]"', "not_an_array"),
    ],
)
def test_what_is_no_array_is_refused_as_a_whole(body: bytes, reason: str) -> None:
    assert refusal(body) == (reason, 400)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"NaN", "not_a_number"),
        (b'{"a": -Infinity}', "not_a_number"),
        (b'{"a": 1e999}', "number_too_large"),
        (b'{"a": 9223372036854775808}', "number_too_large"),
        (b"-9223372036854775808", "number_too_large"),
        (b"1" * 5000, "number_too_large"),  # Python itself refuses to read more than 4300 digits
        (b'{"a": 1, "a": 1}', "repeated_name"),
        (b'{"b": {"a": 1, "\\u0061": 2}}', "repeated_name"),
    ],
)
def test_one_unfit_item_stands_alone_with_its_bytes(raw: bytes, reason: str) -> None:
    found = items(b'[{"a": 1}, ' + raw + b', "last"]')
    assert [value for value, _ in found] == [{"a": 1}, Unfit(reason, raw), "last"]


def test_the_largest_number_both_stores_hold_is_fit() -> None:
    assert values(b"[9223372036854775807, -9223372036854775807]") == [MAX_INTEGER, -MAX_INTEGER]


def test_depth_is_bounded_and_counted_outside_texts_only() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert len(items(deepest)) == 1
    assert refusal(b"[" + deepest + b"]") == ("too_deep", 400)
    assert refusal(b'{"a":' * 33 + b"1" + b"}" * 33) == ("too_deep", 400)
    assert refusal(b"[" * 500_000) == ("too_deep", 400)
    in_text = json.dumps(["[{" * 1000 + '\\"[' * 50]).encode()
    assert values(in_text) == json.loads(in_text)


def test_the_number_of_events_is_bounded() -> None:
    assert len(items(b"[" + b",".join([b'{"a":[1,2,3]}'] * MAX_ITEMS) + b"]")) == MAX_ITEMS
    assert refusal(b"[" + b",".join([b"1"] * (MAX_ITEMS + 1)) + b"]") == ("too_many_events", 413)
    assert refusal(b"[" + b"{}," * 300_000 + b"{}]") == ("too_many_events", 413)


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b'\\"' * 499_000,
        b'["' * 300_000,
        b"[" + b'"' * 999_999,
        b"[" + b"[]" * 499_000,
        b'[{"a":"' + b"x" * 990_000 + b'"}]',
        b"[" + b" " * 990_000 + b"1]",
        b'[{"' + b'a":1,"' * 160_000,
    ],
    ids=["escapes", "open texts", "quotes", "brackets", "one text", "blanks", "one object"],
)
def test_a_megabyte_of_malice_is_judged_within_a_second(body: bytes) -> None:
    began = time.thread_time()
    with suppress(WebhookRefused):
        items(body)
    assert time.thread_time() - began < 1.0


def test_canonical_bytes_are_the_same_for_the_same_value_however_it_was_written() -> None:
    one = values('[{"b":"ä\\ud800","a":1.50}]'.encode())[0]
    two = values(b'[ { "a" : 1.5 , "b" : "\\u00e4\\uD800" } ]')[0]
    assert canonical(one) == canonical(two) == b'{"a":1.5,"b":"\\u00e4\\ud800"}'


BYTES = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [b"[", b"]", b"{", b"}", b",", b":", b'"a"', b'"', b"\\", b"1", b"-", b"1e999", b"9" * 5000, b"NaN", b"null",
         b"tru", b" ", b"\n", b"\xff", b'"\\ud800"', b"0.5", b"01", b"[]", b"{}", b'{"a":1,"a":2}', b"\x0b"]
    ),
    max_size=12,
).map(b"".join).map(lambda inner: b"[" + inner + b"]")  # fmt: skip


@given(BYTES)
def test_what_the_door_lets_in_can_be_cut_and_what_cannot_be_cut_it_refuses_alike(body: bytes) -> None:
    try:
        expected: Any = len(items(body))
    except WebhookRefused as refused:
        expected = (refused.reason, refused.status)
    try:
        found: Any = array_length(body)
    except WebhookRefused as refused:
        found = (refused.reason, refused.status)
    assert found == expected
