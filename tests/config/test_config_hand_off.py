"""The hand-off and the measurement as an admin writes them: wrong parts are told at their line, with the cure."""

import pytest

from tests.helpers.config_files import ENVIRONMENT, SOUND, faults_of, loaded

CHAT_URL = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
CHAT = {**ENVIRONMENT, "CHAT_URL": CHAT_URL}
WHOLE = """\
hand_off:
  on: sql
  needs:
    in our market: {country: Norway}
  routes:
    - {name: partners, when: {country: Norway}, per_week: 5, owner: "41629779"}
    - {name: sales, alert: "${CHAT_URL}"}
  task: {within: 2h, owner: partner}
  alert: ["${CHAT_URL}"]
  accepted: {job_title: taken}
  rejected: {when: {job_title: no}, reason: job_title, rest: 7d, again_after: 90d}
  care:
    - {name: retention, when: {lifecycle_stage: customer}, advice: Ask what changed.}
measurement:
  goal: {reaches: customer, within: 60d}
  costs:
    - {name: content, per_month: 1200, since: 2026-01-01, journey: guides}
"""
LINE = SOUND.count("\n")


def test_a_whole_hand_off_is_read() -> None:
    config = loaded(SOUND + WHOLE, CHAT)
    assert [route.name for route in config.hand_off.routes] == ["partners", "sales"]
    assert config.hand_off.task.within == 7200
    assert config.hand_off.routes[1].alert[0].get_secret_value() == CHAT_URL
    assert config.measurement.costs[0].per_month == 1200


def test_the_address_of_a_chat_is_never_shown() -> None:
    assert "TIiajkdnlazk" not in repr(loaded(SOUND + WHOLE, CHAT))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("on: sql", "on: lead", 2, "which no rule under stages gives"),
        ("owner: partner}", "owner: partnr}", 8, "is not a field"),
        ("reason: job_title", "reason: why", 11, "is not a field"),
        ("- {name: sales,", "- {name: partners,", 7, "is the name of another route"),
        ("name: retention", "name: hand_off", 13, "leadbridge's own word"),
        ("{lifecycle_stage: customer}", "{hand_off: opne}", 13, "never occurs here"),
        ("journey: guides", "journey: guide", 17, "is no journey"),
        ("within: 60d}", "activity: purchase}", 15, "needs exactly one of reaches and activity"),
        ("per_month: 1200, ", "", 17, "needs exactly one of per_month and once"),
    ],
)
def test_a_fault_is_told_at_its_line(old: str, new: str, line: int, words: str) -> None:
    (fault,) = faults_of(SOUND + WHOLE.replace(old, new, 1), CHAT)
    assert words in str(fault)
    assert fault.line == LINE + line


def test_a_limit_on_taking_on_needs_to_know_how_that_shows() -> None:
    text = (SOUND + WHOLE).replace("  accepted: {job_title: taken}\n", "  sla: {accept: 1h}\n")
    (fault,) = faults_of(text, CHAT)
    assert "sla.accept needs accepted" in str(fault)


def test_an_alert_goes_to_known_places_only_and_the_fault_shows_none_of_it() -> None:
    (fault,) = faults_of(SOUND + WHOLE, {**ENVIRONMENT, "CHAT_URL": "jsons://elsewhere.example/secret-hook"})
    assert "not under alert_hosts" in str(fault)
    assert "secret-hook" not in str(fault)


def test_a_funnel_names_each_stage_once_and_in_order() -> None:
    funnel = "  funnel:\n    - {name: later, stages: [customer]}\n    - {name: sooner, stages: [lead]}\n"
    (fault,) = faults_of(SOUND + WHOLE + funnel, CHAT)
    assert "in their order" in str(fault)
