"""One API call on its way through the stand-in: what came in, who calls, what is answered."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from leadbridge.sandbox.hubspot.answers import VALIDATION, Refused, to_ms
from leadbridge.sandbox.hubspot.kinds import Kind
from leadbridge.sandbox.hubspot.settings import Settings
from leadbridge.sandbox.hubspot.store import Act, State, Store, Table

if TYPE_CHECKING:
    from leadbridge.sandbox.hubspot.acts import Acts
    from leadbridge.sandbox.hubspot.journal import Journal
    from leadbridge.sandbox.hubspot.search import Searches
    from leadbridge.sandbox.hubspot.tokens import Limits, Tokens
    from leadbridge.sandbox.hubspot.webhooks import Webhooks

_APP_SOURCE = "54321"  # the app id API writes carry in events


@dataclass(frozen=True, slots=True)
class Account:
    """The parts of the stand-in that answers are made from."""

    store: Store
    acts: "Acts"
    tokens: "Tokens"
    limits: "Limits"
    searches: "Searches"
    settings: Settings
    portal_id: int
    journal: "Journal"
    webhooks: "Webhooks"


@dataclass(slots=True)
class ApiCall:
    """What one handler works with."""

    account: Account
    version: str  # "v1", "v3", "v4", "2026-03" or "2026-09"
    query: dict[str, list[str]]
    body: bytes
    now: datetime
    base: str = ""  # address of the stand-in as the caller has it
    authorized: bool = False  # a token came along, wanted or not
    items: int = 1  # inputs carried, for the journal
    act: Act = field(init=False)

    def __post_init__(self) -> None:
        self.act = Act("INTEGRATION", _APP_SOURCE, to_ms(self.now), self.version)

    @property
    def state(self) -> State:
        return self.account.store.state

    @property
    def dated(self) -> bool:
        return self.version.startswith("20")

    def table(self, kind: Kind) -> Table:
        return self.account.store.table(kind)

    def flag(self, name: str) -> bool:
        return self.text(name).lower() == "true"

    def text(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def words(self, name: str) -> list[str]:
        """A list parameter: comma separated, repeated, or both."""
        return [word for value in self.query.get(name, ()) for word in value.split(",") if word]

    def number(self, name: str, default: int, most: int, raw: object = None) -> int:
        """A whole number within 1 and ``most``; 400 otherwise. ``raw`` is the value when it came in the body."""
        given = self.text(name, str(default)) if raw is None else str(raw)
        try:
            value = int(given)
        except ValueError:
            raise bad_number(given) from None
        if not 1 <= value <= most:
            raise Refused(400, f"Invalid {name}: {value}. It must be between 1 and {most}")
        return value

    def offset(self) -> int:
        """The ``after`` of lists that page by position."""
        given = self.text("after", "0")
        if not given.isdigit():
            raise bad_number(given)
        return int(given)

    def json(self) -> dict[str, Any]:
        """The body as an object; 400 for anything else."""
        value = self._parsed()
        if not isinstance(value, dict):
            raise Refused(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value, an object is needed")
        return value

    def ids(self) -> list[str]:
        """The body as a list of ids, texts or numbers; 400 for anything else."""
        value = self._parsed()
        if not isinstance(value, list):
            raise Refused(400, "Invalid input JSON on line 1, column 1: Cannot deserialize value, a list is needed")
        return [str(one) for one in value]

    def _parsed(self) -> Any:
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise Refused(400, "Invalid input JSON on line 1, column 1: unreadable") from None

    def inputs(self, most: int = 100) -> list[dict[str, Any]]:
        """The inputs of a batch; 400 above the limit."""
        found = self.json().get("inputs")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Refused(400, "Invalid input JSON: inputs must be a list of objects")
        self.items = len(found)
        if len(found) > most:
            raise Refused(
                400, f"Batch input size exceeds the limit of {most}: {len(found)} inputs", category=VALIDATION
            )
        return found

    @property
    def partial_status(self) -> int:
        """The status of a batch that went well only in part (section 2, second table)."""
        return 200 if self.version == "2026-09" and self.account.settings.partial_as_200 else 207


def bad_number(given: str) -> Refused:
    return Refused(
        400, f'Invalid input JSON on line 1, column 1: Cannot deserialize value of type `int` from String "{given}"'
    )


def need_unique(ids: Iterable[str]) -> None:
    """400 when a batch names one thing twice."""
    seen: set[str] = set()
    twice = [one for one in ids if one in seen or seen.add(one)]  # type: ignore[func-returns-value]
    if twice:
        raise Refused(
            400,
            f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique",
            context={"ids": twice},
        )


def page_of(found: list[Any], start: int, limit: int) -> tuple[list[Any], int | None]:
    """One page by position, and the position of the next."""
    return found[start : start + limit], start + limit if len(found) > start + limit else None
