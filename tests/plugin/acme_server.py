"""A CRM that leadbridge has never heard of: a small HTTP service with a change feed, and trouble on demand.

Every person has a number that grows with each change; lists are ordered by it. It shares no code with its room.
"""

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.plugin.http_server import TroubledServer, as_json

PAGE = 100
KEY = "acme-key"
OWN = {"email": "text", "title": "text", "staff": "number", "budget": "number"}


@dataclass
class Person:
    change: int
    at: datetime
    values: dict[str, str]


@dataclass
class Account:
    """What the service holds."""

    people: dict[str, Person] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=lambda: dict(OWN))
    visits: list[dict[str, Any]] = field(default_factory=list)
    has_visits: bool = True
    count: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def touch(self, person: str, values: dict[str, str], at: datetime | None = None) -> None:
        before = self.people[person].values if person in self.people else {}
        self.people[person] = Person(next(self.count), at or datetime.now(UTC), {**before, **values})


class AcmeServer(TroubledServer):
    """The service."""

    writing = frozenset({"POST /people/update"})

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return as_json({"error": "who are you?"}, 401)
        given = json.loads(request.get_data()) if request.method == "POST" else {}
        after = int(request.args.get("after", "0"))
        match request.method, request.path:
            case "GET", "/account":
                return as_json({"id": "acme-1"})
            case "GET", "/people":
                rows = sorted(self.account.people.items(), key=lambda pair: pair[1].change)
                return as_json({"people": [self._row(*row) for row in rows if row[1].change > after][:PAGE]})
            case "POST", "/people/read":
                wanted = {one: self.account.merged.get(one, one) for one in given["ids"][:PAGE]}
                there = dict.fromkeys(now for now in wanted.values() if now in self.account.people)
                return as_json(
                    {
                        "people": [self._row(one, self.account.people[one]) for one in there],
                        "moved": {old: now for old, now in wanted.items() if old != now and now in there},
                    }
                )
            case "POST", "/people/update":
                return self._update(given["updates"])
            case "GET", "/properties":
                return as_json({"properties": self.account.properties})
            case "POST", "/properties":
                self.account.properties.setdefault(given["name"], given["kind"])
                return as_json({})
            case "GET", "/visits":
                if not self.account.has_visits:
                    return as_json({"error": "not in your plan"}, 402)
                return as_json({"visits": [one for one in self.account.visits if one["number"] > after][:PAGE]})
        return as_json({"error": "no such thing"}, 404)

    def _row(self, one: str, person: Person) -> dict[str, Any]:
        names = [old for old, now in self.account.merged.items() if now == one]
        return {
            "id": one,
            "change": person.change,
            "at": person.at.isoformat(),
            "values": person.values,
            "merged": names,
        }

    def _update(self, updates: list[dict[str, Any]]) -> Response:
        if len(updates) > PAGE:
            return as_json({"error": "too many"}, 400)
        unknown = {name for one in updates for name in one["values"]} - self.account.properties.keys()
        if unknown:
            return as_json({"error": "no such property", "properties": sorted(unknown)}, 422)
        return as_json({"results": [{"id": one["id"], **self._update_one(one)} for one in updates]})

    def _update_one(self, update: dict[str, Any]) -> dict[str, str]:
        one, values = update["id"], update["values"]
        if not one.isdecimal():
            return {"result": "refused", "why": "not an id"}
        if one in self.account.merged:
            return {"result": "moved", "to": self.account.merged[one]}
        if one not in self.account.people:
            return {"result": "gone"}
        for name, value in values.items():
            if self.account.properties[name] == "number" and not value.replace(".", "", 1).isdecimal():
                return {"result": "refused", "why": f"{name}: {value} is no number"}
        self.account.touch(one, values)
        return {"result": "ok"}
