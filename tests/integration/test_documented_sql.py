"""The SQL in the documents runs in a migrated database."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg2
import pytest

PROJECT: Final = Path(__file__).parents[2]
_BLOCK: Final = re.compile(r"^```sql\n(.*?)^```", re.MULTILINE | re.DOTALL)


def statements(document: Path) -> list[str]:
    """Return the statements of a document's blocks of SQL, without comments."""
    blocks = (re.sub(r"--.*", "", block) for block in _BLOCK.findall(document.read_text(encoding="utf-8")))
    return [statement for block in blocks for statement in block.split(";") if statement.strip()]


@pytest.mark.parametrize("name", ["README.md", "docs/completeness.md"])
def test_every_statement_runs(name: str, module_database_url: str) -> None:
    found = statements(PROJECT / name)
    assert len(found) > 1
    with closing(psycopg2.connect(module_database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET ROLE tapekeeper_reader")
        for statement in found:
            cursor.execute(statement)
            assert cursor.description is not None, statement
