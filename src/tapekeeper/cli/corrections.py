"""The command `corrections`: which rows were changed after they were written, and who told the new values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from tapekeeper.cli.database import read
from tapekeeper.cli.group import current_settings, examples, json_option
from tapekeeper.cli.listing import dataset_option, limit_option, tell_list
from tapekeeper.model.resolution import Resolution
from tapekeeper.store.corrections import Correction, list_corrections

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(
    "corrections",
    epilog=examples(
        "tapekeeper corrections",
        "tapekeeper corrections --dataset binance_um.candles --instrument BTCUSDT",
        "tapekeeper corrections --limit 1000 --json",
    ),
)
@dataset_option
@click.option("--instrument", metavar="NAME", help="Only this one, such as BTCUSDT.")
@limit_option
@json_option
def corrections(*, dataset: str | None, instrument: str | None, limit: int, as_json: bool) -> None:
    """Tell the rows that were changed after they were written, newest change first: what they were, what they are."""
    tell_list(
        lambda count: read(
            current_settings(),
            lambda cursor: list_corrections(cursor, dataset=dataset, instrument=instrument, limit=count),
        ),
        limit,
        name="corrections",
        nothing="No row was changed after it was written.",
        as_object=Correction.as_json,
        as_table=_table,
        as_json=as_json,
    )


def _table(shown: Sequence[Correction]) -> Table:
    """Return a table of some lines a correction, so that a terminal of 80 columns cuts nothing off."""
    table = Table(title="Corrections", show_lines=True, pad_edge=False)
    table.add_column("series", overflow="fold")
    table.add_column("row of, changed at", no_wrap=True)
    table.add_column("was, is", overflow="fold")
    table.add_column("source", overflow="fold")
    for each in shown:
        resolution = f" {Resolution(each.resolution_seconds)}" if each.resolution_seconds else ""
        table.add_row(
            escape(f"{each.instrument}{resolution}\n{each.dataset}"),
            f"{each.event_time:%Y-%m-%d %H:%M:%S}\n{each.corrected_at:%Y-%m-%d %H:%M:%S}",
            escape("\n".join(f"{name} {_word(was)}, {_word(now)}" for name, (was, now) in each.changes.items())),
            escape(each.source),
        )
    return table


def _word(value: object) -> str:
    return "-" if value is None else str(value)
