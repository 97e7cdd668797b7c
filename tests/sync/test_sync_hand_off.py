"""People handed over to people: once per crossing, to who has room, followed up, and back again (rows 40-48, N11-N14).

Real rooms over HTTP, both databases, time that stands still until it is moved.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.hubspot.connector import HubSpot
from leadbridge import clock
from leadbridge.store import Store, activities, alerts, hand_offs, merging, scores
from leadbridge.store.tables import alerts as alert_table
from leadbridge.store.tables import hand_offs as table
from leadbridge.types import Activity, ActivityKind, EnrolmentState, email_key
from nurture.hand_off import HAND_OFF
from sync import explain, receivers
from tests.helpers import rooms
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.syncing import BASE, TAG, Moving, Stage, journey, moving, stage

FIELDS = BASE["fields"] | {
    "budget": {"hubspot": "annualrevenue", "type": "number"},
    "owner": {"hubspot": "hubspot_owner_id"},
    "lead_status": {"hubspot": "hs_lead_status"},
    "why_not": {"hubspot": "message"},
    "country": {"hubspot": "country"},
}
STAGES = {
    "sql": {
        "when": {
            "score.lead": {"at_least": 50},
            "budget": {"at_least": 1000},
            "not": {"hand_off": {"in": ["rejected", "lost"]}},
        },
        "until": {"any": [{"score.lead": {"below": 30}}, {"hand_off": {"in": ["rejected", "lost"]}}]},
    }
}
READY = {"jobtitle": "Director", "annualrevenue": "5000"}


@pytest.fixture
def chat() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


class Company:
    """A company whose sales people are told by the chat."""

    def __init__(self, made: Stage, time: Moving, chat: Receiver) -> None:
        self.made, self.time, self.chat = made, time, chat

    def round(self, **later: float) -> receivers.Handed:
        """Time passes, then one round."""
        self.time.on(**(later or {"seconds": 1}))
        return self.made.sync().handed

    def rows(self) -> list[hand_offs.HandOff]:
        with self.made.store.reading() as tx:
            return [hand_offs._row(row) for row in tx.execute(sa.select(table).order_by(table.c.id))]

    def tasks(self) -> list[dict[str, str]]:
        found = self.made.sandbox.hubspot.dump()["objects"]["tasks"]
        return [row["properties"] for row in found.values()]

    def stage(self, record: str) -> str | None:
        person = self.made.person(record)
        with self.made.store.reading() as tx:
            return scores.standings(tx, [person])[person].stage

    def finish_task(self) -> None:
        ids = self.made.sandbox.hubspot.dump()["objects"]["tasks"]
        for one in ids:
            path = f"/crm/v3/objects/tasks/{one}"
            rooms.hubspot_api(self.made.sandbox, "PATCH", path, {"properties": {"hs_task_status": "COMPLETED"}})


@pytest.fixture
def company(store: Store, chat: Receiver, request: pytest.FixtureRequest) -> Iterator[Company]:
    more: dict[str, Any] = getattr(request, "param", {})
    given = {
        "alert": [chat.url],
        "alert_hosts": ["127.0.0.1"],
        "task": {"within": "4h", "owner": "owner"},
        "accepted": {"lead_status": "IN_PROGRESS"},
        "rejected": {"when": {"lead_status": "UNQUALIFIED"}, "reason": "why_not", "rest": "7d", "again_after": "60d"},
    }
    with stage(store, journey(TAG), fields=FIELDS, stages=STAGES, hand_off=given | more) as made, moving(made) as time:
        yield Company(made, time, chat)


def with_hand_off(**more: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("company", [more], indirect=True)


# --- the crossing ----------------------------------------------------------------------------------------------------


def test_who_becomes_ready_is_handed_over_with_task_reasons_and_alert(company: Company) -> None:
    owner = company.made.sandbox.hubspot.add_owner("rita@own.example", "Rita", "Rep")
    ann = company.made.lead("ann@acme.example", hubspot_owner_id=owner, **READY)
    company.made.lead("ben@acme.example")
    done = company.round()
    assert (done.opened, done.tasks, done.told) == (1, 1, 1)
    (task,) = company.tasks()
    assert task["hs_task_subject"].startswith("Ready for sales: ann@acme.example, score 55")
    assert "boss +40" in task["hs_task_body"]
    assert task["hubspot_owner_id"] == owner
    assert task["hs_timestamp"] == (company.time.at + timedelta(hours=4)).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{company.time.at.microsecond // 1000:03d}Z"
    )
    (row,) = company.rows()
    assert (row.person_id, row.state, row.route) == (company.made.person(ann), "open", "sales")
    assert "boss +40" in company.chat.told[0]["message"]


def test_one_crossing_is_one_task_and_one_alert_however_many_rounds_pass(company: Company) -> None:
    record = company.made.lead(**READY)
    for hours in range(3):
        company.round(hours=1)
        company.made.edit(record, jobtitle=f"Director {hours}")
    assert len(company.tasks()) == len(company.chat.told) == len(company.rows()) == 1


def test_who_falls_back_and_rises_again_within_the_cooldown_is_not_handed_over_again(company: Company) -> None:
    record = company.made.lead(**READY)
    company.round()
    company.finish_task()
    company.made.edit(record, jobtitle="", hs_lead_status="UNQUALIFIED")
    company.round(hours=1)
    company.made.edit(record, jobtitle="Director", hs_lead_status="OPEN")
    company.round(hours=1)
    assert len(company.rows()) == 1


def test_every_unmet_condition_is_listed(company: Company) -> None:
    company.made.lead("ann@acme.example", jobtitle="Engineer", annualrevenue="10")
    company.round()
    found = explain.explain(company.made.store, company.made.parts.scorer, "ann@acme.example")
    assert found is not None
    assert found.unmet == ("score.lead at least 50", "budget at least 1000")


@with_hand_off(needs={"based in our market": {"country": "Norway"}})
def test_a_need_beyond_the_stage_keeps_the_person_with_marketing(company: Company) -> None:
    company.made.lead("ann@acme.example", **READY)
    norwegian = company.made.lead("ola@acme.example", country="Norway", **READY)
    company.round()
    assert [row.person_id for row in company.rows()] == [company.made.person(norwegian)]
    found = explain.explain(company.made.store, company.made.parts.scorer, "ann@acme.example")
    assert found is not None
    assert found.unmet == ("based in our market",)


def test_who_did_nothing_but_follow_us_is_not_called(company: Company) -> None:
    company.made.lead("ann@acme.example", **READY)
    ben = company.made.lead("ben@acme.example", **READY)
    followed = [
        Activity(
            email_key(f"{name}@acme.example"), kind, company.time.at - timedelta(days=1), "social", f"{name}{kind}"
        )
        for name, kind in (
            ("ann", ActivityKind.SOCIAL_FOLLOWED),
            ("ben", ActivityKind.SOCIAL_FOLLOWED),
            ("ben", ActivityKind.PAGE_VIEW),
        )
    ]
    with company.made.store.writing() as tx:
        activities.add_activities(tx, followed, clock.now())
    company.round()
    assert [row.person_id for row in company.rows()] == [company.made.person(ben)]


# --- to whom ---------------------------------------------------------------------------------------------------------


ROUTES = [
    {"name": "partners", "when": {"country": "Norway"}, "per_week": 1, "owner": "7"},
    {"name": "sales", "per_week": 2},
]


@with_hand_off(routes=ROUTES, alert=[])
def test_receivers_take_by_criteria_priority_and_room_the_best_first(company: Company) -> None:
    for n, country in enumerate(["Norway", "Norway", "Spain", "Spain"]):
        company.made.lead(f"p{n}@acme.example", country=country, **READY)
    company.made.lead("best@acme.example", country="Spain", **READY)
    company.round()
    got = [(row.route, row.fits) for row in company.rows() if row.route]
    assert sorted(route for route, _ in got) == ["partners", "sales", "sales"]
    assert ("partners", ("partners", "sales")) in got
    assert [row.state for row in company.rows()].count("waiting") == 2
    company.round(days=8)
    assert [row.state for row in company.rows()].count("waiting") == 0


def test_the_crm_shows_where_the_hand_off_stands_and_with_whom(store: Store) -> None:
    back: dict[str, Any] = BASE["write_back"] | {
        "hand_off": {"hubspot": "leadbridge_hand_off"}, "hand_off_to": {"hubspot": "leadbridge_hand_off_to"},
    }  # fmt: skip
    given = {"routes": ROUTES, "rejected": {"when": {"lead_status": "UNQUALIFIED"}}}
    with stage(store, fields=FIELDS, stages=STAGES, hand_off=given, write_back=back) as made, moving(made) as time:
        ann, ben = made.lead(country="Norway", **READY), made.lead()
        for _ in range(2):  # whoever was handed over is looked at once more
            made.sync()
            time.on(seconds=1)
        shown = [(made.held(one).get("leadbridge_hand_off"), made.held(one).get("leadbridge_hand_off_to"))
                 for one in (ann, ben)]  # fmt: skip
        assert [(where or "", to or "") for where, to in shown] == [("open", "partners"), ("", "")]
        made.edit(ann, hs_lead_status="UNQUALIFIED")
        for _ in range(2):
            time.on(seconds=1)
            made.sync()
        assert made.held(ann)["leadbridge_hand_off"] == "rejected"


@with_hand_off(per_week=1)
def test_who_no_longer_fits_while_waiting_for_room_is_withdrawn_untold(company: Company) -> None:
    records = [company.made.lead(**READY) for _ in range(2)]
    company.round()
    waiting = next(row for row in company.rows() if row.state == "waiting")
    record = next(one for one in records if company.made.person(one) == waiting.person_id)
    company.made.edit(record, jobtitle="", annualrevenue="1")
    company.round(minutes=1)
    (row,) = [row for row in company.rows() if row.id == waiting.id]
    assert (row.state, row.outcome) == ("closed", "withdrawn")
    assert len(company.chat.told) == 1


def test_an_owner_the_crm_does_not_know_costs_the_owner_not_the_task(company: Company) -> None:
    company.made.lead(hubspot_owner_id="404", **READY)
    company.made.fault("status", "tasks.batch.create", status=400)
    assert company.round().tasks == 1
    assert "hubspot_owner_id" not in company.tasks()[0]


def test_a_task_the_crm_refuses_is_set_down_as_refused_and_told_all_the_same(company: Company) -> None:
    company.made.lead(**READY)
    company.made.fault("status", "tasks.batch.create", status=400)
    done = company.round()
    assert (done.tasks, done.refused, done.told) == (0, 1, 1)
    assert company.rows()[0].task == "refused"


def test_without_a_token_that_may_make_tasks_the_task_waits_for_the_operator(company: Company) -> None:
    company.made.lead(**READY)
    company.made.fault("status", "tasks.batch.create", status=403)
    done = company.round()
    assert (len(done.paused), done.waiting) == (1, 1)
    company.round(minutes=20)
    assert company.rows()[0].task == "made"


# --- never twice, never lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset_after", "reset_before", "html"])
def test_a_stumble_of_the_crm_makes_neither_two_tasks_nor_none(company: Company, kind: str) -> None:
    company.made.lead(**READY)
    company.made.fault(kind, "tasks.batch.create")
    company.round()
    for _ in range(3):
        company.round(minutes=2)
    assert len(company.tasks()) == 1
    assert company.rows()[0].task == "made"


def test_a_task_is_made_within_a_minute_of_the_crms_return(company: Company) -> None:
    company.made.lead(**READY)
    company.made.fault("status", "associations.batch.read", status=503, times=10_000)
    for _ in range(10):
        company.round(minutes=1)
        company.made.pace.sleep(60)  # the breaker's time goes on too
    company.made.sandbox.world.faults.clear()
    company.round(minutes=1)
    assert company.rows()[0].task == "made"


def test_two_workers_at_once_make_one_task_and_tell_once(company: Company) -> None:
    company.made.lead(**READY)
    company.made.until_scored()
    other = company.made.worker("w2")
    for parts in (company.made.parts, other, company.made.parts):
        receivers.work(company.made.store, parts.scorer, parts.crms, owner=parts.owner)
    assert len(company.tasks()) == len(company.chat.told) == 1


def test_a_worker_killed_after_the_task_was_made_leads_to_no_second_one(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.made.lead(**READY)
    really = HubSpot.create_tasks

    def dies(self: HubSpot, *given: Any) -> Any:
        really(self, *given)
        raise KeyboardInterrupt

    monkeypatch.setattr(HubSpot, "create_tasks", dies)
    monkeypatch.setattr(receivers._Worker, "_settle_tasks", lambda *_: None)  # dead, so nothing is written down
    with pytest.raises(KeyboardInterrupt):
        company.round()
    monkeypatch.undo()
    company.round(minutes=2)
    assert len(company.tasks()) == 1
    assert company.rows()[0].task == "made"


def test_a_chat_that_is_down_loses_no_alert_and_keeps_nobody_waiting(company: Company) -> None:
    record = company.made.lead(**READY)
    company.chat.status = 503
    done = company.round()
    assert (done.tasks, done.told, done.waiting) == (1, 0, 1)
    assert company.made.held(record)["leadbridge_score"] == "55"
    company.chat.status = 200
    company.round(minutes=1)
    assert len(company.chat.told) == 1


def test_a_chat_that_stays_down_is_shown_as_failed(company: Company) -> None:
    company.made.lead(**READY)
    company.chat.status = 503
    for _ in range(6):
        company.round(minutes=20)
    with company.made.store.reading() as tx:
        assert alerts.counts(tx)["failed"] >= 1


def test_an_alert_never_follows_a_redirect_to_another_host(company: Company) -> None:
    with receiver() as elsewhere:
        company.chat.status = 307
        company.chat.headers = {"Location": elsewhere.url.replace("json://", "http://")}
        company.made.lead(**READY)
        company.round()
        assert elsewhere.told == []


def test_the_address_of_a_chat_is_in_no_word_that_is_kept(company: Company, capfd: pytest.CaptureFixture[str]) -> None:
    company.made.lead(**READY)
    company.chat.status = 503
    for _ in range(6):
        company.round(minutes=20)
    with company.made.store.reading() as tx:
        words = tx.execute(sa.select(alert_table.c.words)).scalars().all()
    assert any(words)
    shown = capfd.readouterr()
    assert "s3cr3t-path" not in "".join([*words, shown.out, shown.err, repr(company.made.config)])


# --- nurture stands back ---------------------------------------------------------------------------------------------


def test_nurture_waits_while_sales_has_the_person_and_goes_on_when_they_come_back(company: Company) -> None:
    record = company.made.lead("ann@acme.example", **READY)
    company.round()
    assert company.made.entered() == {}
    assert company.made.states()[EnrolmentState.CANCELLED] + company.made.states()[EnrolmentState.DONE] <= 1
    company.made.edit(record, hs_lead_status="UNQUALIFIED", message="no budget this year")
    company.round(hours=1)
    (row,) = company.rows()
    assert (row.outcome, row.reason) == ("rejected", "no budget this year")
    company.round(days=6)
    assert company.made.entered() == {}
    company.round(days=2)
    assert company.made.entered() == {"ann@acme.example": 1}


@with_hand_off(pause_nurture=False)
def test_nurture_goes_on_where_the_company_wants_it_to(company: Company) -> None:
    company.made.lead("ann@acme.example", **READY)
    company.round()
    assert company.made.entered() == {"ann@acme.example": 1}


def test_a_rejected_person_is_recycled_out_of_the_stage_and_offered_again_after_the_rest(company: Company) -> None:
    record = company.made.lead(**READY)
    company.round()
    company.made.edit(record, hs_lead_status="UNQUALIFIED")
    company.round(hours=1)
    assert company.stage(record) is None
    company.made.edit(record, hs_lead_status="NEW")
    company.round(days=40)
    assert (company.stage(record), len(company.rows())) == (None, 1)
    company.round(days=30)
    assert [row.entry for row in company.rows()] == [1, 2]


def test_why_sales_sent_somebody_back_may_count_in_a_score(store: Store) -> None:
    """The reason is a label that a model may use: told apart by its words, named among the contributions."""
    rules = [
        *BASE["scores"]["lead"]["rules"],
        {"name": "no budget", "category": "fit", "when": {"hand_off_reason": {"words": ["budget"]}}, "points": -20},
    ]
    lead = BASE["scores"]["lead"] | {"rules": rules}
    given = {"rejected": {"when": {"lead_status": "UNQUALIFIED"}, "reason": "why_not"}}
    with (
        stage(store, fields=FIELDS, stages=STAGES, hand_off=given, scores={"lead": lead}) as made,
        moving(made) as time,
    ):
        for why in ("no budget this year", "wrong person"):
            record = made.lead(**READY)
            made.sync()
            made.edit(record, hs_lead_status="UNQUALIFIED", message=why)
            for _ in range(2):
                time.on(seconds=1)
                made.sync()
            with store.reading() as tx:
                (score,) = scores.current_scores(tx, [made.person(record)])[made.person(record)].values()
            assert score.value == (35 if "budget" in why else 55)


@with_hand_off(per_week=0)
def test_where_nobody_has_room_nobody_is_told_and_nobody_is_lost(company: Company) -> None:
    company.made.lead(**READY)
    for _ in range(3):
        company.round(days=3)
    assert [row.state for row in company.rows()] == ["waiting"]
    assert (company.tasks(), company.chat.told) == ([], [])


def test_while_the_crm_says_rejected_nobody_is_offered_again(company: Company) -> None:
    record = company.made.lead(**READY)
    company.round()
    company.made.edit(record, hs_lead_status="UNQUALIFIED")
    company.round(hours=1)
    company.round(days=90)
    assert len(company.rows()) == 1


def test_a_purchase_ends_the_hand_off_as_won(company: Company) -> None:
    record = company.made.lead(**READY)
    company.round()
    company.made.edit(record, lifecyclestage="customer")
    company.round(days=1)
    assert company.rows()[0].outcome == "won"


# --- the clock -------------------------------------------------------------------------------------------------------


def test_nobody_in_touch_in_time_is_raised_again_and_not_for_ever(company: Company) -> None:
    company.made.lead(**READY)
    company.round()
    for _ in range(8):
        company.round(hours=12)
    assert [title.startswith("Nobody was in touch yet") for title in company.chat.titles] == [False, True, True, True]
    row = company.rows()[0]
    assert row.breached_at is not None
    assert row.opened_at is not None
    assert row.breached_at - row.opened_at == timedelta(hours=4)


def test_a_task_done_in_time_is_a_touch(company: Company) -> None:
    company.made.lead(**READY)
    company.round()
    company.finish_task()
    company.round(hours=1)
    company.round(hours=12)
    row = company.rows()[0]
    assert (row.touched_by, row.breached_at) == ("task done", None)
    assert len(company.chat.told) == 1


@with_hand_off(sla={"touch": "2d", "accept": "1h"})
def test_not_taken_on_in_time_is_raised_and_taken_on_is_not(company: Company) -> None:
    taken = company.made.lead("taken@acme.example", **READY)
    company.made.lead("left@acme.example", **READY)
    company.round()
    company.made.edit(taken, hs_lead_status="IN_PROGRESS")
    company.round(minutes=30)
    company.round(hours=1)
    assert [title for title in company.chat.titles if "yet" in title] == [
        "Nobody was in touch yet: Ready for sales: left@acme.example, score 55 A"
    ]
    assert [row.stands(clock.now()) for row in company.rows()].count("accepted") == 1


def test_whom_sales_forgets_goes_back_to_nurture(company: Company) -> None:
    company.made.lead("ann@acme.example", **READY)
    company.round()
    company.round(days=31)
    company.round(minutes=1)
    assert company.rows()[0].outcome == "given_up"
    company.round(days=1)
    assert company.made.entered() == {"ann@acme.example": 1}


# --- care, and people who are one ------------------------------------------------------------------------------------


CARE = {
    "name": "retention",
    "when": {"lifecycle_stage": "customer", "budget": {"below": 100}},
    "advice": "Ask what has changed, and listen.",
}


@with_hand_off(care=[CARE])
def test_a_customer_at_risk_is_somebodys_task(company: Company) -> None:
    company.made.lead("ann@acme.example", lifecyclestage="customer", annualrevenue="50")
    company.round()
    (task,) = company.tasks()
    assert task["hs_task_subject"].startswith("Retention: ann@acme.example")
    assert "Ask what has changed" in task["hs_task_body"]
    company.finish_task()
    company.round(minutes=10)
    assert company.rows()[0].outcome == "done"
    company.round(days=10)
    assert len(company.rows()) == 1
    company.round(days=60)
    assert len(company.rows()) == 2


def test_two_people_who_are_one_are_with_sales_once(company: Company) -> None:
    first, second = (company.made.lead(**READY) for _ in range(2))
    company.round()
    keep, lose = company.made.person(first), company.made.person(second)
    with company.made.store.writing() as tx:
        merging.merge_people(tx, keep, lose, clock.now())
    rows = company.rows()
    assert {row.person_id for row in rows} == {keep}
    assert sorted(row.state for row in rows) == ["closed", "open"]
    with company.made.store.reading() as tx:
        assert hand_offs.latest(tx, [keep])[keep, HAND_OFF].state == "open"
