"""The command line: everything that the DAGs do, from a shell."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.request import check_request
from tapekeeper.clock import format_moment, now_microseconds
from tapekeeper.errors import ConfigInvalid, DatabaseUnavailable, RetryLater, Stop, TapekeeperError
from tapekeeper.model.backfill import Direction, Mode
from tapekeeper.model.series import DATASETS, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.settings import Settings, read_settings, variables
from tapekeeper.status import get_all_statuses
from tapekeeper.store.migrate import migrate as migrate_database
from tapekeeper.venues.deribit.limits import parse_resolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.model.backfill import BackfillPlan, BackfillRequest, Chunk, RowCounts, RunSummary
    from tapekeeper.status import DatasetStatus

EXIT_FAILED = 1
EXIT_STOP = 2

_messages = Console(stderr=True)
# A pipe or a file has no width of its own; half a timestamp helps nobody.
_results = Console(width=None if sys.stdout.isatty() else 160)


class _Commands(click.Group):
    """A group whose commands tell errors as sentences, with an exit code for what to do about them."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except Stop as error:
            _fail(error, EXIT_STOP)
        except TapekeeperError as error:
            _fail(error, EXIT_FAILED)


def _fail(error: TapekeeperError, exit_code: int) -> NoReturn:
    _messages.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    sys.exit(exit_code)


def _epilog(*examples: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for scripts.")(command)


def _request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option(
            "--instruments",
            required=True,
            help="Names as the venue writes them, with commas between: BTC-PERPETUAL,ETH-PERPETUAL.",
        ),
        click.option("--start", required=True, help="First moment in UTC: 2018-08-14 or 2018-08-14T12:30Z."),
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
    return _json_option(command)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help="Show log lines.")
@click.version_option(package_name="tapekeeper")
def main(*, verbose: bool) -> None:
    """Keep the tape: market data, and an honest account of what is missing and why.

    Settings are environment variables; README.md has the table.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR, format="%(asctime)s %(levelname)s %(message)s"
    )


@main.command(epilog=_epilog("tapekeeper migrate", "tapekeeper migrate --json"))
@_json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database schema up to date; safe to run from two places at once.

    Needs a login that may create roles and tables.
    """
    applied = migrate_database(_settings().database.url.get_secret_value())
    if as_json:
        _print_json({"applied": applied})
    else:
        _results.print("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@main.group(cls=_Commands)
def plan() -> None:
    """Tell requests, rows and time of a backfill, before anything runs."""


@plan.command(
    "perpetuals",
    epilog=_epilog("tapekeeper plan perpetuals --instruments BTC-PERPETUAL --start 2018-08-14 --end now"),
)
@_request_options
def plan_perpetuals(*, as_json: bool, **typed: Any) -> None:
    """Plan a backfill of Deribit perpetual candles."""
    with BackfillJob(_settings()) as job:
        _tell_plan(job.plan(_perpetuals_request(typed)), as_json=as_json)


@main.group(cls=_Commands)
def backfill() -> None:
    """Fetch what is missing."""


@backfill.command(
    "perpetuals",
    epilog=_epilog(
        "tapekeeper backfill perpetuals --instruments BTC-PERPETUAL --start 2018-08-14 --end now --resolution 1",
        "tapekeeper backfill perpetuals --instruments ETH-PERPETUAL --start 2024-01-01 --mode 'full refresh'",
    ),
)
@_request_options
def backfill_perpetuals(*, as_json: bool, **typed: Any) -> None:
    """Backfill Deribit perpetual candles. Stop it whenever you like; the same command goes on where it was."""
    with BackfillJob(_settings()) as job:
        planned = job.plan(_perpetuals_request(typed))
        if not as_json:
            _tell_plan(planned, as_json=False)
        summary = _run_with_bar(job, planned)
    if as_json:
        _print_json(summary.as_json())
    else:
        _tell_summary(summary)
    if summary.state != "done":
        sys.exit(EXIT_FAILED)


@main.command(epilog=_epilog("tapekeeper status", "tapekeeper status --dataset deribit.perpetual_candles --json"))
@click.option("--dataset", type=click.Choice(list(DATASETS)), help="Only this one.")
@_json_option
def status(*, dataset: str | None, as_json: bool) -> None:
    """Tell rows, days and freshness of each dataset."""
    statuses = [each for each in get_all_statuses(_settings()) if dataset in (None, each.dataset)]
    if as_json:
        _print_json({"datasets": [each.as_json() for each in statuses]})
    else:
        for each in statuses:
            _results.print(_status_table(each))
    if not all(each.intraday.ok for each in statuses):
        sys.exit(EXIT_FAILED)


def _local_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--days", default=7, show_default=True, type=click.IntRange(1), help="How far back to fetch."),
        click.option("--exit", "exit_when_done", is_flag=True, help="End after the backfill; else Ctrl-C ends it."),
    ):
        command = option(command)
    return _json_option(command)


