"""What an operator does: what was set aside, and backup and restore."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from leadbridge.commands.common import (
    DEFAULT_CONFIG,
    FAILED,
    HIGHEST_ID,
    IN_PART,
    WRONG_USE,
    AsJson,
    ConfigFile,
    emit,
    load,
    operator,
    parts_of,
)

Source = Annotated[str | None, typer.Option(help="only what came from here, such as inbox:hubspot")]

quarantine = typer.Typer(
    help="What could not be worked: look at it, put it back to work.",
    invoke_without_command=True,
    no_args_is_help=False,
)


@quarantine.callback()
def _listing_by_default(context: typer.Context, config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_items(config=config, as_json=as_json)


@quarantine.command("list")
def list_items(
    source: Source = None,
    after: Annotated[int, typer.Option(min=0, help="only items with greater numbers")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="at most so many")] = 100,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show what was set aside: number, where it came from, how often, why."""
    from leadbridge import logs
    from leadbridge.store import quarantine as store

    with parts_of(config) as parts, parts.store.reading() as tx:
        items = [asdict(one) for one in store.listing(tx, after=after, limit=limit, source=source)]
        total = store.count(tx)
    for item in items:
        item["reason"] = logs.mask(item["reason"])
        item["ref"] = None if item["ref"] is None else logs.mask(item["ref"])

    def show() -> None:
        for item in items:
            typer.echo(
                f"{item['id']}  {item['source']}  {item['ref'] or ''}  {item['attempts']} times, last "
                f"{item['last_at']:%Y-%m-%d %H:%M} UTC  {item['reason']}"
            )
        typer.echo(f"{len(items)} of {total} shown." if items else "Nothing of this kind is set aside.")

    emit(as_json, {"items": items, "total": total}, show)


