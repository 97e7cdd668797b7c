"""HubSpot's words to ours and back: pure translation."""

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest

from connectors.hubspot import activities, engagements
from connectors.hubspot.activities import EmailEvent, Event, Submission
from connectors.hubspot.mapping import STAGES, Fields, contact_ref, merged_ids, stage_in
from connectors.hubspot.wire import Record
from leadbridge import metrics
from leadbridge.types import Activity, ActivityKind, Lead, LifecycleStage, Value
from tests.helpers.rooms import configuration

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def fields() -> Fields:
    return Fields(configuration("http://127.0.0.1:1"))


def record(properties: dict[str, Any], **more: Any) -> Record:
    return Record.model_validate({"id": "51", "properties": properties, "updatedAt": "2026-02-01T00:00:00Z"} | more)


def lead(fields: Fields, properties: dict[str, Any], companies: dict[str, Record] | None = None) -> Lead:
    return fields.lead(record(properties), companies or {}, Counter(), NOW)


# --- leads -----------------------------------------------------------------------------------------------------------


def test_a_contact_becomes_a_lead_in_our_words(fields: Fields) -> None:
    company = record({"numberofemployees": "120.0", "industry": "COMPUTER_SOFTWARE"})
    found = lead(
        fields,
        {
            "email": " Dana@Acme.example ",
            "jobtitle": "CTO",
            "associatedcompanyid": "9",
            "budget_amount": "12000.5",
            "hs_is_unworked": "true",
            "date_of_birth": "1980-02-03",
            "hs_email_last_open_date": "1772323200000",
            "lifecyclestage": "marketingqualifiedlead",
            "hs_email_optout": "true",
            "createdate": "2026-01-01T10:00:00Z",
            "lastmodifieddate": "2026-02-02T10:00:00.5Z",
            "leadbridge_score": "72",
            "leadbridge_grade": "",
        },
        {"9": company},
    )
    assert found.ref == contact_ref("51")
    assert found.email == "Dana@Acme.example"
    assert found.modified_at == datetime(2026, 2, 2, 10, 0, 0, 500000, tzinfo=UTC)
    assert found.created_at == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert found.opted_out
    assert found.written == {"leadbridge_score": "72", "lifecyclestage": "marketingqualifiedlead"}
    assert found.attributes == {
        "email": "Dana@Acme.example",
        "email_domain": "acme.example",
        "lifecycle_stage": "mql",
        "opted_out": True,
        "created_at": datetime(2026, 1, 1, 10, tzinfo=UTC),
        "job_title": "CTO",
        "employees": 120,
        "industry": "COMPUTER_SOFTWARE",
        "budget": 12000.5,
        "unworked": True,
        "born": date(1980, 2, 3),
        "last_open": datetime(2026, 3, 1, tzinfo=UTC),
    }


def test_what_is_not_known_is_none_and_never_an_error(fields: Fields) -> None:
    found = lead(fields, {"jobtitle": "Select", "email": None})
    assert found.email is None
    assert not found.opted_out
    mapped = {k: v for k, v in found.attributes.items() if k not in ("opted_out",)}
    assert set(mapped.values()) == {None}


def test_an_unreadable_value_is_unknown_and_counted(fields: Fields) -> None:
    skipped: Counter[str] = Counter()
    found = fields.lead(record({"budget_amount": "a lot", "date_of_birth": "soon"}), {}, skipped, NOW)
    assert found.attributes["budget"] is None
    assert skipped == {"unreadable budget": 1, "unreadable born": 1}


def test_a_record_without_dates_is_as_of_now(fields: Fields) -> None:
    assert fields.lead(Record.model_validate({"id": 7}), {}, Counter(), NOW).modified_at == NOW


@pytest.mark.parametrize(
    ("word", "ours"),
    [*((theirs, ours.value) for theirs, ours in STAGES.items()), ("other", "other"), ("90210", "90210"), ("", None)],
)
def test_stages_are_translated_and_strange_ones_kept(word: str, ours: str | None) -> None:
    assert stage_in(word) == ours


def test_both_spellings_of_merged_ids_are_read() -> None:
    one = record({"hs_merged_object_ids": "51;1;1551", "hs_calculated_merged_vids": "7:1772323200000;1:5;x:2"})
    assert merged_ids(one) == ["1", "1551", "7"]


