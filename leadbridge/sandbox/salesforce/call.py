"""One API call on its way through the stand-in: what came in, who calls, what is answered."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from leadbridge.sandbox.salesforce.answers import Refused
from leadbridge.sandbox.salesforce.kinds import Kind, kind_of
from leadbridge.sandbox.salesforce.query import Reader
from leadbridge.sandbox.salesforce.saving import Saver
from leadbridge.sandbox.salesforce.settings import Settings
from leadbridge.sandbox.salesforce.store import Act, State, Store

if TYPE_CHECKING:
    from leadbridge.sandbox.salesforce.tokens import Tokens
    from leadbridge.sandbox.world import Clock

_DAY = timedelta(hours=24)


class Usage:
    """API calls of the whole org in the last 24 hours (section 7)."""

    def __init__(self, clock: "Clock", settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._calls: deque[datetime] = deque()

    @property
    def used(self) -> int:
        since = self._clock.now() - _DAY
        while self._calls and self._calls[0] <= since:
            self._calls.popleft()
        return len(self._calls) + self._settings.other_usage

    def count(self) -> None:
        """One more call; 403 when the quota is gone or too many long calls run: one code, two meanings."""
        if self._settings.concurrent_limit_hit:
            message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", message)
        if self.used >= self._settings.daily_limit:
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self._calls.append(self._clock.now())

    def header(self) -> dict[str, str]:
        used = self.used
        value = f"api-usage={used}/{self._settings.daily_limit}"
        if self._settings.per_app_usage:
            value += f"; per-app-api-usage={len(self._calls)}/{self._settings.daily_limit}(appName=leadbridge)"
        return {"Sforce-Limit-Info": value}

    def forget(self) -> None:
        self._calls.clear()


@dataclass(frozen=True, slots=True)
class Org:
    """The parts of the stand-in that answers are made from."""

    store: Store
    saver: Saver
    tokens: "Tokens"
    usage: Usage
    settings: Settings


@dataclass(slots=True)
class ApiCall:
    """What one handler works with."""

    org: Org
    version: str  # as in the path: "v65.0"
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    now: datetime
    user_id: str
    items: int = 1  # records carried, for the journal
    act: Act = field(init=False)

    def __post_init__(self) -> None:
        duplicates = _options(self.headers.get("sforce-duplicate-rule-header", ""))
        options = _options(self.headers.get("sforce-call-options", ""))
        self.act = Act(
            self.user_id,
            self.now,
            api=True,
            auto_assign=self.headers.get("sforce-auto-assign", "TRUE").strip().upper() != "FALSE",
            allow_duplicates=duplicates.get("allowsave", "").lower() == "true",
            origin=f"com/salesforce/api/rest/{self.version[1:]};client={options.get('client', '')}",
        )

    @property
    def state(self) -> State:
        return self.org.store.state

    @property
    def base(self) -> str:
        return f"/services/data/{self.version}"

    def reader(self) -> Reader:
        return Reader(self.org.store, self.user_id, self.now, self.org.settings.lacks)

    def kind(self, name: str) -> Kind:
        """The object of a path; 404 for what the org does not have."""
        found = kind_of(name)
        if found is None or found.name in self.org.settings.lacks:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        return found

    def json(self) -> dict[str, Any]:
        """The body as an object; 400 or 415 for anything else."""
        form = self.headers.get("content-type", "application/json")
        if "json" not in form:
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", f"Content type {form} is not supported for this resource.")
        try:
            value = json.loads(self.body)
        except ValueError:
            message = (
                "Unexpected end-of-input"
                if self.body
                else "The HTTP entity body is required, but this request has no entity body."
            )
            raise Refused(400, "JSON_PARSER_ERROR", message) from None
        if not isinstance(value, dict):
            raise Refused(400, "JSON_PARSER_ERROR", "Cannot deserialize: an object is needed")
        return value

    def page_size(self, most: int) -> int:
        """What the caller wishes of ``batchSize``, within what the org gives."""
        wish = _options(self.headers.get("sforce-query-options", "")).get("batchsize", "")
        return min(int(wish), most) if wish.isdigit() and int(wish) > 0 else most


def _options(header: str) -> dict[str, str]:
    """``key=value, key=value`` of Salesforce's own headers; keys in lower case."""
    pairs = (part.partition("=") for part in header.replace(";", ",").split(","))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if key.strip()}
