"""docs/practices.md is true: what it names exists, and its recipes do with people what they say."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from leadbridge.cli import app
from leadbridge.config.load import json_schema
from leadbridge.config.schema import Config, known_values
from leadbridge.types import ActivityKind, Value
from nurture.catalogue import next_best
from sync.outlook import Outlook
from tests.helpers.config_files import loaded
from tests.scoring.test_scoring_ready_models import AT, Did, model, outlook, value

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "practices.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!Practice|-)([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
SCHEMA: dict[str, Any] = json_schema()
CONNECTIONS = """\
connections:
  hubspot: {token: "${HUBSPOT_TOKEN}"}
  mailchimp: {api_key: "${MAILCHIMP_KEY}", audience: a36b032126}
"""
BEFORE = timedelta(days=2)


# --- what the page names exists --------------------------------------------------------------------------------------


def test_every_test_named_there_exists() -> None:
    missing = []
    for practice, _, shown in ROWS:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", shown)
        assert named, practice
        for file, name in named:
            path = ROOT / "tests" / file
            tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
            if not any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body):
                missing.append(f"{practice}: {file}::{name}")
    assert missing == []
    assert len(ROWS) > 60


def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A piece of the schema, what it refers to, its alternatives and the parts of its lists."""
    yield node
    if "$ref" in node:
        yield from below(SCHEMA["$defs"][node["$ref"].rpartition("/")[2]])
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ()), *([node["items"]] if "items" in node else ())):
        yield from below(part)


def a_key(path: str) -> bool:
    """Is this a place of the file, where NAME stands for any name?"""
    nodes = [SCHEMA]
    for word in path.split("."):
        found = []
        for node in (part for whole in nodes for part in below(whole)):
            if word == "NAME":
                found += [*node.get("patternProperties", {}).values(), *node.get("properties", {}).values()]
                found += [more] if isinstance(more := node.get("additionalProperties"), dict) else []
            elif word in node.get("properties", {}):
                found.append(node["properties"][word])
        nodes = found
    return bool(nodes)


def words() -> list[str]:
    return sorted({word for _, how, _ in ROWS for word in re.findall(r"`([^`]+)`", how)})


@cache
def commands() -> frozenset[str]:
    return frozenset(spelt(typer.main.get_command(app), "leadbridge"))


def spelt(command: Any, name: str) -> Iterator[str]:
    """A command, its options, and those below it."""
    yield name
    for option in command.params:
        yield from option.opts
    for word, one in getattr(command, "commands", {}).items():
        yield from spelt(one, f"{name} {word}")


ELSEWHERE = {
    "decision_makers", "eu_countries", "network", "status", "session ended", "seconds", "pages", "education", "cta",
    "product added", "checkout started", "payment info entered", "campaign status", "NAME", "matrix.lead",
}  # fmt: skip
"""Lists, properties of activities and names of events: the tests of their rows look at them."""


def test_every_key_value_kind_and_command_named_there_exists() -> None:
    known = {*ActivityKind, *known_values(recipes()), *known_values(model("b2b_saas")), *ELSEWHERE}
    unknown = [word for word in words() if word not in known and word not in commands() and not a_key(word)]
    assert unknown == []
    assert not a_key("hand_off.nothing")
    assert not a_key("scores.NAME.rule")


# --- the recipes -----------------------------------------------------------------------------------------------------


@cache
def recipes() -> Config:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    found: Config = loaded(CONNECTIONS + block)
    return found


def one(row: dict[str, Value] | None = None, *done: Did) -> Outlook:
    """What follows for one person who is like this and did that."""
    (found,) = outlook(recipes(), [row or {}], {0: list(done)})
    return found


def gave(found: Outlook, score: str = "lead") -> dict[str, float]:
    """The points of each rule that gave any."""
    lines = next((each.contributions for each in found.scores if each.name == score), ())
    return {line.rule: line.points for line in lines if line.points}


def did(kind: str, age: timedelta = BEFORE, **attributes: Value) -> Did:
    return kind, age, attributes


def test_unknown_traits_of_a_person_give_no_points_and_take_none() -> None:
    assert gave(one({"born": (AT - timedelta(days=8000)).date()})) == {"of age": 5}
    assert gave(one({"born": (AT - timedelta(days=6000)).date()}))["minor"] == -20
    assert gave(one()) == {}


