"""Activities of many people at once, from packs: columns kept beside the rows, derived from them and deletable.

A pack holds the activities of one span of person ids. Twenty million activities take a minute as rows and seconds as
packs. The rows stay the truth:

- whoever adds, moves or deletes activities notes whose they are in the same transaction (`activities.note_changes`),
  and people with a note are read from their rows;
- a pack is made from one moment of the store, and kept only if nobody has made or emptied it since. It takes away the
  notes it has seen, by their version: a change that was not yet committed at that moment keeps its note;
- `empty` removes what is packed of people who are to be forgotten, and bars packs made from before that.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Connection, Text, delete, select, type_coerce, update

from leadbridge.store.activities import activities_of
from leadbridge.store.columns import from_json
from leadbridge.store.engine import among
from leadbridge.store.rows import in_pieces, upsert
from leadbridge.store.tables import activities, activity_changes, activity_packs

SPAN = 16_384
"""Person ids in one pack: some hundred thousand activities, a few megabytes. Stored packs depend on it."""

FEW = SPAN // 8
"""Up to so many people of a span are read from rows beside its pack; with more, the span is packed anew."""

_ROWS = 20_000  # of activities that are Python objects at one time
_FORMAT = 1  # of a pack; one of another format is made anew


@dataclass(frozen=True, eq=False)
class ActivityColumns:
    """Activities as columns of equal length, ordered by person, instant, id.

    Activity i is of kind kinds[kind[i]], at microseconds since 1970 in UTC, with attributes documents[document[i]].
    """

    person_id: NDArray[np.int64]
    at: NDArray[np.int64]
    kind: NDArray[np.int8]
    document: NDArray[np.int32]
    kinds: Sequence[str]
    documents: Sequence[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.person_id)


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack to be kept, and what was known when its rows were read."""

    span: int
    version: int  # of the one it replaces; 0: there was none
    notes: tuple[tuple[int, int], ...]  # (person, version of the note) that it makes up for
    body: bytes


def span_of(person_id: int) -> int:
    """The span a person is in."""
    return person_id // SPAN


def ids_of(span: int) -> tuple[int, int]:
    """First and last id of a span."""
    return span * SPAN, (span + 1) * SPAN - 1


def read(tx: Connection, span: int) -> tuple[ActivityColumns, Pack | None]:
    """Activities of everybody in a span; and, where its pack is missing or of little use, one for `keep`."""
    stored = tx.execute(select(activity_packs).where(activity_packs.c.span == span)).first()
    first, last = ids_of(span)
    noted = (
        select(activity_changes)
        .where(activity_changes.c.person_id.between(first, last))
        .order_by(activity_changes.c.person_id)
    )
    notes = tuple((row.person_id, row.version) for row in tx.execute(noted))
    packed = None if stored is None or stored.body is None else _unpacked(stored.body, first)
    if packed is not None and len(notes) <= FEW:
        return _replaced(packed, tx, [person for person, _ in notes]), None
    found, texts = _from_rows(tx, first, last)
    if packed is None and not len(found):
        return found, None
    return found, Pack(span, 0 if stored is None else stored.version, notes, _packed(found, texts, first))


def keep(tx: Connection, pack: Pack) -> bool:
    """Keep a pack; False when another came before it, or somebody of the span was forgotten since it was read."""
    upsert(tx, activity_packs, [{"span": pack.span, "version": 0}], key=["span"])
    kept = tx.execute(
        update(activity_packs)
        .where(activity_packs.c.span == pack.span, activity_packs.c.version == pack.version)
        .values(version=pack.version + 1, body=pack.body)
    )
    if kept.rowcount != 1:
        return False
    noted = (
        select(activity_changes.c.person_id, activity_changes.c.version)
        .where(among(tx, activity_changes.c.person_id, [person for person, _ in pack.notes]))
        .order_by(activity_changes.c.person_id)
        .with_for_update()
    )
    now = dict(tx.execute(noted).all())
    seen = [person for person, version in pack.notes if now.get(person) == version]
    tx.execute(delete(activity_changes).where(among(tx, activity_changes.c.person_id, seen)))
    return True


def empty(tx: Connection, person_ids: Collection[int]) -> None:
    """Remove every pack these people are in. For whoever deletes their activities, in that transaction (G25)."""
    rows = [{"span": span, "version": 1} for span in sorted({span_of(person) for person in person_ids})]
    upsert(
        tx,
        activity_packs,
        rows,
        key=["span"],
        change=lambda _new: {"version": activity_packs.c.version + 1, "body": None},
    )
    tx.execute(delete(activity_changes).where(among(tx, activity_changes.c.person_id, sorted(person_ids))))


