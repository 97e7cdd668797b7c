"""Signing in, and the one way through the library to one org (vendors/salesforce.md, sections 1 and 8).

`simple_salesforce` builds addresses and names errors; everything it lacks is in the session we hand it: deadlines, no
redirects, hosts by allow-list, headers that survive, and an ear for how many of the org's calls are used. It is never
given the means to sign in again by itself: that would lose headers and can loop (section 8.4). We sign in again, once
for all threads and processes (`connectors.grants`), and repeat a call once.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce as Library

from connectors import grants as kept
from connectors.salesforce.wire import (
    CLIENT,
    VENDOR,
    Expired,
    Token,
    Versions,
    by_status,
    name_error,
    problems_of,
    shaped,
)
from leadbridge import __version__, clock, logs, reach
from leadbridge.budgets import Budget, Day, Quota, Usage
from leadbridge.call import Caller, Pace, read_within
from leadbridge.config.connections import SalesforceConnection
from leadbridge.errors import NeedsOperator

T = TypeVar("T")

READS, WRITES = ("calls", "reads"), ("calls", "writes")
"""Budgets a call costs."""

JWT_LIFE = 180
"""Seconds; Salesforce takes up to five minutes, and the two clocks may differ (section 1.1)."""

TRIES = 4
"""Times a call is sent whose token is not accepted: with ours, with what others got meanwhile, with a fresh one."""

_HOME = ".salesforce.com"
_CURES = {
    "no client credentials user enabled": "name a run-as user in the app's client credentials flow",
    "user hasn't approved this consumer": "let admin-approved users in and give ours the app's permission set",
    "audience validation failed": "use the production domain for production and a sandbox domain for sandboxes",
    "request not supported on this domain": "write your My Domain as domain, not login or test",
}

_USED = re.compile(r"(?:^|;)\s*api-usage=(\d+)/(\d+)")
"""In `Sforce-Limit-Info`, with more parts before or after it or not (vendors/salesforce.md, section 7)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A session of our user."""

    token: str
    host: str
    organization: str
    user: str

    @classmethod
    def of(cls, held: kept.Grant) -> "Grant":
        """As `stored` wrote it."""
        logs.hide(held.access_token)
        return cls(held.access_token, **json.loads(held.about))

    def stored(self) -> kept.Grant:
        """The session as it is kept for other processes. Nothing says when it ends: a 401 does (section 1.2)."""
        about = {"host": self.host, "organization": self.organization, "user": self.user}
        return kept.Grant("", self.token, about=json.dumps(about))

    def __repr__(self) -> str:  # the token is a secret (reliability G26)
        return f"Grant(host={self.host!r}, organization={self.organization!r}, user={self.user!r})"


class _Adapter(HTTPAdapter):
    """The network: only to allowed hosts, within a deadline, plain HTTP only where base_url says so."""

    def __init__(self, allowed: Callable[[str], bool], plain: bool, usage: Usage, connect: float, size: int) -> None:
        super().__init__(pool_maxsize=size)
        self._allowed, self._plain, self._usage, self._connect = allowed, plain, usage, connect
        self.per_thread = threading.local()

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        seconds: float = getattr(self.per_thread, "seconds", 30.0)
        url = request.url or ""
        host = urlsplit(url).netloc
        if not self._allowed(host):
            cure = "if it is yours, add it to connections.salesforce.allowed_hosts"
            raise NeedsOperator(VENDOR, "connect", f"Salesforce names the host {host}, which is not allowed; {cure}")
        if self._plain:
            request.url = re.sub("^https:", "http:", url)
        options |= {"timeout": (min(self._connect, seconds), seconds), "stream": True, "proxies": None}
        response = super().send(request, **options)
        # The library asks the response for its whole body later; given here, it was read within the deadline.
        response._content = read_within(response.raw, seconds)
        note_usage(self._usage, response.headers.get("Sforce-Limit-Info", ""))
        return response


def note_usage(usage: Usage, header: str) -> None:
    """Read `Sforce-Limit-Info`: the calls of all the org's apps over a rolling day."""
    if found := _USED.search(header):
        usage.note(int(found[1]), int(found[2]))


