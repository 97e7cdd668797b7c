"""An e-mail room as a package of its own would bring it: `leadbridge.connectors` names `bolt = bolt_mail:Bolt`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import urllib3
from pydantic import Field, SecretStr

from connectors.base import (
    EmailPlatform,
    Entry,
    Member,
    MemberStatus,
    OptOut,
    Outcome,
    Page,
    Progress,
    PropertySpec,
    Settled,
)
from connectors.batches import in_batches
from connectors.written import difference, targets
from leadbridge import clock, logs
from leadbridge.call import Caller, Garbled, Pace, masked, read_within, retry_after, transport_error
from leadbridge.config.kinds import HttpAddress
from leadbridge.config.plugins import PluginConnection
from leadbridge.config.schema import Config
from leadbridge.errors import NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError
from leadbridge.types import Activity, ActivityKind, SuppressionReason, Value

VENDOR, BATCH = "bolt", 50
LONGEST = 200  # characters of a field
REASONS = {"unsubscribed": SuppressionReason.UNSUBSCRIBED, "cleaned": SuppressionReason.BOUNCED}
KINDS = {
    "open": ActivityKind.EMAIL_OPENED,
    "click": ActivityKind.EMAIL_CLICKED,
    "bounce": ActivityKind.EMAIL_BOUNCED,
}


class BoltConnection(PluginConnection):
    """Bolt: where it is, and its key."""

    key: SecretStr = Field(description="API key")
    base_url: HttpAddress = Field(description="where the API is")
    simultaneous: int = Field(4, ge=1, description="calls in flight at once")


class Bolt(EmailPlatform):
    """One Bolt account. Thread-safe. A journey is `tag:NAME`, or `flow:NUMBER` for one that nothing else starts."""

    vendor = VENDOR
    Connection = BoltConnection

    def __init__(self, connection: BoltConnection, config: Config, *, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._key = connection.key.get_secret_value()
        logs.hide(self._key)
        self._url = connection.base_url
        self._pool = urllib3.PoolManager(retries=False)
        budget = self._pace.budgets.places("bolt calls", connection.simultaneous)
        self._caller = Caller(VENDOR, _name_error, {"calls": budget}, pace=self._pace)
        self._targets = targets(config, lambda target: target.plugins.get(VENDOR))
        self._journeys = {
            name: way.plugins[VENDOR] for name, way in config.nurture.ways.items() if VENDOR in way.plugins
        }

    # --- who is in the audience

    def account(self) -> str:
        return str(self._ask("account", "GET", "/account")["id"])

    def read_members(self, emails: Sequence[str]) -> Iterator[Mapping[str, Member]]:
        for part in in_batches(list(dict.fromkeys(emails)), BATCH):
            rows = self._members(part)
            at = clock.now()
            yield {
                email: Member(email, MemberStatus(row["status"]), at, row["fields"])
                if (row := rows.get(email)) is not None
                else Member(email, MemberStatus.ABSENT, at)
                for email in part
            }

    def _members(self, emails: Sequence[str]) -> dict[str, dict[str, Any]]:
        answer = self._ask("members.read", "POST", "/members/read", {"emails": list(emails)})
        return {row["email"]: row for row in answer["members"]}

    def pull_opt_outs(self, progress: Progress | None) -> Iterator[Page[OptOut]]:
        for rows, after in self._feed("left", progress):
            found = [OptOut(row["email"], REASONS[row["status"]], datetime.fromisoformat(row["at"])) for row in rows]
            yield Page(found, after)

    def _feed(self, name: str, progress: Progress | None) -> Iterator[tuple[list[dict[str, Any]], Progress]]:
        """Pages of one of Bolt's lists, each with the place after it; an empty one when nothing is new."""
        after = progress["after"] if progress else "0"
        while True:
            rows = self._ask(f"{name}.list", "GET", f"/{name}?after={after}")[name]
            after = str(rows[-1]["change" if name == "left" else "number"]) if rows else after
            yield rows, {"after": after}
            if len(rows) < BATCH:
                return

    # --- journeys

    def repeatable(self, journey: str) -> bool:
        return self._journeys.get(journey, "").startswith("tag:")

    def enrol(self, journey: str, email: str, *, again: bool = False) -> tuple[Entry, str]:
        way, _, name = self._journeys.get(journey, "").partition(":")
        if not name:
            return Entry.REFUSED, f"no journey {journey} is configured"
        operation = "members.tags" if way == "tag" else "flows.start"
        body = {"email": email, "tag" if way == "tag" else "flow": name}
        failures: list[VendorError] = []
        try:
            path = f"/{operation.replace('.', '/')}"
            self._ask(operation, "POST", path, body, repeatable=way == "tag", failures=failures)
        except VendorError as error:
            if any(isinstance(one, Unknown) for one in failures):
                return Entry.UNCERTAIN, error.problem
            if isinstance(error, NeedsOperator):
                raise
            return Entry.REFUSED if isinstance(error, RecordRefused) else Entry.NOTHING_HAPPENED, error.problem
        return Entry.ENTERED, "accepted"

    def entered(self, journey: str, email: str, *, again: bool = False) -> bool | None:
        if not self.repeatable(journey):
            return None
        tag = self._journeys[journey].partition(":")[2]
        held = tag in self._members([email]).get(email, {"tags": ()})["tags"]
        return None if held and again else held

    # --- what people did

    def streams(self) -> Sequence[str]:
        return ("newsletters",)

    def pull_activities(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        for rows, after in self._feed("engagement", progress):
            found = [
                Activity(
                    subject=f"email:{row['email']}",
                    kind=KINDS[row["what"]],
                    at=datetime.fromisoformat(row["at"]),
                    source=f"{VENDOR}.{stream}",
                    source_id=str(row["number"]),
                    attributes={"url": row["url"]} if row["url"] else {},
                )
                for row in rows
            ]
            yield Page(found, after)

    # --- fields

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        found = {
            target.name: difference(target, wanted[ours], current, lambda text: text[:LONGEST])
            for ours, target in self._targets.items()
            if ours in wanted
        }
        return {name: text for name, text in found.items() if text is not None}

    def write(self, changes: Mapping[str, Mapping[str, str]]) -> Mapping[str, Settled]:
        settled: dict[str, Settled] = {}
        for email, values in changes.items():
            try:
                self._ask("members.fields", "POST", "/members/fields", {"email": email, "fields": dict(values)})
                settled[email] = Settled(Outcome.WRITTEN)
            except RecordRefused as refused:
                gone = refused.status == 404
                settled[email] = Settled(Outcome.GONE if gone else Outcome.REFUSED, masked(refused.problem))
            except (NeedsOperator, RetryLater) as error:
                if not settled:
                    raise
                rest = Settled(Outcome.UNANSWERED, masked(error.problem))
                return settled | {one: rest for one in changes if one not in settled}
        return settled

    def specs(self) -> list[PropertySpec]:
        return [target.spec() for target in self._targets.values()]

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        known = self._ask("fields.list", "GET", "/fields")["fields"]
        return [spec for spec in specs if spec.name not in known]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        for spec in self.missing(specs):
            self._ask("fields.create", "POST", "/fields", {"name": spec.name, "public": False})

    # --- one call

    def _ask(
        self,
        operation: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        repeatable: bool = True,
        failures: list[VendorError] | None = None,
    ) -> Any:
        def send(seconds: float) -> Any:
            # A kept connection may be closed the moment it is used, and nobody can tell whether the call arrived.
            pool = self._pool if repeatable else urllib3.PoolManager(retries=False)
            response = pool.request(
                method,
                self._url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=urllib3.Timeout(connect=min(self._pace.patience.connect, seconds), read=seconds),
                redirect=False,
                preload_content=False,
            )
            content = read_within(response, seconds)
            try:
                answer = json.loads(content)
            except ValueError:
                answer = None
            if response.status == 200 and isinstance(answer, dict):
                return answer
            raise _refusal(operation, response.status, answer, retry_after(response.headers))

        return self._caller(operation, send, repeatable=repeatable, failures=failures)


def _name_error(operation: str, error: Exception) -> VendorError | None:
    return transport_error(VENDOR, operation, error)


def _refusal(operation: str, status: int, answer: Any, after: float | None) -> Exception:
    words = str(answer.get("error", "")) if isinstance(answer, dict) else ""
    if status == 429 or (status == 403 and not words):  # whoever stands before Bolt turns a crowd away with 403
        return RetryLater(VENDOR, operation, "too many calls", status=status, after=after or 1.0)
    if status == 401:
        return NeedsOperator(VENDOR, operation, "the key is not accepted", status=status)
    if words and status in (400, 404, 422):
        return RecordRefused(VENDOR, operation, words, status=status)
    if status >= 500:
        return Unknown(VENDOR, operation, words or "out of order", status=status)
    return Garbled(f"not an answer of Bolt's (HTTP {status})")
