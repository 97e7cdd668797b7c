"""Mailchimp's words to ours and back, and what its answers mean: pure translation."""

import json
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from mailchimp_marketing.api_client import ApiClientError

from connectors.base import MemberStatus, OptOut
from connectors.mailchimp.mapping import (
    LONGEST_TEXT,
    STATUSES,
    Fields,
    activities_of,
    hash_of,
    member_of,
    opt_out_of,
)
from connectors.mailchimp.wire import CampaignRow, EmailRow, Empty, MemberRow, Refused, accepted, name_error, shaped
from leadbridge import clock, metrics
from leadbridge.call import Garbled
from leadbridge.errors import FeatureMissing, NeedsOperator, RetryLater, Unknown, VendorError
from leadbridge.types import Activity, ActivityKind, SuppressionReason
from tests.helpers.rooms import configuration


@pytest.fixture(scope="module")
def fields() -> Fields:
    return Fields(configuration("http://127.0.0.1:1"))


def member(**given: Any) -> MemberRow:
    usual = {"email_address": "dana@acme.example", "last_changed": "2026-01-05T22:51:57+00:00"}
    return MemberRow.model_validate(usual | given)


# --- members ---------------------------------------------------------------------------------------------------------


def test_a_contact_is_named_by_the_hash_of_its_lower_case_address() -> None:
    assert hash_of(" Dana@ACME.example ") == hash_of("dana@acme.example") == "2e41dbf0dfdf136b548131ea75db9dd2"


@pytest.mark.parametrize("word", [*STATUSES, "on_fire", ""])
def test_a_status_nobody_knows_may_not_be_mailed_and_is_counted(word: str) -> None:
    metrics.reset()
    found = member_of("dana@acme.example", member(status=word), frozenset(), clock.now())
    assert found.status is STATUSES.get(word, MemberStatus.UNKNOWN)
    assert metrics.VENDOR_WORDS.value(vendor="mailchimp", source="status") == (word not in STATUSES)


def test_only_our_merge_fields_are_kept_as_text() -> None:
    held = member(
        status="subscribed", merge_fields={"LBSCORE": 72.0, "FNAME": "Dana", "LBX": None, "ADDRESS": {"a": 1}}
    )
    found = member_of("dana@acme.example", held, frozenset({"LBSCORE", "LBX"}), clock.now())
    assert found.fields == {"LBSCORE": "72", "LBX": ""}


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_merge_fields_may_be_missing_in_every_way(nothing: Any) -> None:
    assert member(merge_fields=nothing).merge_fields == {}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"status": "cleaned"}, SuppressionReason.BOUNCED),
        (
            {"status": "unsubscribed", "unsubscribe_reason": "N/A (Unsubscribed by admin)"},
            SuppressionReason.UNSUBSCRIBED,
        ),
        ({"status": "unsubscribed", "unsubscribe_reason": "Campaign abuse report"}, SuppressionReason.COMPLAINED),
        ({"status": "unsubscribed"}, SuppressionReason.UNSUBSCRIBED),
    ],
)
def test_why_somebody_left(given: dict[str, str], reason: SuppressionReason) -> None:
    found = opt_out_of(member(**given))
    assert isinstance(found, OptOut)
    assert (found.email, found.reason) == ("dana@acme.example", reason)


@pytest.mark.parametrize(
    "given",
    [{"email_address": "x1@forgotten.mailchimp.com"}, {"email_address": "no address"}, {"last_changed": ""}],
)
def test_an_opt_out_of_nobody_says_why(given: dict[str, str]) -> None:
    assert isinstance(opt_out_of(member(status="unsubscribed", **given)), str)


# --- activity --------------------------------------------------------------------------------------------------------

CAMPAIGN = CampaignRow.model_validate({"id": "42694e9e57", "settings": {"title": "News", "subject_line": "Hello"}})


def rows(*activity: Any, email: str = "Lead@acme.example") -> list[Activity | str]:
    contact = EmailRow.model_validate({"email_id": "5eb0", "email_address": email, "activity": list(activity)})
    return activities_of(CAMPAIGN, contact)