@main.command(epilog=_epilog("tapekeeper demo", "tapekeeper demo --exit --json"))
@_local_options
def demo(**options: Any) -> None:
    """Run everything on this machine, and backfill from a simulated venue through Airflow."""
    sys.exit(_run_locally(live=False, **options))


@main.command(epilog=_epilog("tapekeeper up", "tapekeeper up --days 30"))
@_local_options
def up(**options: Any) -> None:
    """Run everything on this machine, and backfill from the live venue through Airflow."""
    sys.exit(_run_locally(live=True, **options))


def _run_locally(**options: Any) -> int:
    try:
        # Not needed, and not installed, where tapekeeper only works with somebody else's PostgreSQL and Airflow.
        from tapekeeper.local.demo import DemoOptions, run_demo
    except ModuleNotFoundError as error:
        raise ConfigInvalid(f"{error.name} is not installed: use `make demo`, or install tapekeeper[local]") from None
    return run_demo(DemoOptions(**options))


@main.command(epilog=_epilog("tapekeeper settings", "tapekeeper settings --markdown"))
@click.option("--markdown", is_flag=True, help="As the table in README.md.")
def settings(*, markdown: bool) -> None:
    """Tell every setting: its environment variable, its default, what it means."""
    if markdown:
        click.echo("| variable | default | meaning |\n|---|---|---|")
        for each in variables():
            click.echo(f"| `{each.name}` | {f'`{each.default}`' if each.default else ''} | {each.meaning} |")
        return
    table = Table("variable", "default", "meaning", show_lines=True)
    for each in variables():
        table.add_row(each.name, each.default, each.meaning)
    _results.print(table)


def _settings() -> Settings:
    return read_settings(os.environ)


def _print_json(value: dict[str, object]) -> None:
    click.echo(json.dumps(value))


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
        parse_resolution=parse_resolution,
        now=now_microseconds(),
    )


def _tell_plan(planned: BackfillPlan, *, as_json: bool) -> None:
    if as_json:
        _print_json(
            {
                "requests": planned.requests,
                "rows_expected": planned.rows_expected,
                "rows_missing": planned.rows_missing,
                "estimated_seconds": round(planned.estimated_seconds, 1),
                "instruments": [
                    {
                        "instrument": each.instrument.name,
                        "start": format_moment(each.window.start) if each.window else None,
                        "end": format_moment(each.window.end) if each.window else None,
                        "requests": len(each.chunks),
                        "rows_expected": each.rows_expected,
                        "rows_missing": each.rows_missing,
                        "note": each.note,
                    }
                    for each in planned.instruments
                ],
            }
        )
        return
    table = Table("instrument", "from", "to", title="Plan")
    for column in ("rows", "missing", "requests"):
        table.add_column(column, justify="right")
    for each in planned.instruments:
        start, end = (format_moment(each.window.start), format_moment(each.window.end)) if each.window else ("-", "-")
        table.add_row(
            each.instrument.name,
            start,
            end,
            f"{each.rows_expected:,}",
            f"{each.rows_missing:,}",
            f"{len(each.chunks):,}",
        )
    _results.print(table)
    for each in planned.instruments:
        if each.note:
            _results.print(f"note: {each.note}", markup=False, highlight=False, soft_wrap=True)
    _results.print(
        f"{planned.requests:,} requests for {planned.rows_missing:,} rows, about {planned.estimated_seconds:,.0f} s "
        f"at {planned.requests_per_second:g} requests/s",
        highlight=False,
    )


def _run_with_bar(job: BackfillJob, planned: BackfillPlan) -> RunSummary:
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
    step = planned.request.resolution.microseconds
    total = sum(chunk.grid_points(step) for each in planned.instruments for chunk in each.chunks)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_messages, disable=not _messages.is_terminal) as progress:
        bar = progress.add_task("candles", total=total)

        def advance(chunk: Chunk, rows: RowCounts) -> None:
            if not rows.rejected:
                progress.advance(bar, chunk.window.grid_points(step))

        while True:
            try:
                job.work(run_id, on_progress=advance)
            except DatabaseUnavailable:
                raise
            except RetryLater as error:
                _messages.print(
                    f"going on in {error.after_seconds:.0f} s: {error}", markup=False, highlight=False, soft_wrap=True
                )
                time.sleep(error.after_seconds)
            else:
                return


def _tell_summary(summary: RunSummary) -> None:
    table = Table("what", "value", title=f"Run {summary.run_id}: {summary.state}")
    for name, value in summary.as_json().items():
        if name not in {"run_id", "state", "errors"}:
            shown = ", ".join(value) if isinstance(value, list) else value
            table.add_row(name, f"{shown:,}" if isinstance(shown, int | float) else str(shown))
    _results.print(table)
    for error in summary.errors:
        _messages.print(f"[bold red]failed:[/] {escape(error)}", highlight=False, soft_wrap=True)


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
