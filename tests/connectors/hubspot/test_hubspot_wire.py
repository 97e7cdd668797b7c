"""What HubSpot's answers mean: error bodies of vendors/hubspot.md sections 3.3, 13 and 14, one by one."""

import json
from typing import Any, get_args

import pytest
from hubspot.crm.contacts.exceptions import ApiException

from connectors.hubspot.paths import ROUTES, path_of
from connectors.hubspot.wire import BatchAnswer, ErrorItem, Listing, Refused, name_error, parsed
from leadbridge.call import Garbled
from leadbridge.config.connections import HubSpotSource
from leadbridge.errors import FeatureMissing, NeedsOperator, RetryLater, Unknown, VendorError


class Response:
    """As much of urllib3's response as the SDK's exception reads."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.status, self.reason, self.data, self._headers = status, "", body, headers or {}

    def getheaders(self) -> dict[str, str]:
        return self._headers


def named(status: int, body: Any = None, operation: str = "contacts.list", **headers: str) -> VendorError:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    error = ApiException(http_resp=Response(status, raw, headers))
    error.body = raw.decode()  # as the SDK does
    found = name_error(operation, error)
    assert found is not None
    return found


TEN_SECONDS = {"message": "You have reached your ten_secondly_rolling limit.", "policyName": "TEN_SECONDLY_ROLLING"}
DAILY = {"message": "You have reached your daily limit.", "errorType": "RATE_LIMIT", "policyName": "DAILY"}
SECOND = {"message": "You have reached your secondly limit.", "category": "RATE_LIMITS"}


@pytest.mark.parametrize(
    ("body", "headers", "low", "high"),
    [
        (TEN_SECONDS, {}, 10, 10),
        (DAILY, {}, 3600, 86400),
        (SECOND, {}, 1, 1),
        ({}, {}, 1, 1),
        (TEN_SECONDS, {"Retry-After": "4"}, 4, 4),
    ],
)
def test_each_limit_is_waited_out_as_long_as_it_lasts(
    body: dict[str, str], headers: dict[str, str], low: float, high: float
) -> None:
    error = named(429, body, **headers)
    assert type(error) is RetryLater
    assert error.after is not None
    assert low <= error.after <= high


def test_a_lock_is_waited_out_two_seconds_or_more() -> None:
    error = named(423, {"message": "locked"}, **{"Retry-After": "1"})
    assert type(error) is RetryLater
    assert error.after == 2.0


def test_an_account_on_the_move_is_left_alone_as_long_as_it_says() -> None:
    assert getattr(named(477, {}, **{"Retry-After": "7200"}), "after", None) == 7200
    assert getattr(named(477, {}), "after", 0) >= 600


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521, 524])
def test_a_failing_server_may_have_acted(status: int) -> None:
    assert isinstance(named(status, b"<html>Bad gateway</html>"), Unknown)


def test_a_redirect_is_no_answer() -> None:
    assert isinstance(named(302, b""), Unknown)


def test_a_refused_token_names_its_cure() -> None:
    error = named(401, {"category": "EXPIRED_AUTHENTICATION", "message": "expired 75 second(s) ago"})
    assert isinstance(error, NeedsOperator)
    assert "connections.hubspot.token" in error.problem


NEWER = {
    "category": "MISSING_SCOPES",
    "errors": [{"message": "…", "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}],
}
OLDER = {"category": "MISSING_SCOPES", "context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}


@pytest.mark.parametrize("body", [NEWER, OLDER])
def test_a_missing_scope_is_named_and_pauses_or_switches_off(body: dict[str, Any]) -> None:
    needed = named(403, body, "contacts.batch.update")
    assert isinstance(needed, NeedsOperator)
    assert "crm.objects.contacts.write" in needed.problem
    assert isinstance(named(403, body, "events.list"), FeatureMissing)


def test_every_source_of_activity_and_the_journal_can_be_switched_off_and_nothing_else() -> None:
    optional = {name for name, route in ROUTES.items() if route.optional}
    sources = {"email" if one == "email_events" else one for one in get_args(HubSpotSource)}
    assert {name.partition(".")[0] for name in optional} == sources | {"journal"}


def test_validation_names_the_property_and_says_why() -> None:
    body = {
        "category": "VALIDATION_ERROR",
        "message": "Property values were not valid: [{}]",
        "errors": [
            {
                "message": "my_property is required because of a conditional property rule based on [country]",
                "code": "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
                "context": {"propertyName": ["my_property"]},
            }
        ],
    }
    error = named(400, body)
    assert isinstance(error, Refused)
    assert error.problem.startswith("my_property: my_property is required")
    assert error.body.codes() == {"MISSING_CONDITIONAL_REQUIRED_PROPERTY"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": "none"}', b'{"context": 5, "message": null}'])
def test_a_body_of_any_shape_is_survived(body: bytes) -> None:
    assert isinstance(named(404, body), Refused)


def test_an_error_body_that_is_not_utf8_is_survived() -> None:
    error = ApiException(http_resp=Response(502, b"\xff\xfe<html>"))
    stumble = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    stumble.__context__ = error  # the SDK decodes the body while it handles the exception
    assert isinstance(name_error("contacts.list", stumble), Unknown)


def test_a_certificate_nobody_trusts_needs_an_operator() -> None:
    untrusted = ApiException(status=0, reason="SSLError\n[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    assert isinstance(name_error("contacts.list", untrusted), NeedsOperator)
    assert isinstance(name_error("contacts.list", ApiException(status=0, reason="SSLError\nEOF")), Unknown)


def test_a_fault_of_our_own_has_no_name() -> None:
    assert name_error("contacts.list", KeyError("ours")) is None


# --- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b"{}", b'{"results": 5}', b'{"results": ["x"]}'])
def test_an_answer_of_another_shape_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        parsed(Listing, body)


def test_the_address_of_the_next_page_is_never_looked_at() -> None:
    listing = parsed(Listing, b'{"results":[],"paging":{"next":{"after":5,"link":"https://elsewhere.example/"}}}')
    assert listing.after == "5"
    assert "elsewhere" not in repr(listing)


def test_one_error_can_stand_for_many_inputs() -> None:
    body = b'{"results":[],"numErrors":1,"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["1",2]}}]}'
    assert parsed(BatchAnswer, body).errors[0].context["ids"] == ["1", "2"]


def test_a_refusal_without_words_still_says_something() -> None:
    assert ErrorItem.model_validate({}).words() != ""


# --- paths -----------------------------------------------------------------------------------------------------------


def test_both_families_have_every_operation() -> None:
    given = {"id": "1", "form": "f", "name": "n", "list": "7", "offset": "o", "app": "5"}
    for name, route in ROUTES.items():
        wanted = {key: value for key, value in given.items() if "{" + key + "}" in route.tail}
        assert path_of("v3", name, **wanted).startswith("/")
        assert path_of("2026-09", name, **wanted).startswith("/")


def test_arguments_of_a_path_cannot_leave_it() -> None:
    assert path_of("v3", "contacts.get", id="../merge?x=a@b") == "/crm/v3/objects/contacts/..%2Fmerge%3Fx%3Da%40b"
