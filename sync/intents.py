"""The wish to enrol: recorded beside the score it follows from, ended when it is no longer true."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from leadbridge import addresses
from leadbridge.store import enrolments, suppressions
from leadbridge.store.engine import Store
from leadbridge.types import EnrolmentState, PersonId
from nurture import gate
from nurture.holdout import held_out
from nurture.journeys import Match, Past, match
from sync.outlook import Loaded, Outlook, Scorer


def want_journeys(
    tx: Connection,
    store: Store,
    scorer: Scorer,
    loaded: Loaded,
    outlooks: Sequence[Outlook],
    at: datetime,
) -> tuple[int, int]:
    """Record the wish to enrol whoever fits a journey and may be contacted, as far as we know; end the wishes that
    are no longer true. Returns how many are to enter, and how many were held out for comparison.
    """
    past = enrolments.history(tx, [outlook.person_id for outlook in outlooks])
    unfit = _cancel_unfit(tx, outlooks, past, at)
    fitting = [outlook for outlook in outlooks if any(outlook.journeys.values())]
    known = sorted({outlook.person_id for outlook in fitting} | past.keys())
    suppressed = suppressions.suppressed(tx, store.vault, known)
    enrolments.cancel_waiting(tx, suppressed.keys() & past.keys(), "suppressed", at)
    kept_out = enrolments.held_out(tx, known)
    address_of = {outlook.person_id: addresses.canonical(loaded.rows[outlook.person_id].email) for outlook in fitting}
    at_address = enrolments.at_addresses(tx, [address for address in address_of.values() if address])
    intents: list[enrolments.Intent] = []
    out: list[tuple[PersonId, str]] = []
    for outlook in fitting:
        person, address = outlook.person_id, address_of[outlook.person_id]
        verdict = gate.before_intent(
            suppressed=suppressed.get(person), opted_out=loaded.rows[person].opted_out, address=address
        )
        if not verdict.go or address is None:
            continue
        rows = {row.id: row for row in (*past.get(person, ()), *at_address.get(address, ()))}
        ledger = [
            Past(row.journey, row.entry, EnrolmentState.CANCELLED if row.id in unfit else row.state, row.state_at)
            for row in rows.values()
        ]
        had = {journey for one, journey in kept_out if one == person}
        while (found := match(scorer.config.nurture, outlook.journeys, ledger, had, at)) is not None:
            if not held_out(f"email:{address}", found.journey.name, found.journey.holdout):
                intents.append(_intent(scorer, outlook, address, found, at))
                break
            out.append((person, found.journey.name))
            had.add(found.journey.name)
    enrolments.hold_out(tx, out, at)
    return len(enrolments.intend(tx, intents, at)), len(out)


def _cancel_unfit(
    tx: Connection,
    outlooks: Sequence[Outlook],
    past: Mapping[PersonId, Sequence[enrolments.EnrolmentRow]],
    at: datetime,
) -> set[int]:
    """End what waits for a journey the person no longer fits: a mail for who they were yesterday is a wrong one."""
    unfit = {
        row.id
        for outlook in outlooks
        for row in past.get(outlook.person_id, ())
        if row.state in enrolments.WAITING and not outlook.journeys.get(row.journey, False)
    }
    enrolments.cancel_rows(tx, unfit, "does not fit the journey any more", at)
    return unfit


def _intent(scorer: Scorer, outlook: Outlook, address: str, found: Match, at: datetime) -> enrolments.Intent:
    journey = found.journey
    return enrolments.Intent(
        person_id=outlook.person_id,
        journey=journey.name,
        entry=found.entry,
        vendor="mailchimp",
        address=address,
        trigger=journey.mailchimp.start,
        score=outlook.scores[0].value if outlook.scores else None,
        reason_in=next(iter(outlook.reasons.values()), ""),
        expires_at=at + timedelta(seconds=scorer.config.guards.intents_expire_after),
    )
