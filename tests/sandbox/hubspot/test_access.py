"""Credentials, scopes, limits, OAuth."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import requests

from leadbridge.sandbox.hubspot import CLIENT_ID, REFRESH_TOKEN
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
ROOT = "/crm/v3/objects/contacts"


def test_no_credentials(sandbox: Sandbox) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}):
        answer = requests.get(f"{sandbox.url}{ROOT}", headers=headers, timeout=20)
        assert (answer.status_code, answer.json()["category"]) == (401, "INVALID_AUTHENTICATION")
        assert answer.headers["X-HubSpot-Correlation-Id"]


def test_an_expired_token_says_since_when(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.tokens.add("short", kind="oauth", expires_in=1800)
    assert api("GET", ROOT, token="short").status_code == 200
    sandbox.world.clock.advance(timedelta(seconds=1875))
    answer = api("GET", ROOT, token="short")
    assert (answer.status_code, answer.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert answer.json()["message"] == "The OAuth token used to make this call expired 75 second(s) ago."
    assert answer.json()["context"] == {"expire time": ["2026-11-22T02:30:00.000Z"]}


def test_a_token_nobody_issued_looks_long_expired(api: Api) -> None:
    body = api("GET", ROOT, token="nonsense").json()
    assert body["category"] == "EXPIRED_AUTHENTICATION"
    assert body["context"]["expire time"][0].startswith("1970-")


def test_a_missing_scope_is_named(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.tokens.add("reader", scopes=["crm.objects.contacts.read"])
    contact = sandbox.hubspot.add_contact({"email": "a@x.com"})
    assert api("GET", ROOT, token="reader").status_code == 200
    answer = api("PATCH", f"{ROOT}/{contact}", token="reader", json={"properties": {"jobtitle": "CTO"}})
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.contacts.write"]}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/crm/v3/objects/meetings", 200),  # activities are opened by the contact scopes
        ("/crm/v3/objects/companies", 403),
        ("/crm/v3/owners", 403),
        ("/crm/v3/properties/contacts", 200),
        ("/crm/v3/properties/companies", 403),
        ("/account-info/v3/details", 200),
        ("/events/v3/events", 200),
        ("/marketing/v3/forms", 403),
    ],
)
def test_what_a_contact_reader_may_see(sandbox: Sandbox, api: Api, path: str, status: int) -> None:
    sandbox.hubspot.tokens.add("reader", scopes=["crm.objects.contacts.read"])
    assert api("GET", path, token="reader").status_code == status


def test_a_schema_writer_cannot_read_definitions(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.tokens.add("writer", scopes=["crm.schemas.contacts.write"])
    assert api("GET", "/crm/v3/properties/contacts", token="writer").status_code == 403


def test_rate_headers_count_down(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.burst_limit = 190
    headers = [api("GET", ROOT).headers for _ in range(2)]
    assert [one["X-HubSpot-RateLimit-Remaining"] for one in headers] == ["189", "188"]
    assert [one["X-HubSpot-RateLimit-Daily-Remaining"] for one in headers] == ["624999", "624998"]
    assert headers[0]["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"


def test_oauth_answers_have_no_daily_headers(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.tokens.add("app", kind="oauth", expires_in=1800)
    headers = api("GET", ROOT, token="app").headers
    assert "X-HubSpot-RateLimit-Remaining" in headers
    assert "X-HubSpot-RateLimit-Daily-Remaining" not in headers


def test_the_rolling_limit_is_per_token_and_refused_calls_count(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.burst_limit = 3
    sandbox.hubspot.tokens.add("other")
    assert [api("GET", ROOT).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert api("GET", ROOT, token="other").status_code == 200
    sandbox.world.clock.advance(timedelta(seconds=9))
    body = api("GET", ROOT).json()
    assert (body["policyName"], body["errorType"]) == ("TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    sandbox.world.clock.advance(timedelta(seconds=9))
    assert [api("GET", ROOT).status_code for _ in range(3)] == [200, 200, 429]


def test_retry_after_is_sent_only_by_switch(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.burst_limit = 1
    assert [api("GET", ROOT).headers.get("Retry-After") for _ in range(2)] == [None, None]
    sandbox.hubspot.settings.retry_after = 7
    assert api("GET", ROOT).headers["Retry-After"] == "7"


def test_the_daily_limit_ends_at_midnight(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.settings.daily_limit = 2
    assert [api("GET", ROOT).status_code for _ in range(3)] == [200, 200, 429]
    assert api("GET", ROOT).json()["policyName"] == "DAILY"
    sandbox.world.clock.advance(timedelta(hours=22))
    assert api("GET", ROOT).status_code == 200


def test_usage_does_not_count_service_keys(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.tokens.add("key", kind="service")
    api("GET", ROOT, token="key")
    api("GET", ROOT)
    [row] = api("GET", "/account-info/2026-09/api-usage/daily/private-apps").json()["results"]
    assert row["currentUsage"] == 2  # one list, and this call
    assert row["resetsAt"] == "2026-11-23T00:00:00.000Z"


def test_account_details(api: Api) -> None:
    body = api("GET", "/account-info/v3/details").json()
    assert (body["portalId"], body["timeZone"], body["accountType"]) == (62515, "UTC", "STANDARD")


def grant(sandbox: Sandbox, version: str = "2026-09", **form: str) -> requests.Response:
    whole = {"client_id": CLIENT_ID, "client_secret": "sandbox-hubspot-secret", **form}
    return requests.post(f"{sandbox.url}/oauth/{version}/token", data=whole, timeout=20)


def test_a_code_is_exchanged_once(sandbox: Sandbox, api: Api) -> None:
    sandbox.hubspot.tokens.add_code("code-1", ["crm.objects.contacts.read"])
    form = {"grant_type": "authorization_code", "code": "code-1", "redirect_uri": "http://localhost/"}
    body = grant(sandbox, **form).json()
    assert (body["expires_in"], body["hub_id"]) == (1800, 62515)
    assert body["scopes"] == ["crm.objects.contacts.read", "oauth"]
    assert api("GET", ROOT, token=body["access_token"]).status_code == 200
    again = grant(sandbox, **form)
    assert (again.status_code, again.json()["status"]) == (400, "BAD_AUTH_CODE")


def test_a_refreshed_token_lives_half_an_hour(sandbox: Sandbox, api: Api) -> None:
    body = grant(sandbox, "v1", grant_type="refresh_token", refresh_token=REFRESH_TOKEN).json()
    assert body["refresh_token"] == REFRESH_TOKEN
    assert "hub_id" not in body
    sandbox.world.clock.advance(timedelta(seconds=1799))
    assert api("GET", ROOT, token=body["access_token"]).status_code == 200
    sandbox.world.clock.advance(timedelta(seconds=1))
    assert api("GET", ROOT, token=body["access_token"]).status_code == 401


def test_refresh_tokens_rotate_by_switch(sandbox: Sandbox) -> None:
    sandbox.hubspot.settings.rotate_refresh_tokens = True
    body = grant(sandbox, grant_type="refresh_token", refresh_token=REFRESH_TOKEN).json()
    assert body["refresh_token"] != REFRESH_TOKEN
    bad = grant(sandbox, grant_type="refresh_token", refresh_token=REFRESH_TOKEN)
    assert bad.status_code == 400
    assert bad.json()["status"] == "BAD_REFRESH_TOKEN"
    assert bad.json()["error"] == "invalid_grant"


def test_a_private_token_tells_its_scopes(sandbox: Sandbox) -> None:
    sandbox.hubspot.tokens.add("reader", scopes=["forms"])
    path = f"{sandbox.url}/oauth/v2/private-apps/get/access-token-info"
    body = requests.post(path, json={"tokenKey": "reader"}, timeout=20).json()
    assert (body["hubId"], body["scopes"]) == (62515, ["forms", "oauth"])
