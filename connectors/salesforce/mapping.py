"""Salesforce's rows to leads, and our values to its fields. Pure translation.

A person is a Lead or a Contact; the same field of ours may be kept at different places of the two. Values of Account
and Owner come with the row; those of Opportunity by the contact's roles (vendors/salesforce.md, sections 2 and 3.3).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from connectors.base import PropertySpec
from connectors.salesforce.describe import FieldInfo
from connectors.salesforce.ids import long_id
from connectors.salesforce.wire import VENDOR
from connectors.values import Unreadable, clean, moment, number_text, typed
from connectors.written import difference, targets
from leadbridge import addresses
from leadbridge.config.connections import SalesforceConnection
from leadbridge.config.schema import Config
from leadbridge.types import Lead, LifecycleStage, RecordRef, Value

LEAD, CONTACT = "Lead", "Contact"
PREFIXES = {LEAD: "00Q", CONTACT: "003"}
DEAL = "Opportunity"
ROLE = "OpportunityContactRole"
INDIVIDUAL = "Individual"

REFUSALS = ("HasOptedOutSolicit", "HasOptedOutProcessing", "ShouldForget")
"""Boxes of a person's Individual, whose word holds for all their records: none of them may be mailed (section 2.2)."""

LONGEST_REASONS = 4000
LONGEST_TEXT = 255
"""Characters; of a long text area and of a text field as `apply` makes them."""

PERSON = "IsPersonAccount"
"""Says that a contact and its account are one person; there only where the org has person accounts (section 2.3)."""

MERGED_INTO = "Account.MasterRecord.PersonContactId"
"""Of a contact that went with its person account: the one that lives on."""

_ALWAYS: Mapping[str, tuple[str, ...]] = {
    LEAD: ("Email", "Status", "IsConverted", "ConvertedContactId"),
    CONTACT: ("Email", "AccountId", PERSON, MERGED_INTO),
}
_COMMON = ("Id", "MasterRecordId", "IsDeleted", "CreatedDate", "SystemModstamp")

OWNER = {name.lower(): FieldInfo(name=name, type="string") for name in ("Id", "Name", "FirstName", "LastName", "Email")}
"""Fields of an owner, who may be a user or a queue, that both have (section 2.1)."""

Row = Mapping[str, str]
"""A record as text by path; what has no value is absent."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is kept: at `of` (None: at whichever object the person is), under a name."""

    of: str | None
    name: str

    def column(self, kind: str) -> str | None:
        """The column of a query for people of this kind; None when they do not have it there."""
        if self.of in (None, kind):
            return self.name
        if self.of in ("Owner", INDIVIDUAL) or (self.of == "Account" and kind == CONTACT):
            return f"{self.of}.{self.name}"
        return None


def places(text: str) -> list[Place]:
    """The places a `salesforce:` of a field names, in their order."""
    found = []
    for part in text.split("|"):
        of, _, name = part.strip().rpartition(".")
        found.append(Place(of or None, name))
    return found


def ref_of(record_id: str) -> RecordRef | None:
    """The person an id stands for; None when it is of no Lead and no Contact."""
    found = long_id(record_id)
    kind = next((kind for kind, prefix in PREFIXES.items() if found and found.startswith(prefix)), None)
    return RecordRef(VENDOR, kind, found) if kind and found else None


