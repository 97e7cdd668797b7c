"""What Hypothesis draws: conditions, rules, models, people with unknowns, and activities around every boundary."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

from hypothesis import strategies as st

from leadbridge.config.behaviour import OF_VALUE, Behaviour, Take
from leadbridge.config.scores import Rule, ScoreModel
from leadbridge.config.trained import Trained, sealed
from leadbridge.types import Value
from tests.scoring.reference import Did

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
TYPES = {
    "title": "text",
    "size": "integer",
    "money": "number",
    "vip": "boolean",
    "since": "datetime",
    "day": "date",
    "empty": "text",
}
DAYS = (1, 7, 30)

WORDS = ["VP", "vp sales", "chief", "straße", "STRASSE", "apple", "Apple ", "5", "5.0", "true", "ＶＰ", "c++", "é"]
TEXTS = [*WORDS, " Head of\u00a0Sales ", "VP  Sales, EMEA", "mischief", "chief_officer", "", "  ", "1e3", "nan"]
TEXTS += [
    "-3.5",
    "1_000",
    "2026-02-01",
    "2026-03-01T12:30:00+00:00",
    "yes",
    "0",
    "c++11",
    "vice-president",
    "e\u0301",
    "France",
    " FR",
]

PATTERNS = ["^VP", "sales$", r"c\+\+(11)?", "É", "[a-e]pple", "(chief|head)", r"^\d+$", "^.{2}$", "e.?f", "x*$"]
"""What RE2 and Python's engine read alike."""

INSTANTS = [
    AT + sign * (timedelta(days=days) + timedelta(microseconds=micro))
    for sign in (-1, 1)
    for days in (0, *DAYS, 14)
    for micro in (-1, 0, 1, 3_600_000_000)
]
NUMBERS = [-100.0, -3.5, 0.0, 0.25, 1.0, 5.0, 49.5, 1000.0]
ODDITIES: list[Value] = [None, float("nan"), float("inf"), True, 5, "5", "", date(2026, 2, 1), 10**400]
numbers = st.sampled_from(NUMBERS)
texts = st.sampled_from(TEXTS)
facts: st.SearchStrategy[dict[str, Value]] = st.fixed_dictionaries(
    {
        "title": st.sampled_from([*TEXTS, *ODDITIES]),
        "size": st.sampled_from([*map(int, NUMBERS), *ODDITIES]),
        "money": st.sampled_from([*NUMBERS, *ODDITIES]),
        "vip": st.sampled_from([True, False, *ODDITIES]),
        "since": st.sampled_from([*INSTANTS, *ODDITIES]),
        "day": st.sampled_from([*(at.date() for at in INSTANTS), *ODDITIES]),
    },
)

scalars = st.one_of(texts, st.booleans(), numbers, st.sampled_from([0, 1, 5, 1000]))
durations = st.sampled_from([f"{days}d" for days in DAYS])
one_or_many = texts | st.lists(texts, min_size=1, max_size=3)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "equals": scalars,
    "is_not": scalars,
    "in": st.lists(scalars, min_size=1, max_size=3) | st.just("country_fr"),
    "not_in": st.lists(scalars, min_size=1, max_size=3) | st.just("country_fr"),
    "at_least": numbers,
    "at_most": numbers,
    "above": numbers,
    "below": numbers,
    "between": st.tuples(numbers, numbers).map(sorted),
    "words": st.lists(texts | st.just("job_level_vp"), min_size=1, max_size=3),
    "matches": st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2),
    "contains": one_or_many,
    "starts_with": one_or_many,
    "ends_with": one_or_many,
    "present": st.booleans(),
    "within": durations,
    "older_than": durations,
    "in_next": durations,
}


@st.composite
def tests(draw: st.DrawFn) -> Any:
    """What may stand beside a field: one test, two together, or a bare value."""
    names = draw(st.sampled_from([*SINGLE, *PAIRS]))
    given: Any = {name: draw(ARGUMENTS[name]) for name in names}
    if len(given) > 1:  # both may hold
        if "at_least" in given:
            given["below"] = max(given["below"], given["at_least"] + 0.25)
        if "present" in given:
            given["present"] = True
    return given if names else draw(scalars)


