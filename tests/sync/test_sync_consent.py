"""Consent is recorded and never raised; an objection ends profiling at once (reliability G21, requirement N20)."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from leadbridge import clock
from leadbridge.store import Store, consents, due, leads, ranking, scores, suppressions
from leadbridge.store.tables import score_history
from leadbridge.types import SuppressionReason
from sync import events
from tests.helpers import rooms
from tests.helpers.syncing import BASE, TAG, TRIGGER, Stage, journey, moving, stage

ADA = "ada@acme.example"
FIELDS = BASE["fields"] | {
    "agreed": {"hubspot": "marketing_consent", "type": "boolean"},
    "agreed_on": {"hubspot": "consent_date", "type": "date"},
    "agreed_where": {"hubspot": "consent_source"},
    "no_profiling": {"hubspot": "no_profiling", "type": "boolean"},
}
CONSENT = {
    "given": {"agreed": True},
    "at": "agreed_on",
    "source": "newsletter form",
    "source_field": "agreed_where",
    "wording": "I want to receive the newsletter",
    "objection": {"no_profiling": True},
}
GIVEN = {"marketing_consent": "true", "consent_date": "2026-05-04"}


@pytest.fixture
def made(store: Store) -> Iterator[Stage]:
    with stage(store, journey(TAG), fields=FIELDS, consent=CONSENT) as found:
        for name, kind in (("marketing_consent", "bool"), ("consent_date", "date"), ("no_profiling", "bool")):
            property_at_hubspot(found, name, kind)
        property_at_hubspot(found, "consent_source", "string")
        yield found


def property_at_hubspot(made: Stage, name: str, kind: str) -> None:
    field = {"bool": "booleancheckbox", "date": "date", "string": "text"}[kind]
    options = [
        {"label": "yes", "value": "true", "displayOrder": 0, "hidden": False},
        {"label": "no", "value": "false", "displayOrder": 1, "hidden": False},
    ]
    body = {"name": name, "label": name, "type": kind, "fieldType": field, "groupName": "contactinformation"}
    if kind == "bool":
        body["options"] = options  # type: ignore[assignment]
    rooms.hubspot_api(made.sandbox, "POST", "/crm/v3/properties/contacts", body)


def recorded(made: Stage, record: str) -> list[consents.Consent]:
    with made.store.reading() as tx:
        return consents.of(tx, [made.person(record)]).get(made.person(record), [])


def test_consent_is_recorded_with_where_when_and_to_which_words(made: Stage) -> None:
    record = made.lead(ADA, consent_source="trade fair", **GIVEN)
    other = made.lead(**GIVEN)
    undated = made.lead(marketing_consent="true")
    for _ in range(2):
        made.sync(full=True)
    (one,) = recorded(made, record)
    assert (one.source, one.wording) == ("trade fair", "I want to receive the newsletter")
    assert one.at == datetime(2026, 5, 4, tzinfo=UTC)
    assert [found.source for found in recorded(made, other)] == ["newsletter form"]
    assert recorded(made, undated) == []  # nobody could show when


def test_without_the_setting_nobody_is_added_to_the_audience(made: Stage) -> None:
    made.lead(ADA, status=None, **GIVEN)
    made.sync()
    assert made.effects("member_created") == []


@pytest.mark.parametrize("agreed", [True, False])
def test_only_who_agreed_is_added_and_then_enrolled(store: Store, agreed: bool) -> None:
    with stage(store, journey(TAG), fields=FIELDS, consent=CONSENT | {"add_members": True}) as made:
        for name, kind in (("marketing_consent", "bool"), ("consent_date", "date"), ("no_profiling", "bool")):
            property_at_hubspot(made, name, kind)
        property_at_hubspot(made, "consent_source", "string")
        made.lead(ADA, status=None, **(GIVEN if agreed else {}))
        made.sync()
        assert len(made.effects("member_created")) == agreed
        assert made.entered() == {}  # a moment later, when the platform knows them


@pytest.fixture
def adding(store: Store, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Who agreed is added to the audience; the parameter replaces guards."""
    guards = BASE["guards"] | getattr(request, "param", {})
    options: dict[str, Any] = {"fields": FIELDS, "consent": CONSENT | {"add_members": True}, "guards": guards}
    with stage(store, journey(TAG), **options) as made:
        for name, kind in (("marketing_consent", "bool"), ("consent_date", "date"), ("consent_source", "string")):
            property_at_hubspot(made, name, kind)
        yield made


