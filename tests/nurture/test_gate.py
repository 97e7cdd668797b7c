"""The gate lets nobody through whom it should not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import MemberStatus
from leadbridge.config.guards import Cap, Guards
from leadbridge.types import SuppressionReason
from nurture import gate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def ask(**changes: object) -> gate.Verdict:
    facts: dict[str, object] = {
        "suppressed": None,
        "opted_out": False,
        "status": "subscribed",
        "read_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "now": NOW,
    } | changes
    return gate.before_call(**facts)  # type: ignore[arg-type]


def test_a_subscribed_person_nobody_objects_to_may_be_contacted() -> None:
    assert ask().go


def test_an_opt_out_in_the_crm_is_told_in_one_way_however_it_is_known() -> None:
    known = gate.before_intent(suppressed=SuppressionReason.CRM_OPT_OUT, opted_out=False, address="ada@acme.example")
    shown = gate.before_intent(suppressed=None, opted_out=True, address="ada@acme.example")
    assert known == shown
    assert (known.go, known.why) == (False, "opted out in the CRM")


@given(
    suppressed=st.none() | st.sampled_from(SuppressionReason),
    opted_out=st.booleans(),
    status=st.sampled_from(MemberStatus),
    age=st.integers(-3600, 3600),
    left=st.integers(-3600, 3600),
)
def test_only_the_subscribed_fresh_unsuppressed_and_timely_pass(
    suppressed: SuppressionReason | None, opted_out: bool, status: MemberStatus, age: int, left: int
) -> None:
    verdict = ask(
        suppressed=suppressed,
        opted_out=opted_out,
        status=status.value,
        read_at=NOW - timedelta(seconds=age),
        expires_at=NOW + timedelta(seconds=left),
    )
    allowed = suppressed is None and not opted_out and status is MemberStatus.SUBSCRIBED and 0 <= age <= 60 and left > 0
    assert verdict.go is allowed
    assert bool(verdict.why) is not allowed


def test_an_old_word_on_a_member_is_not_final_because_it_can_be_asked_again() -> None:
    verdict = ask(read_at=NOW - timedelta(seconds=61))
    assert (verdict.go, verdict.final) == (False, False)


@pytest.mark.parametrize("address", [None])
def test_without_a_usable_address_there_is_no_intent(address: str | None) -> None:
    assert not gate.before_intent(suppressed=None, opted_out=False, address=address).go


GUARDS = Guards(per_hour=Cap(count=100, share=0.01), per_day=Cap(count=500, share=0.05))


@pytest.mark.parametrize(
    ("audience", "last_hour", "last_day", "allowed"),
    [
        (1_000, 0, 0, 100),  # the count is the larger
        (50_000, 0, 0, 500),  # the share is the larger
        (50_000, 0, 2_400, 100),  # the day is nearly used up
        (1_000, 100, 100, 0),
        (1_000, 250, 900, 0),  # never below nothing
    ],
)
def test_the_larger_of_count_and_share_bounds_each_hour_and_day(
    audience: int, last_hour: int, last_day: int, allowed: int
) -> None:
    assert gate.allowance(GUARDS, gate.Made(audience, last_hour, last_day)).count == allowed


def test_three_times_the_usual_is_a_bound_once_there_is_a_usual() -> None:
    assert gate.allowance(GUARDS, gate.Made(1_000, 0, 5, usual_day=10.0)).count == 25
    assert gate.allowance(GUARDS, gate.Made(1_000, 0, 30, usual_day=10.0)).count == 0
    assert gate.allowance(GUARDS, gate.Made(1_000, 0, 5, usual_day=None)).count == 100


def test_a_canary_lets_few_through_and_holds_the_rest_for_a_release() -> None:
    first = gate.allowance(GUARDS, gate.Made(1_000, 0, 0, canary=0))
    over = gate.allowance(GUARDS, gate.Made(1_000, 20, 20, canary=20))
    assert (first.count, first.hold) == (20, True)
    assert (over.count, over.hold) == (0, True)
    assert gate.allowance(GUARDS, gate.Made(100_000, 0, 0, canary=0)).count == 1_000  # 1 % of many
    assert not gate.allowance(GUARDS, gate.Made(1_000, 20, 20)).hold


@pytest.mark.parametrize("trouble", [{"stopped": "stopped by olga"}, {"unusable": "the scores are all alike"}])
def test_a_stop_and_scores_that_cannot_be_trusted_leave_nothing(trouble: dict[str, str]) -> None:
    found = gate.allowance(GUARDS, gate.Made(1_000, 0, 0, **trouble))  # type: ignore[arg-type]
    assert found.count == 0
    assert next(iter(trouble.values())) in found.why


def test_at_night_nobody_is_called_and_the_morning_is_named() -> None:
    morning = NOW + timedelta(hours=8)
    verdict = ask(quiet_until=morning)
    assert (verdict.go, verdict.final, verdict.again) == (False, False, morning)
