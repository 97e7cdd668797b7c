"""The kept client of one Mailchimp account, and the one way through it.

The client of 3.0.80 is generated code with traps (vendors/mailchimp.md section 13). Its `ApiClient` is kept, its one
method that touches the network is replaced: connections are kept, redirects are not followed, and an answer has a
deadline. API keys do not expire, nor do OAuth tokens, so there is nothing to renew; a token's data centre is asked for
once (section 1).
"""

import json
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import requests
from mailchimp_marketing.api.batches_api import BatchesApi
from mailchimp_marketing.api.campaigns_api import CampaignsApi
from mailchimp_marketing.api.customer_journeys_api import CustomerJourneysApi
from mailchimp_marketing.api.lists_api import ListsApi
from mailchimp_marketing.api.reports_api import ReportsApi
from mailchimp_marketing.api.root_api import RootApi
from mailchimp_marketing.api_client import ApiClient
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from connectors.grants import Grant, Grants, MemoryGrants
from connectors.mailchimp.wire import VENDOR, Empty, accepted, name_error, shaped
from connectors.mailchimp.wire import Shape as _Shape
from leadbridge import __version__, logs, reach
from leadbridge.call import Caller, Garbled, Pace, TooLong, TooSlow, read_within
from leadbridge.config.connections import MailchimpConnection
from leadbridge.errors import NeedsOperator, VendorError

S = TypeVar("S", bound=_Shape)

FIRST = Grant("")
"""What a configuration has of a grant: nothing. Its `access_token` is no grant, it is used as it stands."""

LARGEST_ARCHIVE = 512 * 1024 * 1024
"""Bytes of packed results beyond which we stop reading."""


_USUAL_LOGIN = reach.named(MailchimpConnection.model_fields["login_url"].default)

Signer = Callable[[requests.PreparedRequest], requests.PreparedRequest]


def signed(authorization: str) -> Signer:
    """Puts this header on a request; as `auth`, so that nothing from a `.netrc` takes its place."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = authorization
        return request

    return sign


class _Straight(HTTPAdapter):
    """The network: straight to where a name leads, which is looked at, past any proxy of the environment."""

    def __init__(self, trusted: Collection[str], connections: int = 1) -> None:
        super().__init__(pool_maxsize=connections)
        reach.guard(self.poolmanager, trusted)

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        return super().send(request, **{**options, "proxies": None})


def _session(trusted: Collection[str], connections: int = 1) -> requests.Session:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Straight(trusted, connections))
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


class KeptClient(ApiClient):  # type: ignore[misc]  # the client ships no types
    """The client's own `ApiClient`, over kept connections and with deadlines. Thread-safe."""

    def __init__(
        self, authorization: str, host: str, connections: int, connect: float, trusted: Collection[str] = ()
    ) -> None:
        """`trusted`: hosts that the configuration names, wherever they are (`leadbridge.reach`)."""
        # An empty server name switches off its replacement in addresses, which also hits ids that contain "server".
        super().__init__({"server": ""})
        self.host = host
        self.sign_with(authorization)
        self.default_headers["User-Agent"] = f"leadbridge/{__version__}"
        self._connect = connect
        self._trusted = trusted
        self._kept = _session(trusted, connections)
        self._per_thread = threading.local()

    def sign_with(self, authorization: str) -> None:
        """Show this from now on."""
        self._signed = signed(authorization)

    def within(self, seconds: float, *, fresh: bool) -> None:
        """The next call of this thread may take so long. `fresh`: over a connection of its own.

        A kept connection may be closed by the other side at the moment we use it, and nobody can tell then whether
        the call arrived: not for calls that must not be repeated.
        """
        self._per_thread.seconds = seconds
        self._per_thread.fresh = fresh

    def request(
        self, method: str, url: str, query_params: Any = None, headers: Any = None, body: Any = None
    ) -> requests.Response:
        """One call, as the client makes it, but for what the class says."""
        seconds: float = self._per_thread.seconds
        session = _session(self._trusted) if self._per_thread.fresh else self._kept
        response = session.request(
            method,
            url,
            params=query_params,
            headers=headers,
            data=None if method in ("GET", "HEAD", "OPTIONS", "DELETE") else json.dumps(body),
            auth=self._signed,
            timeout=(min(self._connect, seconds), seconds),
            allow_redirects=False,
            stream=True,
        )
        # The client asks the response for its whole body later; given here, it was read within the deadline.
        response._content = read_within(response.raw, seconds)
        if self._per_thread.fresh:
            session.close()
        return response

    def fetch(self, url: str, into: IO[bytes], seconds: float) -> None:
        """Copy what is at an address of another service, which is not shown our key. Raises Empty, TooLong, TooSlow."""
        end = time.monotonic() + seconds
        with _session(self._trusted) as session:
            answer = session.get(
                url,
                auth=lambda request: request,  # nor anything from a `.netrc`
                timeout=(min(self._connect, seconds), seconds),
                allow_redirects=False,
                stream=True,
            )
            if answer.status_code != 200:
                raise Empty(answer.status_code, answer.headers)
            size = 0
            for part in answer.iter_content(65536):
                size += len(part)
                if size > LARGEST_ARCHIVE:
                    raise TooLong
                if time.monotonic() > end:
                    raise TooSlow
                into.write(part)


