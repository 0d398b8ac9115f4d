"""The command `status`: rows, days and freshness of each dataset."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.table import Table

from tapekeeper.cli.group import EXIT_FAILED, current_settings, examples, json_option
from tapekeeper.cli.output import print_json, results
from tapekeeper.model.series import DATASETS
from tapekeeper.status import get_all_statuses

if TYPE_CHECKING:
    from tapekeeper.status import DatasetStatus


@click.command(epilog=examples("tapekeeper status", "tapekeeper status --dataset deribit.perpetual_candles --json"))
@click.option("--dataset", type=click.Choice(list(DATASETS)), help="Only this one.")
@json_option
def status(*, dataset: str | None, as_json: bool) -> None:
    """Tell rows, days and freshness of each dataset."""
    statuses = [each for each in get_all_statuses(current_settings()) if dataset in (None, each.dataset)]
    if as_json:
        print_json({"datasets": [each.as_json() for each in statuses]})
    else:
        for each in statuses:
            results.print(_status_table(each))
    if not all(each.intraday.ok for each in statuses):
        sys.exit(EXIT_FAILED)


def _status_table(status: DatasetStatus) -> Table:
    table = Table("field", "value", title=status.dataset)
    for field, value in status.as_json().items():
        if isinstance(value, dict):
            shown = ", ".join(f"{name} {held}" for name, held in value.items())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            shown = f"{value:,}"
        else:
            shown = "-" if value is None else str(value)
        table.add_row(field, shown)
    return table
