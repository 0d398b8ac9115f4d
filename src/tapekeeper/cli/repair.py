"""The command `repair`: fetch what is missing again, and prove the result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.table import Table

from tapekeeper.cli.group import EXIT_FAILED, current_settings, current_user, examples, json_option
from tapekeeper.cli.output import print_json, print_problem, progress_bar, results
from tapekeeper.repair.job import RepairJob

if TYPE_CHECKING:
    from tapekeeper.model.repair import RepairSummary


@click.command(epilog=examples("tapekeeper repair", "tapekeeper repair 12", "tapekeeper repair --json"))
@click.argument("gap", type=int, required=False)
@json_option
def repair(*, gap: int | None, as_json: bool) -> None:
    """Fetch what is missing of the gaps that are due, newest and largest first, or of one GAP at once.

    A gap is repaired when everything of it is held, and permanent when the venue had nothing twice, far enough apart.
    Stop it whenever you like: what was repaired stays. Ends with exit code 1 when something went wrong with a gap.
    """
    with progress_bar() as progress:
        bar = progress.add_task("gaps", total=None)

        def advance(tried: int, total: int) -> None:
            progress.update(bar, completed=tried, total=total)

        with RepairJob(current_settings(), on_progress=advance) as job:
            by = current_user()
            summary = job.repair_open(by=by) if gap is None else job.repair(gap, by=by)
    if as_json:
        print_json(summary.as_json())
    else:
        _tell(summary)
    if summary.troubles:
        sys.exit(EXIT_FAILED)


def _tell(summary: RepairSummary) -> None:
    table = Table("what", "value", title="Repair")
    for name, value in summary.as_json().items():
        if name != "troubles":
            table.add_row(name, f"{value:,}")
    results.print(table)
    for trouble in summary.troubles:
        print_problem("trouble", trouble)