def test_a_value_they_gave_themselves_weighs_more_than_a_guess() -> None:
    assert gave(one({"employees": 80, "employees_from": "form"})) == {"size by themselves": 20}
    assert gave(one({"employees": 80, "employees_from": "enrichment"})) == {"size by guess": 8}


def test_a_long_visit_counts_and_one_that_ended_at_once_takes_points_away() -> None:
    long = did("other", event="session ended", seconds=300, pages=6)
    short = [did("other", event="session ended", seconds=3, pages=1)] * 4
    assert gave(one({}, long)) == {"long visit": 5}
    assert gave(one({}, *short))["gone at once"] == -6


def test_what_somebody_reads_most_is_their_topic() -> None:
    read = [did("page_view", topic="time"), did("file_downloaded", topic="time"), did("page_view", topic="price")]
    assert "want_to_save_time" in one({}, *read).segments
    assert "want_to_save_time" not in one({}, read[2]).segments


def test_the_share_of_mails_clicked_is_a_field() -> None:
    mails = [did("email_sent")] * 10
    assert "receptive" in one({}, *mails, did("email_clicked")).segments
    assert "receptive" not in one({}, *mails).segments
    assert "receptive" not in one({}, did("email_clicked")).segments  # a share of nothing is unknown


def test_one_network_counts_more_than_another_and_a_profile_counts_too() -> None:
    acts = [did("social_shared", network="linkedin"), did("social_commented", network="facebook")]
    assert gave(one({"linkedin": "in/ada"}, *acts)) == {"on LinkedIn": 2, "LinkedIn": 4, "other networks": 1}


def test_each_call_to_action_counts_by_its_id_in_mails_and_on_pages() -> None:
    acts = [
        did("email_clicked", url="https://acme.example/demo?cta=demo"), did("email_clicked", url="https://acme.example/"),
        did("other", event="cta clicked", cta="demo"), did("other", event="cta clicked", cta="newsletter"),
    ]  # fmt: skip
    assert gave(one({}, *acts)) == {"call to action in a mail": 6, "call to action on a page": 6}


def test_a_cart_and_a_checkout_are_signs_of_decision() -> None:
    found = one({}, did("other", event="product added"), did("other", event="payment info entered"))
    assert gave(found) == {"cart": 15, "checkout": 25}
    assert found.buyer_journey == "decision"
    added = did("other", event="product added", product_id="p1")
    assert "left_a_cart" in one({}, added, did("purchase", product_id="p2")).segments
    assert "left_a_cart" not in one({}, added, did("purchase", product_id="p1")).segments


def test_registering_attending_and_missing_an_event_are_told_apart() -> None:
    came = [did("other", event="webinar registered"), did("webinar_attended")]
    missed = [did("other", event="demo registered"), did("other", event="demo missed")]
    assert gave(one({}, *came)) == {"registered": 5, "attended": 10}
    assert gave(one({}, *missed)) == {"registered": 5, "did not come": -3}
    registered = did("other", event="webinar registered", name="Spring")
    attended = did("webinar_attended", name="spring ")
    assert "did_not_come" in one({}, registered).segments
    assert "did_not_come" not in one({}, registered, attended).segments


def test_what_a_rep_says_of_the_phase_goes_before_the_rules() -> None:
    hot = did("other", event="checkout started")
    assert one({}, hot).buyer_journey == "decision"
    assert one({"phase_by_rep": "awareness"}, hot).buyer_journey == "awareness"
    assert one({"phase_by_rep": "decision"}).buyer_journey == "decision"


def test_sales_gets_whom_the_score_the_budget_and_the_education_let_through() -> None:
    warm = [did("other", event="checkout started"), did("other", event="product added")]
    ready: dict[str, Value] = {"budget": 20000, "education": 50}
    assert one(ready, *warm).stage == "sql"
    for less in ({"budget": 500}, {"budget": None}, {"education": 0}):
        assert one(ready | less, *warm).stage is None
    assert one(ready, warm[1]).stage is None


