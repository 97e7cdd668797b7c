"""The kept SDK client of one HubSpot account, and the one way through it.

`call_api` of the SDK's `ApiClient` takes any path, so both path families go through one client and one pool of
connections (vendors/hubspot.md section 4). Service keys and private app tokens do not expire; access of an OAuth app
does after half an hour, and is renewed before that (section 3.1).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from hubspot.crm.contacts.api_client import ApiClient
from hubspot.crm.contacts.configuration import Configuration
from hubspot.crm.contacts.exceptions import ApiException
from pydantic import Field, SecretStr
from urllib3 import Retry

from connectors.grants import Grant, Grants, MemoryGrants
from connectors.hubspot.paths import ROUTES, path_of
from connectors.hubspot.wire import VENDOR, Shape, name_error, parsed
from leadbridge import __version__, clock, logs, reach
from leadbridge.budgets import Budget, Day, Quota, Usage
from leadbridge.call import Caller, Pace, read_within
from leadbridge.config.connections import HubSpotConnection
from leadbridge.errors import NeedsOperator, VendorError

S = TypeVar("S", bound=Shape)

CONNECTIONS = 20
"""Connections kept open; more threads than this at once open short-lived ones."""

JOURNAL = "hubspot.journal"
"""Name under which the journal's token is kept."""

SLACK = timedelta(seconds=60)
"""What HubSpot's records are stamped by may be so far behind the clock of whoever answers."""

MARGIN = timedelta(seconds=60)
"""Access is renewed this long before it ends; 401 is not the normal signal (section 3.1)."""