class _Session(requests.Session):
    """What the library talks through."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        return super().request(*args, **{**options, "allow_redirects": False})


class Api:
    """The calls of one org. Thread-safe."""

    def __init__(
        self, connection: SalesforceConnection, pace: Pace | None = None, grants: kept.Grants | None = None
    ) -> None:
        self.pace = pace or Pace()
        self._connection = connection
        self._base = connection.base_url or f"https://{connection.domain}{_HOME}"
        self._usage = Usage()
        ticks = self.pace.ticks
        budgets: dict[str, Budget] = {
            "calls": self.pace.budgets.places("salesforce calls", connection.simultaneous),
            "reads": Quota(self._usage, connection.read_until, ticks=ticks),
            "writes": Quota(self._usage, connection.write_until, ticks=ticks),
        }
        self._caller = Caller(VENDOR, name_error, budgets, pace=self.pace)
        self._adapter = _Adapter(
            self._is_allowed,
            self._base.startswith("http:"),
            self._usage,
            self.pace.patience.connect,
            connection.simultaneous,
        )
        reach.guard(self._adapter.poolmanager, reach.named(connection.base_url, *connection.allowed_hosts))
        self._session = _session(connection, self._adapter)
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._grants = grants or kept.MemoryGrants()
        self._first = kept.Grant(_line(connection))
        self._fresh: Grant | None = None  # the last we signed in for ourselves
        for secret in (connection.client_secret, connection.private_key, connection.password):
            if secret is not None:
                logs.hide(secret.get_secret_value())

    def day(self) -> Day | None:
        """See `Crm.day`: up to where we write; we stop reading before (`read_until`)."""
        return self._usage.day(self._connection.write_until)

    # --- calls -------------------------------------------------------------------------------------------------------

    def ask(
        self,
        operation: str,
        call: Callable[[Library], Any],
        read: Callable[[Any], T],
        *,
        repeatable: bool = True,
        spend: tuple[str, ...] = READS,
    ) -> T:
        """One call of the library and its answer as `read` understands it. Raises VendorError.

        Instead of a token that is not accepted there may be another process's, which may have ended too; one that is
        fresh and not accepted needs an operator.
        """
        grant = held = self.grant()
        for _ in range(TRIES):
            try:
                return self._send(operation, grant, call, read, repeatable, spend)
            except Expired:
                if grant is self._fresh and grant is not held:
                    break
            grant = self.grant(instead_of=grant)
        what = "a fresh token is not accepted; check the app, its user and the domain"
        raise NeedsOperator(VENDOR, operation, what, status=401)

    def _send(
        self,
        operation: str,
        grant: Grant,
        call: Callable[[Library], Any],
        read: Callable[[Any], T],
        repeatable: bool,
        spend: tuple[str, ...],
    ) -> T:
        def send(seconds: float) -> T:
            self._adapter.per_thread.seconds = seconds
            return read(call(self._library(grant)))

        return self._caller(operation, send, repeatable=repeatable, spend=spend)

    def raw(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        spend: tuple[str, ...] = READS,
    ) -> requests.Response:
        """One call whose body is CSV, which the library cannot do step by step (section 8.2). Raises VendorError."""

        def call(library: Library) -> requests.Response:
            headers = {**library.headers, "Content-Type": "text/csv; charset=UTF-8", "Accept": "text/csv"}
            response = self._session.request(method, library.base_url + path, params=params, data=body, headers=headers)
            if response.status_code >= 300:
                try:
                    content: Any = response.json()
                except ValueError:
                    content = response.text
                raise by_status(operation, response.status_code, problems_of(content))
            return response

        def as_it_is(response: requests.Response) -> requests.Response:
            return response

        return self.ask(operation, call, as_it_is, spend=spend)

    def versions(self) -> list[str]:
        """Versions of the API the org serves, the oldest first."""

        def call(library: Library) -> object:
            return {"versions": self._session.get(f"https://{library.sf_instance}/services/data/").json()}

        known = self.ask("versions", call, lambda answer: shaped(Versions, answer))
        return [one.version for one in known.versions]

    def _library(self, grant: Grant) -> Library:
        """The library over our session. It holds a token and nothing to sign in with."""
        return Library(
            session_id=grant.token,
            instance=grant.host,
            session=self._session,
            version=self._connection.api_version,
        )

    def _is_allowed(self, host: str) -> bool:
        """Hosts of token answers and page links are somebody else's words (reliability G29)."""
        known = [urlsplit(self._base).netloc, *self._connection.allowed_hosts]
        if host in known:
            return True
        return self._connection.base_url is None and re.fullmatch(r"[a-z0-9.-]+\.salesforce\.com", host) is not None

    # --- signing in --------------------------------------------------------------------------------------------------

    def grant(self, *, instead_of: Grant | None = None) -> Grant:
        """The session in use; another one when there is none, or when `instead_of` is still the one in use.

        One thread of one process signs in, the rest wait for what it gets (reliability pattern 15).
        """
        with self._lock:
            if self._grant is None or self._grant is instead_of:
                refused, self._grant = self._grant, None
                held = self._grants.current(VENDOR, self._first)
                if held.access_token in ("", refused.token if refused else ""):
                    held = self._grants.renewed(VENDOR, self._first, held.access_token, self._renew)
                self._grant = self._fresh if self._fresh and self._fresh.token == held.access_token else Grant.of(held)
            return self._grant

    def _renew(self, _: kept.Grant) -> kept.Grant:
        self._fresh = self._sign_in()
        return self._fresh.stored()

    def _sign_in(self) -> Grant:
        operation, connect = "oauth.token", self._base + "/services/oauth2/token"

        def send(seconds: float) -> Token:
            self._adapter.per_thread.seconds = seconds
            response = self._session.post(connect, data=self._credentials())
            try:
                content: Any = response.json()
            except ValueError:
                content = response.text
            if response.status_code == 200:
                return shaped(Token, content)
            if 400 <= response.status_code < 500 and isinstance(content, dict):
                raise _turned_away(operation, str(content.get("error")), str(content.get("error_description", "")))
            raise by_status(operation, response.status_code, problems_of(content))

        token = self._caller(operation, send, repeatable=True, spend=("calls",))
        logs.hide(token.access_token)
        organization, _, user = token.id.rpartition("/")
        host = urlsplit(token.instance_url).netloc
        return Grant(token.access_token, host, organization.rpartition("/")[2], user)

    def _credentials(self) -> dict[str, str]:
        given = self._connection
        client = {"client_id": given.client_id.get_secret_value()}
        if given.private_key is not None:
            return {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": self._assertion(given.private_key.get_secret_value()),
            }
        client["client_secret"] = given.client_secret.get_secret_value() if given.client_secret else ""
        if given.password is not None:
            password = given.password.get_secret_value()
            return {"grant_type": "password", "username": given.username or "", "password": password, **client}
        return {"grant_type": "client_credentials", **client}

    def _assertion(self, key: str) -> str:
        import jwt

        claims = {
            "iss": self._connection.client_id.get_secret_value(),
            "sub": self._connection.username,
            "aud": "https://test.salesforce.com"
            if ".sandbox." in self._connection.domain
            else "https://login.salesforce.com",
            "exp": int(clock.now().timestamp()) + JWT_LIFE,
        }
        try:
            return jwt.encode(claims, key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            problem = "private_key is no RSA private key in PEM form"
        raise NeedsOperator(VENDOR, "oauth.token", f"{problem}; write the whole file, with its BEGIN and END lines")


def _line(connection: SalesforceConnection) -> str:
    """Tells one way of signing in from another: a session of other credentials is not taken for ours."""
    secrets = (connection.client_id, connection.client_secret, connection.private_key, connection.password)
    given = [connection.domain, connection.base_url, connection.username]
    given += [secret.get_secret_value() if secret else None for secret in secrets]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()


def _session(connection: SalesforceConnection, adapter: _Adapter) -> _Session:
    session = _Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.auth = lambda request: request  # or a netrc file on this machine would replace our token
    session.headers.update(
        {
            "User-Agent": f"leadbridge/{__version__}",
            # On the session, where no repetition loses them. Auto-Assign is TRUE by default, and moves owners (4.3).
            "Sforce-Auto-Assign": "TRUE" if connection.assignment_rules else "FALSE",
            "Sforce-Call-Options": f"client={CLIENT}",
            "Sforce-Duplicate-Rule-Header": f"allowSave={str(connection.on_duplicate == 'save').lower()}",
        }
    )
    return session


def _turned_away(operation: str, error: str, description: str) -> NeedsOperator:
    known = (cure for words, cure in _CURES.items() if words in description.lower())
    cure = next(known, "check client_id, the secret or key, and the app's policies in Salesforce")
    return NeedsOperator(VENDOR, operation, f"signing in is refused ({error}: {description}); {cure}", status=400)