@quarantine.command("show")
def show_item(
    item: Annotated[
        int, typer.Argument(help="number of the item, as `quarantine list` shows it", min=1, max=HIGHEST_ID)
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show one item with what it holds; addresses and secrets are masked."""
    from leadbridge import logs
    from leadbridge.store import quarantine as store

    with parts_of(config) as parts, parts.store.reading() as tx:
        found = store.listing(tx, after=item - 1, limit=1)
        body = store.body_of(tx, parts.store.vault, item)
    if body is None:
        typer.echo(f"There is no item {item}; `leadbridge quarantine list` shows them.", err=True)
        raise typer.Exit(FAILED)
    data: dict[str, Any] = {
        name: logs.mask(value) if isinstance(value, str) else value for name, value in asdict(found[0]).items()
    }
    data["body"] = logs.mask(body.decode(errors="backslashreplace"))

    def show() -> None:
        for name, value in data.items():
            typer.echo(f"{name}: {'' if value is None else value}")

    emit(as_json, data, show)


@quarantine.command("replay")
def replay_items(
    ids: Annotated[
        list[int] | None,
        typer.Argument(help="numbers of items, as `quarantine list` shows them", min=1, max=HIGHEST_ID),
    ] = None,
    source: Source = None,
    every: Annotated[bool, typer.Option("--all", help="everything that is set aside")] = False,
    items: Annotated[int | None, typer.Option(min=1, help="replay, provided that there are just so many")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Put items back to work. With --source or --all it first shows how many; --items NUMBER does it.

    Nothing goes past the gate: what is replayed is worked like anything new, under the same caps.
    """
    from sync import replay

    if bool(ids) + (source is not None) + every != 1:
        typer.echo("give either numbers of items, or --source, or --all", err=True)
        raise typer.Exit(WRONG_USE)
    with parts_of(config) as parts:
        if not ids:
            counts = replay.preview(parts.store, source)
            total = sum(sum(reasons.values()) for reasons in counts.values())
            if items is None:
                emit(as_json, {"would_replay": total, "by_source": counts}, lambda: _show_preview(counts, total))
                return
            if items != total:
                typer.echo(f"{total} items are set aside, not {items}; look again. Nothing was replayed.", err=True)
                raise typer.Exit(FAILED)
            ids = [item.id for item in replay.items(parts.store, source)]
        mailchimp = parts.config.connections.mailchimp
        audience = None if mailchimp is None else mailchimp.audience
        done = replay.replay(parts.store, ids, operator(), audience=audience)
    left = sum(done.unfit.values())
    words = f"{done.replayed} back at work, {done.settled} have nothing to do any more, {left} still cannot be read."
    emit(as_json, asdict(done) | {"unfit": dict(done.unfit)}, lambda: typer.echo(words))
    if not done.replayed and not done.settled and not left:
        typer.echo("No such items; `leadbridge quarantine list` shows them.", err=True)
        raise typer.Exit(FAILED)
    if left:
        raise typer.Exit(IN_PART)


def _show_preview(counts: dict[str, dict[str, int]], total: int) -> None:
    for source, reasons in counts.items():
        for reason, count in reasons.items():
            typer.echo(f"{count:>8}  {source}: {reason}")
    if total:
        typer.echo(f"To put them back to work, give the same with --items {total}")
    else:
        typer.echo("Nothing of this kind is set aside.")


# --- backup and restore ----------------------------------------------------------------------------------------------


def backup(
    target: Annotated[Path, typer.Argument(help="file to write; none of that name may be there")],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write the whole store to one sealed file, while everybody works on.

    It opens with the store's key alone, which is not in it: keep that elsewhere.
    """
    from leadbridge import report
    from leadbridge.store import backup as backups

    with parts_of(config) as parts, report.progress(quiet=as_json) as tell:
        made = backups.backup(parts.store, target, tell)
    words = f"{made.rows:,} rows as of {made.at:%Y-%m-%d %H:%M:%S} UTC are in {target}."
    emit(as_json, {"file": str(target)} | asdict(made), lambda: typer.echo(words))


def restore(
    source: Annotated[Path, typer.Argument(help="file that `backup` wrote", exists=True, dir_okay=False)],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back into a new store. Contact stays stopped until `reconcile`."""
    from leadbridge import report
    from leadbridge.store import backup as backups
    from leadbridge.store.engine import open_store

    store = open_store(load(config).store)
    try:
        with report.progress(quiet=as_json) as tell:
            found = backups.restore(store, source, operator(), tell)
    finally:
        store.close()
    words = (
        f"{found.rows:,} rows as of {found.at:%Y-%m-%d %H:%M:%S} UTC are back. Nobody is contacted until "
        "`leadbridge reconcile` has read at the vendors what came after."
    )
    emit(as_json, {"file": str(source)} | asdict(found), lambda: typer.echo(words))


def reconcile(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """After `restore`: read at the vendors who left and who was contacted meanwhile, then let contact go on."""
    from leadbridge import report
    from sync import reconcile as reconciling

    with parts_of(config, worker=True) as parts, report.progress(quiet=as_json) as tell:
        done = reconciling.reconcile(parts, operator(), tell)

    def show() -> None:
        if not done.was_restored:
            typer.echo("The store was not restored; there is nothing to reconcile.")
            return
        typer.echo(
            f"{done.entered} were contacted after the backup, {done.not_entered} were not, {done.settled} were "
            "uncertain and are settled. Contact goes on."
        )
        if done.unknown:
            typer.echo(f"Of {done.unknown} nobody can tell: leadbridge enrolments list --state uncertain")

    emit(as_json, asdict(done), show)


# --- keys and what is kept -------------------------------------------------------------------------------------------


def rotate_key(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Seal everything under the key in LEADBRIDGE_KEY, while everybody works; the one before opens until then.

    Every process needs both first: the old one in LEADBRIDGE_KEY_PREVIOUS. Killed half-way, start it again.
    """
    from leadbridge import report
    from leadbridge.store import rotation

    with parts_of(config) as parts, report.progress(quiet=as_json) as tell:
        done = rotation.rotate(parts.store, operator(), tell)
    words = f"{done.sealed} rows sealed anew; LEADBRIDGE_KEY_PREVIOUS may go from every process."
    if done.unreadable:
        words = f"{done.sealed} rows sealed anew; {done.unreadable} open with neither key and are left as they are."
    emit(as_json, asdict(done), lambda: typer.echo(words))
    if done.unreadable:
        raise typer.Exit(IN_PART)


def purge(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Drop what was set aside, and the keys of worked events, older than 14 days. Workers do so once a day."""
    from sync import retention

    with parts_of(config) as parts:
        gone = retention.purge(parts.store, operator())
    words = f"{gone['quarantine']} quarantined items and {gone['inbox']} keys of worked events dropped."
    emit(as_json, gone, lambda: typer.echo(words))
