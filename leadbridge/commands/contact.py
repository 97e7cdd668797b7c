"""Who is contacted: the ledger, the stop switch, suppression, erasure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    FAILED,
    HIGHEST_ID,
    WRONG_USE,
    AsJson,
    ConfigFile,
    emit,
    operator,
    parts_of,
)

if TYPE_CHECKING:
    from leadbridge.store.enrolments import EnrolmentRow

Why = Annotated[
    str, typer.Option("--why", help="shown to whoever comes upon it, and kept in the audit; name no person")
]
Email = Annotated[str, typer.Argument(help="the person's address")]
RowId = Annotated[int, typer.Argument(help="number of the row, as `enrolments list` shows it", min=1, max=HIGHEST_ID)]

ledger = typer.Typer(
    help="The ledger of contact: who was put into which journey, and how it ended.",
    invoke_without_command=True,
    no_args_is_help=False,
)


class Stoppable(StrEnum):
    """What can be stopped."""

    CONTACT = "contact"


class Ending(StrEnum):
    """How a person, having looked at the e-mail platform, says an uncertain enrolment ended."""

    DONE = "done"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    NOTHING_HAPPENED = "nothing-happened"


# --- the stop switch -------------------------------------------------------------------------------------------------


def stop(
    what: Annotated[Stoppable, typer.Argument(help="contact: nobody is put into a journey any more")],
    why: Why = "",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Stop contacting people, now and on every worker, until `resume`."""
    from leadbridge import clock
    from leadbridge.store import stops

    with parts_of(config) as parts, parts.store.writing() as tx:
        found = stops.stop(tx, what, operator(), why, clock.now())
    emit(as_json, {"stopped": what.value, **asdict(found)}, lambda: typer.echo(f"{what.value} is {found}."))


