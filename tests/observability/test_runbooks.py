"""Runbooks: what they tell somebody to type works in this project."""

from __future__ import annotations

import re
import shlex
from contextlib import closing
from pathlib import Path

import click
import psycopg2
import pytest

from collector.__main__ import main as collector
from tapekeeper.cli import main as tapekeeper
from tests.integration.test_documented_sql import statements
from tests.observability.rules import RUNBOOKS

BOOKS = sorted(RUNBOOKS.glob("*.md"))
PROGRAMS: dict[tuple[str, ...], click.Command] = {
    ("tapekeeper",): tapekeeper,
    ("python", "-m", "collector"): collector,
}


def commands(book: Path) -> list[list[str]]:
    """Return the commands of this project in a runbook, in blocks and inside sentences, as lists of words."""
    text = re.sub(r"^```sql\n.*?^```", "", book.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\\\n\s*", " ", text)
    typed = re.findall(r"`((?:tapekeeper|python -m) [^`\n]*)`", text)
    typed += [line for line in text.splitlines() if line.startswith(("tapekeeper ", "python -m "))]
    return [shlex.split(command, comments=True) for command in typed]


def parse(words: list[str]) -> None:
    """Let the program take the words apart as it would before it did anything.

    Raises:
        click.UsageError: it knows no such command, option or value.
    """
    program = next(program for program in PROGRAMS if tuple(words[: len(program)]) == program)
    command, rest = PROGRAMS[program], words[len(program) :]
    while isinstance(command, click.Group) and not rest[0].startswith("-"):
        context = click.Context(command)
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        command = found
    if rest not in (["--help"], ["--version"]):
        command.make_context(command.name, rest)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_it_tells_what_it_means_what_to_look_at_and_what_to_do(book: Path) -> None:
    text = book.read_text(encoding="utf-8")
    assert text.startswith(f"# {book.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["What it means", "What to look at", "What to do"]
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (book.parent / link).exists()


@pytest.mark.parametrize("book", [book for book in BOOKS if commands(book)], ids=lambda book: book.stem)
def test_the_commands_exist(book: Path) -> None:
    for words in commands(book):
        parse(words)


@pytest.mark.parametrize(
    "words", ["tapekeeper gaps lost", "tapekeeper gaps list --nothing", "python -m collector metric"]
)
def test_a_command_that_does_not_exist_is_noticed(words: str) -> None:
    with pytest.raises(click.UsageError):
        parse(words.split())


def test_the_statements_run(module_database_url: str) -> None:
    with closing(psycopg2.connect(module_database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET ROLE tapekeeper_reader")
        for statement in [statement for book in BOOKS for statement in statements(book)]:
            cursor.execute(statement)
            assert cursor.description is not None, statement