@dataclass(frozen=True, slots=True)
class Sdk:
    """The parts of the client we use."""

    lists: ListsApi
    campaigns: CampaignsApi
    reports: ReportsApi
    journeys: CustomerJourneysApi
    root: RootApi
    batches: BatchesApi
    client: KeptClient  # for addresses it has no method for


class Api:
    """The calls of one account. Thread-safe."""

    def __init__(self, connection: MailchimpConnection, pace: Pace | None = None, grants: Grants | None = None) -> None:
        pace = pace or Pace()
        key, token = connection.api_key, connection.access_token
        secret = (key or token or SecretStr("")).get_secret_value()
        logs.hide(secret)
        if key is not None:
            pair = b64encode(f"leadbridge:{secret}".encode()).decode()
            logs.hide(pair)
        # A call counts as one in flight at Mailchimp until it is answered, so places are what is rationed (section 12).
        budgets = {"calls": pace.budgets.places("mailchimp calls", connection.simultaneous)}
        self._caller = Caller(VENDOR, name_error, budgets, pace=pace)
        authorization = f"Basic {pair}" if key is not None else f"Bearer {secret}"
        host = _host(connection, secret if key is not None else None)
        trusted = reach.named(connection.base_url, connection.login_url) - _USUAL_LOGIN
        self._client = KeptClient(authorization, host, connection.simultaneous, pace.patience.connect, trusted)
        self._login_url = connection.login_url
        self._where = None if host else DataCentre(connection.login_url, secret)
        self._waits_for = (grants or MemoryGrants()) if connection.client_id is not None else None
        client = self._client
        self._sdk = Sdk(
            ListsApi(client),
            CampaignsApi(client),
            ReportsApi(client),
            CustomerJourneysApi(client),
            RootApi(client),
            BatchesApi(client),
            client,
        )
        self._archive_hosts = tuple(connection.archive_hosts)

    @property
    def pace(self) -> Pace:
        return self._caller.pace

    def ask(
        self,
        operation: str,
        shape: type[S],
        call: Callable[[Sdk], Any],
        *,
        failures: list[VendorError] | None = None,
        begin_by: float | None = None,
    ) -> S:
        """One call that may be repeated, and its answer in the given shape. Raises VendorError; the rest as `tell`."""
        answer: S = self._send(
            operation, call, lambda answer: shaped(shape, answer), repeatable=True, failures=failures, begin_by=begin_by
        )
        return answer

    def tell(
        self,
        operation: str,
        call: Callable[[Sdk], Any],
        *,
        repeatable: bool,
        failures: list[VendorError] | None = None,
        begin_by: float | None = None,
    ) -> None:
        """One call that answers 204. Raises VendorError; `failures` and `begin_by` as `leadbridge.call.Caller`."""
        self._send(operation, call, accepted, repeatable=repeatable, failures=failures, begin_by=begin_by)

    def download(self, operation: str, url: str, into: IO[bytes]) -> None:
        """Fetch what Mailchimp keeps at a signed address of a storage service, without showing it our key (section 8).

        Raises NeedsOperator for an address at a host that is not allowed, otherwise VendorError.
        """
        there = urlsplit(url)
        ours = urlsplit(self._client.host)
        if (there.scheme, there.netloc) != (ours.scheme, ours.netloc) and not self._may_fetch(there):
            cure = "add its host to connections.mailchimp.archive_hosts if it is Mailchimp's"
            raise NeedsOperator(VENDOR, operation, f"the results are at {there.hostname}, which is not allowed; {cure}")

        def send(seconds: float) -> None:
            into.seek(0)
            into.truncate()
            self._client.fetch(url, into, seconds)

        self._caller(operation, send, repeatable=True)

    def _may_fetch(self, there: SplitResult) -> bool:
        host = there.hostname or ""
        if there.scheme != "https" or there.port not in (None, 443) or "@" in there.netloc:
            return False
        return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in self._archive_hosts)

    def _send(
        self,
        operation: str,
        call: Callable[[Sdk], Any],
        read: Callable[[Any], Any],
        *,
        repeatable: bool,
        failures: list[VendorError] | None = None,
        begin_by: float | None = None,
    ) -> Any:
        def send(seconds: float) -> Any:
            if (waits_for := self._waits_for) is not None:
                self._let_in(waits_for.current(VENDOR, FIRST).access_token)
            if self._where is not None:
                self._client.host = self._where.endpoint(seconds)
            self._client.within(seconds, fresh=not repeatable)
            return read(call(self._sdk))

        return self._caller(operation, send, repeatable=repeatable, failures=failures, begin_by=begin_by)

    def _let_in(self, token: str) -> None:
        """Go on with the token that somebody's consent brought. Raises NeedsOperator while there is none."""
        if not token:
            cure = "run `leadbridge connect mailchimp`"
            raise NeedsOperator(VENDOR, "oauth.token", f"nobody has let the app in yet; {cure}")
        self._client.sign_with(f"Bearer {token}")
        if self._where is not None:
            self._where = DataCentre(self._login_url, token)
        self._waits_for = None


