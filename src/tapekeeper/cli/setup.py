"""Commands to set tapekeeper up: `migrate` and `settings`."""

from __future__ import annotations

import click
from rich.table import Table

from tapekeeper.cli.group import current_settings, examples, json_option
from tapekeeper.cli.output import print_json, results
from tapekeeper.settings import variables
from tapekeeper.store.migrate import migrate as migrate_database


@click.command(epilog=examples("tapekeeper migrate", "tapekeeper migrate --json"))
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database schema up to date; safe to run from two places at once.

    Needs a login that may create roles and tables.
    """
    applied = migrate_database(current_settings().database.url.get_secret_value())
    if as_json:
        print_json({"applied": applied})
    else:
        results.print("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@click.command(epilog=examples("tapekeeper settings", "tapekeeper settings --markdown"))
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
    results.print(table)
