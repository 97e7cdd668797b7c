"""What was known of people when: the store answers for any past instant, and never with what came later."""

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from leadbridge.store import Store, history, leads
from leadbridge.store.scores import Standing, save_standings
from leadbridge.types import LifecycleStage, Past, Value
from tests.helpers.store_people import NOW, people

HOUR = timedelta(hours=1)


def say(store: Store, person: int, title: str | None, at: datetime, since: datetime | None = None) -> None:
    attributes: dict[str, Value] = {} if title is None else {"title": title}
    with store.writing() as tx:
        leads.save_people(tx, [leads.PersonRow(person, None, attributes, valid_from=since)], at)


def title(store: Store, person: int, at: datetime) -> Value:
    with store.reading() as tx:
        found = history.known_at(tx, [person], at)
    return found[person].attributes.get("title") if person in found else "nobody"


def somebody(store: Store) -> int:
    with store.writing() as tx:
        return people(tx, 1)[0]


def test_a_value_is_known_from_when_the_crm_says_it_was_so_until_the_next(store: Store) -> None:
    ada = somebody(store)
    say(store, ada, "engineer", NOW, since=NOW - 10 * HOUR)
    say(store, ada, "director", NOW + 5 * HOUR, since=NOW + 2 * HOUR)
    say(store, ada, "director", NOW + 6 * HOUR, since=NOW + 6 * HOUR)  # no change, no history
    told = [title(store, ada, NOW + hours * HOUR) for hours in (-11, -10, 1.99, 2, 9)]
    assert told == ["nobody", "engineer", "engineer", "director", "director"]


def test_a_word_of_the_crm_that_is_older_than_what_we_know_counts_from_now(store: Store) -> None:
    ada = somebody(store)
    say(store, ada, "engineer", NOW, since=NOW - HOUR)
    say(store, ada, None, NOW + HOUR, since=NOW - HOUR)  # a record went away: nothing newer was modified
    assert [title(store, ada, at) for at in (NOW, NOW + HOUR)] == ["engineer", None]


@settings(max_examples=25, derandomize=True)
@given(changes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), min_size=1, max_size=6))
def test_what_was_known_is_what_the_newest_word_by_then_said(store: Store, changes: list[tuple[str, int]]) -> None:
    ada = somebody(store)
    start = NOW
    told: list[tuple[datetime, str]] = []
    for step, (word, since) in enumerate(changes):
        at = start + step * HOUR
        if told and told[-1][1] == word:
            continue
        say(store, ada, word, at, since=at - since * HOUR / 10)
        claimed = at - since * HOUR / 10
        told.append((claimed if not told or claimed > told[-1][0] else max(at, told[-1][0]), word))
    assert title(store, ada, told[0][0] - timedelta(microseconds=1)) == "nobody"
    for (began, word), (until, _) in pairwise([*told, (start + 100 * HOUR, "")]):
        assert title(store, ada, began) == word
        assert title(store, ada, until - timedelta(microseconds=1)) == word


def test_two_people_who_are_one_keep_both_pasts(store: Store) -> None:
    ada, twin = somebody(store), somebody(store)
    say(store, twin, "engineer", NOW)
    say(store, ada, "director", NOW + 2 * HOUR)
    with store.writing() as tx:
        leads.merge_people(tx, ada, twin, NOW + 3 * HOUR)
        leads.save_people(tx, [leads.PersonRow(ada, None, {"title": "director"})], NOW + 3 * HOUR)
    assert [title(store, ada, NOW + hours * HOUR) for hours in (1, 2.5, 4)] == ["engineer", "director", "director"]


def test_the_stage_of_a_past_instant_is_known_with_its_beginning(store: Store) -> None:
    ada = somebody(store)
    with store.writing() as tx:
        for hours, stage in ((0, LifecycleStage.LEAD), (2, LifecycleStage.MQL)):
            save_standings(tx, [Standing(ada, stage, None, None)], NOW + hours * HOUR)
    with store.reading() as tx:
        assert history.stages_at(tx, [ada], NOW - HOUR) == {}
        assert history.stages_at(tx, [ada], NOW + HOUR) == {ada: (LifecycleStage.LEAD, NOW)}
        assert history.stages_at(tx, [ada], NOW + 9 * HOUR) == {ada: (LifecycleStage.MQL, NOW + 2 * HOUR)}


@settings(max_examples=40, derandomize=True)
@given(
    crm=st.dictionaries(st.integers(-20, -1), st.sampled_from([None, "a", "b"]), min_size=1, max_size=5),
    other=st.dictionaries(st.integers(-20, -1), st.sampled_from([None, "c"]), max_size=3),
)
def test_what_a_record_held_before_we_read_it_fills_what_nobody_told_and_overrides_nothing(
    store: Store, crm: dict[int, str | None], other: dict[int, str | None]
) -> None:
    ada = somebody(store)
    for hour in sorted(other):
        say(store, ada, other[hour], NOW + hour * HOUR, since=NOW + hour * HOUR)
    say(store, ada, "now", NOW, since=NOW)
    past = [Past(NOW + hour * HOUR, None, {"title": crm[hour]}) for hour in crm]
    for _ in range(2):
        with store.writing() as tx:
            history.bring(tx, [(ada, past, True)], NOW)
        for hour in range(-21, 1):
            known = [line[max(by)] for line in (other, crm) if (by := [at for at in line if at <= hour])]
            expected = "now" if hour == 0 else next(filter(None, known), None) if known else "nobody"
            assert title(store, ada, NOW + hour * HOUR) == expected


def test_of_a_record_that_was_known_the_past_reaches_no_further_than_what_was_known(store: Store) -> None:
    ada = somebody(store)
    say(store, ada, None, NOW, since=NOW - 5 * HOUR)
    say(store, ada, "director", NOW + HOUR, since=NOW + HOUR)
    past = [Past(NOW - hours * HOUR, None, {"title": title}) for hours, title in ((9, "clerk"), (3, "engineer"))]
    with store.writing() as tx:
        history.bring(tx, [(ada, past, False)], NOW)
    told = [title(store, ada, NOW - hours * HOUR) for hours in (10, 9, 6, 5, 2, -1)]
    assert told == ["nobody", "clerk", "clerk", None, None, "director"]