class Fields:
    """What the configuration reads from people, and writes to them."""

    def __init__(self, connection: SalesforceConnection, config: Config) -> None:
        self.objects = tuple(dict.fromkeys(connection.objects))
        self.opt_out = connection.opt_out
        self._stages = connection.lead_stages
        self.mapped = {name: (m, places(m.salesforce)) for name, m in config.fields.items() if m.salesforce is not None}
        self.targets = targets(config, lambda target: target.salesforce)
        everywhere = [place for _, found in self.mapped.values() for place in found]
        self.of_deals = _unique(place.name for place in everywhere if place.of == DEAL)
        self.reads_accounts = CONTACT in self.objects and any(place.of == "Account" for place in everywhere)

    def columns(
        self, kind: str, fields: Mapping[str, FieldInfo], parents: Mapping[str, Mapping[str, FieldInfo]]
    ) -> list[str]:
        """Columns of a query for people of this kind: what is needed and described, in the spelling of describe."""
        found = [*_COMMON, *_ALWAYS[kind], self.opt_out, *(target.name for target in self.targets.values())]
        found += [f"{INDIVIDUAL}.{name}" for name in REFUSALS]
        for _, several in self.mapped.values():
            found += [column for place in several if (column := place.column(kind)) is not None]
        return _unique(seen for column in found if (seen := spelt(column, fields, parents)) is not None)

    def own_fields(self, kind: str) -> list[str]:
        """Fields of the record itself that are read of people of this kind, in lower case, and none that we write."""
        names = [place.name for _, several in self.mapped.values() for place in several if place.of in (None, kind)]
        ours = {target.name.lower() for target in self.targets.values()}
        always = ["Email", self.opt_out, *(["Status"] if kind == LEAD else [])]
        return [name for one in _unique([*names, *always]) if (name := one.lower()) not in ours]

    # --- from Salesforce ---------------------------------------------------------------------------------------------

    def lead(self, kind: str, row: Row, deals: Sequence[Row], skipped: Counter[str], read_at: datetime) -> Lead:
        """The row as a lead. A value that cannot be read as its type is unknown, and counted in `skipped`."""
        values = {name.lower(): text for name, text in row.items()}
        email = values.get("email", "").strip() or None
        created = moment(values.get("createddate"))
        boxes = (self.opt_out, *(f"{INDIVIDUAL}.{name}" for name in REFUSALS))
        opted_out = any(values.get(box.lower()) == "true" for box in boxes)
        attributes: dict[str, Value] = {
            "email": email,
            "email_domain": addresses.domain_of(email),
            "lifecycle_stage": self._stage(kind, values, deals),
            "opted_out": opted_out,
            "created_at": created,
        }
        deal = main_deal(deals)
        for name, (mapping, several) in self.mapped.items():
            attributes[name] = None
            for raw in (self._raw(place, kind, values, deal) for place in several):
                try:
                    attributes[name] = typed(raw, mapping.type, mapping.empty)
                except Unreadable:
                    skipped[f"unreadable {name}"] += 1
                if attributes[name] is not None:
                    break
        return Lead(
            ref=RecordRef(VENDOR, kind, values["id"]),
            email=email,
            attributes=attributes,
            modified_at=moment(values.get("systemmodstamp")) or read_at,
            created_at=created,
            opted_out=opted_out,
            written=self._written(values),
            shares_address=True,
        )

    def _stage(self, kind: str, values: Row, deals: Sequence[Row]) -> str | None:
        """Customer and opportunity come from the contact's deals; a Lead's stage from its Status."""
        if kind == LEAD:
            return self._stages.get(values.get("status", ""), LifecycleStage.LEAD).value
        if any(deal.get("Opportunity.IsWon") == "true" for deal in deals):
            return LifecycleStage.CUSTOMER.value
        if any(deal.get("Opportunity.IsClosed") == "false" for deal in deals):
            return LifecycleStage.OPPORTUNITY.value
        return None

    @staticmethod
    def _raw(place: Place, kind: str, values: Row, deal: Row) -> str | None:
        if place.of == DEAL:
            wanted = f"{DEAL}.{place.name}".lower()
            return next((text for name, text in deal.items() if name.lower() == wanted), None)
        column = place.column(kind)
        return values.get(column.lower()) if column else None

    def _written(self, values: Row) -> dict[str, str]:
        """Our fields as the org holds them, numbers in the spelling we would write (72.0 is 72)."""
        found = {}
        for target in self.targets.values():
            text = clean(values.get(target.name.lower(), "")).replace("\r\n", "\n")
            if target.kind == "number" and text:
                with suppress(ValueError):  # somebody made it a text: it differs from all we would write
                    text = number_text(float(text)) or text
            if text:
                found[target.name] = text
        return found

    # --- to Salesforce -----------------------------------------------------------------------------------------------

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        """Fields to set; see `Crm.changes`. "" clears a field."""
        found: dict[str, str] = {}
        for ours, value in wanted.items():
            target = self.targets.get(ours)
            text = difference(target, value, current, self._cut(target.name)) if target else None
            if target is not None and text is not None:
                found[target.name] = text
        return found

    def is_long_text(self, name: str) -> bool:
        """Does this field hold reasons, one per line?"""
        return any(t.name == name and "reasons" in t.ours.partition(".")[0] for t in self.targets.values())

    def is_number(self, name: str) -> bool:
        return any(target.name == name and target.kind == "number" for target in self.targets.values())

    def specs(self) -> list[PropertySpec]:
        return [target.spec() for target in self.targets.values()]

    def _cut(self, name: str) -> "Cut":
        return Cut(LONGEST_REASONS if self.is_long_text(name) else LONGEST_TEXT)


@dataclass(frozen=True, slots=True)
class Cut:
    """Shortens a text to what a field takes, with a mark of it."""

    longest: int

    def __call__(self, text: str) -> str:
        return text if len(text) <= self.longest else text[: self.longest - 1] + "…"


def main_deal(deals: Sequence[Row]) -> Row:
    """The deal whose values count for a contact: open before closed, primary before others, then the latest to close.

    Empty when there is none.
    """

    def rank(deal: Row) -> tuple[bool, bool, str]:
        is_open = deal.get("Opportunity.IsClosed") == "false"
        return is_open, deal.get("IsPrimary") == "true", deal.get("Opportunity.CloseDate", "")

    return max(deals, key=rank, default={})


def spelt(column: str, fields: Mapping[str, FieldInfo], parents: Mapping[str, Mapping[str, FieldInfo]]) -> str | None:
    """The column as describe spells it; None when our user does not see it."""
    of, _, name = column.rpartition(".")
    known = (parents.get(of, {}) if of else fields).get(name.lower())
    return f"{of}.{known.name}" if known and of else known.name if known else None


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
