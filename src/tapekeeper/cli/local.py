"""The commands `demo` and `up`: everything on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from tapekeeper.cli.group import examples, json_option
from tapekeeper.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Callable


def _local_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--days", default=7, show_default=True, type=click.IntRange(1), help="How far back to fetch."),
        click.option("--exit", "exit_when_done", is_flag=True, help="End after the backfill; else Ctrl-C ends it."),
    ):
        command = option(command)
    return json_option(command)


@click.command(epilog=examples("tapekeeper demo", "tapekeeper demo --exit --json"))
@_local_options
def demo(**options: Any) -> None:
    """Run everything on this machine, and backfill from a simulated venue through Airflow."""
    sys.exit(_run_locally(live=False, **options))


@click.command(epilog=examples("tapekeeper up", "tapekeeper up --days 30"))
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
