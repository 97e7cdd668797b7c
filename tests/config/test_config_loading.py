"""Loading a file: what is sound becomes a Config, what is not is told all at once."""

import os
import time
from pathlib import Path

import pytest

from leadbridge.config.conditions import AllOf, AnyOf, FieldTest, Not, Test
from leadbridge.config.document import MAX_BYTES
from leadbridge.config.load import load
from leadbridge.config.schema import conditions_of, known_facts, known_values
from leadbridge.errors import ConfigError
from leadbridge.types import ActivityKind, BuyerJourney, LifecycleStage
from tests.helpers.config_files import ENVIRONMENT, changed, faults_of, loaded, write

EXAMPLE = Path(__file__).parents[2] / "examples" / "hubspot-mailchimp.yaml"

FIVE = """\
store: sqlite:///leadbridge.db
connections:
  hubspot: {token: "${HUBSPOT_TOKEN}"}
  mailchimp:
    api_key: "${MAILCHIMP_KEY}"
    audience: a36b032126
    simultaneous: many
fields:
  job_title: {hubspot: jobtitle}
  employees: {hubspot: company.numberofemployees, type: integer}
write_back:
  scor: {hubspot: leadbridge_score}
scores:
  lead:
    categories: {fit: {max: 40}}
    rules:
      - {name: decision maker, category: fit, when: {job_titel: {words: [vp]}}, points: 15}
      - {name: size, category: fitt, when: {employees: {at_least: 50}}, points: 10}
segments:
  small: {employees: {below: 50}}
gaurds: {per_hour: [10, 1%]}
"""


def test_five_different_faults_give_exactly_five_messages_with_their_lines() -> None:
    found = faults_of(FIVE)
    assert [(fault.line, fault.where, fault.hint) for fault in found] == [
        (7, "connections.mailchimp.simultaneous", ""),
        (12, "write_back.scor", "did you mean score?"),
        (17, "scores.lead.rules[0].when.job_titel", "did you mean job_title?"),
        (18, "scores.lead.rules[1].category", "did you mean fit?"),
        (21, "gaurds", "did you mean guards?"),
    ]
    assert "needs a whole number" in found[0].problem
    assert "allowed: fit" in found[3].problem


