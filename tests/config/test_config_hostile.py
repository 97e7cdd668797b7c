"""A hostile file costs little: nothing is expanded, nothing is followed, and only a ConfigError comes out."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leadbridge.config.document import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from leadbridge.config.faults import MOST
from leadbridge.config.load import load
from leadbridge.errors import ConfigError
from tests.helpers.config_files import changed, faults_of, loaded, write

FULL = MAX_BYTES - 100

LAUGHS = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(20)
)
HOSTILE = {
    "billion laughs": LAUGHS,
    "nested lists": "a: " + "[" * (FULL - 3),
    "nested maps": "a: " + "{a: " * (FULL // 4 - 3),
    "nested blocks": "".join(" " * n + "a:\n" for n in range(600)),
    "dashes": "- " * (FULL // 2),
    "questions": "? " * (FULL // 2),
    "one key over and over": "a: b\n" * (FULL // 5),
    "many unknown keys of a rule": "scores: {lead: {rules: [{" + ", ".join(f"p{n}: 1" for n in range(8000)) + "}]}}",
    "many fields and many unknown ones": (
        "fields:\n" + "".join(f"  f{n}: {{hubspot: p}}\n" for n in range(1800))
        + "segments:\n" + "".join(f"  s{n}: {{ff{n}: 1}}\n" for n in range(1800))
    ),
    "a long plain text": "a: " + "x " * (FULL // 2),
    "a long quoted text": "a: '" + "\n" * (FULL - 6) + "'",
    "a long block": "a: |\n" + "  x\n" * (FULL // 4),
    "a folded block": "a: >\n" + "  x\n\n" * (FULL // 6),
    "a long key": "a" * FULL + ": 1",
    "a long unknown word": "conections" + "s" * (FULL - 20) + ": 1",
    "a long anchor": "a: &" + "a" * FULL,
    "a long tag": "a: !" + "a" * FULL,
    "escapes": 'a: "' + "\\x41" * (FULL // 4) + '"',
    "remarks": "#\n" * (FULL // 2),
    "a long remark": "# " + "c" * FULL,
    "colons": ":" * FULL,
    "colons and spaces": ": " * (FULL // 2),
    "quotes": "'\"" * (FULL // 2),
    "commas": "a: [" + "," * FULL,
    "pairs": "{" + "a," * (FULL // 2),
    "documents": "---\n" * (FULL // 4),
    "broken sections": "".join(f"k{n}: [\n" for n in range(FULL // 9)),
    "tabs": "\ta: b\n" * (FULL // 6),
    "an address without end": 'store: "postgresql://' + "a:" * (FULL // 2 - 20) + '"',
    "a number without end": "web: {port: " + "9" * (FULL - 20) + "}",
    "a length of time without end": "guards: {intents_expire_after: " + "9" * (FULL - 40) + "d}",
    "variables": 'store: "' + "${A}" * (FULL // 4 - 5) + '"',
    "circles of segments": "segments:\n" + "".join(f"  s{n}: {{segment: s{(n + 1) % 2500}}}\n" for n in range(2500)),
    "segments of all segments": "segments:\n" + "".join(
        f"  s{n}: {{segment: {{in: [{', '.join(f's{m}' for m in range(90) if m != n)}]}}}}\n" for n in range(90)
    ),
    "a tower of segments": "segments:\n" + "".join(
        f"  s{n + 1}: {{any: [{{segment: s{n}}}, {{segment: s{n}}}]}}\n" for n in range(1400)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """What other tests left in memory is not looked through again and again while a file is timed."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_within_a_bounded_time(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert time.process_time() - start < 3  # below 1 on an idle machine
    assert 0 < len(caught.value.faults) <= MOST + 1
    assert all(len(str(fault)) < 3000 for fault in caught.value.faults)


@pytest.mark.usefixtures("alone")
def test_a_file_beyond_the_bound_is_not_even_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a: " + "x" * (50 * MAX_BYTES))
    start = time.process_time()
    with pytest.raises(ConfigError, match="is larger than 128 KB"):
        load(path, {})
    assert time.process_time() - start < 0.1


def test_depth_is_told_with_its_line() -> None:
    text = "a:\n" + "".join(" " * (n + 1) + "a:\n" for n in range(MAX_DEPTH + 2))
    (fault,) = faults_of(text)
    assert (fault.line, fault.problem) == (MAX_DEPTH + 1, f"is nested more than {MAX_DEPTH} deep here")


def test_more_values_than_any_configuration_has_are_told() -> None:
    (fault,) = faults_of("a: [" + "1," * (MAX_VALUES + 1) + "]")
    assert f"has more than {MAX_VALUES} values" in fault.problem


def test_beyond_many_faults_the_rest_is_counted() -> None:
    found = faults_of("connections: {}\nscores: {}\n" + "".join(f"k{n}: 1\n" for n in range(500)))
    assert len(found) == MOST + 1
    assert found[-1].problem == "has 401 more faults; mend these first"


def test_the_largest_sound_file_loads() -> None:
    rule = "      - {{name: rule {}, category: fit, when: {{job_title: {{words: [vp, head]}}}}, points: 1}}\n"
    config = loaded(changed(("    grades:", "".join(rule.format(n) for n in range(800)) + "    grades:")))
    assert len(config.scores["lead"].rules) == 802


WORDS = st.sampled_from(
    """
    connections hubspot mailchimp token api_key audience fields job_title hubspot type write_back score stage scores
    lead categories rules name category points when activity where within grades stages sql until segments nurture
    journeys guards web store ${X} page_view 5 -1 30d 10% NO true ~ 'x' "y" &a *a !t << ? | > {} [] fit max min all any
    not equals in at_least between words
    """.split()  # noqa: SIM905 - sixty quoted words read worse
)
SIGNS = st.sampled_from(
    [": ", ":\n", "\n", "\n  ", "\n    ", "- ", ", ", "{", "}", "[", "]", "#", "\t", " ", "'", '"', "---\n"]
)
YAMLISH = st.lists(st.one_of(WORDS, SIGNS, st.text(max_size=3)), max_size=80).map("".join)
VALUES = st.recursive(
    st.one_of(WORDS, st.integers().map(str)),
    lambda below: st.one_of(
        st.lists(below, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(WORDS, below), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=25,
)


@settings(max_examples=100)
@given(YAMLISH)
@example("? a\n: b: c")
@example('a: "\\UFFFFFFFF"')
@example("\ufeff\ufeff")
@example("!")
@example("%TAG ! x")
@example("a: !<")
@example("- - -\n  ?")
def test_whatever_is_in_a_file_only_a_configerror_comes_out(text: str) -> None:
    try:
        loaded(text, {"X": "x"})
    except ConfigError as error:
        found = error.faults
    else:
        return
    assert found
    assert found == sorted(found)
    assert all(0 <= fault.line <= text.count("\n") + text.count("\r") + 2 for fault in found)


@settings(max_examples=40)
@given(st.data())
def test_whatever_stands_in_a_section_only_a_configerror_comes_out(data: st.DataObject) -> None:
    lines = changed().splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    head, colon, _ = lines[place].partition(":")
    lines[place] = head + colon + " " + data.draw(VALUES)
    try:
        loaded("\n".join(lines), {"HUBSPOT_TOKEN": "t", "MAILCHIMP_KEY": "k-us6"})
    except ConfigError as error:
        told = str(error)
    else:
        return
    assert "leadbridge.yaml:" in told