class DataCentre:
    """Where the account of an OAuth token is (section 1). Asked for once."""

    def __init__(self, login_url: str, token: str) -> None:
        self._login_url = login_url.rstrip("/")
        self._token = token
        self._found = ""
        self._lock = threading.Lock()

    def endpoint(self, seconds: float) -> str:
        """The address of the API. Raises NeedsOperator for a revoked token, and for an address that is not Mailchimp's.

        A bad token is answered with 200 too; only the address missing in the answer tells.
        """
        with self._lock:
            if not self._found:
                self._found = self._ask(seconds)
            return self._found

    def _ask(self, seconds: float) -> str:
        found = at_login("GET", f"{self._login_url}/oauth2/metadata", seconds, auth=signed(f"OAuth {self._token}"))
        endpoint = found.get("api_endpoint") if isinstance(found, dict) else None
        if not isinstance(endpoint, str) or not endpoint:
            cure = (
                "run `leadbridge connect mailchimp`, or grant access anew and renew connections.mailchimp.access_token"
            )
            raise NeedsOperator(VENDOR, "oauth.metadata", f"the token is not accepted; {cure}")
        if not self._may_be(endpoint):
            raise NeedsOperator(VENDOR, "oauth.metadata", "names an address that is not Mailchimp's; nothing was sent")
        return f"{endpoint.rstrip('/')}/3.0"

    def _may_be(self, endpoint: str) -> bool:
        """Only Mailchimp's own data centres, or the very host that was configured to be asked (reliability G29)."""
        there, asked = urlsplit(endpoint), urlsplit(self._login_url)
        if (there.scheme, there.netloc) == (asked.scheme, asked.netloc):
            return True
        return there.scheme == "https" and re.fullmatch(r"[a-z0-9]+\.api\.mailchimp\.com", there.netloc) is not None


def at_login(
    method: str,
    url: str,
    seconds: float,
    *,
    auth: Signer = lambda request: request,
    form: Mapping[str, str] | None = None,
    refusals: Collection[int] = (),
) -> Any:
    """The JSON that Mailchimp's login service answers, with 200 or one of `refusals`. Raises Empty, Garbled."""
    with _session(reach.named(url) - _USUAL_LOGIN) as session:  # another was named by the configuration
        response = session.request(
            method,
            url,
            headers={"Accept": "application/json"},
            data=form,
            auth=auth,  # always given, so that nothing from a `.netrc` is sent
            timeout=seconds,
            allow_redirects=False,
            stream=True,
        )
        body = read_within(response.raw, seconds)
    if response.status_code not in (200, *refusals):
        raise Empty(response.status_code, response.headers)
    try:
        return json.loads(body)
    except ValueError:
        raise Garbled("the answer is no JSON") from None


def _host(connection: MailchimpConnection, key: str | None) -> str:
    """Where the API is: as configured, or in the data centre that the key's ending names; "" when it is to be asked."""
    if connection.base_url is None:
        return f"https://{key.rpartition('-')[2]}.api.mailchimp.com/3.0" if key is not None else ""
    base: str = connection.base_url
    return base if base.endswith("/3.0") else f"{base}/3.0"