def test_who_has_just_filled_in_a_form_is_somebodys_task_at_once() -> None:
    now, earlier = did("form_submitted", timedelta(minutes=5)), did("form_submitted", timedelta(hours=2))
    assert "first_contact" in one({"lifecycle_stage": "lead"}, now).asked.calls
    assert "first_contact" not in one({"lifecycle_stage": "lead"}, earlier).asked.calls
    assert "first_contact" not in one({"lifecycle_stage": "customer"}, now).asked.calls


def test_who_replied_is_somebodys_task() -> None:
    found = one({}, did("other", event="email_received"))
    assert "replied" in found.asked.calls
    assert found.until == tuple(journey.name for journey in recipes().nurture.journeys)


def test_who_is_disqualified_has_no_lead_score() -> None:
    assert value(one({"lead_status": "UNQUALIFIED", "employees": 80})) is None
    assert value(one({"lead_status": "OPEN", "employees": 80})) == 8


def test_an_open_ticket_or_a_sequence_of_sales_pauses_nurture() -> None:
    opened, closed = (did("support_ticket", ticket="7", outcome=word) for word in ("opened", "closed"))
    another = did("support_ticket", ticket="8", outcome="opened")
    found = [
        one({"in_sequence": True}),
        one({}, opened),
        one({}, opened, closed),
        one({}, opened, closed, another),
        one(),
    ]
    assert [each.paused for each in found] == [True, True, False, True, False]


def test_assets_are_for_whom_their_condition_says() -> None:
    def best(row: dict[str, Value], *done: Did) -> str | None:
        found = one(row, *done)
        asked = next_best(recipes().catalogue, phase=found.buyer_journey, persona=None, offered=(), used=["basics"],
                          together={}, today=AT.date(), not_for=found.not_for)  # fmt: skip
        return asked.asset if asked else None

    assert best({"need": "time"}) == "method"
    assert best({"need": "price"}) == "summer"
    assert best({"phase_by_rep": "decision", "competitor_named": True}) == "differ"
    assert best({"phase_by_rep": "decision"}) == "summer"


def test_who_does_not_react_to_mail_gets_another_journey_than_who_does() -> None:
    mails, seen = [did("email_sent")] * 6, did("other", event="session ended", seconds=300)
    deaf = one({}, *mails, seen)
    open_to_it = one({}, *mails, seen, did("email_clicked"))
    assert deaf.journeys[0] == "a call instead"
    assert open_to_it.journeys == ("guides",)


def test_who_heard_nothing_from_us_for_long_is_in_a_segment() -> None:
    long_ago = did("call", timedelta(days=40))
    assert "without_contact" in one({}, long_ago).segments
    assert "without_contact" in one().segments
    assert "without_contact" not in one({}, long_ago, did("email_sent")).segments


def test_the_relationship_is_a_score_of_its_own() -> None:
    warm = one({}, did("other", event="email_received"), did("meeting"), did("survey_answered", score=10))
    cold = one({}, did("survey_answered", score=2), did("support_ticket"), did("support_ticket"))
    assert (value(warm, "relationship"), value(cold, "relationship")) == (60, -70)


def test_what_a_customer_may_yet_bring_is_a_score_in_money() -> None:
    bought = [did("purchase", amount=250.0), did("purchase", timedelta(days=200), amount=150.0)]
    assert value(one({}, *bought), "expected_value") == 1200
    assert value(one(), "expected_value") is None


def test_the_four_behavioural_segmentations_are_fields_and_segments() -> None:
    acts = [did("purchase", amount=10.0)] * 4 + [did("survey_answered", score=9), did("page_view", topic="time")]
    acts += [did("product_used", feature=feature) for feature in ("import", "export", "report")]
    assert one({}, *acts).segments[:4] == ("frequent_buyers", "loyal", "heavy_users", "want_to_save_time")
    assert one().segments == ("without_contact",)


@pytest.mark.parametrize(("days", "loyal"), [(100, True), (80, False)])
def test_loyal_prospects_came_back_over_three_months_and_more(days: int, loyal: bool) -> None:
    visits = [did("page_view", timedelta(days=days)), did("page_view"), did("page_view", timedelta(days=9))]
    assert ("loyal_prospects" in one({}, *visits).segments) is loyal
    assert "loyal_prospects" not in one({}, *visits, did("purchase", amount=9.0)).segments
