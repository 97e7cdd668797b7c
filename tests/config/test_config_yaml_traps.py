"""YAML's traps are closed: nothing written becomes silently something else (reliability section 3)."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.config_files import changed, faults_of, loaded

AMBIGUOUS = [
    "NO", "no", "on", "off", "yes", "y", "N", "true", "false", "True", "1.10", "22:22", "0123", "0x1F", "0o17",
    "1_000", "1e3", ".5", "+5", "12", "-3", "2024-01-01", "2024-01-01T10:00:00Z", "null", "~", "Null", ".inf", ".nan",
    "=", "1:2:3",
]  # fmt: skip


@pytest.mark.parametrize("written", AMBIGUOUS)
def test_where_text_is_wanted_the_text_stays_as_written(written: str) -> None:
    config = loaded(
        changed(
            ("small: {employees: {below: 50}}", f"small: {{country: {written}, job_title: {{in: [{written}, x]}}}}"),
            ("audience: a36b032126", f"audience: {written}"),
            ("{url: {contains: /pricing}}", f"{{version: {written}}}"),
        )
    )
    country, title = config.segments["small"].parts
    assert country.test.equals == written
    assert title.test.in_ == [written, "x"]
    assert config.connections.mailchimp.audience == written
    assert config.scores["lead"].rules[1].where.test.equals == written


@pytest.mark.parametrize("written", ["12", "-3", "0", "2.5", "1.10", '"7"', "999999999999999"])
def test_where_a_number_is_wanted_a_plain_decimal_number_is_read(written: str) -> None:
    config = loaded(changed(("small: {employees: {below: 50}}", f"small: {{budget: {written}}}")))
    assert config.segments["small"].test.equals == float(written.strip('"'))


@pytest.mark.parametrize(
    "written",
    ["0123", "0x1F", "1_000", "1e3", ".5", "+5", "1,5", "22:22", "NO", "true", "~", ".inf", ".nan", "-.inf", "２", "1.",
     "5%", "1234567890123456", "''", "--5"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["points: 8", "below: 50", "max: 40", "A: 30"])
def test_where_a_number_is_wanted_nothing_else_is_taken_for_one(place: str, written: str) -> None:
    key = place.partition(":")[0]
    value = f'"{written}"' if "," in written else written
    found = faults_of(changed((place, f"{key}: {value}")))
    assert all("needs a number such as 15 or 2.5" in fault.problem for fault in found)
    assert {fault.where.rpartition(".")[2] for fault in found} == {key}


@pytest.mark.parametrize("written", ["2.0", "0.5", "3.", "07", "1e2"])
def test_where_a_whole_number_is_wanted_a_part_is_a_fault(written: str) -> None:
    (fault,) = faults_of(changed(("points: 8}", f"points: 8, at_most: {written}}}")))
    assert "needs a whole number such as 15" in fault.problem


@pytest.mark.parametrize("written", ["yes", "no", "on", "off", "NO", "True", "TRUE", "1", "0", "y", "~"])
def test_only_true_and_false_are_true_and_false(written: str) -> None:
    text = changed(("nurture:\n", f"nurture:\n  enabled: {written}\n"), ("small: {", f"small: {{partner: {written}, "))
    found = faults_of(text)
    assert [fault.where for fault in found] == ["segments.small.partner", "nurture.enabled"]
    assert all("needs true or false, not" in fault.problem for fault in found)


@pytest.mark.parametrize("place", ["audience: a36b032126", "points: 8", "tag: lb-guides", "type: boolean", "below: 50"])
def test_a_key_with_nothing_after_it_is_a_fault_where_a_value_is_wanted(place: str) -> None:
    (fault,) = faults_of(changed((place, f"{place.partition(':')[0]}: ")))
    assert "has no value; write " in fault.problem


def test_days_are_written_as_days_where_a_date_is_compared() -> None:
    config = loaded(changed(("{employees: {below: 50}}", "{renewal: 2026-03-31, created_at: {within: 30d}}")))
    assert config.segments["small"].parts[0].test.equals == "2026-03-31"
    (fault,) = faults_of(changed(("{employees: {below: 50}}", "{renewal: {in: [2026-03-31, 31.3.2026]}}")))
    assert "needs a day such as 2026-03-31, not '31.3.2026'" in fault.problem
    assert fault.where == "segments.small.renewal.in[1]"
    (fault,) = faults_of(changed(("{employees: {below: 50}}", "{renewal: 2026-02-30}")))
    assert "needs a day such as 2026-03-31, not '2026-02-30'" in fault.problem


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("country: {hubspot: country}", "country: &c {hubspot: country}", 6, "is given a name by &name"),
        ("small: {employees: {below: 50}}", "small: *c", 26, "repeats another place by *name"),
        ("hubspot: country}", "<<: {hubspot: country}}", 6, "merges another place by <<"),
        ("hubspot: country}", "hubspot: !!str country}", 6, "has a tag beginning with an exclamation mark"),
        ("hubspot: country}", "hubspot: !secret country}", 6, "has a tag beginning with an exclamation mark"),
        ("hubspot: country}", "? [a, b] : country, hubspot: country}", 6, "has a key that is not a word"),
        ("hubspot: country}", '"": country, hubspot: country}', 6, "has a key that is not a word"),
        ("hubspot: country}", 'hubspot: "coun\\u202Etry"}', 6, "has an escape for an invisible character"),
        ("hubspot: country}", 'hubspot: "\\uD800"}', 6, "has an escape for an invisible character"),
        ("connections:\n", "%YAML 1.1\n---\nconnections:\n", 1, "begins with a % directive"),
        ("nurture:\n", "---\nnurture:\n", 27, "has a second document; one file holds one"),
    ],
)  # fmt: skip
def test_what_a_configuration_does_not_need_of_yaml_is_refused(old: str, new: str, line: int, words: str) -> None:
    found = faults_of(changed((old, new)))
    assert any(fault.line == line and words in fault.problem for fault in found)


def test_a_key_written_twice_is_told_with_both_lines() -> None:
    text = changed(
        ("fields:\n", "fields:\n  country: {hubspot: ip_country}\n"),
        ("points: 8}", "points: 8, points: 80}"),
        ("segments:\n", "fields: {}\nsegments:\n"),
    )
    assert [(fault.line, fault.where, fault.problem) for fault in faults_of(text)] == [
        (7, "fields.country", "is written twice: here and on line 5; keep one"),
        (19, "scores.lead.rules[1].points", "is written twice: here and on line 19; keep one"),
        (26, "fields", "is written twice: here and on line 4; keep one"),
    ]


SYNTAX = [
    ("  country: {hubspot: country}", "  country", 6, "has a key without a colon after it"),
    ("  country: {hubspot: country}", "  country: hubspot: country", 6, "has a colon where none can be"),
    ("  country: {hubspot: country}", "  country: {hubspot: country", 6, "opens a bracket that is never closed"),
    ("  country: {hubspot: country}", "  country: {hubspot: 'country}", 6, "opens a quote that is never closed"),
    ("  country: {hubspot: country}", " country: {hubspot: country}", 6, "does not line up"),
    ("  country: {hubspot: country}", '  country: {hubspot: "coun\\try\\z"}', 6, "has a backslash in double quotes"),
    ("  country: {hubspot: country}", "  country: {hubspot: @country}", 6, "sign that YAML keeps for itself"),
    ("  country: {hubspot: country}", "  country: {hubspot: ${COUNTRY}}", 6, "bracket"),
    ("  country: {hubspot: country}", '  country: {hubspot: "\\UFFFFFFFF"}', 6, "stands for no character"),
    ("  country: {hubspot: country}", "\tcountry: {hubspot: country}", 6, "is indented with a tab; use spaces"),
    ("  country: {hubspot: country}", "\u00a0 country: {hubspot: country}", 6, "only looks like a space; use spaces"),
    ("  country: {hubspot: country}", "  country: [}", 6, "bracket"),
    ("  country: {hubspot: country}", "  country: | x", 6, "text after |"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), SYNTAX, ids=[words for *_, words in SYNTAX])
def test_a_syntax_error_is_one_message_with_its_line_in_plain_words(old: str, new: str, line: int, words: str) -> None:
    (fault,) = faults_of(changed((old, new)))
    assert fault.line == line
    assert words in fault.problem
    assert not {"token", "scanning", "parsing", "mapping", "scalar", "stream"} & set(fault.problem.split())


def test_several_syntax_errors_and_other_faults_are_told_together() -> None:
    text = changed(
        ("job_title: {hubspot: jobtitle}", "job_title: {hubspot: jobtitle"),
        ("awareness: {score.lead: {above: 0}}", "awareness: 'never closed"),
        ("points: 15", "points: fifteen"),
        ("tag: lb-guides", "tagg: lb-guides"),
    )
    assert [(fault.line, fault.where) for fault in faults_of(text)] == [
        (5, "fields"),
        (17, "scores.lead.rules[0].points"),
        (24, "buyer_journey"),
        (29, "nurture.journeys[0].mailchimp.tagg"),
    ]


def test_an_unquoted_variable_within_braces_is_told_to_be_quoted() -> None:
    found = faults_of(changed(('"${HUBSPOT_TOKEN}"', "${HUBSPOT_TOKEN}")))
    assert [(fault.line, fault.hint) for fault in found] == [(2, 'within { } write "${NAME}", in quotes')]


@settings(max_examples=40)
@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(lambda text: "${" not in text)
)
@example("NO")
@example("'")
@example("#")
def test_any_quoted_text_comes_back_as_it_was_written(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    config = loaded(changed(("small: {employees: {below: 50}}", f"small: {{country: {quoted}}}")))
    assert config.segments["small"].test.equals == text
