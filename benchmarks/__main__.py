"""The command line: `python -m benchmarks`, or `make bench ARGS="..."`."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console

from benchmarks.airflow import measure_airflow
from benchmarks.archive import measure_archive
from benchmarks.backfill import measure_backfill
from benchmarks.binance import measure_binance
from benchmarks.ceiling import measure_ceiling
from benchmarks.decode import measure_decode
from benchmarks.quality import measure_quality
from benchmarks.server import running_server
from benchmarks.status import measure_status
from benchmarks.store import measure_store
from benchmarks.ticks import measure_ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.report import Report
    from benchmarks.server import Server

CASES: Final = ("store", "backfill", "airflow", "status", "decode", "ticks", "ceiling", "quality", "binance", "archive")
EXIT_MISSED: Final = 1
_WIDTH: Final = 132
_EXAMPLES: Final = """\b
Examples:
  python -m benchmarks                                  all cases, about ten minutes on two cores
  python -m benchmarks store status                     these alone
  python -m benchmarks backfill --years 2               a shorter history
  python -m benchmarks ceiling --seconds 600            the venue's most, for ten minutes
  python -m benchmarks --json figures.json --assert     for a machine: exit code 1 if a bound is missed
"""


@click.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("cases", nargs=-1, type=click.Choice(CASES))
@click.option("--rows", default=150_000, show_default=True, type=click.IntRange(5_000), help="Candles of `store`.")
@click.option(
    "--repetitions", default=3, show_default=True, type=click.IntRange(1), help="Turns of all cases that take turns."
)
@click.option(
    "--years", default=8, show_default=True, type=click.IntRange(1, 8), help="History of `backfill` and `airflow`."
)
@click.option("--calls", default=2_000, show_default=True, type=click.IntRange(100), help="Questions of `status`.")
@click.option(
    "--frames", default=200_000, show_default=True, type=click.IntRange(20_000), help="Of `decode` and `ticks`."
)
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(10), help="How long `ceiling` lasts.")
@click.option(
    "--candles", default=6_840_000, show_default=True, type=click.IntRange(400_000), help="Candles of `quality`."
)
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 2_000), help="History of `binance`.")
@click.option("--seed", default=7, show_default=True, help="Of the sample and of the simulated venue.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures there.")
@click.option("--assert", "assert_bounds", is_flag=True, help="Exit with 1 if a bound is missed.")
def main(*, cases: tuple[str, ...], json_file: Path | None, assert_bounds: bool, **sizes: int) -> None:
    """Measure tapekeeper beside the alternatives, in one run on one machine.

    CASES are store (the write path), backfill (the whole command), airflow (the same through the DAG), status, decode
    (frames of the venue), ticks (the live collector as fast as it can), ceiling (it at the venue's most), quality (the
    checks over years of candles), binance (a backfill by weights) and archive (files beside REST).
    A busy machine slows everything: look at the ratios, and at the load that is told beside them.
    """
    started_at = datetime.now(UTC)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    console.print(_machine())
    reports = []
    for report in _measured([case for case in CASES if case in cases or not cases], sizes):
        reports.append(report)
        console.print(report.as_picture())
        console.print(f"  load of this machine now: {os.getloadavg()[0]:.1f}\n")
    if json_file:
        found = {"machine": _machine(), "started_at": started_at.isoformat(), "cases": [r.as_json() for r in reports]}
        json_file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if assert_bounds and not all(bound.holds for report in reports for bound in report.bounds):
        sys.exit(EXIT_MISSED)


def _measured(cases: list[str], sizes: dict[str, Any]) -> Iterator[Report]:
    seed, years, turns, frames = (sizes[name] for name in ("seed", "years", "repetitions", "frames"))
    measures: dict[str, Callable[[Server], Report]] = {
        "store": partial(measure_store, rows=sizes["rows"], repetitions=turns, seed=seed, say=_say),
        "backfill": partial(measure_backfill, years=years, seed=seed, say=_say),
        "status": partial(measure_status, calls=sizes["calls"], say=_say),
        "decode": lambda _: measure_decode(frames=frames, repetitions=turns, seed=seed, say=_say),
        "ticks": partial(measure_ticks, frames=frames, repetitions=turns, seed=seed, say=_say),
        "ceiling": partial(measure_ceiling, seconds=sizes["seconds"], seed=seed, say=_say),
        "binance": partial(measure_binance, days=sizes["days"], seed=seed, say=_say),
        "archive": partial(measure_archive, seed=seed, say=_say),
        "quality": partial(measure_quality, candles=sizes["candles"], repetitions=turns, seed=seed, say=_say),
    }
    with running_server() as server:
        for case, measure in measures.items():
            if case in cases:
                yield measure(server)
    if "airflow" in cases:
        yield measure_airflow(years=years, say=_say)


def _machine() -> str:
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _say(text: str) -> None:
    click.echo(f"... {text}", err=True)


if __name__ == "__main__":
    main()