# --- from rows -----------------------------------------------------------------------------------------------------

_Piece = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8], NDArray[np.int32]]


def _from_rows(tx: Connection, first: int, last: int) -> tuple[ActivityColumns, list[str]]:
    """From the ledger, a few rows at a time; with the distinct attributes as JSON text."""
    columns = activities.c
    query = (
        select(columns.person_id, type_coerce(columns.at, BigInteger), columns.kind,
               type_coerce(columns.attributes, Text))
        .where(columns.person_id.between(first, last))
        .order_by(columns.person_id, columns.at, columns.id)
    )  # fmt: skip
    kinds, texts = _Codes(), _Codes()
    pieces = [
        _piece([[row[place] for row in rows] for place in range(4)], kinds, texts)  # `zip` takes several times as long
        for rows in in_pieces(tx, query, _ROWS)
    ]
    found = _together(pieces, list(kinds), from_json(f"[{','.join(texts)}]"))
    return found, list(texts)


def _replaced(packed: ActivityColumns, tx: Connection, people: Sequence[int]) -> ActivityColumns:
    """The pack with these people as their rows have them now."""
    if not people:
        return packed
    rows = activities_of(tx, people)
    kinds, texts = _Codes({name: code for code, name in enumerate(packed.kinds)}), _Codes()
    person, at, kind, new = _piece((rows.person_id, rows.micros, rows.kind, rows.raw), kinds, texts)
    stay = ~np.isin(packed.person_id, np.array(people, np.int64))
    old = (packed.person_id[stay], packed.at[stay], packed.kind[stay], packed.document[stay])
    both = _together(
        [old, (person, at, kind, new + np.int32(len(packed.documents)))],
        list(kinds),
        [*packed.documents, *from_json(f"[{','.join(texts)}]")],
    )
    order = np.argsort(both.person_id, kind="stable")  # all of one person come from one of the two, in order
    return ActivityColumns(
        both.person_id[order], both.at[order], both.kind[order], both.document[order], both.kinds, both.documents
    )


class _Codes(dict[str, int]):
    """Codes of words: one not met before gets the next."""

    def __missing__(self, word: str) -> int:
        self[word] = code = len(self)
        return code

    def of(self, words: Iterable[str], kind: type[np.signedinteger[Any]]) -> NDArray[Any]:
        return np.array([*map(self.__getitem__, words)], kind)


def _piece(columns: Any, kinds: _Codes, texts: _Codes) -> _Piece:
    """Rows, given as columns, in arrays."""
    person, at, kind, raw = columns
    return (
        np.array(person, np.int64),
        np.array(at, np.int64),
        kinds.of(kind, np.int8),
        texts.of(raw, np.int32),
    )


def _together(pieces: Sequence[_Piece], kinds: list[str], documents: list[dict[str, Any]]) -> ActivityColumns:
    nothing = _piece(((), (), (), ()), _Codes(), _Codes())
    person, at, kind, document = (np.concatenate(column) for column in zip(nothing, *pieces, strict=True))
    return ActivityColumns(person, at, kind, document, kinds, documents)


# --- bytes ---------------------------------------------------------------------------------------------------------


def _packed(columns: ActivityColumns, texts: list[str], first: int) -> bytes:
    """A line of JSON that tells the sizes, the distinct attributes as a JSON list, then the columns, little-endian."""
    documents = f"[{','.join(texts)}]".encode()
    head = {"format": _FORMAT, "rows": len(columns), "kinds": list(columns.kinds), "documents": len(documents)}
    arrays = (
        columns.at.astype("<i8"),
        (columns.person_id - first).astype("<i4"),
        columns.document.astype("<i4"),
        columns.kind,
    )
    return b"".join([json.dumps(head).encode(), b"\n", documents, *(array.tobytes() for array in arrays)])


def _unpacked(body: bytes, first: int) -> ActivityColumns | None:
    """The columns of a pack; None when it is of another format, so that it is made anew."""
    line = body.index(b"\n") + 1
    head = json.loads(body[:line])
    if head["format"] != _FORMAT:
        return None
    rows, place = head["rows"], line + head["documents"]
    documents = from_json(body[line:place].decode())
    arrays = []
    for kind in ("<i8", "<i4", "<i4", "i1"):
        arrays.append(np.frombuffer(body, kind, rows, place))
        place += arrays[-1].nbytes
    at, person, document, kinds = arrays
    return ActivityColumns(person.astype(np.int64) + first, at, kinds, document, head["kinds"], documents)
