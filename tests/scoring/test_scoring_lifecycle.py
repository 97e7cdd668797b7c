"""Stages: first match from the top, hysteresis, and what belongs to the CRM."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest

from leadbridge.columns import Columns, Numbers, coded
from leadbridge.config.conditions import parse_condition
from leadbridge.config.scores import StageRule
from leadbridge.types import LifecycleStage as Stage
from scoring.lifecycle import Stay, cause, stages
from tests.scoring.drawn import AT

DAY = timedelta(days=1)
RULES = {
    Stage.SQL: StageRule(
        when=parse_condition({"score.lead": {"at_least": 70}, "score.lead.bant": {"at_least": 10}}),
        until=parse_condition({"score.lead": {"below": 55}}),
    ),
    Stage.MQL: StageRule(when=parse_condition({"score.lead": {"at_least": 40}})),
}


def found(
    scores: Sequence[float],
    current: Sequence[Stage | None] | None = None,
    crm: Sequence[str | None] | None = None,
    rules: dict[Stage, StageRule] = RULES,
    bant: float = 10,
    days: float = 100,
) -> list[Stage | None]:
    """Stages of people with these scores."""
    count = len(scores)
    facts = {"score.lead": Numbers(np.array(scores, np.float64)), "score.lead.bant": Numbers(np.full(count, bant))}
    columns = Columns(count, facts).adding({"lifecycle_stage": coded(crm or [None] * count)})
    stays = [None if stage is None else Stay(stage, AT - days * DAY) for stage in current or [None] * count]
    return stages(rules, columns, stays, AT)


def test_the_first_match_from_the_top_wins_and_no_match_is_no_stage() -> None:
    assert found([80, 70, 69, 40, 39]) == [Stage.SQL, Stage.SQL, Stage.MQL, Stage.MQL, None]
    assert found([80], bant=9) == [Stage.MQL]


def test_the_order_of_the_file_decides() -> None:
    assert found([80], rules=dict(reversed(RULES.items()))) == [Stage.MQL]


def test_who_is_in_a_stage_stays_until_its_until_holds() -> None:
    assert found([69, 55, 54, 39], [Stage.SQL] * 4) == [Stage.SQL, Stage.SQL, Stage.MQL, None]
    assert found([60], [Stage.SQL], bant=0) == [Stage.SQL]


def test_who_is_not_in_a_stage_does_not_enter_by_not_having_left() -> None:
    assert found([69, 55], [Stage.MQL, None]) == [Stage.MQL, Stage.MQL]


def test_without_an_until_a_stage_lasts_as_long_as_its_when() -> None:
    assert found([39.9, 40], [Stage.MQL] * 2) == [None, Stage.MQL]


def test_when_both_when_and_until_hold_nobody_flaps() -> None:
    rule = StageRule(
        when=parse_condition({"score.lead": {"at_least": 40}}), until=parse_condition({"score.lead": {"below": 90}})
    )
    first = found([50], [None], rules={Stage.MQL: rule})
    assert first == [Stage.MQL]
    assert found([50], first, rules={Stage.MQL: rule}) == first


def test_nobody_falls_from_a_stage_before_its_time_but_anybody_rises() -> None:
    kept = {stage: rule.model_copy(update={"keep_for": 7 * 86400.0}) for stage, rule in RULES.items()}
    assert found([10, 50], [Stage.SQL] * 2, rules=kept, days=6.999) == [Stage.SQL] * 2
    assert found([10, 50], [Stage.SQL] * 2, rules=kept, days=7) == [None, Stage.MQL]
    assert found([80], [Stage.MQL], rules=kept, days=1) == [Stage.SQL]
    assert found([10], [Stage.MQL], ["opportunity"], rules=kept, days=1) == [Stage.OPPORTUNITY]


def test_a_change_of_stage_says_why() -> None:
    assert cause(None, Stage.MQL, {"lead": 45}) == "the conditions of mql hold: lead 45"
    assert cause(Stage.SQL, Stage.MQL, {"lead": 54}) == "sql no longer holds: lead 54"
    assert cause(Stage.SQL, None, {}) == "sql no longer holds"
    assert cause(Stage.SQL, Stage.CUSTOMER, {"lead": 9, "lifecycle_stage": "customer"}) == "the CRM says customer"
    assert cause(Stage.SQL, Stage.SQL, {"lead": 9}) == ""


def test_an_unknown_score_enters_nothing_and_ends_no_stay() -> None:
    unknown = float("nan")
    assert found([unknown, unknown], [None, Stage.SQL]) == [None, Stage.SQL]


@pytest.mark.parametrize("kept", [Stage.OPPORTUNITY, Stage.CUSTOMER, Stage.EVANGELIST])
def test_what_the_crm_calls_opportunity_or_later_is_never_moved_back(kept: Stage) -> None:
    for before in (None, *Stage):
        for points in (0, 45, 90):
            assert found([points], [before], [kept.value.upper()])[0] is kept


def test_a_rule_may_move_a_customer_on() -> None:
    rules = {Stage.EVANGELIST: StageRule(when=parse_condition({"score.lead": {"at_least": 90}})), **RULES}
    assert found([95, 10], [None, None], ["customer", "customer"], rules) == [Stage.EVANGELIST, Stage.CUSTOMER]


def test_a_lost_opportunity_is_for_the_rules_again() -> None:
    assert found([45, 10], [Stage.OPPORTUNITY] * 2, ["lead", "lead"]) == [Stage.MQL, None]


def test_while_the_crm_does_not_say_a_customer_stays_one() -> None:
    assert found([45, 45], [Stage.CUSTOMER] * 2, [None, "custom stage"]) == [Stage.CUSTOMER, Stage.CUSTOMER]


def test_earlier_stages_of_the_crm_are_no_business_of_the_rules() -> None:
    assert found([10, 45], [None, None], ["sql", "subscriber"]) == [None, Stage.MQL]


def test_without_rules_only_the_crm_speaks() -> None:
    assert found([90, 90], crm=["customer", "lead"], rules={}) == [Stage.CUSTOMER, None]


def test_people_without_a_stage_in_the_crm_need_no_such_column() -> None:
    assert stages(RULES, Columns(1, {"score.lead": Numbers(np.array([45.0]))}), [None], AT) == [Stage.MQL]


def test_one_current_stage_per_person_is_asked_for() -> None:
    with pytest.raises(ValueError, match="facts of 1 people, but 2 current stages"):
        stages(RULES, Columns(1, {}), [None, None], AT)


def test_nobody_is_no_error() -> None:
    assert found([]) == []