def resume(
    what: Annotated[Stoppable, typer.Argument(help="what `stop` stopped")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let what was stopped go on. The stop of a restore ends by `reconcile` alone."""
    from leadbridge import clock
    from leadbridge.store import stops

    with parts_of(config) as parts, parts.store.writing() as tx:
        was = stops.resume(tx, what, operator(), clock.now())
        still = stops.stopped(tx, what)
    words = f"{what.value} goes on." if was else f"{what.value} was not stopped."
    if still is not None:
        words = f"{what.value} does not go on: it is {still}."
    told = {"resumed": what.value, "was_stopped": was} | ({} if still is None else {"still_stopped": still.why})
    emit(as_json, told, lambda: typer.echo(words))


def release(
    rows: Annotated[
        int | None, typer.Option("--held", help="release, provided that just so many rows are held", min=0)
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show what is held back and why; with --held NUMBER, let it go.

    A changed model, rule, threshold or journey begins with few people. The first call shows what it changes and how
    many wait; the second, with the number just seen, releases them.
    """
    from sync import release as releasing

    with parts_of(config) as parts:
        found = releasing.waiting(parts.store, parts.config)
        done = None if rows is None else releasing.release(parts.store, operator(), rows)
    if rows is not None and done is None:
        typer.echo(f"{found.rows} rows are held, not {rows}; look again. Nothing was released.", err=True)
        raise typer.Exit(FAILED)

    def show() -> None:
        if done is not None:
            typer.echo(f"Released: {done} rows. The caps of an hour and a day still hold.")
            return
        if found.canary:
            typer.echo(
                f"The rules that decide who is contacted are a canary since {found.since:%Y-%m-%d %H:%M} UTC: "
                f"{found.contacted} contacted by them, the others wait."
            )
        else:
            typer.echo(
                f"Nobody waits for a release: the rules that decide who is contacted are released, {found.contacted} "
                "contacted by them. `leadbridge status` shows what else bounds contact."
            )
        if one := found.difference:
            typer.echo(
                f"On the same {one.people} people the score went from {one.mean_before:.1f} to {one.mean_after:.1f}"
                f" on average; {one.up} rose and {one.down} fell by 10 points or more."
            )
        for journey, count in found.held.items():
            typer.echo(f"  {count} held for {journey}")
        if found.rows or found.canary:
            typer.echo(f"To let them go: leadbridge release --held {found.rows}")

    emit(as_json, found.as_dict() | ({} if done is None else {"released": done}), show)


def coverage(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show who is in which journey, and why everybody else is in none. Reads the store only."""
    from sync.coverage import coverage as covered

    with parts_of(config) as parts:
        found = covered(parts.store, parts.scorer)

    def show() -> None:
        typer.echo(f"{found.people} people, {found.contactable} of them may be contacted.")
        for title, counted in (
            ("in a journey", found.in_journey),
            ("in none", found.in_none),
            ("may not be contacted", found.not_contactable),
        ):
            for words, count in counted.most_common():
                typer.echo(f"{count:>8}  {title}: {words}")

    data = asdict(found) | {name: dict(getattr(found, name)) for name in ("in_journey", "in_none", "not_contactable")}
    emit(as_json, data, show)


# --- people ----------------------------------------------------------------------------------------------------------


def suppress(email: Email, why: Why = "", config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Never mail this person again. Only the person, through the e-mail platform, can take it back."""
    from leadbridge import addresses, clock
    from leadbridge.store import audit, suppressions
    from leadbridge.types import SuppressionReason

    address = _address(addresses.canonical(email), email)
    with parts_of(config) as parts, parts.store.writing() as tx:
        now, who = clock.now(), operator()
        row = (address, SuppressionReason.OPERATOR, f"operator {who}" + (f": {why}" if why else ""), now)
        people = suppressions.suppress(tx, parts.store.vault, [row], now)
        audit.note(tx, who, "suppressed", {"people": sorted(people), "why": why}, now)
    known = f"{len(people)} known with it" if people else "nobody known has it; it stays noted"
    emit(
        as_json,
        {"suppressed": address, "people": len(people)},
        lambda: typer.echo(f"{address} is never mailed again ({known})."),
    )


def objection(
    email: Email,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="the person objects no more")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Note that a person objects to being profiled: not scored, not ranked, still served."""
    from leadbridge import addresses, clock
    from leadbridge.store import audit, consents, due, suppressions

    address = _address(addresses.canonical(email), email)
    with parts_of(config) as parts, parts.store.writing() as tx:
        now, who = clock.now(), operator()
        people = suppressions.owners(tx, {address})
        if withdraw:
            changed = consents.withdraw_objection(tx, people)
        else:
            changed = consents.object_to_profiling(tx, people, f"operator {who}", now)
        due.mark_due(tx, changed, now, due.Lane.HOT)
        word = "objection withdrawn" if withdraw else "objection to profiling"
        audit.note(tx, who, word, {"people": sorted(changed)}, now)
    if not people:
        typer.echo(f"Nobody with the address {address} is in the store.", err=True)
        raise typer.Exit(FAILED)
    words = f"{address}: {word} noted for {len(changed)}; scores follow with the next round."
    emit(as_json, {"people": len(people), "changed": len(changed), "withdrawn": withdraw}, lambda: typer.echo(words))


def forget(
    email: Email,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Erase a person from everything leadbridge keeps, with a report. Cannot be undone."""
    from leadbridge import addresses
    from sync import forget as erasure

    address = _address(addresses.canonical(email), email)
    if not yes and not typer.confirm(f"Erase everything about {address}? This cannot be undone"):
        typer.echo("Nothing was erased.", err=True)
        raise typer.Exit(FAILED)
    with parts_of(config) as parts:
        told = erasure.report(erasure.forget(parts.store, address, operator()))

    def show() -> None:
        typer.echo(f"{told['people']} known by {address} erased.")
        for table, rows in told["rows"].items():
            typer.echo(f"  {table}: {rows}")
        if told["journeys"]:
            inside = ", ".join(told["journeys"])
            typer.echo(f"In {inside}: the e-mail platform goes on sending it. Erase them there now.")
        typer.echo(f"What stays: {told['stays']}.\nNot ours: {told['not_ours']}.")

    emit(as_json, told, show)


def _address(canonical: str | None, given: str) -> str:
    if canonical is None:
        typer.echo(f"{given!r} is no e-mail address", err=True)
        raise typer.Exit(WRONG_USE)
    return canonical


# --- the ledger ------------------------------------------------------------------------------------------------------


@ledger.callback()
def _listing_by_default(context: typer.Context, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_rows(config=config, as_json=as_json)


@ledger.command("list")
def list_rows(
    state: Annotated[
        str, typer.Option(help="only rows in this state; `open` for all that wait or are uncertain")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="at most so many of each state")] = 100,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show rows of the ledger: by default those that wait for something."""
    from leadbridge.store import enrolments
    from leadbridge.types import EnrolmentState

    known = {one.value: [one] for one in EnrolmentState}
    known["open"] = sorted({*enrolments.WAITING, EnrolmentState.CALLING, EnrolmentState.UNCERTAIN})
    if state not in known:
        typer.echo(f"{state!r} is no state; there is: {', '.join(known)}", err=True)
        raise typer.Exit(WRONG_USE)
    with parts_of(config) as parts, parts.store.reading() as tx:
        rows = [row for one in known[state] for row in enrolments.by_state(tx, one, limit=limit)]

    def show() -> None:
        for row in rows:
            words = f"  {row.words}" if row.words else ""
            typer.echo(f"{row.id}  {row.state.value}  {row.address}  {row.way} (entry {row.entry}){words}")
        if not rows:
            typer.echo("No such rows.")

    emit(as_json, {"enrolments": [as_data(row) for row in rows]}, show)


@ledger.command("show")
def show_row(row: RowId, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show everything the ledger knows of one row: why in, how it went, why out."""
    from leadbridge.store import enrolments

    with parts_of(config) as parts, parts.store.reading() as tx:
        found = enrolments.one(tx, row)
    data = as_data(_there(found, row))

    def show() -> None:
        for name, value in data.items():
            if value not in (None, "", ()):
                typer.echo(f"{name.replace('_', ' ')}: {_said(value)}")

    emit(as_json, data, show)


@ledger.command("settle")
def settle_row(
    row: RowId,
    as_: Annotated[Ending, typer.Option("--as", help="how it ended, as the e-mail platform shows it")],
    why: Why = "",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say how an uncertain enrolment ended. `nothing-happened` lets it be asked and called anew."""
    from leadbridge import clock
    from leadbridge.store import audit, enrolments
    from leadbridge.types import EnrolmentState

    to = EnrolmentState.CHECKED if as_ is Ending.NOTHING_HAPPENED else EnrolmentState(as_.value)
    with parts_of(config) as parts, parts.store.writing() as tx:
        now, who = clock.now(), operator()
        before = _there(enrolments.one(tx, row), row)
        words = f"settled by {who}" + (f": {why}" if why else "")
        if not enrolments.settle(tx, row, to, words, now):
            typer.echo(f"Row {row} is {before.state.value}, not uncertain; there is nothing to settle.", err=True)
            raise typer.Exit(FAILED)
        audit.note(tx, who, "enrolment settled", {"row": row, "as": to.value, "why": why}, now)
        after = _there(enrolments.one(tx, row), row)
    emit(as_json, as_data(after), lambda: typer.echo(f"Row {row} is {after.state.value} now."))


@ledger.command("cancel")
def cancel_row(row: RowId, why: Why = "", config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """End an enrolment that has not been called yet."""
    from leadbridge import clock
    from leadbridge.store import audit, enrolments

    with parts_of(config) as parts, parts.store.writing() as tx:
        now, who = clock.now(), operator()
        before = _there(enrolments.one(tx, row), row)
        if not enrolments.cancel_rows(tx, [row], f"cancelled by {who}" + (f": {why}" if why else ""), now):
            typer.echo(f"Row {row} is {before.state.value}; only what waits can be cancelled.", err=True)
            raise typer.Exit(FAILED)
        audit.note(tx, who, "enrolment cancelled", {"row": row, "why": why}, now)
        after = _there(enrolments.one(tx, row), row)
    emit(as_json, as_data(after), lambda: typer.echo(f"Row {row} is cancelled."))


def _said(value: Any) -> str:
    """A value of the ledger for people."""
    from leadbridge.report import when

    if isinstance(value, datetime):
        return when(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _there(row: EnrolmentRow | None, number: int) -> EnrolmentRow:
    if row is None:
        typer.echo(f"There is no row {number}; `leadbridge enrolments list` shows them.", err=True)
        raise typer.Exit(FAILED)
    return row


def as_data(row: EnrolmentRow) -> dict[str, Any]:
    """One row as plain data, without what only workers need."""
    return {name: value for name, value in asdict(row).items() if name not in ("token", "vendor")}
