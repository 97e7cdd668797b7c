"""Nobody changes by time alone before the instant until which they are said not to change."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leadbridge.columns import micros
from leadbridge.conditions import holds
from leadbridge.config.schema import Config
from leadbridge.config.scores import Rule
from scoring.behaviour import compile_behaviour, measured
from scoring.compile import compile_model
from scoring.engine import score, score_facts
from scoring.frames import People, activities_frame, people_frame
from scoring.horizon import NEVER, clockwork, unchanged_until
from tests.scoring.drawn import AT, TYPES, audiences, raw_models
from tests.scoring.predict.test_predict_likely import trained
from tests.scoring.reference import Did
from tests.scoring.test_scoring_against_oracle import Audience

DAY = timedelta(days=1)
LONG = 400 * DAY
STAGES: dict[str, Any] = {
    "sql": {"when": {"score.lead": {"at_least": 20}, "score.lead.fit": {"at_least": 3.3}}},
    "mql": {"when": {"any": [{"score.lead.engagement": {"above": 0.2}}, {"since": {"within": "7d"}}]}},
}
BEHAVIOUR = {"pages": {"of": "page_view", "within": "7d"}, "last_call": {"of": "call", "take": "last_at"}}


def configured(lead: dict[str, Any], **more: Any) -> Config:
    fields = {name: {"hubspot": f"p_{name}", "type": kind} for name, kind in TYPES.items()}
    connections = {"hubspot": {"token": "x" * 20}}
    raw = {"connections": connections, "fields": fields, "scores": {"lead": lead}, "stages": STAGES, **more}
    return Config.model_validate(raw)


def seen(config: Config, audience: Audience, at: datetime) -> tuple[list[Any], list[int]]:
    """What each person is at an instant, and until when that is said to last."""
    people = people_frame(list(range(len(audience))), [row for row, _ in audience], TYPES)
    rows = [(person, one.kind, one.at, one.attributes) for person, (_, done) in enumerate(audience) for one in done]
    activities = activities_frame(people, rows)
    behaviour = compile_behaviour(config.behaviour)
    facts = people.facts.adding(measured(behaviour, len(people), activities, micros(at)))
    model = compile_model("lead", config.scores["lead"], TYPES, behaviour=config.behaviour)
    frame = score(model, People(people.ids, facts), activities, at)
    facts = facts.adding(score_facts([frame]))
    stages = [holds(rule.when, facts, at).tolist() for rule in config.stages.values()]
    told = [
        (bool(frame.applies[row]), int(frame.value[row]), int(frame.grade[row]), [held[row] for held in stages])
        for row in range(len(people))
    ]
    until = unchanged_until(
        clockwork(config), [model], {"lead": frame}, behaviour, People(people.ids, facts), activities, micros(at)
    )
    return told, until.tolist()


@settings(max_examples=300, derandomize=True)
@given(raw_models(), audiences, st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_nobody_changes_before_the_instant_that_was_said(lead: dict[str, Any], audience: Audience, part: float) -> None:
    config = configured(lead)
    works = clockwork(config)
    assume(not works.soon and not works.unsure)
    now, until = seen(config, audience, AT)
    for row, (found, end) in enumerate(zip(now, until, strict=True)):
        wait = min(end - micros(AT), LONG // timedelta(microseconds=1))
        later = AT + timedelta(microseconds=max(0, int(wait * part) - 1))
        then, _ = seen(config, audience, later)
        assert then[row] == found


def one(lead: dict[str, Any], *done: tuple[str, timedelta], **more: Any) -> timedelta | None:
    """How long one person stays as they are; None: for ever."""
    _, (until,) = seen(configured(lead, **more), [({}, [Did(kind, AT - age, {}) for kind, age in done])], AT)
    return None if until == NEVER else timedelta(microseconds=until - micros(AT))


def model(**rule: Any) -> dict[str, Any]:
    base = {"name": "pages", "category": "fit", "activity": "page_view", "points": 20}
    return {"categories": {"fit": {}}, "rules": [base | rule]}


def test_who_did_nothing_never_changes_by_time() -> None:
    assert one(model(half_life="7d")) is None
    assert one(model()) is None


def test_a_window_ends_when_it_ends() -> None:
    assert one(model(within="30d"), ("page_view", 10 * DAY), ("page_view", 40 * DAY)) == 20 * DAY


def test_a_date_to_come_comes_near_and_passes() -> None:
    soon = model(activity="call")
    soon["rules"].append({"name": "soon", "category": "fit", "when": {"since": {"in_next": "5d"}}, "points": 3})

    def wait(ahead: timedelta) -> timedelta:
        _, (until,) = seen(configured(soon), [({"since": AT + ahead}, [])], AT)
        return timedelta(microseconds=until - micros(AT))

    assert [wait(days * DAY) for days in (12, 5, 2)] == [7 * DAY, 5 * DAY, 2 * DAY]


def test_silence_begins_when_it_begins() -> None:
    quiet = model(activity="call", no_activity_for="30d")
    assert one(quiet, ("call", 12 * DAY)) == 18 * DAY
    assert one(quiet, ("call", 31 * DAY)) is None


def test_decay_is_looked_at_when_a_half_point_can_be_gone_and_not_every_day() -> None:
    waits = one(model(half_life="365d"), ("page_view", timedelta(0)))
    assert waits is not None
    assert 13 * DAY < waits < 14 * DAY  # 20 points lose half a point in 13.3 days


def test_behaviour_and_what_is_to_come_count_too() -> None:
    assert one(model(activity="call"), ("page_view", 2 * DAY), behaviour=BEHAVIOUR) == 5 * DAY
    assert one(model(), ("page_view", -3 * DAY)) == 3 * DAY


def test_what_the_arithmetic_does_not_cover_is_looked_at_every_day() -> None:
    both = model(half_life="365d", exclusive="one")
    both["rules"].append(both["rules"][0] | {"name": "other", "points": -20})
    assert one(both, ("page_view", timedelta(0))) == DAY


@settings(max_examples=150, derandomize=True)
@given(
    st.sampled_from([-0.3, -0.02, 0.05, 0.3]),
    st.sampled_from(["7d", "30d", "365d"]),
    st.lists(st.sampled_from([0, 1, 6, 20, 90]), min_size=1, max_size=4),
    st.sampled_from([0.3, 0.9, 1.0]),
)
def test_nor_does_a_trained_probability_before_its_instant(
    weight: float, half_life: str, ages: list[int], part: float
) -> None:
    """The points of the rule itself hardly move; what they say of the outcome does."""
    lead = model(points=1, half_life=half_life)
    rule = lead["rules"][0]
    learned = {"rule": "pages", "text": Rule.model_validate(rule).text, "weight": weight * 10, "error": 0.1, "low": 0.0,
               "high": 3.0, "typical": 1.0, "given": 9}  # fmt: skip
    lead["categories"]["likely"] = {"max": 90, "model": trained(weights=[learned])}
    audience: Audience = [({}, [Did("page_view", AT - age * DAY, {}) for age in ages])]
    config = configured(lead, stages={"sql": {"when": {"score.lead.likely": {"at_least": 60}}}})
    now, (end,) = seen(config, audience, AT)
    wait = min(end - micros(AT), LONG // timedelta(microseconds=1))
    then, _ = seen(config, audience, AT + timedelta(microseconds=max(0, int(wait * part) - 1)))
    assert then == now
