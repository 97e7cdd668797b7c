"""Who may call, and how often (vendor page, sections 3 and 13)."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from leadbridge.sandbox.hubspot.answers import Refused, expired, iso, missing_scopes, no_credentials
from leadbridge.sandbox.hubspot.settings import Settings
from leadbridge.sandbox.world import World

ACCESS_SECONDS = 1800
_NEVER_ISSUED = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=1)
ALL_SCOPES = (
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "crm.objects.tickets.read",
    "crm.objects.tickets.write",
    "crm.objects.owners.read",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
    "crm.schemas.deals.read",
    "crm.schemas.deals.write",
    "crm.lists.read",
    "crm.lists.write",
    "forms",
    "content",
    "communication_preferences.read",
    "sales-email-read",
)

APP_SCOPES = tuple(
    f"developer.webhooks_journal.{what}" for what in ("read", "subscriptions.read", "subscriptions.write")
)
"""Of tokens that an app asks for itself, by client credentials."""


@dataclass(frozen=True, slots=True)
class Token:
    """One credential. ``kind`` is "private", "service" or "oauth"."""

    value: str
    kind: str = "private"
    scopes: frozenset[str] = frozenset(ALL_SCOPES)
    expires: datetime | None = None


@dataclass(slots=True)
class Tokens:
    """Every credential of the account, OAuth grants included."""

    world: World
    settings: Settings
    client_id: str
    client_secret: str
    portal_id: int
    known: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, frozenset[str]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)  # code -> address it was sent to
    refresh_tokens: dict[str, frozenset[str]] = field(default_factory=dict)
    _issued: int = 0

    def add(
        self,
        value: str,
        *,
        kind: str = "private",
        scopes: Sequence[str] | None = None,
        expires_in: float | None = None,
    ) -> None:
        """Let a token call; ``oauth`` is always among its scopes."""
        granted = frozenset({"oauth", *(ALL_SCOPES if scopes is None else scopes)})
        expires = None if expires_in is None else self.world.clock.now() + timedelta(seconds=expires_in)
        self.known[value] = Token(value, kind, granted, expires)

    def add_code(self, code: str, scopes: Sequence[str] | None = None) -> None:
        """Let a code be exchanged once, as the consent page would hand it out."""
        self.codes[code] = frozenset({"oauth", *(ALL_SCOPES if scopes is None else scopes)})

    def of(self, authorization: str) -> Token:
        """The token of a header, or the 401 of section 3.3."""
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer" or not value.strip():
            raise no_credentials()
        token, now = self.known.get(value.strip()), self.world.clock.now()
        if token is None:
            raise expired(_NEVER_ISSUED, now)
        if token.expires is not None and token.expires <= now:
            raise expired(token.expires, now)
        return token

    def consented(self, scopes: Sequence[str], redirect: str) -> str:
        """The code of a consent that was given: good once, and only with the address it was sent to."""
        code = self._new("code")
        self.add_code(code, ["oauth", *(one for one in scopes if one in ALL_SCOPES)])
        self.redirects[code] = redirect
        return code

    def grant(self, form: dict[str, str], version: str) -> dict[str, object]:
        """Exchange a code or a refresh token (section 3.1); refusals are 400."""
        if form.get("client_id") != self.client_id:
            raise _grant_refused("BAD_CLIENT_ID", "missing or invalid client id", "invalid_client")
        if form.get("client_secret") != self.client_secret:
            raise _grant_refused("BAD_CLIENT_SECRET", "missing or invalid client secret", "invalid_client")
        kind = form.get("grant_type")
        if kind == "authorization_code":
            code = form.get("code", "")
            if self.redirects.get(code, form.get("redirect_uri")) != form.get("redirect_uri"):
                raise _grant_refused("MISMATCH_REDIRECT_URI_AUTH_CODE", "redirect uri mismatch with auth code")
            scopes = self.codes.pop(code, None)
            if scopes is None:
                raise _grant_refused("BAD_AUTH_CODE", "missing or unknown auth code")
            refresh = self._new("refresh")
            self.refresh_tokens[refresh] = scopes
        elif kind == "refresh_token":
            refresh = form.get("refresh_token", "")
            known = self.refresh_tokens.get(refresh)
            if known is None:
                raise _grant_refused("BAD_REFRESH_TOKEN", "refresh token is invalid, expired or revoked")
            scopes = known
            if self.settings.rotate_refresh_tokens:
                del self.refresh_tokens[refresh]
                refresh = self._new("refresh")
                self.refresh_tokens[refresh] = scopes
        elif kind == "client_credentials":
            return self._of_app(form.get("scope", ""))
        else:
            raise _grant_refused("BAD_GRANT_TYPE", "missing or unknown grant type", "unsupported_grant_type")
        access = self._new("access")
        self.add(access, kind="oauth", scopes=sorted(scopes), expires_in=ACCESS_SECONDS)
        answer: dict[str, object] = {
            "token_type": "bearer",
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": ACCESS_SECONDS,
        }
        if version != "v1":
            answer |= {"hub_id": self.portal_id, "scopes": sorted(scopes)}
        return answer

    def _of_app(self, wanted: str) -> dict[str, object]:
        """A token of the app itself, which opens its journal and no account."""
        scopes = wanted.split()
        if not scopes or not set(scopes) <= set(APP_SCOPES):
            raise _grant_refused("BAD_SCOPE", "missing or unknown scope", "invalid_scope")
        access = self._new("app")
        self.known[access] = Token(
            access, "oauth", frozenset(scopes), self.world.clock.now() + timedelta(seconds=ACCESS_SECONDS)
        )
        return {"token_type": "bearer", "access_token": access, "expires_in": ACCESS_SECONDS}

    def _new(self, what: str) -> str:
        self._issued += 1
        return f"sandbox-hubspot-{what}-{self._issued}"

    def copy(self) -> "Tokens":
        return replace(
            self,
            known=dict(self.known),
            codes=dict(self.codes),
            redirects=dict(self.redirects),
            refresh_tokens=dict(self.refresh_tokens),
        )

    def take(self, other: "Tokens") -> None:
        """Know exactly what another one knows."""
        self.known, self.codes = dict(other.known), dict(other.codes)
        self.redirects = dict(other.redirects)
        self.refresh_tokens, self._issued = dict(other.refresh_tokens), other._issued


def _grant_refused(status: str, message: str, error: str = "invalid_grant") -> Refused:
    refused = Refused(400, message, category=None)
    refused.body |= {"error": error, "error_description": message, "status": status}
    return refused


class Limits:
    """Counts calls: per token and window, per account and day, searches per account and second."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._calls: dict[str, deque[float]] = {}
        self._searches: deque[float] = deque()
        self._day = ""
        self.today: dict[str, int] = {}  # kind of token -> calls

    def forget(self) -> None:
        """As on a quiet morning."""
        self._calls.clear()
        self._searches.clear()
        self.today.clear()

    def count(self, token: Token, *, search: bool) -> dict[str, str]:
        """Count one call and give its rate headers, or refuse it with 429. Refused calls count too."""
        now, settings = self._world.clock.ticks(), self._settings
        calls = self._calls.setdefault(token.value, deque())
        _slide(calls, now, settings.burst_seconds)
        day = self._world.clock.now().date().isoformat()
        if day != self._day:
            self._day = day
            self.today.clear()
        self.today[token.kind] = self.today.get(token.kind, 0) + 1
        used = sum(count for kind, count in self.today.items() if kind != "oauth")
        if token.kind != "oauth" and 0 < settings.daily_limit < used:
            raise self._too_many(
                "You have reached your daily limit.",
                errorType="RATE_LIMIT",
                policyName="DAILY",
                requestId=str(uuid4()),
            )
        if 0 < settings.burst_limit < len(calls):
            raise self._too_many(
                "You have reached your ten_secondly_rolling limit.",
                errorType="RATE_LIMIT",
                policyName="TEN_SECONDLY_ROLLING",
                groupName="publicapi:private-apps-api-calls-ten-secondly",
            )
        if search:
            _slide(self._searches, now, 1.0)
            if 0 < settings.search_per_second < len(self._searches):
                raise self._too_many("You have reached your secondly limit.", category="RATE_LIMITS")
            return {}
        return self._headers(token, len(calls), used)

    def _headers(self, token: Token, calls: int, used: int) -> dict[str, str]:
        settings = self._settings
        most = settings.burst_limit or 190
        secondly = max(1, most // 10)
        found = {
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(round(settings.burst_seconds * 1000)),
            "X-HubSpot-RateLimit-Max": str(most),
            "X-HubSpot-RateLimit-Remaining": str(max(0, most - calls)),
            "X-HubSpot-RateLimit-Secondly": str(secondly),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(max(0, secondly - 1)),
        }
        if token.kind != "oauth":
            daily = settings.daily_limit or 625_000
            found["X-HubSpot-RateLimit-Daily"] = str(daily)
            found["X-HubSpot-RateLimit-Daily-Remaining"] = str(max(0, daily - used))
        return found

    def _too_many(self, message: str, category: str | None = None, **more: str) -> Refused:
        refused = Refused(429, message, category=category, **more)
        if self._settings.retry_after is not None:
            refused.headers["Retry-After"] = str(self._settings.retry_after)
        return refused


def _slide(times: deque[float], now: float, seconds: float) -> None:
    """Add an instant to a window and let the old ones go."""
    while times and times[0] <= now - seconds:
        times.popleft()
    times.append(now)


def need_scopes(token: Token, wanted: Sequence[str]) -> None:
    """Any one of the scopes opens the call; none named means that any token may."""
    if wanted and not token.scopes & set(wanted):
        raise missing_scopes(wanted)


def introspected(token: Token, portal_id: int) -> dict[str, object]:
    """What HubSpot tells about a private token (section 3)."""
    return {
        "userId": 9586504,
        "hubId": portal_id,
        "appId": 54321,
        "scopes": sorted(token.scopes),
        "expiresAt": iso(token.expires) if token.expires else None,
    }
