"""A CRM that leadbridge has never heard of: a small HTTP service with a change feed, and trouble on demand.

Every person has a number that grows with each change; lists are ordered by it. It shares no code with its room.
"""

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from leadbridge.testing import Trouble

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

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


class Broken(Exception):
    """The connection is cut here."""


class AcmeServer:
    """The service, on this machine only. A context manager."""

    def __init__(self) -> None:
        self.account = Account()
        self.journal: list[str] = []
        self.troubles: list[tuple[Trouble, list[int]]] = []
        self._lock = threading.RLock()
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "AcmeServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        request = Request(environ)
        operation = f"{request.method} {request.path}"
        with self._lock:
            self.journal.append(operation)
            trouble = self._befalls(operation)
        if trouble and trouble.kind == "status":
            answer = _json({"error": "as scripted"}, trouble.status)
            answer.headers.extend(dict(trouble.headers))
        elif trouble and trouble.kind in ("html", "empty"):
            page = "<html>out of order</html>" if trouble.kind == "html" else ""
            answer = Response(page, trouble.status, dict(trouble.headers), mimetype="text/html")
        elif trouble and trouble.kind == "reset_before":
            return _cut(environ)
        else:
            if trouble and trouble.kind == "hang":
                time.sleep(trouble.seconds)
            with self._lock:
                answer = self._answer(request)
            if trouble and trouble.kind == "reset_after":
                return _cut(environ)
            if trouble and trouble.kind == "truncate":
                body = answer.get_data()
                answer = Response(body[: len(body) // 2], answer.status_code, mimetype="application/json")
        return answer(environ, start_response)

    def _befalls(self, operation: str) -> Trouble | None:
        for trouble, (skip, times) in [(one, (left[0], left[1])) for one, left in self.troubles]:
            if trouble.writing and operation != "POST /people/update":
                continue
            left = next(counts for one, counts in self.troubles if one is trouble)
            if skip > 0:
                left[0] -= 1
                return None
            if times > 0:
                left[1] -= 1
                return trouble
        return None

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _json({"error": "who are you?"}, 401)
        given = json.loads(request.get_data()) if request.method == "POST" else {}
        after = int(request.args.get("after", "0"))
        match request.method, request.path:
            case "GET", "/account":
                return _json({"id": "acme-1"})
            case "GET", "/people":
                rows = sorted(self.account.people.items(), key=lambda pair: pair[1].change)
                return _json({"people": [self._row(*row) for row in rows if row[1].change > after][:PAGE]})
            case "POST", "/people/read":
                wanted = {one: self.account.merged.get(one, one) for one in given["ids"][:PAGE]}
                there = dict.fromkeys(now for now in wanted.values() if now in self.account.people)
                return _json(
                    {
                        "people": [self._row(one, self.account.people[one]) for one in there],
                        "moved": {old: now for old, now in wanted.items() if old != now and now in there},
                    }
                )
            case "POST", "/people/update":
                return self._update(given["updates"])
            case "GET", "/properties":
                return _json({"properties": self.account.properties})
            case "POST", "/properties":
                self.account.properties.setdefault(given["name"], given["kind"])
                return _json({})
            case "GET", "/visits":
                if not self.account.has_visits:
                    return _json({"error": "not in your plan"}, 402)
                return _json({"visits": [one for one in self.account.visits if one["number"] > after][:PAGE]})
        return _json({"error": "no such thing"}, 404)

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
            return _json({"error": "too many"}, 400)
        unknown = {name for one in updates for name in one["values"]} - self.account.properties.keys()
        if unknown:
            return _json({"error": "no such property", "properties": sorted(unknown)}, 422)
        return _json({"results": [{"id": one["id"], **self._update_one(one)} for one in updates]})

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


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


def _cut(environ: "WSGIEnvironment") -> list[bytes]:
    environ["werkzeug.socket"].close()
    return []
