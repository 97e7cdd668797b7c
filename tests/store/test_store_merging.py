"""Two people turn out to be one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import combinations_with_replacement, product

import pytest
from sqlalchemy import Connection

from leadbridge.store import Store, activities, audit, due, enrolments, leads, outbox, scores, suppressions
from leadbridge.types import Activity, ActivityKind, EnrolmentState, LifecycleStage, Score, SuppressionReason, email_key
from tests.helpers.store_people import NOW, intent, lead, move, people, person, ref

S = EnrolmentState
LATER = NOW + timedelta(hours=1)


def score(person_id: int, value: int, name: str = "lead", hours: int = 0) -> Score:
    return Score(person_id, name, value, None, {}, (), "model", NOW + timedelta(hours=hours))


def test_everything_the_one_had_the_other_has(store: Store) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1", "ada@acme.example"), person(tx, "2", "ada@home.example")
        call = Activity(ref("2").key, ActivityKind.CALL, NOW, "hubspot.calls", "7")
        activities.add_activities(tx, [call], NOW)
        outbox.want(tx, [outbox.Wanted(ref("2"), lose, {"score": "5"}, 1)], NOW)
        scores.save_scores(tx, [score(lose, 40, "customer")], NOW)
        enrolments.intend(tx, [intent(lose)], NOW)
        enrolments.hold_out(tx, [(lose, "tips")], NOW)
        due.mark_due(tx, [lose], NOW)

        leads.merge_people(tx, keep, lose, LATER)

        keys = [ref("1").key, ref("2").key, email_key("ada@acme.example"), email_key("ada@home.example")]
        assert leads.people_by_key(tx, keys) == dict.fromkeys(keys, keep)
        assert {record.ref for record in leads.records_of(tx, [keep])[keep]} == {ref("1"), ref("2")}
        assert activities.activities_of(tx, [keep]).kind == ["call"]
        (write,) = outbox.claim_writes(tx, "hubspot", limit=5, owner="w")
        assert (write.person_id, write.ref) == (keep, ref("2"))
        assert scores.current_scores(tx, [keep])[keep]["customer"].value == 40
        assert [change.value for change in scores.score_changes(tx, keep)] == [40]
        assert [row.state for row in enrolments.history(tx, [keep])[keep]] == [S.WANTED]
        assert enrolments.held_out(tx, [keep]) == {(keep, "tips")}
        assert leads.people(tx, [lose]) == {}
        assert [claim.person_id for claim in due.claim_due(tx, limit=5, owner="w")] == [keep]
        (note,) = audit.listing(tx)
        assert note.detail == {"kept": keep, "merged": lose, "records": [ref("2").key]}


def test_the_merged_person_is_united_anew(store: Store) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1", "ada@acme.example"), person(tx, "2", "ada@home.example")
        row = leads.people(tx, [keep])[keep]
        assert leads.save_people(tx, [row], NOW) == set()
        leads.merge_people(tx, keep, lose, LATER)
        assert leads.save_people(tx, [row], LATER) == {keep}


@pytest.mark.parametrize("opted_out", ["keep", "lose"])
def test_an_opt_out_of_either_is_one_of_both_and_ends_what_waits(store: Store, opted_out: str) -> None:
    with store.writing() as tx:
        keep = person(tx, "1", "ada@acme.example", opted_out=opted_out == "keep")
        lose = person(tx, "2", "ada@home.example", opted_out=opted_out == "lose")
        enrolments.intend(tx, [intent(keep), intent(lose, "tips")], NOW)
        leads.merge_people(tx, keep, lose, LATER)
        assert leads.people(tx, [keep])[keep].opted_out
        assert suppressions.suppressed(tx, store.vault, [keep]) == {keep: SuppressionReason.CRM_OPT_OUT}
        assert {row.state for row in enrolments.history(tx, [keep])[keep]} == {S.CANCELLED}


@pytest.mark.parametrize("address", ["ada@acme.example", "ada@home.example"])
def test_a_suppression_of_either_is_one_of_both_and_ends_what_waits(store: Store, address: str) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1", "ada@acme.example"), person(tx, "2", "ada@home.example")
        suppressions.suppress(tx, store.vault, [(address, SuppressionReason.BOUNCED, "mailchimp", NOW)], NOW)
        enrolments.intend(tx, [intent(keep), intent(lose, "tips")], NOW)
        leads.merge_people(tx, keep, lose, LATER)
        assert suppressions.suppressed(tx, store.vault, [keep]) == {keep: SuppressionReason.BOUNCED}
        assert {row.state for row in enrolments.history(tx, [keep])[keep]} == {S.CANCELLED}


WAYS = {
    S.WANTED: (), S.HELD: (S.HELD,), S.CHECKED: (S.CHECKED,), S.CALLING: (S.CHECKED, S.CALLING),
    S.DONE: (S.CHECKED, S.CALLING, S.DONE), S.REFUSED: (S.CHECKED, S.CALLING, S.REFUSED),
    S.UNCERTAIN: (S.CHECKED, S.CALLING, S.UNCERTAIN), S.CANCELLED: (S.CANCELLED,), S.EXPIRED: (S.EXPIRED,),
}  # fmt: skip


def enrolled(tx: Connection, state: EnrolmentState, journey: str = "guides") -> int:
    """A person with one enrolment brought to a state, by the only ways there are."""
    (made,) = people(tx, 1)
    enrolments.intend(tx, [intent(made, journey)], NOW)
    (row,) = enrolments.claim_enrolments(tx, [S.WANTED], limit=1, owner="w")
    at = S.WANTED
    for step in WAYS[state]:
        assert move(tx, row.id, row.token, at, step)
        at = step
    if state is S.WANTED:  # out of the way of the next claim
        enrolments.release(tx, [row], NOW + timedelta(days=30_000))
    return made


def test_of_two_enrolments_in_one_entry_the_further_one_keeps_it_and_neither_is_lost(store: Store) -> None:
    with store.writing() as tx:
        for ours, theirs in combinations_with_replacement(S, 2):
            keep, lose = enrolled(tx, ours), enrolled(tx, theirs)
            leads.merge_people(tx, keep, lose, LATER)
            rows = {row.entry: row.state for row in enrolments.history(tx, [keep])[keep]}
            pair = f"{ours} and {theirs}"
            assert sorted(rows) == [0, 1], pair
            assert rows[0] == max(ours, theirs, key=enrolments.ADVANCE.index), pair
            assert {ours, theirs} & enrolments.CONTACT <= set(rows.values()), pair
            assert rows[1] not in enrolments.WAITING, pair


KINDS = (S.WANTED, S.CHECKED, S.CALLING, S.UNCERTAIN, S.DONE, S.CANCELLED)


def test_of_two_different_journeys_no_wish_survives_beside_a_contact_or_another_wish(store: Store) -> None:
    with store.writing() as tx:
        for ours, theirs in product(KINDS, KINDS):
            keep, lose = enrolled(tx, ours, "guides"), enrolled(tx, theirs, "tips")
            leads.merge_people(tx, keep, lose, LATER)
            rows = {row.journey: row.state for row in enrolments.history(tx, [keep])[keep]}
            pair = f"{ours} and {theirs}"
            contact = {ours, theirs} & enrolments.CONTACT
            assert contact <= set(rows.values()), pair
            assert not (contact and set(rows.values()) & enrolments.WAITING), pair
            if ours in enrolments.WAITING and not contact:
                assert rows == {"guides": ours, "tips": S.CANCELLED}, pair
            if theirs in enrolments.WAITING and ours is S.CANCELLED:
                assert rows == {"guides": ours, "tips": theirs}, pair


def test_a_call_under_way_can_still_tell_how_it_ended(store: Store) -> None:
    with store.writing() as tx:
        keep, lose = enrolled(tx, S.DONE), person(tx, "2")
        enrolments.intend(tx, [intent(lose)], NOW)
        (row,) = enrolments.claim_enrolments(tx, [S.WANTED], limit=1, owner="w")
        assert move(tx, row.id, row.token, S.WANTED, S.CHECKED)
        assert move(tx, row.id, row.token, S.CHECKED, S.CALLING)
        leads.merge_people(tx, keep, lose, LATER)
        assert move(tx, row.id, row.token, S.CALLING, S.DONE)
        assert [(row.entry, row.state) for row in enrolments.history(tx, [keep])[keep]] == [(0, S.DONE), (1, S.DONE)]


@pytest.mark.parametrize("mine", [1, 4])
@pytest.mark.parametrize("theirs", [1, 4])
def test_versions_only_grow_so_that_no_older_write_wins(store: Store, mine: int, theirs: int) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1"), person(tx, "2")
        for hour in range(mine):
            scores.save_scores(tx, [score(keep, hour, hours=hour)], LATER + timedelta(days=1))
        for hour in range(theirs):
            scores.save_scores(tx, [score(lose, hour + 50, hours=hour)], LATER + timedelta(days=1))
            scores.save_scores(tx, [score(lose, hour + 50, "customer", hour)], LATER + timedelta(days=1))
        before = scores.versions(tx, [keep, lose])
        leads.merge_people(tx, keep, lose, LATER)
        after = scores.versions(tx, [keep])[keep]
        assert after >= max(before.values())
        assert scores.current_scores(tx, [keep])[keep]["lead"].value == mine - 1


def standing(person_id: int, stage: LifecycleStage | None) -> scores.Standing:
    return scores.Standing(person_id, stage, NOW, None)


@pytest.mark.parametrize(
    ("mine", "theirs", "kept"),
    [
        (LifecycleStage.LEAD, LifecycleStage.SQL, LifecycleStage.SQL),
        (LifecycleStage.SQL, LifecycleStage.LEAD, LifecycleStage.SQL),
        (None, LifecycleStage.MQL, LifecycleStage.MQL),
    ],
)
def test_the_further_stage_stays(
    store: Store, mine: LifecycleStage | None, theirs: LifecycleStage, kept: LifecycleStage
) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1"), person(tx, "2")
        scores.save_standings(tx, [standing(lose, theirs)] + ([standing(keep, mine)] if mine else []), NOW)
        before = scores.versions(tx, [keep, lose])
        leads.merge_people(tx, keep, lose, LATER)
        assert scores.standings(tx, [keep])[keep].stage == kept
        assert scores.versions(tx, [keep])[keep] >= max(before.values())


def test_a_merge_waits_for_whoever_is_deciding_who_is_who(store: Store) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1"), person(tx, "2")
    decided = threading.Event()

    def decide() -> None:
        with store.writing() as tx:
            owner = leads.people_by_key(tx, [ref("2").key])[ref("2").key]
            decided.set()
            time.sleep(0.1)
            leads.save_records(tx, [(owner, lead("3"))], LATER)

    def merge() -> None:
        decided.wait(5)
        with store.writing() as tx:
            leads.merge_people(tx, keep, lose, LATER)

    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(decide), pool.submit(merge)]:
            job.result()
    with store.reading() as tx:
        assert {record.ref for record in leads.records_of(tx, [keep])[keep]} == {ref("1"), ref("2"), ref("3")}


def test_nobody_is_merged_with_themselves_or_with_nobody(store: Store) -> None:
    with store.writing() as tx:
        ada = person(tx, "1")
        with pytest.raises(ValueError, match="cannot be merged with itself"):
            leads.merge_people(tx, ada, ada, NOW)
        with pytest.raises(ValueError, match=f"cannot merge person {ada + 9} into {ada}: {ada + 9} is not there"):
            leads.merge_people(tx, ada, ada + 9, NOW)


def test_a_worker_that_still_holds_the_merged_person_can_store_nothing_beside_them(store: Store) -> None:
    with store.writing() as tx:
        keep, lose = person(tx, "1"), person(tx, "2")
        due.mark_due(tx, [lose], NOW)
        claims = due.claim_due(tx, limit=1, owner="w")
        leads.merge_people(tx, keep, lose, LATER)
        assert due.still_held(tx, claims) == []
    with pytest.raises(Exception, match=r"(?i)foreign key"), store.writing() as tx:
        enrolments.intend(tx, [intent(lose)], NOW)
