"""Commands to set tapekeeper up: `logins`, `migrate` and `settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import click
from psycopg2.extensions import make_dsn
from rich.table import Table

from tapekeeper.cli.group import current_settings, examples, json_option
from tapekeeper.cli.output import print_json, results
from tapekeeper.errors import ConfigInvalid
from tapekeeper.settings import variables
from tapekeeper.store.logins import Login, Role, ensure_logins
from tapekeeper.store.migrate import migrate as migrate_database

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog=examples(
        "tapekeeper logins --login desk_writer writer writer_url --login desk_reader reader reader_password",
        "tapekeeper logins --password-file postgres_password --login airflow apart airflow_database_url",
    )
)
@click.option("--password-file", type=_FILE, help="Holds the password of the login in TAPEKEEPER_DATABASE_URL.")
@click.option(
    "--login",
    "wanted",
    type=(str, click.Choice([role.value for role in Role]), _FILE),
    metavar="NAME ROLE FILE",
    multiple=True,
    required=True,
    help=f"A login, one of {', '.join(Role)}, and a file with its password or with a URL that has it.",
)
def logins(*, password_file: Path | None, wanted: tuple[tuple[str, str, Path], ...]) -> None:
    """Make the database and its logins where they are missing, and give each the password in its file.

    Run again after a file was changed, it changes the password. TAPEKEEPER_DATABASE_URL names the database, with a
    login that may make others, such as postgresql://postgres@127.0.0.1/tapekeeper. The role apart is for another
    program: it gets a database of its own, of the same name.
    """
    url = current_settings().database.url.get_secret_value()
    if password_file:
        url = make_dsn(url, password=password_file.read_text(encoding="utf-8").strip())
    ensure_logins(url, [Login(name, Role(role), _password(name, file)) for name, role, file in wanted])
    results.print(f"{len(wanted)} logins are as they should be")


def _password(name: str, file: Path) -> str:
    """Return the password in a file: all of it, or what its URL has for this login."""
    text = file.read_text(encoding="utf-8").strip()
    parts = urlsplit(text) if "://" in text else None
    if parts and parts.username != name:
        raise ConfigInvalid(f"{file} holds the URL of {parts.username!r}, not of {name!r}")
    password = unquote(parts.password or "") if parts else text
    if not password:
        raise ConfigInvalid(f"{file} holds no password")
    return password


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
