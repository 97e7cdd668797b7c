"""Questions about everybody."""

from leadbridge.store import Store, enrolments, leads, leases, ranking, scores, suppressions
from leadbridge.store.leases import SECONDS
from leadbridge.types import EnrolmentState, LifecycleStage, Score, SuppressionReason
from tests.helpers.store_people import NOW, intent, move, people, person


def scored(store: Store, *values: tuple[int, str | None]) -> list[int]:
    with store.writing() as tx:
        ids = people(tx, len(values))
        rows = [
            Score(who, "lead", value, grade, {}, (), "model", NOW)
            for who, (value, grade) in zip(ids, values, strict=True)
        ]
        scores.save_scores(tx, rows, NOW)
    return ids


def test_the_best_come_first_in_one_order_on_every_store(store: Store) -> None:
    a, b, c, d, e = scored(store, (40, None), (90, "B"), (40, "b"), (40, "A"), (40, "A"))
    with store.reading() as tx:
        assert [row.person_id for row in ranking.best(tx, "lead", 10)] == [b, d, e, c, a]
        assert [row.person_id for row in ranking.best(tx, "lead", 1)] == [b]
        assert ranking.best(tx, "customer", 10) == []


def test_a_ranked_person_comes_with_where_they_stand(store: Store) -> None:
    (ada,) = scored(store, (40, "A"))
    with store.writing() as tx:
        leads.save_people(tx, [leads.PersonRow(ada, "ada@acme.example", {"job": "head"})], NOW)
        standing = scores.Standing(ada, LifecycleStage.MQL, NOW, None, reasons={"lead": "pricing page +8"})
        scores.save_standings(tx, [standing], NOW)
        row = ranking.Ranked(ada, "ada@acme.example", 40, "A", "mql", None, "pricing page +8", {"job": "head"})
        assert ranking.standing(tx, "lead", [ada, ada + 1]) == {ada: row}
        assert ranking.between(tx, "lead", 40, 50, 5) == [row]
        assert ranking.between(tx, "lead", 41, 50, 5) == []


def test_only_those_we_may_mail_are_counted_as_contactable(store: Store) -> None:
    with store.writing() as tx:
        person(tx, "1", "ada@acme.example")
        person(tx, "2", "bob@acme.example", opted_out=True)
        person(tx, "3", "eve@acme.example")
        people(tx, 1)
        left = [("eve@acme.example", SuppressionReason.UNSUBSCRIBED, "mailchimp", NOW)]
        suppressions.suppress(tx, store.vault, left, NOW)
        assert (ranking.people(tx), ranking.contactable(tx)) == (4, 1)


def test_journeys_are_counted_by_state_with_those_held_out(store: Store) -> None:
    with store.writing() as tx:
        ada, bob, eve = people(tx, 3)
        enrolments.intend(tx, [intent(ada), intent(bob), intent(eve, "tips")], NOW)
        enrolments.cancel_waiting(tx, [bob], "left", NOW)
        enrolments.hold_out(tx, [(eve, "guides"), (eve, "offers")], NOW)
        assert ranking.journeys(tx) == {
            "guides": {"wanted": 1, "cancelled": 1, "held_out": 1},
            "tips": {"wanted": 1},
            "offers": {"held_out": 1},
        }


def test_once_all_holders_are_proven_dead_every_lease_is_free(store: Store) -> None:
    with store.writing() as tx:
        enrolments.intend(tx, [intent(who) for who in people(tx, 2)], NOW)
        waiting, called = enrolments.claim_enrolments(tx, [EnrolmentState.WANTED], limit=2, owner="dead")
        assert move(tx, called.id, called.token, EnrolmentState.WANTED, EnrolmentState.CHECKED)
        assert move(tx, called.id, called.token, EnrolmentState.CHECKED, EnrolmentState.CALLING)
        assert leases.take(tx, "beat", "dead", SECONDS) is not None
        leases.end_all(tx)
        assert leases.take(tx, "beat", "alive") is not None
        again = enrolments.claim_enrolments(tx, [EnrolmentState.WANTED], limit=5, owner="alive")
        assert [row.id for row in again] == [waiting.id]
        assert enrolments.strand_expired(tx) == 1