def test_two_clicks_in_one_second_on_two_links_are_two() -> None:
    at = "2026-01-06T09:01:00+00:00"
    found = rows(*({"action": "click", "timestamp": at, "url": f"https://acme.example/{n}"} for n in range(2)))
    assert len({one.source_id for one in found if isinstance(one, Activity)}) == 2


def test_an_action_nobody_knows_is_kept_and_counted() -> None:
    metrics.reset()
    (found,) = rows({"action": "forwarded", "timestamp": "2026-01-06T09:01:00+00:00"})
    assert isinstance(found, Activity)
    assert (found.kind, found.attributes["event"]) == (ActivityKind.OTHER, "forwarded")
    assert metrics.VENDOR_WORDS.value(vendor="mailchimp", source="campaigns") == 1


def test_rows_that_cannot_be_read_are_named_and_the_rest_is_kept() -> None:
    good = {"action": "open", "timestamp": "2026-01-06T09:01:00+00:00"}
    found = rows({"action": "open"}, good, {"action": "open", "timestamp": "once"})
    assert [isinstance(one, Activity) for one in found] == [False, True, False]


@pytest.mark.parametrize("email", ["x@forgotten.mailchimp.com", "nobody"])
def test_activity_of_nobody_says_why(email: str) -> None:
    (found,) = rows({"action": "open", "timestamp": "2026-01-06T09:01:00+00:00"}, email=email)
    assert isinstance(found, str)


@pytest.mark.parametrize("activity", [None, []])
def test_somebody_who_did_nothing_did_nothing(activity: Any) -> None:
    contact = EmailRow.model_validate({"email_id": "5eb0", "email_address": "a@acme.example", "activity": activity})
    assert activities_of(CAMPAIGN, contact) == []


# --- merge fields ----------------------------------------------------------------------------------------------------


@given(st.text(max_size=600))
def test_text_fits_is_no_merge_tag_and_needs_no_second_write(text: str) -> None:
    fields = Fields(configuration("http://127.0.0.1:1"))
    written = fields.changes({"reasons": text}, {}).get("LBREASONS", "")
    assert len(written.encode()) <= LONGEST_TEXT
    assert "*|" not in written
    assert "|*" not in written
    assert fields.changes({"reasons": text}, {"LBREASONS": written}) == {}


def test_numbers_go_as_numbers_and_nothing_as_nothing(fields: Fields) -> None:
    assert fields.to_wire({"LBSCORE": "72", "LBGRADE": "7"}) == {"LBSCORE": 72, "LBGRADE": "7"}
    assert fields.to_wire({"LBSCORE": "", "LBGRADE": ""}) == {"LBSCORE": "", "LBGRADE": ""}
    assert fields.to_wire({"LBSCORE": "7.5"}) == {"LBSCORE": 7.5}


def test_where_there_is_no_value_a_field_says_its_fallback_and_otherwise_nothing() -> None:
    back = {"score": {"mailchimp": "LBSCORE", "fallback": "0"}, "stage": {"mailchimp": "LBSTAGE"}}
    fields = Fields(
        configuration("http://127.0.0.1:1", write_back=back | {"reasons": {"mailchimp": "LBWHY", "fallback": "*|X|*"}})
    )
    nothing = {"score": None, "stage": None, "reasons": ""}
    assert fields.changes(nothing, {}) == {"LBSCORE": "0", "LBWHY": "* |X| *"}
    assert fields.changes(nothing, {"LBSCORE": "0.0", "LBSTAGE": "mql", "LBWHY": "* |X| *"}) == {"LBSTAGE": ""}
    assert fields.changes({"score": 7, "reasons": "a form"}, {"LBSCORE": "0"}) == {"LBSCORE": "7", "LBWHY": "a form"}
    assert fields.changes({"score": 0}, {"LBSCORE": "0"}) == {}


def test_choices_are_kept_as_text(fields: Fields) -> None:
    specs = {spec.name: spec for spec in fields.specs()}
    assert {name: spec.kind for name, spec in specs.items()} == {
        "LBSCORE": "number",
        "LBGRADE": "text",
        "LBSTAGE": "text",
        "LBREASONS": "text",
    }
    assert not any(spec.options for spec in specs.values())