def test_the_error_reads_as_file_line_place_problem_and_hint(tmp_path: Path) -> None:
    path = write(tmp_path, FIVE)
    with pytest.raises(ConfigError) as caught:
        load(path, {"HUBSPOT_TOKEN": "t", "MAILCHIMP_KEY": "k-us6"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert lines[4].startswith(f"{path}:21: gaurds: is not a key here; allowed: store, queue, connections, ")
    assert lines[4].endswith("(did you mean guards?)")


def test_the_shipped_example_is_sound_with_its_three_variables_set() -> None:
    config = load(EXAMPLE, {"HUBSPOT_TOKEN": "t", "HUBSPOT_APP_SECRET": "s", "MAILCHIMP_KEY": "k-us21"})
    assert config.fields["employees"].hubspot == "company.numberofemployees"
    assert config.fields["employees"].type == "integer"
    assert set(config.write_back) == {
        *("score", "grade", "stage", "reasons", "matrix", "confidence", "scored_at"),
        *("score.fit", "score.engagement"),
    }
    assert set(config.scores["lead"].categories) == {"fit", "engagement", "bant"}
    assert list(config.stages) == [LifecycleStage.SQL, LifecycleStage.MQL]
    assert set(config.buyer_journey) == set(BuyerJourney)
    assert {journey.start for journey in config.nurture.journeys} == {
        "lb-how-to-guides",
        "lb-case-studies",
        "lb-offer",
    }
    assert all(journey.holdout == 0.1 for journey in config.nurture.journeys)


def test_the_shipped_example_says_which_variables_are_missing_and_nothing_else() -> None:
    with pytest.raises(ConfigError) as caught:
        load(EXAMPLE, {})
    found = caught.value.faults
    assert [fault.where for fault in found] == [
        "connections.hubspot.token",
        "connections.hubspot.webhook_secret",
        "connections.mailchimp.api_key",
    ]
    for fault, name in zip(found, ("HUBSPOT_TOKEN", "HUBSPOT_APP_SECRET", "MAILCHIMP_KEY"), strict=True):
        assert f"variable {name} is not set" in fault.problem
        assert f"${{{name}}}" in EXAMPLE.read_text().splitlines()[fault.line - 1]


def test_a_sound_file_becomes_typed_values() -> None:
    config = loaded(changed(("points: 8}", "points: 8, within: 30d, half_life: 2w, at_most: 3}")))
    first, second = config.scores["lead"].rules
    assert first.when == FieldTest("job_title", first.when.test)
    assert first.when.test.words == ["vp", "head"]
    assert second.activity == [ActivityKind.PAGE_VIEW]
    assert (second.points, second.within, second.half_life, second.at_most) == (8, 30 * 86400, 14 * 86400, 3)
    assert config.guards.per_hour.count == 100
    assert config.connections.mailchimp.api_key.get_secret_value() == "0000aaaa-key-us6"


def test_conditions_keep_their_logic() -> None:
    nested = (
        "small: {any: [{employees: 5}, {not: {all: [{country: NO}, {partner: true}]}}], budget: {between: [1, 2.5]}}"
    )
    config = loaded(changed(("small: {employees: {below: 50}}", nested)))
    here_and_known = AllOf((FieldTest("country", Test(equals="NO")), FieldTest("partner", Test(equals=True))))
    assert config.segments["small"] == AllOf((
        AnyOf((FieldTest("employees", Test(equals=5)), Not(here_and_known))),
        FieldTest("budget", Test(between=(1, 2.5))),
    ))  # fmt: skip


def test_sections_with_nothing_below_them_are_empty() -> None:
    config = loaded(changed(("  small: {employees: {below: 50}}\n", ""), ("segment: small, ", "")))
    assert config.segments == {}
    assert loaded(changed(("nurture:\n", "web:\nguards:\nnurture:\n"))).web.port == 8080


def test_guards_are_written_as_a_pair_or_by_name() -> None:
    text = changed(("nurture:", "guards: {per_hour: [10, 0.5%], per_day: {count: 20, share: 2%}}\nnurture:"))
    guards = loaded(text).guards
    assert (guards.per_hour.count, guards.per_hour.share) == (10, 0.005)
    assert (guards.per_day.count, guards.per_day.share) == (20, 0.02)


def test_the_process_environment_is_the_default(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    config = load(str(write(tmp_path, changed())))
    assert config.connections.hubspot is not None
    assert config.connections.hubspot.token is not None
    assert config.connections.hubspot.token.get_secret_value() == os.environ["HUBSPOT_TOKEN"]


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        (b"", 0, "is empty; start from examples/hubspot-mailchimp.yaml"),
        (b"# only a remark\n\n", 0, "is empty"),
        (b"\n- a\n- b\n", 2, "needs keys such as connections:"),
        (b"just words\n", 1, "needs keys such as connections:"),
        ("connections: {}\n".encode("utf-16"), 1, "is saved as UTF-16; save it as UTF-8"),
        (b"a: 1\nb: caf\xe9\n", 2, "not UTF-8"),
        (b"a: 1\nb: \x00\n", 2, "invisible character (U+0000)"),
        ("a: 1\nb: x\u202ey\n".encode(), 2, "invisible character (U+202E)"),
        (b"a: b\n" * (MAX_BYTES // 4), 0, "is larger than 128 KB"),
    ],
    ids=["empty", "remarks", "list", "text", "utf-16", "latin-1", "nul", "bidi", "huge"],
)
def test_what_is_not_a_configuration_is_told_in_one_plain_message(raw: bytes, line: int, words: str) -> None:
    (fault,) = faults_of(raw)
    assert (fault.line, fault.where) == (line, "the file")
    assert words in fault.problem


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not there; copy examples/hubspot-mailchimp.yaml .* --config"):
        load(tmp_path / "none.yaml", {})


def test_a_directory_or_an_impossible_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    with pytest.raises(ConfigError, match="cannot be read: not a file name"):
        load("a\0b", {})


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    text = changed()
    assert loaded(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()) == loaded(text)


def test_every_condition_of_the_file_is_among_conditions_of() -> None:
    """The loader tells rules from the rest by their place in the file; `conditions_of` says the same."""
    config = loaded(changed())
    told = {path[0]: scores for path, _condition, scores in conditions_of(config)}
    assert told == {"scores": False, "stages": True, "buyer_journey": True, "segments": True, "nurture": True}


def test_names_are_the_same_before_and_after_loading() -> None:
    """What a fault says is allowed is what a Config knows."""
    config = loaded(changed())
    unknown = faults_of(changed(("segment: small,", "nothing_like_it: 1,"), ("score: {hub", "zzzzzz: {hub")))
    told = {fault.where: fault.problem for fault in unknown}
    assert told["nurture.journeys[0].when.nothing_like_it"].endswith(", ".join(known_facts(config)))
    assert told["write_back.zzzzzz"].endswith(", ".join(known_values(config)))


def test_three_hundred_lines_load_in_a_blink() -> None:
    environ = {"HUBSPOT_TOKEN": "t", "HUBSPOT_APP_SECRET": "s", "MAILCHIMP_KEY": "k-us21"}
    assert len(EXAMPLE.read_text().splitlines()) > 280
    load(EXAMPLE, environ)
    took = []
    for _ in range(5):
        start = time.process_time()
        load(EXAMPLE, environ)
        took.append(time.process_time() - start)
    assert min(took) < 0.15
