"""The kept SDK client of one HubSpot account, and the one way through it.

`call_api` of the SDK's `ApiClient` takes any path, so both path families go through one client and one pool of
connections (vendors/hubspot.md section 4). Service keys and private app tokens do not expire, so there is nothing to
renew; a refused token needs an operator.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from hubspot.crm.contacts.api_client import ApiClient
from hubspot.crm.contacts.configuration import Configuration
from urllib3 import Retry

from connectors.hubspot.paths import ROUTES, path_of
from connectors.hubspot.wire import VENDOR, Shape, name_error, parsed
from leadbridge import __version__, logs
from leadbridge.call import Caller, Pace, RatePerSpan, per_second, read_within
from leadbridge.config.connections import HubSpotConnection
from leadbridge.errors import VendorError

S = TypeVar("S", bound=Shape)

CONNECTIONS = 10
"""Connections kept open; more threads than this at once open short-lived ones."""


class Api:
    """The calls of one account. Thread-safe: the SDK's shared `last_response` is never looked at."""

    def __init__(self, connection: HubSpotConnection, pace: Pace | None = None) -> None:
        pace = pace or Pace()
        logs.hide(connection.token.get_secret_value())
        self._version = connection.api_version
        self._client = _client(connection)
        budgets = {
            "calls": RatePerSpan((connection.requests_per_10s, 10.0), ticks=pace.ticks),
            "searches": per_second(connection.searches_per_second, ticks=pace.ticks),
        }
        self._caller = Caller(VENDOR, name_error, budgets, pace=pace)

    def ask(
        self,
        operation: str,
        shape: type[S],
        *,
        arguments: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        failures: list[VendorError] | None = None,
    ) -> S:
        """Do one operation of `paths.ROUTES` and return its answer in the given shape. Raises VendorError."""
        route = ROUTES[operation]
        path = path_of(self._version, operation, **(arguments or {}))
        connect = self._caller.pace.patience.connect

        def send(seconds: float) -> S:
            response = self._client.call_api(
                path,
                route.method,
                query_params=list(query),
                header_params={"Accept": "application/json"},  # without it a missing pipeline answers HTML (14.1)
                body=dict(body) if body is not None else None,
                auth_settings=["oauth2"],
                _preload_content=False,
                _request_timeout=(min(connect, seconds), seconds),
            )
            return parsed(shape, read_within(response, seconds))

        return self._caller(
            operation,
            send,
            repeatable=route.repeatable,
            spend=("calls", "searches") if route.search else ("calls",),
            failures=failures,
        )


def _client(connection: HubSpotConnection) -> ApiClient:
    configuration = Configuration(host=connection.base_url)
    configuration.access_token = connection.token.get_secret_value()
    # No retries inside (ours are counted and budgeted), no redirects: the token goes to base_url only (G29).
    configuration.retries = Retry(total=False, redirect=False)
    configuration.connection_pool_maxsize = CONNECTIONS
    client = ApiClient(configuration)
    client.user_agent = f"leadbridge/{__version__}"
    return client