def added(made: Stage) -> int:
    return len(made.effects("member_created"))


@pytest.mark.parametrize("adding", [{"per_hour": [3, "0%"]}, {"per_day": [3, "0%"]}], indirect=True)
def test_of_those_who_agreed_no_more_are_added_than_may_be_contacted(adding: Stage) -> None:
    """A new member may be mailed a welcome, or a question to confirm (G23)."""
    with moving(adding) as time:
        for n in range(8):
            adding.lead(f"lead{n}@acme.example", status=None, **GIVEN)
        adding.until_enrol()
        for _ in range(5):
            adding.enrol()
            time.on(seconds=61)
        assert added(adding) == 3
        time.on(hours=23)  # within the day in which they would expire
        adding.enrol()
        assert added(adding) == (6 if adding.config.guards.per_day.count > 3 else 3)


def test_who_takes_their_consent_back_is_not_added_on_what_they_said_before(adding: Stage) -> None:
    record = adding.lead(ADA, status=None, **GIVEN)
    adding.until_enrol()
    assert len(recorded(adding, record)) == 1
    adding.edit(record, marketing_consent="false")
    adding.sync()
    assert added(adding) == 0
    assert recorded(adding, record) == []
    adding.edit(record, marketing_consent="true", consent_date="2026-11-20")
    adding.until_enrol()
    assert [one.at.day for one in recorded(adding, record)] == [20]


@pytest.mark.parametrize("agreed", [True, False])
def test_who_was_added_is_enrolled_a_moment_later_with_the_merge_fields_filled(store: Store, agreed: bool) -> None:
    back = BASE["write_back"] | {"score": {"hubspot": "leadbridge_score", "mailchimp": "LBSCORE"}}
    options: dict[str, Any] = {"fields": FIELDS, "consent": CONSENT | {"add_members": True}, "write_back": back}
    with stage(store, journey(TAG), **options) as made, moving(made) as time:
        for name, kind in (("marketing_consent", "bool"), ("consent_date", "date"), ("no_profiling", "bool")):
            property_at_hubspot(made, name, kind)
        property_at_hubspot(made, "consent_source", "string")
        made.lead(ADA, status=None, **(GIVEN if agreed else {}))
        made.sync()
        time.on(seconds=61)
        made.act()
        assert made.entered() == ({ADA: 1} if agreed else {})
        calls = [call.operation for call in made.sandbox.world.journal]
        told = [n for n, name in enumerate(calls) if name == "members.patch"]
        if agreed:  # the first mail of the journey is not to say nothing where it should say the score
            assert told[-1] < calls.index("members.tags")
            member = made.sandbox.mailchimp.dump()["audiences"][rooms.AUDIENCE]["members"][ADA]
            assert member["merge_fields"]["LBSCORE"] == 15


NIGHT = {"quiet_hours": {"from": "20:00", "to": "08:00", "elsewhere": ["UTC"]}}


@pytest.mark.parametrize("adding", [NIGHT], indirect=True)
def test_nobody_is_added_at_night(adding: Stage) -> None:
    with moving(adding, datetime(2026, 11, 20, 19, 59, tzinfo=UTC)) as time:
        adding.lead(ADA, status=None, **GIVEN)
        adding.until_enrol()
        time.on(minutes=2)
        adding.enrol()
        assert added(adding) == 0
        time.on(hours=12, minutes=1)
        adding.enrol()
        assert added(adding) == 1


@pytest.mark.parametrize("what", ["another address", "gone", "opted out", "late"])
def test_who_may_not_be_contacted_any_more_is_not_added(adding: Stage, what: str) -> None:
    with moving(adding) as time:
        record = adding.lead(ADA, status=None, **GIVEN)
        adding.until_enrol()
        match what:
            case "another address":
                adding.edit(record, email="other@acme.example")
            case "gone":
                adding.sandbox.hubspot.archive_contact(record)
            case "opted out":
                adding.opt_out_in_the_crm(record)
            case _:
                time.on(hours=25)
        change = {"subscriptionType": "contact.propertyChange", "objectId": int(record)}
        adding.event(change | ({"subscriptionType": "contact.deletion"} if what == "gone" else {}))
        events.work(adding.store, adding.parts.crms, owner="w1")
        adding.enrol()
        assert added(adding) == 0


