"""People and their activities as columns: what the engine reads.

Everything is an array with one entry per row, so that a store can hand over columns it read without making a Python
object per row (`Activities.by_id`); a handful of rows held as Python values come in through `people_frame` and
`activities_frame`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Coded, Columns, coded, columns_of, micros
from leadbridge.machines import BY_PERSON
from leadbridge.types import ActivityKind, PersonId, Value

KIND_CODES: Mapping[str, int] = {kind.value: code for code, kind in enumerate(ActivityKind)}
"""Code of each kind of activity in a frame. Not for storing: it follows the order of the words in `types.py`."""

FIRST_OF_MACHINES = KIND_CODES[ActivityKind.MACHINE_OPENED]
"""Kinds from this code on are no acts of people: `any kind` leaves them out."""


@dataclass(frozen=True, eq=False)
class People:
    """Whom to score: row i is person ids[i], with facts as columns. Raises ValueError for a person named twice."""

    ids: NDArray[np.int64]
    facts: Columns

    def __post_init__(self) -> None:
        if len(self.ids) != self.facts.n:
            raise ValueError(f"{len(self.ids)} people, but facts of {self.facts.n}")
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError("a person is named twice; one person has one row")

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, person_ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Row of each of these people. Raises ValueError for someone who is not here, so that nothing is dropped."""
        order = np.argsort(self.ids)
        place = np.searchsorted(self.ids, person_ids, sorter=order)
        found = (place < len(order)) & (np.append(self.ids[order], 0)[place] == person_ids)
        if not found.all():
            strangers = np.unique(person_ids[~found])
            raise ValueError(f"activities of {len(strangers)} people who are not scored here: {strangers[:5].tolist()}")
        return order[place].astype(np.int32)


@dataclass(frozen=True, eq=False)
class Documents:
    """Attributes of activities: activity i carries documents[codes[i]]; code -1 carries none.

    One document may serve many activities; each is read once.
    """

    codes: NDArray[np.int32]
    documents: Sequence[Mapping[str, Value]]
    _read: dict[str, Coded] = field(default_factory=dict)

    def column(self, key: str) -> Coded:
        """One attribute: a row per document and a last one for "none", so that code -1 finds its row as well."""
        if key not in self._read:
            self._read[key] = coded([*[document.get(key) for document in self.documents], None])
        return self._read[key]

    def columns(self, keys: Collection[str]) -> Columns:
        """Several attributes, as conditions ask for them."""
        return Columns(len(self.documents) + 1, {key: self.column(key) for key in keys})


@dataclass(frozen=True, eq=False)
class Activities:
    """What people did, in any order. Arrays of one length; a mismatch raises ValueError.

    `person` is a row of the People frame, `kind` a code of KIND_CODES, `at` microseconds since 1970 in UTC. In order
    of (person, at) the engine saves itself a sort.
    """

    person: NDArray[np.int32]
    kind: NDArray[np.int8]
    at: NDArray[np.int64]
    documents: Documents
    _of_kinds: dict[frozenset[int], Documents] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.person), len(self.kind), len(self.at), len(self.documents.codes)}
        if len(lengths) > 1:
            raise ValueError(f"columns of activities differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.person)

    @classmethod
    def by_id(
        cls,
        people: People,
        person_ids: NDArray[np.int64],
        kind: NDArray[np.int8],
        at: NDArray[np.int64],
        documents: Documents,
    ) -> "Activities":
        """From columns that name people by id. Raises ValueError for someone who is not in `people`."""
        return cls(people.rows_of(person_ids), kind, at, documents)

    def documents_of(self, kinds: frozenset[int] | None) -> Documents:
        """What activities of these kinds carry (None: of all kinds), so that a text is read only where it counts.

        Codes are there for every activity, and are right for those of these kinds.
        """
        if kinds is None:
            return self.documents
        if kinds not in self._of_kinds:
            codes, documents = self.documents.codes, self.documents.documents
            used = np.unique(codes[np.isin(self.kind, sorted(kinds))])
            used = used[used >= 0]
            found = self.documents
            if len(used) * 2 < len(documents):
                place = np.full(len(documents) + 1, -1, np.int32)  # the last place is that of code -1
                place[used] = np.arange(len(used))
                found = Documents(place[codes], [documents[code] for code in used.tolist()])
            self._of_kinds[kinds] = found
        return self._of_kinds[kinds]

    def counting_machines(self) -> "Activities":
        """The same, as if people had done what machines did."""
        codes = np.arange(len(KIND_CODES), dtype=np.int8)
        for machine, person in BY_PERSON.items():
            codes[KIND_CODES[machine]] = KIND_CODES[person]
        return Activities(self.person, codes[self.kind], self.at, self.documents)

    def in_order(self) -> "Activities":
        """The same, in order of (person, at)."""
        person, at = self.person, self.at
        if np.all((person[1:] > person[:-1]) | ((person[1:] == person[:-1]) & (at[1:] >= at[:-1]))):
            return self
        order = np.lexsort((at, person))
        documents = Documents(self.documents.codes[order], self.documents.documents, self.documents._read)
        return Activities(person[order], self.kind[order], at[order], documents)


def people_frame(ids: Sequence[PersonId], rows: Sequence[Mapping[str, Value]], types: Mapping[str, str]) -> People:
    """People from one mapping of facts each; `types` as in `config.schema.known_facts`."""
    return People(np.array(ids, np.int64), columns_of(rows, types))


def activities_frame(people: People, rows: Iterable[tuple[PersonId, str, datetime, Mapping[str, Value]]]) -> Activities:
    """Activities from (person id, kind, at, attributes).

    Raises ValueError for someone who is not in `people` and for an instant without a zone, KeyError for a kind that
    is no ActivityKind (what a vendor calls otherwise became `other` at its door).
    """
    found = list(rows)
    return Activities.by_id(
        people,
        np.array([person for person, _, _, _ in found], np.int64),
        np.array([KIND_CODES[kind] for _, kind, _, _ in found], np.int8),
        np.array([micros(at) for _, _, at, _ in found], np.int64),
        Documents(np.arange(len(found), dtype=np.int32), [attributes for _, _, _, attributes in found]),
    )
