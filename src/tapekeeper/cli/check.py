"""The command `check`: is everything there, and can it be believed?"""

from __future__ import annotations

import json
import math
import sys
import uuid
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.table import Table

from tapekeeper.cli.database import read
from tapekeeper.cli.group import EXIT_FAILED, current_settings, current_user, examples, json_option
from tapekeeper.cli.output import messages, print_json, print_line, results
from tapekeeper.model.quality import CheckStatus, Severity
from tapekeeper.model.series import DATASETS
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.job import QualityJob
from tapekeeper.quality.report import write_reports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekeeper.model.quality import CheckResult, QualitySummary

SAMPLE_ROWS: Final = 3
"""How many of the rows that a check found are shown."""
_COLOURS: Final = {CheckStatus.GREEN: "green", CheckStatus.RED: "red", CheckStatus.ERROR: "magenta"}


@click.command(
    epilog=examples(
        "tapekeeper check",
        "tapekeeper check --dataset deribit.perpetual_candles --window 2024-03-01/2024-03-11",
        "tapekeeper check --window all --checks gap_detection,row_counts --json",
        "tapekeeper check --window 7d --report /var/lib/tapekeeper/reports",
    )
)
@click.option("--dataset", "datasets", multiple=True, type=click.Choice(list(DATASETS)), help="May be repeated.")
@click.option("--window", default="24h", show_default=True, help="24h, 7d, 30d, all, or START/END in UTC.")
@click.option("--checks", help=f"Names with commas between; all unless told: {', '.join(CHECKS)}.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write a page, CSV and text there.")
@json_option
def check(*, datasets: tuple[str, ...], window: str, checks: str | None, report: Path | None, as_json: bool) -> None:
    """Ask whether everything is there and can be believed, and bring the ledger of gaps up to date.

    Days that are not over are not judged. Holes become gaps, which `tapekeeper repair` fills; rows that contradict
    themselves go to quarantine. Ends with exit code 1 when a critical check is red or could not be done.
    """
    settings = current_settings()
    waiting = messages.status("checking") if messages.is_terminal else nullcontext()
    with QualityJob(settings) as job, waiting:
        request = job.request(datasets, window, checks.split(",") if checks else None)
        summary = job.run(request, f"shell/{uuid.uuid4()}", by=current_user())
    written = None if report is None else read(settings, lambda cursor: write_reports(cursor, summary, report))
    if as_json:
        print_json({**summary.as_json(), "report": None if written is None else str(written)})
    else:
        _tell(summary)
        if written is not None:
            print_line(f"Reports: {written}")
    if not summary.is_green:
        sys.exit(EXIT_FAILED)


def _tell(summary: QualitySummary) -> None:
    for dataset, of_dataset in groupby(summary.results, key=lambda result: result.dataset):
        results.print(_table(dataset, of_dataset))
    for result in summary.results:
        if result.status is not CheckStatus.GREEN:
            _tell_findings(result)
    print_line(
        f"Run {summary.run_id}. Gaps opened: {summary.gaps_opened:,}; closed because they filled themselves: "
        f"{summary.gaps_closed:,}; rows put into quarantine: {summary.rows_quarantined:,}."
    )
    for dataset, windows in summary.completeness.items():
        shares = ", ".join(f"{name} {_percent(share)}" for name, share in windows.items() if share is not None)
        print_line(f"Complete or explained, {dataset}: {shares or 'nothing is expected of the last 30 days'}.")
    print_line(_verdict(summary))


def _verdict(summary: QualitySummary) -> str:
    alarms = dict.fromkeys(result.check for result in summary.results if result.is_alarming)
    if alarms:
        return f"RED: {', '.join(alarms)}."
    if not any(result.checked for result in summary.results):
        return "GREEN, but there was nothing to look at: choose another window."
    return "GREEN: no critical check found anything."


def _table(dataset: str, results_of_dataset: Iterable[CheckResult]) -> Table:
    table = Table("check", "severity", "status", title=dataset)
    for column in ("checked", "found", "seconds"):
        table.add_column(column, justify="right")
    for result in results_of_dataset:
        colour = "yellow" if _is_warning(result) else _COLOURS[result.status]
        counts = (f"{result.checked:,}", f"{result.found:,}", f"{result.seconds:.3f}")
        table.add_row(result.check, result.severity.value, f"[{colour}]{result.status}[/]", *counts)
    return table


def _is_warning(result: CheckResult) -> bool:
    return result.status is CheckStatus.RED and result.severity is Severity.WARNING


def _tell_findings(result: CheckResult) -> None:
    print_line(f"{result.check}, {result.dataset}: {CHECKS[result.check].question}")
    if result.error is not None:
        print_line(f"It could not be done: {result.error}", indent=2)
    for row in result.sample[:SAMPLE_ROWS]:
        print_line(json.dumps(row, default=str, ensure_ascii=False), indent=2)
    if result.found > SAMPLE_ROWS:
        print_line(f"... {result.found:,} in all", indent=2)


def _percent(share: float) -> str:
    # Rounded down: a single missing row must never look like none.
    return f"{math.floor(share * 1_000_000) / 10_000:.4f}%"
