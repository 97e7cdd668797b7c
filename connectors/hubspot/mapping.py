"""HubSpot's records to leads, and our values to HubSpot's properties. Word tables and pure translation.

What is not in a table is kept as it is: a stage of the account's own keeps its number as text, an event type nobody
knows becomes OTHER and is counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from connectors.base import PropertySpec
from connectors.hubspot import past
from connectors.hubspot.wire import VENDOR, Record
from connectors.values import Unreadable, clean, moment, typed
from connectors.written import difference, targets
from leadbridge import addresses
from leadbridge.config.schema import Config
from leadbridge.types import Lead, LifecycleStage, Past, RecordRef, Value

CONTACT = "contact"
LIFECYCLE = "lifecyclestage"

STAGES = {
    "subscriber": LifecycleStage.SUBSCRIBER,
    "lead": LifecycleStage.LEAD,
    "marketingqualifiedlead": LifecycleStage.MQL,
    "salesqualifiedlead": LifecycleStage.SQL,
    "opportunity": LifecycleStage.OPPORTUNITY,
    "customer": LifecycleStage.CUSTOMER,
    "evangelist": LifecycleStage.EVANGELIST,
}
"""HubSpot's lifecycle stages (section 8.5). "other" and an account's own stages (numbers) have no place in it."""

STAGE_WORDS = {ours.value: theirs for theirs, ours in STAGES.items()}

LONGEST_TEXT = 1000
"""Characters of a reason worth reading on a record; HubSpot would take 65,536."""

COMPANY = "company."
PRIMARY_COMPANY = "associatedcompanyid"
"""Hidden property of a contact: the id of its one primary company (section 7). Spares a call for associations."""

_ALWAYS = (
    "email",
    "hs_additional_emails",
    LIFECYCLE,
    "hs_email_optout",
    "createdate",
    "lastmodifieddate",
    "hs_merged_object_ids",
    "hs_calculated_merged_vids",
)


def contact_ref(record_id: str) -> RecordRef:
    return RecordRef(VENDOR, CONTACT, record_id)


class Fields:
    """What the configuration reads from contacts and their companies, and writes to contacts."""

    def __init__(self, config: Config, counting: Sequence[str] = ()) -> None:
        """`counting` names properties whose values are kept beside the lead (`counters.py`)."""
        self._counting = tuple(counting)
        self._mapped = {name: m for name, m in config.fields.items() if m.hubspot is not None}
        self.targets = targets(config, lambda target: target.hubspot)
        names = [mapping.hubspot or "" for mapping in self._mapped.values()]
        self.company_properties = _unique(n.removeprefix(COMPANY) for n in names if n.startswith(COMPANY))
        self.mapped_properties = _unique(n for n in names if not n.startswith(COMPANY))
        self.contact_properties = _unique(
            (
                *_ALWAYS,
                *((PRIMARY_COMPANY,) if self.company_properties else ()),
                *self.mapped_properties,
                *(target.name for target in self.targets.values()),
                *self._counting,
            )
        )

        self.remembered_properties = _unique(("email", LIFECYCLE, "hs_email_optout", *self.mapped_properties))

    # --- from HubSpot ------------------------------------------------------------------------------------------------

    def company_of(self, record: Record) -> str | None:
        """Id of the contact's primary company, when a field needs it."""
        return (record.get(PRIMARY_COMPANY) or None) if self.company_properties else None

    def lead(self, record: Record, companies: Mapping[str, Record], skipped: Counter[str], read_at: datetime) -> Lead:
        """The contact as a lead. A value that cannot be read as its type is unknown, and counted in `skipped`."""
        company = companies.get(self.company_of(record) or "")
        email = record.get("email").strip() or None
        created = moment(record.get("createdate") or record.created_at)
        opted_out = record.get("hs_email_optout").lower() == "true"
        attributes: dict[str, Value] = {
            "email": email,
            "email_domain": addresses.domain_of(email),
            "lifecycle_stage": stage_in(record.get(LIFECYCLE)),
            "opted_out": opted_out,
            "created_at": created,
        }
        for name, mapping in self._mapped.items():
            source = mapping.hubspot or ""
            holder = company if source.startswith(COMPANY) else record
            raw = holder.get(source.removeprefix(COMPANY)) if holder else None
            try:
                attributes[name] = typed(raw, mapping.type, mapping.empty)
            except Unreadable:
                attributes[name] = None
                skipped[f"unreadable {name}"] += 1
        return Lead(
            ref=contact_ref(record.id),
            email=email,
            attributes=attributes,
            modified_at=modified_in(record, "lastmodifieddate") or read_at,
            created_at=created,
            opted_out=opted_out,
            written={t.name: clean(record.get(t.name)) for t in self.targets.values() if record.get(t.name)},
            aliases=tuple(contact_ref(one) for one in merged_ids(record)),
            other_emails=tuple(one.strip() for one in record.get("hs_additional_emails").split(";") if one.strip()),
            counters={name: clean(record.get(name)) or "0" for name in self._counting},
        )

    def with_past(self, lead: Lead, record: Record, companies: Mapping[str, Record], since: datetime) -> Lead:
        """The lead with what its record held before, as far as the history read with it tells.

        Company values are those that today's primary company had then. What HubSpot remembers from before `since` is
        told as one, the last of them.
        """
        company = companies.get(self.company_of(record) or "")
        always = {name: record.get(name) for name in ("createdate", PRIMARY_COMPANY)}
        told: list[Past] = []
        for at, held, held_by_company in past.moments(record, company, since, lead.modified_at):
            then = record.model_copy(update={"properties": always | held})
            theirs = {company.id: company.model_copy(update={"properties": held_by_company})} if company else {}
            was = self.lead(then, theirs, Counter(), at)
            if not told or (was.email, was.attributes) != (told[-1].email, told[-1].attributes):
                told.append(Past(at, was.email, was.attributes, was.opted_out))
        return replace(lead, past=tuple(told))

    # --- to HubSpot --------------------------------------------------------------------------------------------------

    def changes(self, wanted: Mapping[str, Value], current: Mapping[str, str]) -> dict[str, str]:
        """Properties to set; see `Crm.changes`. "" clears a property, which never happens to the lifecycle stage."""
        found: dict[str, str] = {}
        for ours, value in wanted.items():
            target = self.targets.get(ours)
            if target is None:
                continue
            if target.name == LIFECYCLE:
                text = _forward(value, current.get(LIFECYCLE) or "")
            else:
                text = difference(target, value, current, _cut)
            if text is not None:
                found[target.name] = text
        return found

    def specs(self) -> list[PropertySpec]:
        """Properties of our own; the lifecycle stage is HubSpot's."""
        return [target.spec() for target in self.targets.values() if target.name != LIFECYCLE]

    def is_long_text(self, name: str) -> bool:
        """Does this property hold reasons, one per line?"""
        return any(t.name == name and t.ours.partition(".")[0] == "reasons" for t in self.targets.values())


def stage_in(word: str) -> str | None:
    """HubSpot's stage in our words; one of the account's own stays as it is."""
    known = STAGES.get(word)
    return known.value if known else (word or None)


def merged_ids(record: Record) -> list[str]:
    """Ids of the contacts merged into this one: "51;1;1551", and "id:ms;id:ms" from before 2025 (section 5.3)."""
    parts = f"{record.get('hs_merged_object_ids')};{record.get('hs_calculated_merged_vids')}".split(";")
    ids = (part.partition(":")[0].strip() for part in parts)
    return [one for one in dict.fromkeys(ids) if one.isdigit() and one != record.id]


def modified_in(record: Record, name: str) -> datetime | None:
    """The modification instant of a search hit."""
    return moment(record.get(name) or record.updated_at)


def _forward(value: Value, held: str) -> str | None:
    """The stage to write, only ever forward (section 8.5): HubSpot drops a backward write without a word.

    A stage outside the order ("other", one of the account's own) is somebody's decision and is left alone.
    """
    word = STAGE_WORDS.get(str(value)) if value is not None else None
    if word is None:
        return None
    if not held:
        return word
    now = STAGES.get(held)
    return word if now is not None and STAGES[word].rank > now.rank else None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
