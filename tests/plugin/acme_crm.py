"""A CRM room as a package of its own would bring it: `leadbridge.connectors` names `acme = acme_crm:Acme`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import urllib3
from pydantic import Field, SecretStr

from connectors.base import Change, Crm, Outcome, Page, Progress, PropertySpec, Reading, Settled
from connectors.batches import in_batches
from connectors.values import Unreadable, typed
from connectors.written import difference, targets
from leadbridge import addresses, logs
from leadbridge.call import Caller, Garbled, Pace, masked, read_within, retry_after, transport_error
from leadbridge.config.kinds import HttpAddress
from leadbridge.config.plugins import PluginConnection
from leadbridge.config.schema import Config
from leadbridge.errors import FeatureMissing, NeedsOperator, RecordRefused, RetryLater, Unknown, VendorError
from leadbridge.types import Activity, ActivityKind, Lead, RecordRef, Value

VENDOR, PERSON, BATCH = "acme", "person", 100


class AcmeConnection(PluginConnection):
    """Acme: where it is, and its key."""

    key: SecretStr = Field(description="API key")
    base_url: HttpAddress = Field(description="where the API is")
    per_second: int = Field(50, ge=1, description="calls we allow ourselves in a second")


class Refused(RecordRefused):
    """Acme refuses a call: its words, and the properties it does not know."""

    def __init__(self, operation: str, words: str, status: int, properties: Sequence[str]) -> None:
        super().__init__(VENDOR, operation, words, status=status)
        self.properties = properties


class Acme(Crm):
    """One Acme account. Thread-safe."""

    vendor = VENDOR
    people = frozenset({PERSON})
    write_batch = BATCH
    Connection = AcmeConnection

    def __init__(self, connection: AcmeConnection, config: Config, *, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._key = connection.key.get_secret_value()
        logs.hide(self._key)
        self._url = connection.base_url
        self._pool = urllib3.PoolManager(retries=False)
        budget = self._pace.budgets.rate("acme calls", connection.per_second, 1.0)
        self._caller = Caller(VENDOR, _name_error, {"calls": budget}, pace=self._pace)
        self._fields = {name: one for name, one in config.fields.items() if VENDOR in one.plugins}
        self._targets = targets(config, lambda target: target.plugins.get(VENDOR))

    # --- reading -----------------------------------------------------------------------------------------------------

    def account(self) -> str:
        return str(self._ask("account", "GET", "/account")["id"])

    def pull_leads(self, progress: Progress | None, *, full: bool = False) -> Iterator[Page[Lead]]:
        after = "0" if full or progress is None else progress["after"]
        while True:
            rows = self._ask("people.list", "GET", f"/people?after={after}")["people"]
            if not rows:
                return
            after = str(rows[-1]["change"])
            yield Page([self._lead(row) for row in rows], {"after": after})
            if len(rows) < BATCH:
                return

    def read_leads(self, refs: Sequence[RecordRef]) -> Reading:
        found: dict[str, Lead] = {}
        moved: dict[RecordRef, RecordRef] = {}
        asked = list(dict.fromkeys(ref.record_id for ref in refs))
        for part in in_batches(asked, BATCH):
            answer = self._ask("people.read", "POST", "/people/read", {"ids": list(part)})
            found |= {row["id"]: self._lead(row) for row in answer["people"]}
            moved |= {_ref(old): _ref(new) for old, new in answer["moved"].items()}
        gone = [_ref(one) for one in asked if one not in found and _ref(one) not in moved]
        return Reading(list(found.values()), gone, moved)

    def _lead(self, row: Mapping[str, Any]) -> Lead:
        values = row["values"]
        attributes: dict[str, Value] = {"email_domain": addresses.domain_of(values.get("email"))}
        for name, mapping in self._fields.items():
            try:
                attributes[name] = typed(values.get(mapping.plugins[VENDOR]), mapping.type, mapping.empty)
            except Unreadable:
                attributes[name] = None
        return Lead(
            ref=_ref(row["id"]),
            email=values.get("email"),
            attributes=attributes,
            modified_at=datetime.fromisoformat(row["at"]),
            written={one.name: values[one.name] for one in self._targets.values() if one.name in values},
            aliases=tuple(_ref(old) for old in row["merged"]),
        )

    def streams(self) -> Sequence[str]:
        return ("visits",)

    def pull_activities(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        after = progress["after"] if progress else "0"
        while True:
            rows = self._ask("visits.list", "GET", f"/visits?after={after}")["visits"]
            if not rows:
                return
            after = str(rows[-1]["number"])
            found = [
                Activity(
                    subject=_ref(row["person"]).key,
                    kind=ActivityKind.PAGE_VIEW,
                    at=datetime.fromisoformat(row["at"]),
                    source=f"{VENDOR}.{stream}",
                    source_id=str(row["number"]),
                    attributes={"url": row["url"]},
                )
                for row in rows
            ]
            yield Page(found, {"after": after})
            if len(rows) < BATCH:
                return

    # --- writing -----------------------------------------------------------------------------------------------------

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        found = {
            target.name: difference(target, wanted[ours], current, lambda text: text[:500])
            for ours, target in self._targets.items()
            if ours in wanted
        }
        return {name: text for name, text in found.items() if text is not None}

    def write(self, changes: Sequence[Change]) -> Mapping[RecordRef, Settled]:
        wanted: dict[str, dict[str, str]] = {}
        for change in changes:
            wanted.setdefault(change.ref.record_id, {}).update(change.values)
        settled: dict[str, Settled] = {}
        for part in in_batches(list(wanted), BATCH):
            try:
                self._part(part, wanted, settled)
            except (NeedsOperator, RetryLater) as error:
                if not settled:
                    raise
                rest = Settled(Outcome.UNANSWERED, masked(error.problem))
                settled |= {one: rest for one in wanted if one not in settled}
                break
        return {change.ref: settled[change.ref.record_id] for change in changes}

    def _part(self, ids: Sequence[str], wanted: Mapping[str, Mapping[str, str]], settled: dict[str, Settled]) -> None:
        updates = [{"id": one, "values": wanted[one]} for one in ids]
        try:
            results = self._ask("people.update", "POST", "/people/update", {"updates": updates})["results"]
        except Refused as refused:
            if refused.properties:
                cure = f"Acme has no property {', '.join(refused.properties)}; run `leadbridge apply`"
                raise NeedsOperator(VENDOR, "people.update", cure) from None
            if len(ids) == 1:
                settled[ids[0]] = Settled(Outcome.REFUSED, masked(refused.problem))
                return
            middle = len(ids) // 2
            self._part(ids[:middle], wanted, settled)
            self._part(ids[middle:], wanted, settled)
            return
        answers = {str(row["id"]): row for row in results}
        for one in ids:
            match answers.get(one):
                case {"result": "ok"}:
                    settled[one] = Settled(Outcome.WRITTEN)
                case {"result": "gone"}:
                    settled[one] = Settled(Outcome.GONE)
                case {"result": "moved", "to": str(to)}:
                    settled[one] = Settled(Outcome.MOVED, moved_to=_ref(to))
                case {"result": "refused", "why": str(why)}:
                    settled[one] = Settled(Outcome.REFUSED, masked(why))
                case _:
                    settled[one] = Settled(Outcome.UNANSWERED, "the answer does not mention it")

    def specs(self) -> list[PropertySpec]:
        return [target.spec() for target in self._targets.values()]

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        known = self._ask("properties.list", "GET", "/properties")["properties"]
        return [spec for spec in specs if spec.name not in known]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        for spec in self.missing(specs):
            self._ask("properties.create", "POST", "/properties", {"name": spec.name, "kind": spec.kind})

    # --- one call ----------------------------------------------------------------------------------------------------

    def _ask(self, operation: str, method: str, path: str, body: Any = None) -> Any:
        def send(seconds: float) -> Any:
            connect = min(self._pace.patience.connect, seconds)
            response = self._pool.request(
                method,
                self._url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=urllib3.Timeout(connect=connect, read=seconds),
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

        return self._caller(operation, send, repeatable=True)


def _ref(record_id: str) -> RecordRef:
    return RecordRef(VENDOR, PERSON, record_id)


def _name_error(operation: str, error: Exception) -> VendorError | None:
    return transport_error(VENDOR, operation, error)


def _refusal(operation: str, status: int, answer: Any, after: float | None) -> Exception:
    words = str(answer.get("error", "")) if isinstance(answer, dict) else ""
    if status == 429:
        return RetryLater(VENDOR, operation, "too many calls", status=status, after=after or 1.0)
    if status == 401:
        return NeedsOperator(VENDOR, operation, "the key is not accepted", status=status)
    if status == 402:
        return FeatureMissing(VENDOR, operation, words, status=status)
    if status in (400, 422):
        properties = answer.get("properties", []) if isinstance(answer, dict) else []
        return Refused(operation, words, status, properties)
    if status == 423 or status >= 500:
        return Unknown(VENDOR, operation, words or "out of order", status=status)
    return Garbled(f"not an answer of Acme's (HTTP {status})")