SINGLE = [(name,) for name in ARGUMENTS] + [()]
PAIRS = [("at_least", "below"), ("words", "is_not"), ("present", "equals"), ("within", "present"), ("in", "contains")]


@st.composite
def leaves(draw: st.DrawFn, fields: list[str]) -> dict[str, Any]:
    """One field and its test, or two."""
    return {draw(st.sampled_from(fields)): draw(tests()) for _ in range(draw(st.sampled_from([1, 1, 2])))}


def conditions(fields: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Conditions on these fields, as written in the file."""
    return st.recursive(
        leaves(fields),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
            inner.map(lambda part: {"not": part}),
        ),
        max_leaves=4,
    )


on_people = conditions(list(TYPES))
on_activities = conditions(["url", "value"])

KINDS = ["page_view", "call", "purchase"]
points = st.sampled_from([-50.0, -10.0, -0.1, 0.0, 0.5, 3.3, 8.0, 15.0, 60.0])
URLS: list[Value] = [*TEXTS, *ODDITIES]
VALUES: list[Value] = [*NUMBERS, *ODDITIES, "12.5", "apple"]
activities = st.builds(
    Did,
    st.sampled_from([*KINDS, "other"]),
    st.sampled_from(INSTANTS),
    # One draw for both attributes: drawing is what takes the time.
    st.sampled_from([{}, *({"url": url, "value": value} for url in URLS for value in VALUES)]),
)


STEPS: list[dict[str, float]] = [{"7d": 1, "30d": 0.5, "90d": 0.1}, {"1d": 0.3}, {"30d": 0, "1h": 0.99}]
decays = st.one_of(
    st.fixed_dictionaries({"half_life": durations}),
    st.fixed_dictionaries({}, optional={"floor": st.sampled_from([0.2, 0.9]), "pause_while": on_people}).flatmap(
        lambda more: st.one_of(
            durations.map(lambda half: {"half_life": half, **more}),
            st.sampled_from(STEPS).map(lambda steps: {"steps": steps, **more}),
        )
    ),
)
"""Ways for a rule's points to become less with age."""


@st.composite
def rules(draw: st.DrawFn, index: int) -> dict[str, Any]:
    """One rule of any sort."""
    rule: dict[str, Any] = {
        "name": f"rule {index}",
        "category": draw(st.sampled_from(["fit", "engagement"])),
        "points": draw(points),
    }
    sort = draw(st.sampled_from(["attribute", "activity", "activity", "threshold", "silence"]))
    if sort == "attribute" or draw(st.integers(0, 3)) == 0:
        rule["when"] = draw(on_people)
    if draw(st.integers(0, 2)) == 0:
        rule["exclusive"] = draw(st.sampled_from(["one", "two"]))
    if sort == "silence":
        rule["no_activity_for"] = draw(durations)
        optional: dict[str, st.SearchStrategy[Any]] = {
            "activity": st.lists(st.sampled_from(KINDS), min_size=1, max_size=2)
        }
    elif sort == "attribute":
        return rule
    else:
        rule["activity"] = draw(st.sampled_from(KINDS) | st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
        optional = {"within": durations, "cap": st.sampled_from([0.5, 12.0])}
        if sort == "threshold":
            rule["at_least"] = draw(st.integers(1, 3))
        else:
            rule |= draw(decays) if draw(st.integers(0, 1)) else {}
            optional |= {"each": st.just("value"), "at_most": st.integers(1, 3)}
        chosen = draw(st.sampled_from(["", "", "distinct", "first_only"]))
        if chosen == "distinct":
            rule["distinct"] = draw(st.sampled_from(["url", "value"]))
        elif chosen and sort == "activity":
            rule["first_only"] = True
            del optional["at_most"]
        if draw(st.integers(0, 2)) == 0:
            rule["sequence"] = {"then": draw(st.sampled_from(KINDS)), "within": draw(durations)}
            if draw(st.integers(0, 3)) == 0:
                rule["sequence"]["where"] = draw(on_activities)
    rule |= draw(st.fixed_dictionaries({}, optional=optional))
    if "activity" in rule and draw(st.integers(0, 2)) == 0:
        rule["where"] = draw(on_activities)
    return rule


WEIGHTS = st.sampled_from([-0.5, -0.04, 0.0, 0.013, 0.3])


@st.composite
def trained(draw: st.DrawFn, rules: list[dict[str, Any]]) -> Trained:
    """A model of some of these rules, as if it had been learned."""
    weights = []
    for rule in rules[: draw(st.integers(1, len(rules)))]:
        low, high = sorted((draw(st.sampled_from([-30.0, 0.0])), draw(st.sampled_from([0.0, 5.5, 60.0]))))
        weights.append(
            {"rule": rule["name"], "text": Rule.model_validate(rule).text, "weight": draw(WEIGHTS), "error": 0.1,
             "low": low, "high": high, "typical": 1.0, "given": 9}
        )  # fmt: skip
    looked = [{"at": "2026-01-01", "people": 90, "became": 9, "held_out": held} for held in (False, True)]
    figures = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "average_precision": 0.3}
    return sealed(
        score="lead", rules="-", reaches="customer", within=7776000.0, trained_at="2026-02-01", looked=looked,
        share=draw(st.sampled_from([0.02, 0.4])), intercept=draw(st.sampled_from([-4.0, 0.0])), weights=weights,
        confidence=0.95, held_out=figures, by_hand=figures,
    )  # fmt: skip


@st.composite
def raw_models(draw: st.DrawFn) -> dict[str, Any]:
    """A whole score, as written in the file."""
    count = draw(st.integers(1, 5))
    raw: dict[str, Any] = {
        "categories": {
            "fit": draw(st.sampled_from([{}, {"max": 40}, {"min": -20, "max": 12.5}, {"min": 3, "max": 5}])),
            "engagement": draw(st.sampled_from([{}, {"max": 100, "min": -100}, {"max": 0.3}])),
        },
        "rules": [draw(rules(index)) for index in range(count)],
        "grades": draw(st.sampled_from([{}, {"A": 30, "B": 15, "C": 3.3}, {"up": 0, "down": -5}])),
    }
    if raw["grades"]:
        raw |= draw(st.sampled_from([{}, {"matrix": {}}, {"matrix": {"figures": {"1": 12.5, "2": 0.1}}}]))
    raw |= draw(st.sampled_from([{}, {}, {"max": 10}, {"min": -50, "max": 250}, {"min": 3, "max": 12}]))
    if draw(st.integers(0, 3)) == 0:
        raw["applies_to"] = draw(on_people)
    if draw(st.booleans()):
        raw["categories"]["likely"] = {"max": draw(st.sampled_from([10, 33.3])), "model": draw(trained(raw["rules"]))}
    return raw


models = raw_models().map(ScoreModel.model_validate)


audiences = st.lists(st.tuples(facts, st.lists(activities, max_size=6)), max_size=3)
"""People in a row: facts and activities of each."""


@st.composite
def behaviours(draw: st.DrawFn) -> Behaviour:
    """One field worked out from what people did."""
    counted: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"of": st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)},
        optional={"within": durations, "where": on_activities},
    )
    raw = draw(counted) | {"take": draw(st.sampled_from(get_args(Take)))}
    if raw["take"] in OF_VALUE:
        raw["value"] = draw(st.sampled_from(["url", "value"]))
    elif raw["take"] == "count" and draw(st.booleans()):
        raw["per"] = draw(counted)
    if raw["take"] == "distinct" and draw(st.booleans()):
        raw["without"] = draw(counted)
    return Behaviour.model_validate(raw)


BEHAVED = ("did_a", "did_b")
multiplied = st.fixed_dictionaries(
    {"each": st.sampled_from(["money", "size", "did_a", "score.base", "score.base.fit"]), "points": points},
    optional={"cap": st.sampled_from([0.5, 12.0]), "when": conditions(["did_a", "did_b", "score.base", "grade.base"])},
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Behaviour], dict[str, ScoreModel]]:
    """Behaviour, a score, and one that takes both up."""
    behaviour = {name: draw(behaviours()) for name in BEHAVED}
    lead = draw(raw_models())
    for index, rule in enumerate(draw(st.lists(multiplied, min_size=1, max_size=3))):
        if rule["each"] == "did_a" and behaviour["did_a"].type != "number":
            rule["each"] = "score.base"
        lead["rules"].append(rule | {"name": f"taken up {index}", "category": "engagement"})
    return behaviour, {"lead": ScoreModel.model_validate(lead), "base": draw(models)}
