"""What one change event says: pure, from the decoded Avro record and its schema (vendors/salesforce.md, section 6.4).

Values of fields are never used: an event only names records, which are read again (reliability pattern 9). Which fields
changed tells our own writes from everything else.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.events import instant
from connectors.salesforce.ids import long_id

HEADER = "ChangeEventHeader"
OVERFLOW = "GAP_OVERFLOW"
"""More changed in one transaction than is told: only the object is named."""

STAMPS = frozenset({"LastModifiedDate", "LastModifiedById", "SystemModstamp"})
"""Fields that every save moves."""

_BITMAPS = ("changedFields", "nulledFields", "diffFields")
_NESTED = re.compile(r"(\d{1,5})-(0x[0-9A-Fa-f]+)")
_PLAIN = re.compile(r"0x[0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """One change of one or more records of one object, alike for all of them."""

    entity: str
    kind: str  # "UPDATE", "GAP_DELETE", ...
    records: tuple[str, ...]  # ids of 18 characters
    partial: bool  # more records than are named may have changed
    changed: frozenset[str]  # names of fields; of a field with parts, "Name.FirstName"
    origin: str
    user: str
    at: datetime | None

    @property
    def missed(self) -> str:
        """Why this event does not name all that changed; empty when it does."""
        return f"{self.entity or 'change'}: {self.kind or 'event'} does not name every record" if self.partial else ""

    def is_echo(self, client: str, user: str, ours: Iterable[str]) -> bool:
        """Does this tell of nothing but our own writing of our own fields?

        A flow of the org may have changed more in the same transaction: then it is news, whoever began it.
        """
        return (
            self.kind == "UPDATE"
            and not self.partial
            and bool(self.changed)
            and long_id(self.user) == long_id(user)
            and f"client={client}" in re.split(r"[;/]", self.origin)
            and self.changed <= STAMPS.union(ours)
        )


def read_change(record: Mapping[str, Any], schema: Mapping[str, Any]) -> ChangeEvent:
    """The event in a decoded record of this schema. Raises ValueError when it has no header to go by."""
    header = record.get(HEADER)
    if not isinstance(header, Mapping):
        raise ValueError("no ChangeEventHeader")  # noqa: TRY004 - of what a vendor sends, whatever is odd is a value
    named = [one for one in header.get("recordIds") or () if isinstance(one, str)]
    kind = str(header.get("changeType") or "")
    if kind == OVERFLOW:
        named = []  # whatever stands there is no record
    records = tuple(dict.fromkeys(found for one in named if (found := long_id(one)) is not None))
    return ChangeEvent(
        entity=str(header.get("entityName") or ""),
        kind=kind,
        records=records,
        # A wildcard such as 001*, or a transaction too large to be told: only the object is named.
        partial=not records or len(records) < len(set(named)),
        changed=fields_of([one for name in _BITMAPS for one in header.get(name) or ()], schema),
        origin=str(header.get("changeOrigin") or ""),
        user=str(header.get("commitUser") or ""),
        at=instant(header.get("commitTimestamp")),
    )


def fields_of(bitmaps: Sequence[object], schema: Mapping[str, Any]) -> frozenset[str]:
    """Names of the fields whose bits are set: bit n of `0x...`, counted from the right, is field n of the schema.

    `N-0x...` speaks of the parts of field N. A bit beyond the schema, or anything else unreadable, is named by itself,
    so that it is never taken for a field of ours.
    """
    fields = schema.get("fields") or []
    found: set[str] = set()
    for item in bitmaps:
        text = str(item)
        if _PLAIN.fullmatch(text):
            found.update(_named(fields, text, ""))
        elif (nested := _NESTED.fullmatch(text)) and int(nested[1]) < len(fields):
            parent = fields[int(nested[1])]
            found.update(_named(_parts(parent), nested[2], f"{parent.get('name')}."))
        else:
            found.add(f"? {text}")
    return frozenset(found)


def _named(fields: Sequence[Mapping[str, Any]], bitmap: str, before: str) -> Iterable[str]:
    bits = int(bitmap, 16)
    for place in range(bits.bit_length()):
        if bits >> place & 1:
            yield before + (str(fields[place].get("name")) if place < len(fields) else f"? {place}")


def _parts(field: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Fields of the record that a field holds, through the union that lets it be null."""
    kinds = field.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, Mapping) and isinstance(kind.get("fields"), list):
            return list(kind["fields"])
    return []