def test_an_objection_in_the_crm_ends_the_score_and_the_rank_but_not_the_service(store: Store) -> None:
    served = journey(TRIGGER, when={"email": {"present": True}}, track="news")
    with stage(store, journey(TAG), served, fields=FIELDS, consent=CONSENT) as made:
        property_at_hubspot(made, "no_profiling", "bool")
        record = made.lead(ADA, no_profiling="true")
        made.lead("bob@acme.example")
        made.sync()
        with store.reading() as tx:
            assert scores.current_scores(tx, [made.person(record)]) == {}
            assert [row.email for row in ranking.best(tx, "lead", 10)] == ["bob@acme.example"]
        assert [row.journey for row in made.ledger() if row.address == ADA] == [TRIGGER]
        assert "leadbridge_score" not in {k for k, v in made.held(record).items() if v}


def test_an_objection_noted_here_ends_and_erases_the_scores_at_once(made: Stage) -> None:
    record = made.lead(ADA)
    made.sync()
    person = made.person(record)
    assert made.held(record)["leadbridge_score"] == "15"
    with made.store.writing() as tx:
        assert consents.object_to_profiling(tx, [person], "test", clock.now()) == {person}
        due.mark_due(tx, [person], clock.now(), due.Lane.HOT)
        assert tx.execute(score_history.select().where(score_history.c.person_id == person)).all() == []
    made.act()
    with made.store.reading() as tx:
        assert scores.current_scores(tx, [person]) == {}
    assert not made.held(record).get("leadbridge_score")
    with made.store.writing() as tx:
        assert consents.withdraw_objection(tx, [person]) == {person}
        due.mark_due(tx, [person], clock.now(), due.Lane.HOT)
    made.act()
    assert made.held(record)["leadbridge_score"] == "15"


def test_an_objection_of_either_outlives_a_merge(made: Stage) -> None:
    first, second = made.lead(), made.lead()
    made.sync()
    keep, lose = made.person(first), made.person(second)
    with made.store.writing() as tx:
        consents.object_to_profiling(tx, [lose], "test", clock.now())
        consents.record(tx, [consents.Consent(one, "form", "yes", clock.now()) for one in (keep, lose)])
        leads.merge_people(tx, keep, lose, clock.now())
        assert consents.objecting(tx, [keep]) == {keep}
        assert len(consents.of(tx, [keep])[keep]) in (1, 2)


@pytest.mark.parametrize("many", [105, pytest.param(1000, marks=pytest.mark.slow)])
def test_of_members_in_every_state_none_is_raised_whatever_the_crm_wishes(store: Store, many: int) -> None:
    """G21, fault 33: every state against consent, objection, opt-out, deletion and new addresses, several rounds."""
    chance = random.Random(33)
    states = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived", "forgotten")
    back = BASE["write_back"] | {"score": {"hubspot": "leadbridge_score", "mailchimp": "LBSCORE"}}
    options: dict[str, Any] = {"fields": FIELDS, "consent": CONSENT | {"add_members": True}, "write_back": back}
    with stage(store, journey(TAG), journey(TRIGGER, track="other"), **options) as made:
        for name, kind in (("marketing_consent", "bool"), ("consent_date", "date"), ("no_profiling", "bool")):
            property_at_hubspot(made, name, kind)
        property_at_hubspot(made, "consent_source", "string")
        records = []
        for n in range(many):
            wish = chance.choice([{}, GIVEN, GIVEN | {"no_profiling": "true"}, {"jobtitle": "Director"}])
            records.append(made.lead(f"lead{n}@acme.example", status=states[n % len(states)], **wish))
        before = members(made)
        made.sync()
        for record in chance.sample(records, many // 15):
            match chance.randrange(3):
                case 0:
                    made.edit(record, jobtitle="Director", **GIVEN)
                case 1:
                    made.opt_out_in_the_crm(record)
                case _:
                    made.sandbox.hubspot.archive_contact(record)
        made.sync()
        after = members(made)
        raised = {email for email, status in before.items() if after.get(email) != status}
        assert raised == set()
        assert made.effects("status_changed", "member_created", "member_archived") == []
        mailed = {effect["status"] for effect in made.effects("mail_sent")}
        assert mailed <= {"subscribed"}
        assert len(made.entered()) >= many // 10
        with store.reading() as tx:
            found = suppressions.is_suppressed(tx, store.vault, "lead1@acme.example")
        assert found is SuppressionReason.UNSUBSCRIBED


def members(made: Stage) -> dict[str, str]:
    found = made.sandbox.mailchimp.dump()["audiences"][rooms.AUDIENCE]["members"]
    return {email: member["status"] for email, member in found.items()}
