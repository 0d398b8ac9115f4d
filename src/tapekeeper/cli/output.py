"""What commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

messages: Final = Console(stderr=True)
"""For what a person reads along the way."""
# A pipe or a file has no width of its own; half a timestamp helps nobody.
results: Final = Console(width=None if sys.stdout.isatty() else 160)
"""For what was asked for."""


def print_json(value: Mapping[str, object]) -> None:
    """Print one line of JSON for scripts."""
    click.echo(json.dumps(value))


def print_line(text: str, *, indent: int = 0) -> None:
    """Print a sentence of the result as it is, never broken into lines by us."""
    results.print(f"{' ' * indent}{text}", markup=False, highlight=False, soft_wrap=True)


def print_message(text: str) -> None:
    """Tell a person something along the way."""
    messages.print(text, markup=False, highlight=False, soft_wrap=True)


def print_problem(label: str, text: object) -> None:
    """Tell what went wrong, after a label in red."""
    messages.print(f"[bold red]{label}:[/] {escape(str(text))}", highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a bar for people; a pipe or a file gets none."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=messages, disable=not messages.is_terminal)
