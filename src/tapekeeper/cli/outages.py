"""The commands `outages`: when a venue is known to have been away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from tapekeeper.cli.database import read, write
from tapekeeper.cli.group import Commands, current_settings, examples, json_option
from tapekeeper.cli.output import print_json, print_line, results
from tapekeeper.clock import now_microseconds, parse_moment
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.gap import Cause
from tapekeeper.model.series import DATASETS
from tapekeeper.model.window import Window
from tapekeeper.store.outages import KINDS, add_outage, list_outages
from tapekeeper.store.plain import plain

if TYPE_CHECKING:
    from tapekeeper.store.outages import Outage

VENUES = tuple(dict.fromkeys(dataset.venue for dataset in DATASETS.values()))


@click.group(cls=Commands)
def outages() -> None:
    """Tell when a venue is known to have been away. An outage explains holes; what is expected stays the same."""


@outages.command(
    "add",
    epilog=examples(
        "tapekeeper outages add deribit 2026-11-20T08:00Z 2026-11-20T08:45Z --kind venue_maintenance"
        " --source https://status.example.com/42 --by Ada",
    ),
)
@click.argument("venue", type=click.Choice(VENUES))
@click.argument("start")
@click.argument("end")
@click.option(
    "--kind",
    default=Cause.VENUE_OUTAGE.value,
    show_default=True,
    type=click.Choice([kind.value for kind in KINDS]),
    help="The cause that a gap inside it gets.",
)
@click.option("--source", required=True, help="Where it was announced, or who saw it.")
@click.option("--by", required=True, help="Who registers it.")
@json_option
def add(*, venue: str, start: str, end: str, kind: str, source: str, by: str, as_json: bool) -> None:
    """Register that VENUE was away from START to END (UTC).

    The same window again takes the place of what was registered. The next check tells gaps from it.
    """
    now = now_microseconds()
    window = Window(parse_moment(start, now=now), parse_moment(end, now=now))
    if window.start > now:
        raise ConfigInvalid(f"the outage {window} has not begun: register it when it has")
    outage = write(
        current_settings(),
        lambda cursor: add_outage(cursor, venue=venue, window=window, kind=Cause(kind), source=source, by=by),
    )
    if as_json:
        print_json(_json(outage))
    else:
        print_line(f"Outage {outage.outage_id}: {venue} {window}, {outage.kind}, {outage.source}")


@outages.command("list", epilog=examples("tapekeeper outages list", "tapekeeper outages list --venue deribit --json"))
@click.option("--venue", type=click.Choice(VENUES), help="Only this one.")
@json_option
def list_registered(*, venue: str | None, as_json: bool) -> None:
    """Tell the registered outages, newest first."""
    found = read(current_settings(), lambda cursor: list_outages(cursor, venue))
    if as_json:
        print_json({"outages": [_json(outage) for outage in found]})
        return
    table = Table("outage", "venue", "from", "to", "kind", title="Outages")
    table.add_column("source", overflow="fold")
    table.add_column("added by")
    for outage in found:
        start, end = outage.window.as_datetimes()
        times = (f"{start:%Y-%m-%d %H:%M:%S}", f"{end:%Y-%m-%d %H:%M:%S}")
        words = (escape(outage.source), escape(outage.added_by))
        table.add_row(str(outage.outage_id), outage.venue, *times, outage.kind.value, *words)
    results.print(table)


def _json(outage: Outage) -> dict[str, object]:
    start, end = outage.window.as_datetimes()
    return {
        "outage_id": outage.outage_id,
        "venue": outage.venue,
        "window_start": plain(start),
        "window_end": plain(end),
        "kind": outage.kind.value,
        "source": outage.source,
        "added_by": outage.added_by,
        "added_at": plain(outage.added_at),
    }
