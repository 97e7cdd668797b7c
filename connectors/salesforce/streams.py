"""Pulling activity: each source is one object, walked like people (vendors/salesforce.md, sections 2.4 and 3.3)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from connectors.base import Page, Progress
from connectors.salesforce.activities import DEALS, EMAILS, HISTORIES, SOURCES, Source, addressees, from_email
from connectors.salesforce.describe import FieldInfo, Objects
from connectors.salesforce.mapping import DEAL, PERSON, ROLE, Fields, spelt
from connectors.salesforce.soql import Where
from connectors.salesforce.walk import Rows, Stand, Walks, stand_in
from connectors.salesforce.wire import OPTIONAL, VENDOR
from connectors.watermark import instant_in
from leadbridge import clock, logs
from leadbridge.errors import FeatureMissing
from leadbridge.types import Activity

log = logs.logger(__name__)

RELATION = "EmailMessageRelation"

_COMMON = ("Id", "CreatedDate", "IsDeleted", "SystemModstamp")
_PARENTS = {"Campaign": "Campaign", "Opportunity": "Opportunity"}
"""Relationship to the object at its other end."""


class Streams:
    """Reads one org's activity."""

    def __init__(
        self,
        objects: Objects,
        walks: Walks,
        fields: Fields,
        sources: Sequence[str],
        *,
        history: timedelta,
        lookback: timedelta,
    ) -> None:
        self._read = {stream: fields.own_fields(kind) for stream, kind in HISTORIES.items()}
        self._objects = objects
        self._walks = walks
        self._sources = tuple(sources)
        self._history = history
        self._lookback = lookback

    def pull(self, stream: str, progress: Progress | None) -> Iterator[Page[Activity]]:
        """See `Crm.pull_activities`. A walk that was interrupted is ended first, and then brought up to date."""
        if stream not in SOURCES:
            raise ValueError(f"Salesforce has no source {stream!r}; there are {', '.join(SOURCES)}")
        source, at = SOURCES[stream], instant_in(progress, "at")
        if (stand := stand_in(progress)) is not None:
            yield from self._walk(stream, source, stand, at, first=at is None)
            at = stand.covered
        covered, some = self._walks.covered(source.kind, at)
        if at is None:
            stand = Stand(covered, clock.now() - self._history)
        elif some:
            stand = Stand(covered, at - self._lookback)
        else:
            yield Page((), {"at": covered.isoformat()})
            return
        yield from self._walk(stream, source, stand, at, first=at is None)

    def _walk(
        self, stream: str, source: Source, stand: Stand, at: datetime | None, *, first: bool
    ) -> Iterator[Page[Activity]]:
        """`at` stands until all is read. The first walk, of a whole history, may go in bulk."""
        columns = self._columns(source)
        tests = [Where(source.of_people, "!=", None)] if source.of_people else []
        if "IsDeleted" in columns:
            tests.append(Where("IsDeleted", "=", False))
        read = self._walks.everything if first else self._walks.pages
        for page in read(f"{OPTIONAL}{stream}", source.kind, columns, stand, *tests, stamp=source.stamp):
            if page.stand is None:
                progress: Progress = {"at": stand.covered.isoformat()}
            else:
                progress = {**({"at": at.isoformat()} if at else {}), **page.stand.progress()}
            yield self._page(stream, source, page, progress)

    def _page(self, stream: str, source: Source, page: Rows, progress: Progress) -> Page[Activity]:
        contacts = self._contacts([row["OpportunityId"] for row in page.rows]) if stream == DEALS else {}
        people = self._addressees([row["Id"] for row in page.rows]) if stream == EMAILS else {}
        found: list[Activity] = []
        skipped: Counter[str] = Counter()
        for row in page.rows:
            if row.get("IsChild") == "true":
                continue  # the same meeting once more, for another of the invited
            if stream == EMAILS:
                told = from_email(row, people.get(row["Id"], {}))
            else:
                about = self._read.get(stream, self._sources)
                told = source.tell(row, contacts.get(row["OpportunityId"], ()) if stream == DEALS else about)
            if isinstance(told, str):
                skipped[told] += 1
            else:
                found += told
        return Page(found, progress, +skipped)

    def _contacts(self, deals: Sequence[str]) -> Mapping[str, list[str]]:
        """The contacts with a role in each deal, and the one whose person account has it."""
        found: dict[str, list[str]] = defaultdict(list)
        if not deals:
            return found
        columns, live = ["Id", "OpportunityId", "ContactId"], Where("IsDeleted", "=", False)
        unique = list(dict.fromkeys(deals))
        for rows in self._walks.of(f"{OPTIONAL}{ROLE}", ROLE, columns, "OpportunityId", unique, live):
            for row in rows:
                found[row["OpportunityId"]].append(row["ContactId"])
        if self._objects.has_person_accounts():  # their deals need no role
            contact, person = "Account.PersonContactId", Where(f"Account.{PERSON}", "=", True)
            for rows in self._walks.of(f"{OPTIONAL}{DEALS}", DEAL, ["Id", contact], "Id", unique, person):
                for row in rows:
                    if row[contact] not in found[row["Id"]]:
                        found[row["Id"]].append(row[contact])
        return found

    def _addressees(self, emails: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Whose the addresses of these e-mails are, where Salesforce says so; otherwise an address tells by itself."""
        if not emails:
            return {}
        columns, live = ["EmailMessageId", "RelationId", "RelationAddress"], Where("IsDeleted", "=", False)
        try:
            pages = self._walks.of(f"{OPTIONAL}{RELATION}", RELATION, columns, "EmailMessageId", emails, live)
            return addressees([row for rows in pages for row in rows])
        except FeatureMissing as missing:
            log.info("not read", vendor=VENDOR, object=RELATION, why=missing.problem)
            return {}

    def _columns(self, source: Source) -> list[str]:
        """What the org has of the columns wanted. Raises FeatureMissing when it lacks the object or who it is about."""
        fields = self._objects.fields(source.kind, optional=True)
        if source.of_people is not None and source.of_people.lower() not in fields:
            problem = f"{source.kind}.{source.of_people} is not there or hidden by field-level security"
            raise FeatureMissing(VENDOR, f"{OPTIONAL}describe.{source.kind}", problem)
        parents: dict[str, Mapping[str, FieldInfo]] = {
            name: self._objects.fields(kind, optional=True)
            for name, kind in _PARENTS.items()
            if any(column.startswith(f"{name}.") for column in source.columns)
        }
        wanted = (*_COMMON, *source.columns)
        return [seen for column in wanted if (seen := spelt(column, fields, parents)) is not None]
