"""A sandbox per test, frozen in time, a bare HTTP client, and simple-salesforce, which knows nothing of leadbridge."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce as Client

from leadbridge.sandbox.salesforce import Salesforce
from leadbridge.sandbox.server import Sandbox

NOW = datetime(2026, 11, 22, 2, 0, 30, tzinfo=UTC)


class ToSandbox(HTTPAdapter):
    """Sends what is meant for Salesforce's hosts to the sandbox."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        assert request.url is not None
        host, _, path = request.url.partition("://")[2].partition("/")
        request.headers["Host"] = host
        request.url = f"{self._url}/{path}"
        return super().send(request, *args, **more)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(NOW) as running:
        yield running


@pytest.fixture
def sf(sandbox: Sandbox) -> Salesforce:
    return sandbox.salesforce


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Callable[..., requests.Response]]:
    """Calls with a fresh session: ``api("GET", "/sobjects/Lead/describe")``; paths below /services/data/v65.0."""
    token = sandbox.salesforce.sign_in()
    with requests.Session() as session:

        def call(method: str, path: str, *, token: str = token, **more: Any) -> requests.Response:
            headers = {"Authorization": f"Bearer {token}", "Sforce-Auto-Assign": "FALSE", **more.pop("headers", {})}
            url = sandbox.url + (path if path.startswith("/services") else f"/services/data/v65.0{path}")
            return session.request(method, url, headers=headers, timeout=10, **more)

        yield call


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[requests.Session]:
    """A session whose every https call reaches the sandbox."""
    with requests.Session() as made:
        made.mount("https://", ToSandbox(sandbox.url))
        yield made


@pytest.fixture
def client(sf: Salesforce, session: requests.Session) -> Client:
    return Client(
        session_id=sf.sign_in(), instance_url="https://acme.my.salesforce.com", session=session, version="65.0"
    )
