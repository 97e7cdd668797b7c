"""Which paths are served, by whom, and under what name in the journal."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, MapAdapter, Rule

from leadbridge.sandbox.salesforce import bulk, reading, records, tooling
from leadbridge.sandbox.salesforce.answers import Reply
from leadbridge.sandbox.salesforce.kinds import kind_of

OLDEST, NEWEST, RETIRED = 31, 67, range(21, 31)
_DATA = re.compile(r"/services/data/(v(\d+)\.0)(/.*)?")

Handler = Callable[..., Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """``operation`` may name an argument: ``{kind}.update`` is Lead.update for a Lead."""

    handler: Handler
    operation: str


def _resources(call: Any) -> Reply:
    names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs", "tooling")
    return Reply(body={name: f"{call.base}/{name}" for name in names})


_TABLE: tuple[tuple[str, str, Handler, str], ...] = (
    ("GET", "/", _resources, "resources"),
    ("GET", "/limits", reading.limits, "limits"),
    ("GET", "/limits/recordCount", reading.record_count, "limits.recordCount"),
    ("GET", "/query", reading.query, "query"),
    ("GET", "/query/<locator>", reading.next_page, "query.next"),
    ("GET", "/queryAll", reading.query_all, "queryAll"),
    ("GET", "/queryAll/<locator>", reading.next_page, "queryAll.next"),
    ("GET", "/sobjects", records.describe_global, "describe"),
    ("GET", "/sobjects/<kind>", records.info, "{kind}.info"),
    ("POST", "/sobjects/<kind>", records.create, "{kind}.create"),
    ("GET", "/sobjects/<kind>/describe", records.describe, "{kind}.describe"),
    ("GET", "/sobjects/<kind>/updated", reading.updated, "{kind}.updated"),
    ("GET", "/sobjects/<kind>/deleted", reading.deleted, "{kind}.deleted"),
    ("GET", "/sobjects/<kind>/<record_id>", records.read, "{kind}.read"),
    ("PATCH", "/sobjects/<kind>/<record_id>", records.update, "{kind}.update"),
    ("DELETE", "/sobjects/<kind>/<record_id>", records.delete, "{kind}.delete"),
    # A slash within a value, which clients encode, arrives here decoded.
    ("GET", "/sobjects/<kind>/<field>/<path:value>", records.read_by_key, "{kind}.read"),
    ("PATCH", "/sobjects/<kind>/<field>/<path:value>", records.upsert, "{kind}.upsert"),
    ("POST", "/composite/sobjects", records.create_many, "collections.create"),
    ("PATCH", "/composite/sobjects", records.update_many, "collections.update"),
    ("DELETE", "/composite/sobjects", records.delete_many, "collections.delete"),
    ("GET", "/composite/sobjects/<kind>", records.retrieve_many, "collections.retrieve"),
    ("POST", "/composite/sobjects/<kind>", records.retrieve_many, "collections.retrieve"),
    ("PATCH", "/composite/sobjects/<kind>/<field>", records.upsert_many, "collections.upsert"),
    ("POST", "/jobs/query", bulk.create_query, "bulk.query.create"),
    ("GET", "/jobs/query/<job_id>", bulk.query_status, "bulk.query.status"),
    ("GET", "/jobs/query/<job_id>/results", bulk.query_results, "bulk.query.results"),
    ("POST", "/jobs/ingest", bulk.create_ingest, "bulk.ingest.create"),
    ("GET", "/jobs/ingest/<job_id>", bulk.ingest_status, "bulk.ingest.status"),
    ("PUT", "/jobs/ingest/<job_id>/batches", bulk.upload, "bulk.ingest.upload"),
    ("GET", "/jobs/ingest/<job_id>/<which>", bulk.ingest_results, "bulk.ingest.results"),
    ("PATCH", "/jobs/<any(query, ingest):family>/<job_id>", bulk.set_state, "bulk.{family}.state"),
    ("DELETE", "/jobs/<any(query, ingest):family>/<job_id>", bulk.delete_job, "bulk.{family}.delete"),
    ("POST", "/tooling/sobjects/CustomField", tooling.create_field, "tooling.CustomField.create"),
    ("DELETE", "/tooling/sobjects/CustomField/<field_id>", tooling.delete_field, "tooling.CustomField.delete"),
)


@dataclass(frozen=True, slots=True)
class Match:
    """``version`` as in the path: "v65.0"."""

    route: Route
    version: str
    arguments: Mapping[str, str]

    @property
    def operation(self) -> str:
        named = dict(self.arguments)
        kind = kind_of(named.get("kind", ""))
        return self.route.operation.format(**named | {"kind": kind.name if kind else "unknown"})


@cache
def _map() -> MapAdapter:
    """Compiled once for all sandboxes of this process."""
    rules = [
        Rule(path, methods=[method], endpoint=Route(handler, operation), merge_slashes=False)
        for method, path, handler, operation in _TABLE
    ]
    return Map(rules, strict_slashes=False, merge_slashes=False).bind("")


def split(path: str) -> tuple[str, int, str] | None:
    """Version as written, its number, and the rest, of a data path."""
    found = _DATA.fullmatch(path)
    return (found[1], int(found[2]), found[3] or "/") if found else None


def find(method: str, path: str) -> Match:
    """The route of a data path; NotFound or MethodNotAllowed when there is none."""
    parts = split(path)
    if parts is None:
        raise NotFound
    rest = parts[2].rstrip("/") or "/"
    route, arguments = _map().match(rest, "GET" if method == "HEAD" else method)
    return Match(route, parts[0], arguments)


def operation_of(method: str, path: str) -> str:
    """The stable name of a call; "unknown" when no such path is served."""
    fixed = {
        "/services/oauth2/token": "oauth.token",
        "/services/oauth2/userinfo": "oauth.userinfo",
        "/services/data": "versions",
    }
    if path.rstrip("/") in fixed:
        return fixed[path.rstrip("/")]
    if path.startswith("/services/Soap/u/"):
        return "soap.login"
    try:
        return find(method, path).operation
    except (NotFound, MethodNotAllowed):
        return "unknown"


def versions() -> list[dict[str, str]]:
    """Those a release serves, labelled by season: 20.0 was Winter '11."""
    seasons = ("Winter", "Spring", "Summer")
    return [
        {
            "label": f"{seasons[(n - 20) % 3]} '{11 + (n - 20) // 3}",
            "url": f"/services/data/v{n}.0",
            "version": f"{n}.0",
        }
        for n in range(OLDEST, NEWEST + 1)
    ]