# --- errors ----------------------------------------------------------------------------------------------------------

FORBIDDEN = {"title": "Forbidden", "status": 403, "detail": "The API key provided is linked to datacenter 'us6'"}
LIMIT = {"title": "Too Many Requests", "detail": "You have exceeded the limit of 10 simultaneous connections."}


def named(status: int, body: Any, operation: str = "members.get") -> VendorError:
    text = json.dumps(body) if isinstance(body, dict) else body
    found = name_error(operation, ApiClientError(text, status_code=status))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "body", "operation", "kind"),
    [
        (401, {"title": "API Key Invalid"}, "members.get", NeedsOperator),
        (403, FORBIDDEN, "members.get", NeedsOperator),
        (403, FORBIDDEN, "reports.email_activity", FeatureMissing),
        (403, "<html>", "members.get", RetryLater),  # throttled
        (426, "", "members.get", NeedsOperator),
        (429, LIMIT, "members.get", RetryLater),
        (400, {"title": "Member In Compliance State"}, "members.get", Refused),
        (404, {"title": "Resource Not Found"}, "members.get", Refused),
        (404, "<html>", "members.get", Unknown),  # none of Mailchimp's words
        (500, {"title": "Internal Server Error"}, "members.get", Unknown),
        (502, "<html>", "members.get", Unknown),
    ],
)
def test_every_answer_has_its_meaning(status: int, body: Any, operation: str, kind: type[VendorError]) -> None:
    assert type(named(status, body, operation)) is kind


def test_a_refusal_tells_the_field_and_the_words() -> None:
    body = {
        "title": "Invalid Resource",
        "detail": "Your merge fields were invalid.",
        "errors": [{"field": "LBSCORE", "message": "Please enter a number"}],
    }
    assert named(400, body).problem == (
        "Invalid Resource: Your merge fields were invalid.: LBSCORE: Please enter a number"
    )


def response(status: int, **headers: str) -> requests.Response:
    found = requests.Response()
    found.status_code = status
    found.headers.update(headers)
    return found


@pytest.mark.parametrize(("status", "kind"), [(429, RetryLater), (403, RetryLater), (503, Unknown), (200, Unknown)])
def test_an_empty_answer_is_no_success_whatever_the_client_thinks(status: int, kind: type[VendorError]) -> None:
    with pytest.raises(Empty) as caught:
        accepted(response(status))
    assert type(name_error("members.tags", caught.value)) is kind
    with pytest.raises(Empty):
        shaped(MemberRow, response(204))


def test_the_wish_of_an_empty_429_is_heard() -> None:
    with pytest.raises(Empty) as caught:
        accepted(response(429, **{"Retry-After": "9"}))
    found = name_error("members.tags", caught.value)
    assert isinstance(found, RetryLater)
    assert found.after == 9.0


@pytest.mark.parametrize("answer", ["<html>", {"id": 1}, [1]])
def test_a_body_where_none_belongs_is_garbled(answer: Any) -> None:
    with pytest.raises(Garbled):
        accepted(answer)


@pytest.mark.parametrize("answer", ["<html>", {"id": 1}, [1], None])
def test_an_answer_of_another_shape_is_garbled(answer: Any) -> None:
    with pytest.raises(Garbled):
        shaped(MemberRow, answer)


REFUSED = urllib3.exceptions.NewConnectionError(None, "refused")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        (requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", REFUSED)), RetryLater),  # type: ignore[arg-type]
        (requests.ConnectTimeout("slow"), Unknown),
        (requests.ConnectTimeout(urllib3.exceptions.ConnectTimeoutError("slow")), RetryLater),
        (requests.ReadTimeout("slow"), Unknown),
        (requests.ConnectionError("cut"), Unknown),
        (urllib3.exceptions.IncompleteRead(5, 5), Unknown),
        (KeyError("seconds"), Unknown),
    ],
)
def test_network_errors_inside_the_clients_error_are_found(inside: Exception, kind: type[VendorError]) -> None:
    found = name_error("members.get", ApiClientError(inside))
    assert type(found) is kind


def test_a_fault_of_our_own_has_no_name() -> None:
    assert name_error("members.get", KeyError("ours")) is None
