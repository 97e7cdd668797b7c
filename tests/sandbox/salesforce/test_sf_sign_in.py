"""Tokens: three ways to get one, what ends one, and the errors of sections 1.2 and 1.3."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from simple_salesforce import Salesforce as Client

from leadbridge.sandbox.salesforce import CLIENT_ID, CLIENT_SECRET, INTEGRATION_USER, ORG_ID, REFRESH_TOKEN, Salesforce
from leadbridge.sandbox.server import Sandbox

Api = Callable[..., requests.Response]
FORM = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def token(sandbox: Sandbox, **form: str) -> requests.Response:
    return requests.post(f"{sandbox.url}/services/oauth2/token", data=form, timeout=20)


def test_client_credentials_name_the_org_the_user_and_the_host(sandbox: Sandbox, api: Api) -> None:
    answer = token(sandbox, **FORM)
    body = answer.json()
    assert answer.headers["Cache-Control"] == "no-cache, no-store"
    assert body["id"].split("/")[-2:] == [ORG_ID, INTEGRATION_USER]
    assert body["instance_url"] == sandbox.url
    assert "expires_in" not in body
    assert body["issued_at"].isdigit()
    assert api("GET", "/limits", token=body["access_token"]).status_code == 200


def test_the_library_signs_in_with_client_credentials(session: requests.Session) -> None:
    client = Client(
        consumer_key=CLIENT_ID, consumer_secret=CLIENT_SECRET, domain="acme.my", session=session, version="65.0"
    )
    assert client.query("SELECT Id FROM Lead")["totalSize"] == 0


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def test_the_library_signs_in_with_a_jwt(sf: Salesforce, session: requests.Session, key: rsa.RSAPrivateKey) -> None:
    sf.world.clock.set(datetime.now(UTC))  # the library signs in real time
    sf.set_jwt_key(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    client = Client(
        username="integration@acme.example", consumer_key=CLIENT_ID, privatekey=private, session=session,
        instance_url="acme.my", version="65.0",
    )  # fmt: skip
    assert client.query("SELECT Id FROM User")["totalSize"] == 4


def assertion(key: rsa.RSAPrivateKey, claims: dict[str, Any]) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    seal = base64.urlsafe_b64encode(key.sign(text, PKCS1v15(), SHA256())).rstrip(b"=")
    return (text + b"." + seal).decode()


@pytest.mark.parametrize(
    ("change", "description"),
    [
        ({}, None),
        ({"aud": "https://acme.my.salesforce.com"}, "Audience validation failed"),
        ({"sub": "nobody@acme.example"}, "user hasn't approved this consumer"),
        ({"late": 1}, "expired authorization code"),
        ({"forged": 1}, "invalid assertion"),
    ],
)
def test_a_jwt_is_judged_by_every_claim(
    sandbox: Sandbox, key: rsa.RSAPrivateKey, change: dict[str, Any], description: str | None
) -> None:
    sandbox.salesforce.set_jwt_key(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )
    now = sandbox.world.clock.now().timestamp()
    claims = {
        "iss": CLIENT_ID, "sub": "integration@acme.example", "aud": "https://login.salesforce.com",
        "exp": now + (-10 if "late" in change else 180), **change,
    }  # fmt: skip
    signer = rsa.generate_private_key(65_537, 2_048) if "forged" in change else key
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    answer = token(sandbox, grant_type=grant, assertion=assertion(signer, claims))
    assert answer.json().get("error_description") == description
    assert answer.status_code == (400 if description else 200)


def test_a_refresh_may_replace_the_refresh_token(sandbox: Sandbox) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN, "client_id": CLIENT_ID}
    assert "refresh_token" not in token(sandbox, **form).json()
    sandbox.salesforce.settings.rotate_refresh_tokens = True
    rotated = token(sandbox, **form).json()["refresh_token"]
    assert token(sandbox, **form).json() == {
        "error": "invalid_grant",
        "error_description": "expired access/refresh token",
    }
    assert token(sandbox, **{**form, "refresh_token": rotated}).status_code == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "x"}, "invalid_client_id"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"grant_type": "x"}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "invalid_grant"),
    ],
)
def test_a_wrong_app_is_told_apart(sandbox: Sandbox, change: dict[str, str], error: str) -> None:
    answer = token(sandbox, **{**FORM, **change})
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_without_a_run_as_user_there_is_no_token(sandbox: Sandbox) -> None:
    sandbox.salesforce.settings.run_as_user = False
    assert token(sandbox, **FORM).json()["error_description"] == "no client credentials user enabled"


def test_a_session_dies_of_disuse_and_lives_by_use(sandbox: Sandbox, api: Api) -> None:
    for _ in range(3):
        sandbox.world.clock.advance(timedelta(hours=1, minutes=59))
        assert api("GET", "/limits").status_code == 200
    sandbox.world.clock.advance(timedelta(hours=2, seconds=1))
    answer = api("GET", "/limits")
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_a_401_no_refresh_mends_and_an_org_without_api(sandbox: Sandbox, api: Api) -> None:
    sandbox.salesforce.settings.rest_scope = False
    assert "not valid for use with the REST API" in api("GET", "/limits").json()[0]["message"]
    sandbox.salesforce.settings.rest_scope, sandbox.salesforce.settings.api_enabled = True, False
    assert api("GET", "/limits").json()[0]["errorCode"] == "API_DISABLED_FOR_ORG"


def test_versions_need_no_token_and_retired_ones_are_gone(sandbox: Sandbox, api: Api) -> None:
    answer = requests.get(f"{sandbox.url}/services/data/", timeout=20)
    assert {"version": "66.0", "url": "/services/data/v66.0", "label": "Spring '26"} in answer.json()
    assert "Sforce-Limit-Info" not in answer.headers
    assert api("GET", "/services/data/v25.0/limits").status_code == 410
    assert api("GET", "/services/data/v65.0/nonsense").json()[0]["errorCode"] == "NOT_FOUND"
    assert api("GET", "/services/data/v65.0/composite/sobjects").status_code == 405
    assert b"SOAP Login operation is not available" in api("POST", "/services/Soap/u/65.0").content


def test_one_code_means_two_limits(sandbox: Sandbox, api: Api) -> None:
    sandbox.salesforce.settings.daily_limit = 2
    assert api("GET", "/limits").headers["Sforce-Limit-Info"] == "api-usage=1/2"
    sandbox.salesforce.settings.concurrent_limit_hit = True
    busy = api("GET", "/limits")
    sandbox.salesforce.settings.concurrent_limit_hit = False
    assert api("GET", "/limits").json()["DailyApiRequests"] == {"Max": 2, "Remaining": 0}
    spent = api("GET", "/limits")
    assert (busy.status_code, spent.status_code) == (403, 403)
    assert busy.json()[0]["errorCode"] == spent.json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert busy.json()[0]["message"].startswith("ConcurrentRequests")
    assert spent.json()[0]["message"] == "TotalRequests Limit exceeded."
    sandbox.world.clock.advance(timedelta(hours=25))
    assert api("GET", "/limits", token=sandbox.salesforce.sign_in()).status_code == 200


def test_a_url_too_long_is_refused_in_html(api: Api) -> None:
    answer = api("GET", "/query", params={"q": "x" * 17_000})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (414, "text/html")
