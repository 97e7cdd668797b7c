"""An e-mail platform that leadbridge has never heard of: one audience, tags that start flows, and a feed of changes.

Everything that happens has a number that grows; lists are ordered by it. It shares no code with its room.
"""

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.plugin.http_server import TroubledServer, as_json

PAGE = 50
KEY = "bolt-key"
FLOW_TAG, FLOW = "guides", "7"


@dataclass
class Member:
    """One contact."""

    status: str
    change: int
    at: datetime
    fields: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)


@dataclass
class Account:
    """What the service holds, and what it did."""

    members: dict[str, Member] = field(default_factory=dict)
    fields: dict[str, bool] = field(default_factory=dict)  # is it public?
    engagement: list[dict[str, Any]] = field(default_factory=list)
    entries: int = 0
    mails: int = 0
    loud: bool = False
    count: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def put(self, email: str, status: str, at: datetime | None = None) -> None:
        """Somebody is in the audience with this status since then."""
        held = self.members.get(email) or Member(status, 0, datetime.now(UTC))
        held.status, held.change, held.at = status, next(self.count), at or datetime.now(UTC)
        self.members[email] = held


class BoltServer(TroubledServer):
    """The service."""

    writing = frozenset({"POST /members/fields"})

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()

    def answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return as_json({"error": "who are you?"}, 401)
        given = json.loads(request.get_data()) if request.method == "POST" else {}
        after = int(request.args.get("after", "0"))
        match request.method, request.path:
            case "GET", "/account":
                return as_json({"id": "bolt-1"})
            case "POST", "/members/read":
                found = {one: self.account.members[one] for one in given["emails"] if one in self.account.members}
                return as_json({"members": [_row(email, held) for email, held in found.items()]})
            case "GET", "/left":
                gone = [
                    _row(email, held)
                    for email, held in self.account.members.items()
                    if held.status in ("unsubscribed", "cleaned") and held.change > after
                ]
                return as_json({"left": sorted(gone, key=lambda row: row["change"])[:PAGE]})
            case "GET", "/engagement":
                return as_json({"engagement": [one for one in self.account.engagement if one["number"] > after][:PAGE]})
            case "GET", "/fields":
                return as_json({"fields": self.account.fields})
            case "POST", "/fields":
                self.account.fields.setdefault(given["name"], given["public"])
                return as_json({})
        return self._of_member(request.path, given)

    def _of_member(self, path: str, given: dict[str, Any]) -> Response:
        held = self.account.members.get(str(given.get("email", "")))
        if held is None:
            return as_json({"error": "no such member"}, 404)
        match path:
            case "/members/fields":
                if unknown := given["fields"].keys() - self.account.fields.keys():
                    return as_json({"error": f"no such field: {', '.join(sorted(unknown))}"}, 422)
                held.fields |= given["fields"]
                return as_json({})
            case "/members/tags":
                new = given["tag"] not in held.tags
                held.tags.add(given["tag"])
                return self._start(held) if new and given["tag"] == FLOW_TAG else as_json({})
            case "/flows/start":
                return self._start(held) if given["flow"] == FLOW else as_json({"error": "no such flow"}, 404)
        return as_json({"error": "no such thing"}, 404)

    def _start(self, held: Member) -> Response:
        """A flow mails whoever is subscribed; the rest is passed over, silently or not."""
        if held.status == "subscribed":
            self.account.entries += 1
            self.account.mails += 1
        elif self.account.loud:
            return as_json({"error": "not subscribed"}, 400)
        return as_json({})


def _row(email: str, held: Member) -> dict[str, Any]:
    return {
        "email": email,
        "status": held.status,
        "change": held.change,
        "at": held.at.isoformat(),
        "fields": held.fields,
        "tags": sorted(held.tags),
    }
