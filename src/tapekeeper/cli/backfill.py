"""The commands `plan` and `backfill`."""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import click
from rich.table import Table

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.request import check_request
from tapekeeper.cli.group import EXIT_FAILED, Commands, current_settings, examples, json_option
from tapekeeper.cli.output import print_json, print_line, print_message, print_problem, progress_bar, results
from tapekeeper.clock import format_moment, now_microseconds
from tapekeeper.errors import DatabaseUnavailable, RetryLater, TapekeeperError
from tapekeeper.model.backfill import Direction, Mode, Source
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.model.backfill import (
        BackfillPlan,
        BackfillRequest,
        Chunk,
        InstrumentPlan,
        PlannedChunk,
        RowCounts,
        RunSummary,
    )

_ONE_MINUTE: Final = Resolution(60)


def _request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option(
            "--instruments",
            required=True,
            help="Names as the venue writes them, with commas between: BTC-PERPETUAL,ETH-PERPETUAL.",
        ),
        click.option("--start", required=True, help="First moment in UTC: 2018-08-14, 2018-08-14T12:30Z, 7 days ago."),
        click.option("--end", default="now", show_default=True, help="Last moment in UTC, itself left out."),
        click.option("--resolution", default="1", show_default=True, help="As Deribit writes it: 1, 5, 60, 1D."),
        click.option(
            "--direction",
            default=Direction.NEWEST_FIRST.value,
            show_default=True,
            type=click.Choice([choice.value for choice in Direction]),
        ),
        click.option(
            "--mode",
            default=Mode.MISSING_ONLY.value,
            show_default=True,
            type=click.Choice([choice.value for choice in Mode]),
        ),
        click.option("--keep-fresh", is_flag=True, help="Let the live job go on with these instruments afterwards."),
    )
    for option in reversed(options):
        command = option(command)
    return json_option(command)


@click.group(cls=Commands)
def plan() -> None:
    """Tell requests, rows and time of a backfill, before anything runs."""


@plan.command(
    "perpetuals",
    epilog=examples("tapekeeper plan perpetuals --instruments BTC-PERPETUAL --start 2018-08-14 --end now"),
)
@_request_options
def plan_perpetuals(*, as_json: bool, **typed: Any) -> None:
    """Plan a backfill of Deribit perpetual candles."""
    with BackfillJob(current_settings()) as job:
        planned = job.plan(_perpetuals_request(typed))
    if as_json:
        print_json(_plan_json(planned))
    else:
        _tell_plan(planned)


@click.group(cls=Commands)
def backfill() -> None:
    """Fetch what is missing."""


@backfill.command(
    "perpetuals",
    epilog=examples(
        "tapekeeper backfill perpetuals --instruments BTC-PERPETUAL --start 2018-08-14 --end now --resolution 1",
        "tapekeeper backfill perpetuals --instruments ETH-PERPETUAL --start 2024-01-01 --mode 'full refresh'",
    ),
)
@_request_options
def backfill_perpetuals(*, as_json: bool, **typed: Any) -> None:
    """Backfill Deribit perpetual candles. Stop it whenever you like; the same command goes on where it was."""
    with BackfillJob(current_settings()) as job:
        planned = job.plan(_perpetuals_request(typed))
        if not as_json:
            _tell_plan(planned)
        summary = run_with_bar(job, planned)
    if as_json:
        print_json(summary.as_json())
    else:
        _tell_summary(summary)
    if summary.state != "done":
        sys.exit(EXIT_FAILED)


def _perpetuals_request(typed: dict[str, Any]) -> BackfillRequest:
    return check_request(
        DERIBIT_PERPETUAL_CANDLES,
        instruments=typed["instruments"].split(","),
        start=typed["start"],
        end=typed["end"],
        resolution=typed["resolution"],
        direction=typed["direction"],
        mode=typed["mode"],
        keep_fresh=typed["keep_fresh"],
        now=now_microseconds(),
    )


def _plan_json(planned: BackfillPlan) -> dict[str, object]:
    return {
        "requests": planned.requests,
        "rows_expected": planned.rows_expected,
        "rows_missing": planned.rows_missing,
        "estimated_seconds": round(planned.estimated_seconds, 1),
        "instruments": [_instrument_json(each) for each in planned.instruments],
    }


def _instrument_json(planned: InstrumentPlan) -> dict[str, object]:
    return {
        "instrument": planned.instrument.name,
        "start": format_moment(planned.window.start) if planned.window else None,
        "end": format_moment(planned.window.end) if planned.window else None,
        "requests": len(planned.chunks),
        "rows_expected": planned.rows_expected,
        "rows_missing": planned.rows_missing,
        "note": planned.note,
    }


def _tell_plan(planned: BackfillPlan) -> None:
    table = Table("instrument", "from", "to", title="Plan")
    for column in ("rows", "missing", "requests"):
        table.add_column(column, justify="right")
    for each in planned.instruments:
        start, end = (format_moment(each.window.start), format_moment(each.window.end)) if each.window else ("-", "-")
        counts = (each.rows_expected, each.rows_missing, len(each.chunks))
        table.add_row(each.instrument.name, start, end, *(f"{count:,}" for count in counts))
    results.print(table)
    for each in planned.instruments:
        if each.note:
            print_line(f"note: {each.note}")
    results.print(
        f"{planned.requests:,} requests for {planned.rows_missing:,} rows, about {planned.estimated_seconds:,.0f} s "
        f"at {planned.requests_per_second:g} requests/s",
        highlight=False,
    )


def run_with_bar(job: BackfillJob, planned: BackfillPlan) -> RunSummary:
    """Run what was planned to its end, with a bar for people, and return the summary."""
    run_id = job.start(planned, run_key=f"shell/{uuid.uuid4()}")
    try:
        _work_with_bar(job, run_id, planned)
    except BaseException:
        # The same command again makes a run of its own, so nobody would ever go on with this one.
        with contextlib.suppress(TapekeeperError):
            job.give_up(run_id, "the command was stopped before: the same command fetches what is missing")
        raise
    return job.finish(run_id)


def _work_with_bar(job: BackfillJob, run_id: int, planned: BackfillPlan) -> None:
    total = sum(_steps(chunk, each.resolution) for each in planned.instruments for chunk in each.chunks)
    with progress_bar() as progress:
        bar = progress.add_task(planned.request.dataset.name, total=total)

        def advance(chunk: Chunk, rows: RowCounts) -> None:
            if not rows.rejected or chunk.source is Source.ARCHIVE:
                progress.advance(bar, _steps(chunk, chunk.resolution))

        while True:
            try:
                job.work(run_id, on_progress=advance)
            except DatabaseUnavailable:
                raise
            except RetryLater as error:
                print_message(f"going on in {error.after_seconds:.0f} s: {error}")
                time.sleep(error.after_seconds)
            else:
                return


def _steps(chunk: PlannedChunk | Chunk, resolution: Resolution) -> int:
    """Return how much of the bar a chunk is: its rows, or its minutes where nobody knows how many rows there are."""
    return chunk.window.grid_points((resolution if resolution.seconds else _ONE_MINUTE).microseconds)


def _tell_summary(summary: RunSummary) -> None:
    table = Table("what", "value", title=f"Run {summary.run_id}: {summary.state}")
    for name, value in summary.as_json().items():
        if name not in {"run_id", "state", "errors"}:
            shown = ", ".join(value) if isinstance(value, list) else value
            table.add_row(name, f"{shown:,}" if isinstance(shown, int | float) else str(shown))
    results.print(table)
    for error in summary.errors:
        print_problem("failed", error)