def test_values_of_other_types_than_text_do_no_harm(fields: Fields) -> None:
    found = lead(fields, {"jobtitle": 5, "hs_email_optout": True, "email": "a\x00b@acme.example\ud800"})
    assert found.attributes["job_title"] == "5"
    assert found.opted_out
    assert found.email == "ab@acme.example?"


def test_only_what_is_needed_is_asked_for(fields: Fields) -> None:
    assert set(fields.company_properties) == {"numberofemployees", "industry"}
    assert "associatedcompanyid" in fields.contact_properties
    assert not any(name.startswith("company.") for name in fields.contact_properties)
    plain = Fields(configuration("http://127.0.0.1:1", fields={"job_title": {"hubspot": "jobtitle"}}))
    assert plain.company_properties == ()
    assert "associatedcompanyid" not in plain.contact_properties


# --- write-back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "held", "written"),
    [
        ("mql", "", "marketingqualifiedlead"),
        ("mql", "lead", "marketingqualifiedlead"),
        ("mql", "marketingqualifiedlead", None),
        ("lead", "marketingqualifiedlead", None),  # never back
        ("sql", "opportunity", None),
        ("sql", "customer", None),
        ("lead", "evangelist", None),
        ("evangelist", "customer", "evangelist"),  # forward is forward
        ("mql", "other", None),  # somebody's decision
        ("mql", "90210", None),  # a stage of the account's own
        (None, "lead", None),  # never cleared
        ("nonsense", "lead", None),
    ],
)
def test_the_lifecycle_stage_only_moves_forward(fields: Fields, wanted: Value, held: str, written: str | None) -> None:
    found = fields.changes({"stage": wanted}, {"lifecyclestage": held})
    assert found.get("lifecyclestage") == written


def test_a_stage_may_be_given_as_itself(fields: Fields) -> None:
    assert fields.changes({"stage": LifecycleStage.SQL}, {}) == {"lifecyclestage": "salesqualifiedlead"}


def test_only_differences_are_written(fields: Fields) -> None:
    held = {"leadbridge_score": "72.0", "leadbridge_grade": "A", "leadbridge_reasons": "known (+5)"}
    same: dict[str, Value] = {"score": 72, "grade": "A", "reasons": "known (+5) "}
    assert fields.changes(same, held) == {}
    assert fields.changes(same | {"grade": None}, held) == {"leadbridge_grade": ""}
    assert fields.changes({"score": float("nan")}, held) == {}
    assert fields.changes({"journey": "unmapped"}, {}) == {}


def test_reasons_are_cut_once_and_then_unchanged(fields: Fields) -> None:
    wanted: dict[str, Value] = {"reasons": "because " * 1000}
    text = fields.changes(wanted, {})["leadbridge_reasons"]
    assert len(text) <= 1000
    assert fields.changes(wanted, {"leadbridge_reasons": text}) == {}


def test_specs_are_ours_only(fields: Fields) -> None:
    specs = {spec.name: spec for spec in fields.specs()}
    assert "lifecyclestage" not in specs
    assert specs["leadbridge_grade"].options == ("A", "B", "C")
    assert {spec.kind for spec in specs.values()} == {"number", "text", "choice"}


# --- activity --------------------------------------------------------------------------------------------------------


def event(**given: Any) -> Event:
    usual = {"id": "e1", "objectType": "CONTACT", "objectId": 512, "occurredAt": "2026-02-01T10:00:00Z"}
    return Event.model_validate(usual | given)


def test_a_visit_is_a_page_view_with_its_address() -> None:
    properties = {
        "hs_url": "https://acme.example/pricing",
        "hs_page_title": "Pricing",
        "hs_browser": "Firefox",
        "x": "",
    }
    found = activities.from_event(event(eventType="e_visited_page", properties=properties))
    assert isinstance(found, Activity)
    assert found.subject == "hubspot:contact:512"
    assert found.kind is ActivityKind.PAGE_VIEW
    assert found.attributes == {"url": "https://acme.example/pricing", "title": "Pricing"}  # by allow-list


def test_an_event_type_nobody_knows_is_kept_and_counted() -> None:
    metrics.reset()
    found = activities.from_event(event(eventType="pe62515_booth_visited"))
    assert isinstance(found, Activity)
    assert found.kind is ActivityKind.OTHER
    assert found.attributes == {"event": "pe62515_booth_visited"}
    assert metrics.VENDOR_WORDS.value(vendor="hubspot", source="events") == 1


