"""What the documents say is so."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tapekeeper.cli import main

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), PROJECT / "simulator" / "README.md"])


def test_the_table_of_settings_is_the_one_that_the_program_prints() -> None:
    printed = CliRunner().invoke(main, ["settings", "--markdown"]).output
    assert printed.count("TAPEKEEPER_") > 10
    assert printed in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def commands(group: click.Group, *before: str) -> list[str]:
    """Return every command of a group as it is typed."""
    found = []
    for name, command in group.commands.items():
        found += commands(command, *before, name) if isinstance(command, click.Group) else [" ".join((*before, name))]
    return found


@pytest.mark.parametrize("command", commands(main))
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    told = CliRunner().invoke(main, [*command.split(), "--help"]).output
    assert "Examples:" in told
    assert f"tapekeeper {command}" in told