class Api:
    """The calls of one account. Thread-safe: the SDK's shared `last_response` is never looked at."""

    def __init__(
        self,
        connection: HubSpotConnection,
        pace: Pace | None = None,
        grants: Grants | None = None,
        *,
        of_app: bool = False,
    ) -> None:
        """`of_app`: call with a token of the journal's app itself (`journal_client_id`), which opens no account."""
        pace = pace or Pace()
        self._version = connection.api_version
        self._client = _client(connection)
        self._usage, self._day_until = Usage(), connection.day_until
        self._told: tuple[datetime, float] | None = None  # the `Date` of the last answer, and our ticks then
        self._calls = pace.budgets.rate("hubspot calls", connection.requests_per_10s, 10.0)
        budgets: dict[str, Budget] = {
            "day": Quota(self._usage, connection.day_until, ticks=pace.ticks),
            "calls": self._calls,
            "searches": pace.budgets.rate("hubspot searches", connection.searches_per_second, 1.0),
        }
        self._caller = Caller(VENDOR, name_error, budgets, pace=pace)
        self._developer_key = connection.developer_key.get_secret_value() if connection.developer_key else ""
        if self._developer_key:
            logs.hide(self._developer_key)  # it travels in the address
        self._access: _Fixed | _Renewed | _OfApp
        if of_app:
            self._access = _OfApp(self, connection, grants or MemoryGrants())
        elif connection.token is not None:
            self._access = _Fixed(connection.token)
        else:
            self._access = _Renewed(self, connection, grants or MemoryGrants())

    def ask(
        self,
        operation: str,
        shape: type[S],
        *,
        arguments: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        failures: list[VendorError] | None = None,
        once: bool = False,
    ) -> S:
        """Do one operation of `paths.ROUTES` and return its answer in the given shape. Raises VendorError.

        `once`: not again after a try that may have reached HubSpot, for a caller who knows better than to repeat it.
        """
        route = ROUTES[operation]
        path = path_of(self._version, operation, **(arguments or {}))

        def send_with(token: str, seconds: float) -> S:
            answer = self._send(route.method, path, seconds, token=token, query=query, body=body)
            return parsed(shape, answer or b"{}" if route.empty else answer)

        def send_with_key(seconds: float) -> S:
            key = [("hapikey", self._developer_key)]
            return parsed(shape, self._send(route.method, path, seconds, query=[*key, *query], body=body))

        def send(seconds: float) -> S:
            token = self._access.token()
            try:
                return send_with(token, seconds)
            except ApiException as error:
                if error.status != 401 or (fresh := self._access.instead_of(token)) is None:
                    raise
            return send_with(fresh, seconds)

        return self._caller(
            operation,
            send_with_key if route.developer else send,
            repeatable=route.repeatable and not once,
            spend=("day", "calls", "searches") if route.search else ("day", "calls"),
            failures=failures,
        )

    def carry(self, operation: str, send: Callable[[float], S]) -> S:
        """A call that HubSpot asks us to make elsewhere, and counts nowhere. Raises VendorError."""
        return self._caller(operation, send, repeatable=True, spend=())

    def scopes(self) -> frozenset[str] | None:
        """What the token may do; None where HubSpot does not say."""
        if isinstance(self._access, _Renewed):
            return self._access.scopes()
        if not isinstance(self._access, _Fixed):
            return None
        try:
            found = self.ask("oauth.token_info", Scopes, body={"tokenKey": self._access.token()})
        except VendorError:  # what the question is called in there is not documented (section 3)
            return None
        return frozenset(scope.removesuffix(".v2") for scope in found.scopes)

    def vendor_now(self) -> datetime | None:
        """Where the clock that stamps HubSpot's records surely stands, whatever ours shows; None before any answer."""
        if self._told is None:
            return None
        told, at = self._told
        return told + timedelta(seconds=time.monotonic() - at) - SLACK

    def day(self) -> Day | None:
        """See `Crm.day`."""
        return self._usage.day(self._day_until)

    def granted(self, fields: Mapping[str, str]) -> Grant:
        """Ask for access with these fields of a form. Raises VendorError; NeedsOperator when the grant was revoked."""
        asked = clock.now()
        path = path_of(self._version, "oauth.token")

        def send(seconds: float) -> TokenAnswer:
            return parsed(TokenAnswer, self._send("POST", path, seconds, form=fields))

        # A code is good once; a refresh token that was exchanged meanwhile is asked for again (connectors.grants).
        answer = self._caller("oauth.token", send, repeatable="code" not in fields)
        for secret in (answer.access_token, answer.refresh_token):
            logs.hide(secret)
        lasts = timedelta(seconds=answer.expires_in)
        refresh_token = answer.refresh_token or fields.get("refresh_token", "")
        return Grant(refresh_token, answer.access_token, asked + lasts, about=" ".join(answer.scopes))

    def _send(
        self,
        method: str,
        path: str,
        seconds: float,
        *,
        token: str | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> bytes:
        headers = {"Accept": "application/json"}  # without it a missing pipeline answers HTML (section 14.1)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        response = self._client.call_api(
            path,
            method,
            query_params=list(query),
            header_params=headers,
            post_params=list((form or {}).items()),
            body=dict(body) if body is not None else None,
            _preload_content=False,
            _request_timeout=(min(self._caller.pace.patience.connect, seconds), seconds),
        )
        self._note_limits(response.headers)
        if (date := _date(response.headers)) is not None:
            self._told = date, time.monotonic()
        return read_within(response, seconds)

    def _note_limits(self, headers: Mapping[str, str]) -> None:
        """What the account lets through in ten seconds, and what is left of its daily quota, which all private apps and
        service keys share; OAuth has none (section 13). Searches tell neither.
        """
        limit, left = _number(headers, "Daily"), _number(headers, "Daily-Remaining")
        if limit is not None and left is not None:
            self._usage.note(limit - left, limit)
        most, interval = _number(headers, "Max"), _number(headers, "Interval-Milliseconds")
        if most and interval:
            self._calls.at_most(most, interval / 1000)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(f"X-HubSpot-RateLimit-{name}", "")
    return int(text) if text.isdecimal() else None


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        found = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return found if found.tzinfo else None


# --- access ----------------------------------------------------------------------------------------------------------


class TokenAnswer(Shape):
    """Access as HubSpot grants it."""

    access_token: str = Field(repr=False, min_length=1)
    refresh_token: str = Field("", repr=False)
    expires_in: float = Field(gt=0)
    scopes: list[str] = Field(default_factory=list)  # v1 tells none


class Scopes(Shape):
    """What a private token may do; sensitive scopes end in ".v2"."""

    scopes: list[str]