@pytest.mark.parametrize("wrong", [{"objectType": "COMPANY"}, {"objectId": ""}, {"occurredAt": "once"}])
def test_an_event_that_cannot_be_placed_is_named(wrong: dict[str, Any]) -> None:
    assert isinstance(activities.from_event(event(eventType="e_visited_page", **wrong)), str)


@pytest.mark.parametrize(
    ("event_type", "sources", "left_out"),
    [
        ("e_visited_page", ["forms"], False),
        ("e_form_submission_v2", ["forms"], True),
        ("e_form_submission_v2", ["events"], False),
        ("e_call_ended", ["calls"], True),
        ("e_call_ended", [], False),
        ("e_opened_email_v2", ["email_events"], True),
        ("e_opened_email_v2", ["events"], False),
        ("e_form_view", [], True),
        ("pe1_custom", ["forms", "email_events"], False),
    ],
)
def test_what_another_source_tells_is_left_to_it(event_type: str, sources: list[str], left_out: bool) -> None:
    assert activities.events_left_out(event_type, sources) is left_out


def email_event(**given: Any) -> EmailEvent:
    usual = {"id": "m1", "created": 1772323200000, "recipient": "Dana@Acme.example", "emailCampaignId": 12}
    return EmailEvent.model_validate(usual | given)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("SENT", ActivityKind.EMAIL_SENT),
        ("OPEN", ActivityKind.EMAIL_OPENED),
        ("CLICK", ActivityKind.EMAIL_CLICKED),
        ("BOUNCE", ActivityKind.EMAIL_BOUNCED),
        ("SPAMREPORT", ActivityKind.UNSUBSCRIBED),
        ("BRAND_NEW", ActivityKind.OTHER),
    ],
)
def test_mail_events_are_told_by_address(word: str, kind: ActivityKind) -> None:
    found = activities.from_email_event(email_event(type=word))
    assert isinstance(found, Activity)
    assert (found.subject, found.kind) == ("email:dana@acme.example", kind)
    assert found.source_id == "m1:1772323200000"  # the id alone is not unique


@pytest.mark.parametrize(
    "given",
    [
        {"type": "DELIVERED"},  # SENT told already
        {"type": "OPEN", "filteredEvent": True},
        {"type": "OPEN", "recipient": "nobody"},
        {"type": "STATUSCHANGE", "portalSubscriptionStatus": "SUBSCRIBED"},
    ],
)
def test_mail_events_left_out_say_why(given: dict[str, Any]) -> None:
    assert isinstance(activities.from_email_event(email_event(**given)), str)


def test_leaving_all_mail_is_an_unsubscribe() -> None:
    found = activities.from_email_event(email_event(type="STATUSCHANGE", portalSubscriptionStatus="UNSUBSCRIBED"))
    assert isinstance(found, Activity)
    assert found.kind is ActivityKind.UNSUBSCRIBED


def test_a_submission_without_an_address_belongs_to_nobody() -> None:
    one = Submission.model_validate({"submittedAt": 1772323200000, "values": [{"name": "email", "value": ""}]})
    assert isinstance(activities.from_submission(one, "f", "Demo"), str)


def test_a_submission_without_an_id_gets_one_that_holds_no_address() -> None:
    values = [{"name": "email", "value": "dana@acme.example"}]
    one = Submission.model_validate({"submittedAt": 1772323200000, "values": values, "pageUrl": None})
    found = activities.from_submission(one, "f", "Demo")
    assert isinstance(found, Activity)
    assert found.source_id
    assert "dana" not in found.source_id
    assert found.attributes == {"form": "Demo", "form_id": "f"}


def test_a_call_is_told_once_for_each_contact_with_its_outcome() -> None:
    call = record(
        {
            "hs_timestamp": "2026-02-01T10:00:00Z",
            "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
            "hs_call_duration": "61500",
            "hs_call_status": "COMPLETED",
        }
    )
    found = engagements.from_engagement("calls", call, ["1", "2"])
    assert isinstance(found, list)
    assert [one.subject for one in found] == ["hubspot:contact:1", "hubspot:contact:2"]
    assert len({one.source_id for one in found}) == 2
    assert found[0].attributes == {"outcome": "connected", "status": "completed", "seconds": 61}


def test_an_engagement_of_nobody_or_of_no_time_says_so() -> None:
    assert isinstance(
        engagements.from_engagement("meetings", record({"hs_timestamp": "2026-02-01T10:00:00Z"}), []), str
    )
    assert isinstance(engagements.from_engagement("meetings", record({}), ["1"]), str)
