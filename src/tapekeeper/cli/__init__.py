"""The command line: everything that the DAGs do, from a shell."""

from __future__ import annotations

import logging

import click

from tapekeeper.cli import (
    backfill,
    binance,
    check,
    corrections,
    explain,
    gaps,
    local,
    options,
    outages,
    repair,
    setup,
    status,
)
from tapekeeper.cli.group import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help="Show log lines.")
@click.version_option(package_name="tapekeeper")
def main(*, verbose: bool) -> None:
    """Keep the tape: market data, and an honest account of what is missing and why.

    Settings are environment variables; README.md has the table.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR, format="%(asctime)s %(levelname)s %(message)s"
    )


backfill.backfill.add_command(binance.backfill_binance)
backfill.backfill.add_command(options.backfill_options)
for _command in (
    setup.logins,
    setup.migrate,
    setup.settings,
    backfill.plan,
    backfill.backfill,
    status.status,
    check.check,
    gaps.gaps,
    repair.repair,
    explain.explain,
    corrections.corrections,
    outages.outages,
    local.demo,
    local.up,
):
    main.add_command(_command)
