"""The webhooks journal: what an app subscribed to, in files that are read by offset, for three days (section 12).

Of changes it tells which record and which properties; whoever reads it holds a token of the app, not of the account.
Bodies of files and subscriptions follow HubSpot's reference; where no source settles a point there is a switch.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from leadbridge.sandbox.hubspot.answers import NOT_FOUND, Refused, Reply, iso, iso_ms
from leadbridge.sandbox.hubspot.call import ApiCall
from leadbridge.sandbox.hubspot.kinds import Kind
from leadbridge.sandbox.hubspot.settings import Settings
from leadbridge.sandbox.hubspot.store import Act
from leadbridge.sandbox.hubspot.tokens import APP_SCOPES
from leadbridge.sandbox.world import World

KEPT = timedelta(days=3)
READ, SEE, SUBSCRIBE = APP_SCOPES
_ACTIONS = {
    "creation": "CREATE",
    "propertyChange": "UPDATE",
    "deletion": "DELETE",
    "merge": "MERGE",
    "restore": "RESTORE",
}
_LIVES = 900  # seconds a signed address is good for


@dataclass(slots=True)
class File:
    """One file of the journal."""

    offset: str
    at: datetime
    events: list[dict[str, Any]]


@dataclass(slots=True)
class Journal:
    """The journal of one app, for one account."""

    world: World
    settings: Settings
    portal_id: int
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    host: str | None = None  # where files are said to lie; None: here
    _gathered: list[dict[str, Any]] = field(default_factory=list)
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, act: Act, kind: Kind, what: str, detail: Mapping[str, Any]) -> None:
        """Something happened; kept if subscribed."""
        event: dict[str, Any]
        about: dict[str, Any] = {"portalId": self.portal_id, "occurredAt": iso_ms(act.at_ms)}
        if what == "privacyDeletion":
            wanted = self._subscribed("GDPR_PRIVACY_DELETION", kind, "GDPR_DELETE")
            event = {"type": "GDPR_PRIVACY_DELETION", "action": "GDPR_DELETE", "objectTypeId": kind.type_id}
        elif what == "associationChange":
            action = "ASSOCIATION_REMOVED" if detail.get("associationRemoved") else "ASSOCIATION_ADDED"
            wanted = self._subscribed("ASSOCIATION", kind, action)
            event = {"type": "ASSOCIATION", "action": action, "fromObjectTypeId": kind.type_id}
            event |= {name: detail[name] for name in ("fromObjectId", "toObjectId")}
        else:
            action = _ACTIONS.get(what, "")
            wanted = self._subscribed("OBJECT", kind, action)
            event = {"type": "OBJECT", "action": action, "objectTypeId": kind.type_id}
        names = None if wanted is None else wanted.get("properties")
        if wanted is None or (what == "propertyChange" and names and detail["propertyName"] not in names):
            return
        if "objectId" in detail:
            event["objectId"] = detail["objectId"]
        if what == "propertyChange":
            event["propertyChanges"] = {detail["propertyName"]: detail["propertyValue"]}
        if what == "merge":
            event |= {name: detail[name] for name in ("primaryObjectId", "mergedObjectIds", "newObjectId")}
            event["objectId"] = detail["newObjectId"]
        with self._lock:
            self._gathered.append({**event, **about})

    def earliest(self) -> File | None:
        with self._lock:
            self._publish()
            return self.files[0] if self.files else None

    def latest(self) -> File | None:
        with self._lock:
            self._publish()
            return self.files[-1] if self.files else None

    def after(self, offset: str) -> File | None:
        """The file after this one; None at the end. Refused where the offset is not kept (any more)."""
        with self._lock:
            self._publish()
            for place, file in enumerate(self.files):
                if file.offset == offset:
                    return self.files[place + 1] if place + 1 < len(self.files) else None
            if self.settings.journal_expired_status:
                raise Refused(self.settings.journal_expired_status, "The offset does not exist", category=NOT_FOUND)
            return self.files[0] if self.files else None

    def file(self, offset: str) -> File | None:
        with self._lock:
            return next((file for file in self.files if file.offset == offset), None)

    def _publish(self) -> None:
        now = self.world.clock.now()
        if self._gathered:
            self._made += 1
            digest = hashlib.md5(str(self._made).encode(), usedforsecurity=False).hexdigest()
            self.files.append(File(str(UUID(digest)), now, self._gathered))
            self._gathered = []
        self.files = [file for file in self.files if now - file.at < KEPT]

    def _subscribed(self, type_: str, kind: Kind, action: str) -> dict[str, Any] | None:
        return next(
            (
                one for one in self.subscriptions
                if one["subscriptionType"] == type_ and one["objectTypeId"] == kind.type_id and action in one["actions"]
            ),
            None,
        )  # fmt: skip


# --- answers ---------------------------------------------------------------------------------------------------------


def earliest(call: ApiCall) -> Reply:
    return _where(call, _open(call).earliest())


def latest(call: ApiCall) -> Reply:
    return _where(call, _open(call).latest())


def after(call: ApiCall, offset: str) -> Reply:
    return _where(call, _open(call).after(offset))


def file(call: ApiCall, offset: str) -> Reply:
    """A file, as a storage service would give it: no token wanted, and none accepted."""
    found = call.account.journal.file(offset)
    if call.authorized:
        raise Refused(400, "Only one auth mechanism allowed", category=None)
    if found is None or call.text("Signature") != _signature(offset):
        raise Refused(403, "Request has expired", category=None)
    return Reply(200, {"offset": offset, "journalEvents": found.events, "publishedAt": iso(found.at)})


def subscriptions(call: ApiCall) -> Reply:
    return Reply(200, {"results": _open(call).subscriptions})


def subscribe(call: ApiCall) -> Reply:
    journal, wanted = _open(call), call.json()
    if wanted.get("portalId") != journal.portal_id or not wanted.get("actions") or not wanted.get("objectTypeId"):
        raise Refused(400, f"Not a subscription of this account: {json.dumps(wanted)}")
    made = {**wanted, "id": len(journal.subscriptions) + 1, "createdAt": iso(call.now), "updatedAt": iso(call.now)}
    journal.subscriptions.append(made)
    return Reply(201, made)


def _open(call: ApiCall) -> Journal:
    if not call.account.settings.journal:
        raise Refused(403, "The app has no access to the webhooks journal", category="FORBIDDEN")
    given = call.text("installPortalId")
    if given and given != str(call.account.portal_id):
        raise Refused(404, f"The app is not installed in {given}", category=NOT_FOUND)
    return call.account.journal


def _where(call: ApiCall, found: File | None) -> Reply:
    if found is None:
        return Reply(204)
    url = (
        f"{call.account.journal.host or call.base}/sandbox-journal/{found.offset}?Signature={_signature(found.offset)}"
    )
    expires = iso(call.now + timedelta(seconds=_LIVES))
    return Reply(200, {"url": url, "expiresAt": expires, "currentOffset": found.offset})


def _signature(offset: str) -> str:
    return hashlib.sha256(f"signed {offset}".encode()).hexdigest()
