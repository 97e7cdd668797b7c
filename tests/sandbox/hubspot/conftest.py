"""A sandbox per test, frozen in time, and a bare HTTP client that knows nothing of leadbridge."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from leadbridge.sandbox.server import Sandbox

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
TOKEN = "sandbox-hubspot-token"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(NOW) as running:
        running.hubspot.settings.burst_limit = 0
        running.hubspot.settings.search_per_second = 0
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Callable[..., requests.Response]]:
    """Calls of a client with the sandbox's token: ``api("GET", "/crm/v3/objects/contacts", params=…)``."""
    with requests.Session() as session:

        def call(method: str, path: str, *, token: str = TOKEN, **more: Any) -> requests.Response:
            headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
            return session.request(method, sandbox.url + path, headers=headers, timeout=10, **more)

        yield call


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[Callable[..., Any]]:
    """The control interface: ``control("POST", "/clock", {"advance_seconds": 5})``; answers JSON, raises on refusal."""
    with requests.Session() as session:

        def call(method: str, path: str, body: Any = None) -> Any:
            answer = session.request(method, f"{sandbox.url}/_sandbox{path}", json=body, timeout=20)
            answer.raise_for_status()
            return answer.json()

        yield call
