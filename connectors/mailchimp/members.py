"""The audience: who may be mailed, who left, and merge fields (vendors/mailchimp.md sections 3 and 4)."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Consent, Member, MemberStatus, OptOut, Outcome, Page, Progress, PropertySpec, Settled
from connectors.batches import in_batches
from connectors.mailchimp.auth import Api, Sdk
from connectors.mailchimp.mapping import ON, TAG, Fields, final_for, hash_of, member_of, opt_out_of, safe
from connectors.mailchimp.wire import VENDOR, AudienceRow, MemberRow, MembersPage, MergeFields, Refused, Shape, row
from connectors.values import moment
from connectors.watermark import instant_in
from leadbridge import addresses, clock, metrics
from leadbridge.call import masked
from leadbridge.errors import NeedsOperator, RecordRefused, VendorError

PAGE = 1000
FEW = 20
"""So many contacts are asked for one by one without a thought; beyond that the size of the audience decides."""

UNSUBSCRIBED = "unsubscribed"
LEFT = (UNSUBSCRIBED, "cleaned")
_A_MOMENT = timedelta(seconds=1)  # Mailchimp's clock shows whole seconds


class Members:
    """One audience."""

    def __init__(self, api: Api, fields: Fields, audience: str, simultaneous: int, lookback: timedelta) -> None:
        self._api = api
        self._fields = fields
        self._audience = audience
        self._simultaneous = simultaneous
        self._lookback = lookback

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, emails: Sequence[str]) -> Iterator[Mapping[str, Member]]:
        """See `EmailPlatform.read_members`.

        One by one costs a call per address, paging a call per thousand contacts: whichever is less. Whoever does not
        turn up in the pages is asked for singly while these are few, because a page may have slipped.
        """
        left = dict.fromkeys(emails)
        if len(left) > FEW:
            offset, total = 0, PAGE
            while offset < total and len(left) > max(FEW, (total - offset) // PAGE):
                page, read_at = self._page(offset)
                rows = [one for raw in page.members if (one := row(MemberRow, raw)) is not None]
                found = {email: one for one in rows if (email := _asked_for(one.email, left)) is not None}
                for email in found:
                    del left[email]
                offset, total = offset + PAGE, page.total
                if found:
                    yield {email: member_of(email, one, self._fields.tags, read_at) for email, one in found.items()}
        if len(left) > PAGE:
            now = clock.now()
            yield {email: Member(email, MemberStatus.ABSENT, now) for email in left}
            return
        for part in in_batches(list(left), self._simultaneous):
            yield self._singly(part)

    def _page(self, offset: int) -> tuple[MembersPage, datetime]:
        """A page, and when it was asked for: what it says may be as old as that."""
        paths = ["members.email_address", "members.status", "total_items"]
        if self._fields.tags:
            paths.append("members.merge_fields")

        asked_at = clock.now()

        def call(sdk: Sdk) -> Any:
            nonlocal asked_at
            asked_at = clock.now()
            return sdk.lists.get_list_members_info(self._audience, count=PAGE, offset=offset, fields=paths)

        page = self._api.ask("members.list", MembersPage, call)
        return page, asked_at

    def _singly(self, emails: Sequence[str]) -> dict[str, Member]:
        with ThreadPoolExecutor(self._simultaneous) as pool:
            return dict(zip(emails, pool.map(self._one, emails), strict=True))

    def _one(self, email: str) -> Member:
        asked_at = clock.now()

        def call(sdk: Sdk) -> Any:
            nonlocal asked_at
            asked_at = clock.now()
            paths = ["email_address", "status", "merge_fields"]
            return sdk.lists.get_list_member(self._audience, hash_of(email), fields=paths)

        try:
            found = self._api.ask("members.get", MemberRow, call)
        except Refused as refused:
            if refused.status != 404:
                raise
            return Member(email, MemberStatus.ABSENT, asked_at)
        if _asked_for(found.email, (email,)) is None:  # somebody else's status says nothing about this person (G20)
            metrics.VENDOR_WORDS.add(vendor=VENDOR, source="address")
            return Member(email, MemberStatus.UNKNOWN, asked_at)
        return member_of(email, found, self._fields.tags, asked_at)

    # --- who left ----------------------------------------------------------------------------------------------------

    def opt_outs(self, progress: Progress | None) -> Iterator[Page[OptOut]]:
        """See `EmailPlatform.pull_opt_outs`.

        One walk through each of the two statuses, in the order of change. The next page begins a second before the
        last change seen, not at an offset: an offset skips a row whenever an earlier one leaves the result. Only a
        page full of one single second goes on by offset.

        Who unsubscribed since the last pull is asked for as such, in one question: a walk by change would bring back
        everybody who left long ago and whose fields were written since. Once a day, and should they be too many for a
        page, the walk brings them all the same.
        """
        at, started = instant_in(progress, "at"), instant_in(progress, "started")
        if progress is not None and started is not None:  # interrupted: end it, then bring it up to date
            yield from self._left(progress, at, started)
            at = started
        yield from self._left({}, at, clock.now())

    def _left(self, place: Progress, at: datetime | None, started: datetime) -> Iterator[Page[OptOut]]:
        status = place.get("status", LEFT[0])
        since = instant_in(place, "since") or (at - self._lookback if at is not None else None)
        offset = int(place.get("offset") or 0)
        done = {"at": started.isoformat()}
        kept = {"started": started.isoformat()} | ({"at": at.isoformat()} if at is not None else {})
        for one in LEFT[LEFT.index(status) if status in LEFT else 0 :]:
            if one != status:
                since, offset = (at - self._lookback if at is not None else None), 0
            more = True
            walked = at is not None and at.date() == started.date() and not place
            few = self._unsubscribed(since) if walked and since is not None and one == UNSUBSCRIBED else None
            while more:
                page = few or self._changed(one, since, offset)
                rows = [found for raw in page.members if (found := row(MemberRow, raw)) is not None]
                more = len(page.members) == PAGE
                if more:
                    since, offset = _next(rows, since, offset)
                    stand = {"status": one, "offset": str(offset)} | ({"since": since.isoformat()} if since else {})
                elif one == LEFT[-1]:
                    stand = {}
                else:
                    stand = {"status": LEFT[-1]}
                outs = [opt_out_of(found) for found in rows]
                skipped = Counter(out for out in outs if isinstance(out, str))
                skipped["unreadable contact"] += len(page.members) - len(rows)
                found_out = [out for out in outs if isinstance(out, OptOut)]
                yield Page(found_out, kept | stand if stand else done, +skipped)

    def _unsubscribed(self, since: datetime) -> MembersPage | None:
        """Who unsubscribed since then; None when they are too many for one page."""
        page = self._members(UNSUBSCRIBED, 0, {"unsubscribed_since": since})
        return page if len(page.members) < PAGE else None

    def _changed(self, status: str, since: datetime | None, offset: int) -> MembersPage:
        # A filter by a very old date hung even on small lists (section 3), so a first pull has none.
        return self._members(status, offset, {"since_last_changed": since} if since is not None else {})

    def _members(self, status: str, offset: int, window: Mapping[str, datetime]) -> MembersPage:
        """A page of those who left, in the order of change."""
        fields = ("email_address", "status", "last_changed", "unsubscribe_reason")

        def call(sdk: Sdk) -> Any:
            return sdk.lists.get_list_members_info(
                self._audience,
                status=status,
                count=PAGE,
                offset=offset,
                sort_field="last_changed",
                sort_dir="ASC",
                fields=[*(f"members.{name}" for name in fields), "total_items"],
                **{name: at.isoformat(timespec="seconds") for name, at in window.items()},
            )

        return self._api.ask("members.list", MembersPage, call)

    # --- merge fields ------------------------------------------------------------------------------------------------

    def write(self, changes: Mapping[str, Mapping[str, str]]) -> Mapping[str, Settled]:
        """See `EmailPlatform.write`. Raises only when nothing at all could be settled."""
        settled: dict[str, Settled] = {}
        errors: list[VendorError] = []
        with ThreadPoolExecutor(self._simultaneous) as pool:
            for part in in_batches(list(changes), self._simultaneous * 4):
                for email, answer in zip(part, pool.map(lambda one: self._show(one, changes[one]), part), strict=True):
                    if isinstance(answer, Settled):
                        settled[email] = answer
                    else:
                        errors.append(answer)
                if any(isinstance(error, NeedsOperator) for error in errors):
                    break  # nobody else would fare better
        if errors:
            first = next((error for error in errors if isinstance(error, NeedsOperator)), errors[0])
            if not settled:
                raise first
            rest = Settled(Outcome.UNANSWERED, masked(f"not sent or not answered: {first.problem}"))
            settled |= {email: rest for email in changes if email not in settled}
        return settled

    def _show(self, email: str, values: Mapping[str, str]) -> Settled | VendorError:
        """Merge fields, then tags. Both are repeatable, so what fails half way is done again whole."""
        fields = {name: text for name, text in values.items() if not name.startswith(TAG)}
        settled = self._patch(email, fields) if fields else Settled(Outcome.WRITTEN)
        if len(fields) == len(values) or isinstance(settled, VendorError) or settled.outcome is not Outcome.WRITTEN:
            return settled
        given = [
            {"name": name.removeprefix(TAG), "status": "active" if text == ON else "inactive"}
            for name, text in values.items()
            if name.startswith(TAG)
        ]
        # is_syncing: no flow that waits for such a tag starts by it, or there were a way to mail past the gate.
        body = {"tags": given, "is_syncing": True}

        def call(sdk: Sdk) -> Any:
            return sdk.lists.update_list_member_tags(self._audience, hash_of(email), body)

        try:
            self._api.tell("members.segments", call, repeatable=True)
        except RecordRefused as refused:
            return Settled(Outcome.GONE if refused.status == 404 else Outcome.REFUSED, refused.problem)
        except VendorError as error:
            return error
        return settled

    def _patch(self, email: str, values: Mapping[str, str]) -> Settled | VendorError:
        """PATCH changes existing contacts only, and without `status` it leaves theirs alone (reliability G21)."""
        body = {"merge_fields": self._fields.to_wire(values)}

        def call(sdk: Sdk) -> Any:
            # Fields that others made required must not keep a score from being written.
            return sdk.lists.update_list_member(self._audience, hash_of(email), body, skip_merge_validation=True)

        try:
            found = self._api.ask("members.patch", MemberRow, call)
        except RecordRefused as refused:
            if refused.status == 404:
                return Settled(Outcome.GONE, "not in the audience")
            return Settled(Outcome.REFUSED, refused.problem)
        except VendorError as error:
            return error
        # Unknown merge tags are ignored without a word (section 3), so see that ours are there.
        if found.merge_fields and (lost := sorted(set(values) - set(found.merge_fields))):
            cure = "run `leadbridge apply` to create them, or change write_back"
            return NeedsOperator(VENDOR, "members.patch", f"the audience has no merge field {', '.join(lost)}; {cure}")
        return Settled(Outcome.WRITTEN)

    # --- adding ------------------------------------------------------------------------------------------------------

    def add(self, email: str, fields: Mapping[str, str], consent: Consent | None) -> Settled:
        """See `EmailPlatform.add_member`.

        Who is there already, archived ones too, is only given the fields: what a creating call would do to an archived
        contact is not documented (section 17). `status_if_new` then leaves alone whoever came in between.
        """
        known = self._patch(email, {tag: safe(text) for tag, text in fields.items()})
        if isinstance(known, VendorError):
            raise known
        if known.outcome is not Outcome.GONE:
            return known
        body = {
            "email_address": email,
            "status_if_new": self._status_for(consent),
            "merge_fields": self._fields.to_wire({tag: safe(text) for tag, text in fields.items()}),
        }
        if consent is not None:
            body["timestamp_opt"] = consent.at.isoformat(timespec="seconds")
            body |= {"ip_opt": consent.ip} if consent.ip else {}

        def call(sdk: Sdk) -> Any:
            return sdk.lists.set_list_member(self._audience, hash_of(email), body, skip_merge_validation=True)

        try:
            self._api.ask("members.put", MemberRow, call)
        except Refused as refused:
            return Settled(Outcome.REFUSED, refused.problem, suppress=final_for(refused.title, refused.problem))
        return Settled(Outcome.WRITTEN)

    def _status_for(self, consent: Consent | None) -> str:
        """Nobody is subscribed without consent, nor past the audience's own double opt-in (section 3)."""
        if consent is None:
            return "transactional"

        def call(sdk: Sdk) -> Any:
            return sdk.lists.get_list(self._audience, fields=["double_optin"])

        return "pending" if self._api.ask("audience", AudienceRow, call).double_optin else "subscribed"

    # --- the fields themselves ---------------------------------------------------------------------------------------

    def missing(self, specs: Sequence[PropertySpec]) -> list[PropertySpec]:
        """Specs without a merge field. Raises NeedsOperator when one is there with another type."""
        if not specs:
            return []

        def call(sdk: Sdk) -> Any:
            paths = ["merge_fields.tag", "merge_fields.type"]
            return sdk.lists.get_list_merge_fields(self._audience, count=PAGE, fields=paths)

        held = {one.tag: one.type for one in self._api.ask("merge_fields.list", MergeFields, call).merge_fields}
        wrong = [f"{s.name} is {held[s.name]}, {s.kind} is needed" for s in specs if held.get(s.name, s.kind) != s.kind]
        if wrong:
            cure = "choose another merge field under write_back, or delete this one in Mailchimp"
            raise NeedsOperator(VENDOR, "merge_fields.list", f"{'; '.join(wrong)}. {cure}")
        return [spec for spec in specs if spec.name not in held]

    def create(self, specs: Sequence[PropertySpec]) -> None:
        """Create what is missing, not public; look again afterwards, because creation has failed in silence (4)."""
        refusals: list[str] = []
        todo = self.missing(specs)
        for spec in todo:
            try:
                self._add(spec)
            except Refused as refused:  # perhaps an earlier try arrived after all; the second look tells
                refusals.append(refused.problem)
        if todo and (lost := self.missing(todo)):
            names = ", ".join(spec.name for spec in lost)
            why = "; ".join(dict.fromkeys(refusals)) or "Mailchimp said nothing; perhaps the limit of fields is reached"
            raise NeedsOperator(VENDOR, "merge_fields.create", f"{names} could not be created: {why}")

    def _add(self, spec: PropertySpec) -> None:
        body = {"name": spec.label, "type": spec.kind, "tag": spec.name, "public": False, "required": False}

        def call(sdk: Sdk) -> Any:
            return sdk.lists.add_list_merge_field(self._audience, body)

        self._api.ask("merge_fields.create", Shape, call)


def _asked_for(address: str, wanted: Container[str]) -> str | None:
    """The canonical form of an address when it is among the wanted ones."""
    plain = address.strip().lower()  # nearly always the canonical form already, and much cheaper
    email = plain if plain in wanted else addresses.canonical(address)
    return email if email is not None and email in wanted else None


def _next(rows: Sequence[MemberRow], since: datetime | None, offset: int) -> tuple[datetime | None, int]:
    """Where the next page begins: just before the last change on this one, or further on within one second."""
    changes = [at for one in rows if (at := moment(one.last_changed)) is not None]
    if changes and max(changes) - _A_MOMENT > (since or min(changes) - _A_MOMENT):
        return max(changes) - _A_MOMENT, 0
    return since, offset + PAGE