class _Fixed:
    """A token for good."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token
        logs.hide(token.get_secret_value())

    def token(self) -> str:
        return self._token.get_secret_value()

    def instead_of(self, refused: str) -> str | None:  # noqa: ARG002 - there is no other
        return None


class _Renewed:
    """Access of an OAuth app. Whoever finds it expired renews it, once for all (`connectors.grants`)."""

    def __init__(self, api: Api, connection: HubSpotConnection, grants: Grants) -> None:
        assert connection.client_secret is not None  # noqa: S101 - the configuration sees to these
        self._api = api
        self._client_id = connection.client_id or ""
        self._client_secret = connection.client_secret
        self._first = first_grant(connection)
        self._grants = grants
        self._held = self._first  # as this process knows it; another may have renewed it, which ends nothing of ours
        logs.hide(self._client_secret.get_secret_value(), self._first.refresh_token)

    def token(self) -> str:
        """Access good for a minute at least, by our clock. Raises VendorError when it cannot be renewed."""
        held = self._held
        if _ends(held):
            held = self._grants.current(VENDOR, self._first)
        if _ends(held):
            held = self._grants.renewed(VENDOR, self._first, held.access_token, self._renew)
        self._held = held
        return held.access_token

    def instead_of(self, refused: str) -> str:
        """Other access than this, which HubSpot calls expired: its clock is the one that counts."""
        self._held = held = self._grants.renewed(VENDOR, self._first, refused, self._renew)
        return held.access_token

    def scopes(self) -> frozenset[str] | None:
        """What was granted with the access held; None when the answer that brought it did not say."""
        self.token()
        return frozenset(self._held.about.split()) or None

    def _renew(self, held: Grant) -> Grant:
        if not held.refresh_token:
            raise NeedsOperator(
                VENDOR, "oauth.token", "nobody has let the app in yet; run `leadbridge connect hubspot`"
            )
        return self._api.granted(
            {
                "grant_type": "refresh_token",
                "client_id": self._client_id,
                "client_secret": self._client_secret.get_secret_value(),
                "refresh_token": held.refresh_token,
            }
        )


class _OfApp:
    """Tokens that the journal's app asks for itself, kept and renewed like others (section 3.1, 4)."""

    def __init__(self, api: Api, connection: HubSpotConnection, grants: Grants) -> None:
        assert connection.journal_client_secret is not None  # noqa: S101 - the configuration sees to these
        self._api, self._grants = api, grants
        self._client_id = connection.journal_client_id or ""
        self._client_secret = connection.journal_client_secret.get_secret_value()
        self._scopes = " ".join(connection.journal_scopes)
        self._first = Grant("")
        logs.hide(self._client_secret)

    def token(self) -> str:
        held = self._grants.current(JOURNAL, self._first)
        if _ends(held):
            held = self._grants.renewed(JOURNAL, self._first, held.access_token, self._renew)
        return held.access_token

    def instead_of(self, refused: str) -> str:
        return self._grants.renewed(JOURNAL, self._first, refused, self._renew).access_token

    def _renew(self, _held: Grant) -> Grant:
        try:
            return self._api.granted(
                {
                    "grant_type": "client_credentials",
                    "client_id": self._client_id,
                    "client_secret": self._client_secret,
                    "scope": self._scopes,
                }
            )
        except NeedsOperator as error:
            cure = "check journal_client_id, journal_client_secret and journal_scopes of connections.hubspot"
            problem = f"no token for the webhooks journal: {error.problem.partition(';')[0]}; {cure}"
            raise NeedsOperator(VENDOR, "journal.token", problem, status=error.status) from None


def first_grant(connection: HubSpotConnection) -> Grant:
    """What the configuration has of a grant: a refresh token, or nothing."""
    return Grant(connection.refresh_token.get_secret_value() if connection.refresh_token else "")


def _ends(held: Grant) -> bool:
    return held.expires_at is None or held.expires_at - MARGIN <= clock.now()


def _client(connection: HubSpotConnection) -> ApiClient:
    configuration = Configuration(host=connection.base_url)
    # No retries inside (ours are counted and budgeted), no redirects: the token goes to base_url only (G29).
    configuration.retries = Retry(total=False, redirect=False)
    configuration.connection_pool_maxsize = CONNECTIONS
    client = ApiClient(configuration)
    usual = HubSpotConnection.model_fields["base_url"].default
    reach.guard(client.rest_client.pool_manager, reach.named(connection.base_url) - reach.named(usual))
    client.user_agent = f"leadbridge/{__version__}"
    return client
