"""Variants of a journey: drawn once, noted in the ledger, each started and left by its own means, and compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from leadbridge.sandbox.mailchimp.state import hash_of
from leadbridge.store import Store, due
from leadbridge.types import EnrolmentState
from nurture.holdout import held_out
from sync import outcomes
from tests.helpers.syncing import FITS, TAG, TRIGGER_ADDRESS, Stage, configuration, moving, stage
from tests.sync.test_sync_outcomes import MEASUREMENT, NOW, START, History

S = EnrolmentState
SHORT = {"name": "short", "mailchimp": {"tag": "lb-short", "exit_tag": "lb-short-out"}}
LONG = {"name": "long", "mailchimp": {"merge_field": "LBNEXT=long", "exit_tag": "lb-long-out"}}
CALL = {"name": "call", "mailchimp": {"trigger": TRIGGER_ADDRESS}}
NUMBERS = {"short": 21, "long": 22}
MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)


def guides(*shares: float, ways: tuple[dict[str, Any], ...] = (SHORT, LONG, CALL), **more: Any) -> dict[str, Any]:
    variants = [way | {"share": share} for way, share in zip(ways, shares, strict=False)]
    return {"name": TAG, "variants": variants, "when": FITS} | more


@contextmanager
def three_ways(store: Store, journey: dict[str, Any]) -> Iterator[Stage]:
    with stage(store, journey) as made:
        made.sandbox.mailchimp.add_journey(21, "short", tag="lb-short", exit_tag="lb-short-out", reentry=True)
        made.sandbox.mailchimp.add_journey(22, "long", merge_field="LBNEXT=long", exit_tag="lb-long-out", reentry=True)
        yield made


def entries(made: Stage, number: int) -> int:
    return sum(effect["journey"] == number for effect in made.effects("journey_entered"))


def test_each_variant_is_started_by_its_own_means_and_stands_in_the_ledger(store: Store) -> None:
    with three_ways(store, guides(0.4, 0.3, 0.3)) as made:
        for n in range(30):
            made.lead(f"lead{n}@acme.example")
        done = made.sync()
        ledger = made.ledger()
        assert done.enrolled.enrolled == len(ledger) == 30
        assert {row.state for row in ledger} == {S.DONE}
        by_variant = {name: [row for row in ledger if row.variant == name] for name in ("short", "long", "call")}
        assert all(len(rows) >= 3 for rows in by_variant.values())
        for name, number, trigger in (("short", 21, "lb-short"), ("long", 22, "LBNEXT=long"),
                                      ("call", 12, TRIGGER_ADDRESS)):  # fmt: skip
            assert entries(made, number) == len(by_variant[name])
            assert {row.trigger for row in by_variant[name]} == {trigger}
            assert {row.way for row in by_variant[name]} == {f"{TAG} / {name}"}
        made.sync()
        assert sum(made.entered().values()) == 30


def test_a_lost_answer_is_settled_by_the_proof_of_the_variant_that_was_started(store: Store) -> None:
    with three_ways(store, guides(0.5, 0.5)) as made:
        for n in range(8):
            made.lead(f"lead{n}@acme.example")
        made.until_enrol()
        made.fault("reset_after", "members.tags", times=3)
        made.fault("reset_after", "members.patch", times=3)
        made.enrol()
        for _ in range(3):
            made.enrol()
        assert {row.state for row in made.ledger()} == {S.DONE}
        assert set(made.entered().values()) == {1}


def test_whoever_leaves_is_taken_out_by_the_tag_of_their_variant_also_after_the_shares_changed(store: Store) -> None:
    ends: dict[str, Any] = {"until": {"job_title": {"words": ["director"]}}, "lasts": "20d"}
    with three_ways(store, guides(0.5, 0.5, **ends)) as made, moving(made, MONDAY) as time:
        records = {f"lead{n}@acme.example": made.lead(f"lead{n}@acme.example") for n in range(8)}
        made.sync()
        drawn = {row.address: row.variant for row in made.ledger()}
        assert set(drawn.values()) == {"short", "long"}
        # All to the first from now on: who is in the other stays there, and leaves by its tag.
        made.config = configuration(made.sandbox.url, guides(1.0, 0.0, **ends))
        made.parts = made.worker("w2")
        time.on(days=1)
        for record in records.values():
            made.edit(record, jobtitle="Director")
        made.sync()
        assert {row.address: row.variant for row in made.ledger()} == drawn
        assert {row.reason_out for row in made.ledger()} == {"its `until` holds"}
        told = {(effect["email_hash"], effect["tag"]) for effect in made.effects("tag_added")}
        left = {(effect["email_hash"], effect["journey"]) for effect in made.effects("journey_left")}
        assert {one for one in told if one[1].endswith("-out")} == {
            (hash_of(address), f"lb-{variant}-out") for address, variant in drawn.items()
        }
        assert left == {(hash_of(address), NUMBERS[variant]) for address, variant in drawn.items()}


def test_who_enters_once_more_gets_the_variant_they_had(store: Store) -> None:
    with three_ways(store, guides(0.5, 0.5, re_enter_after="10d")) as made, moving(made, MONDAY) as time:
        for n in range(8):
            made.lead(f"lead{n}@acme.example")
        made.sync()
        first = {row.address: row.variant for row in made.ledger()}
        made.config = configuration(made.sandbox.url, guides(0.0, 1.0, re_enter_after="10d"))
        made.parts = made.worker("w2")
        made.lead("late@acme.example")
        time.on(days=11)
        with store.writing() as tx:
            due.mark_due(tx, [row.person_id for row in made.ledger()], made.now())
        made.sync()
        again = {row.address: row.variant for row in made.ledger() if row.entry == 2}
        assert again == first
        assert [row.variant for row in made.ledger() if row.address == "late@acme.example"] == ["long"]
        assert set(made.entered().values()) == {1, 2}


# --- the comparison --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [0.08, 0.0])
def test_what_one_variant_does_better_is_inside_its_interval(store: Store, effect: float) -> None:
    """3,000 people: 10 of 100 buy when kept out, 14 in the short form, and in the long one `effect` more than that."""
    config = configuration(
        "http://127.0.0.1:9", guides(0.5, 0.5, holdout="20%"), measurement=MEASUREMENT | {"costs": []}
    )
    rng, history = np.random.default_rng(41), History(store)
    for n in range(1, 3001):
        history.person(n)
        key = f"email:p{n}@acme.example"
        at = START + timedelta(days=float(rng.uniform(0, 60)))
        treated = not held_out(key, TAG, 0.2)
        history.drawn(n, at, treated=treated)
        long = bool(rng.random() < 0.5)
        if treated:
            history.rows["enrolments"][-1]["variant"] = "long" if long else "short"
        if rng.random() < (0.10 if not treated else 0.14 + effect * long):
            history.stage(n, "customer", at + timedelta(days=float(rng.uniform(1, 89))))
    history.save()
    with store.reading() as tx:
        (found,) = outcomes.journeys(tx, config, NOW)
    short, longer = found.variants
    assert (short.variant, longer.variant) == ("short", "long")
    assert short.people.people + longer.people.people == found.treated.people
    assert short.people.successes + longer.people.successes == found.treated.successes
    assert short.against_first is None
    up = longer.against_first
    assert up is not None
    assert up.low <= effect <= up.high
    assert up.always_low <= effect <= up.always_high
    assert up.decided is (effect > 0)
    assert longer.against_kept_out is not None
    assert longer.against_kept_out.low <= 0.04 + effect <= longer.against_kept_out.high


def test_a_person_counts_for_the_variant_of_the_first_entry_only(store: Store) -> None:
    config = configuration("http://127.0.0.1:9", guides(0.5, 0.5), measurement=MEASUREMENT | {"costs": []})
    history = History(store)
    history.person(1)
    history.drawn(1, START, treated=True)
    history.rows["enrolments"][-1]["variant"] = "short"
    history.drawn(1, START + timedelta(days=1), treated=True)
    history.rows["enrolments"][-1] |= {"variant": "long", "entry": 2}
    history.save()
    with store.reading() as tx:
        (found,) = outcomes.journeys(tx, config, NOW)
    assert [one.people.people for one in found.variants] == [1, 0]
