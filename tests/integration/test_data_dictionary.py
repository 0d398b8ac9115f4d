"""docs/data-dictionary.md describes the migrated database, and nothing else."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import psycopg2
import pytest

DICTIONARY: Final = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
_SECTION: Final = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_LINE: Final = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
_KEY: Final = re.compile(r"Key: ((?:`\w+`(?:, )?)+)\.")
_RELATIONS: Final = """
    SELECT
        relation.relname,
        relation.relkind = 'v',
        coalesce(obj_description(relation.oid), ''),
        ARRAY(
            SELECT attname::text FROM unnest(key.conkey) WITH ORDINALITY AS part (attnum, position)
            JOIN pg_attribute USING (attnum) WHERE attrelid = relation.oid ORDER BY position
        ),
        array_agg(attribute.attname::text ORDER BY attribute.attnum),
        array_agg(format_type(attribute.atttypid, attribute.atttypmod) ORDER BY attribute.attnum),
        array_agg(attribute.attnotnull ORDER BY attribute.attnum),
        array_agg(coalesce(col_description(relation.oid, attribute.attnum), '') ORDER BY attribute.attnum)
    FROM pg_class AS relation
    JOIN pg_attribute AS attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_constraint AS key ON key.conrelid = relation.oid AND key.contype = 'p'
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
    GROUP BY relation.oid, key.conkey
"""


class Column(NamedTuple):
    """A column, told by the database or by the dictionary."""

    type: str
    is_never_null: bool
    text: str
    """The comment, or what the line says."""


class Relation(NamedTuple):
    """A table or a view."""

    is_view: bool
    key: tuple[str, ...]
    text: str
    columns: dict[str, Column]


@pytest.fixture(scope="module")
def real(module_database_url: str) -> dict[str, Relation]:
    """What the migrated database has."""
    with closing(psycopg2.connect(module_database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT ensure_day_partition('option_trades', '2026-05-20')")
        cursor.execute(_RELATIONS)
        return {
            name: Relation(
                is_view,
                tuple(key),
                comment,
                {column: Column(*rest) for column, *rest in zip(names, types, not_null, comments, strict=True)},
            )
            for name, is_view, comment, key, names, types, not_null, comments in cursor.fetchall()
        }


@pytest.fixture(scope="module")
def described() -> dict[str, Relation]:
    """What the dictionary describes."""
    relations = {}
    for name, body in _SECTION.findall(DICTIONARY.read_text(encoding="utf-8")):
        text, _, lines = body.partition("\n| column |")
        head = " ".join(text.split())
        found = [
            (column, Column(kind, null == "never", f"{meaning}; {null}"))
            for column, kind, null, meaning in _LINE.findall(lines)
        ]
        assert len(dict(found)) == len(found), f"{name} has a line twice"
        key = _KEY.search(head)
        relations[name] = Relation(
            head.startswith("View."),
            tuple(re.findall(r"\w+", key[1])) if key else (),
            head,
            dict(found),
        )
    return relations


def test_every_table_and_view_has_a_section_and_no_other(
    real: dict[str, Relation], described: dict[str, Relation]
) -> None:
    assert sorted(described) == sorted(real)
    assert {name: one.is_view for name, one in described.items()} == {name: one.is_view for name, one in real.items()}


def test_every_column_has_a_line_and_no_other(real: dict[str, Relation], described: dict[str, Relation]) -> None:
    for name, relation in real.items():
        assert list(described[name].columns) == list(relation.columns), name


def test_types_and_keys_are_those_of_the_database(real: dict[str, Relation], described: dict[str, Relation]) -> None:
    for name, relation in real.items():
        assert described[name].key == relation.key, name
        types = {column: one.type for column, one in relation.columns.items()}
        assert {column: one.type for column, one in described[name].columns.items()} == types, name


def test_what_may_be_null_says_what_that_means(real: dict[str, Relation], described: dict[str, Relation]) -> None:
    for name, relation in real.items():
        if not relation.is_view:
            never = {column: one.is_never_null for column, one in relation.columns.items()}
            assert {column: one.is_never_null for column, one in described[name].columns.items()} == never, name


def test_the_comments_of_the_database_say_the_same(real: dict[str, Relation], described: dict[str, Relation]) -> None:
    for name, relation in real.items():
        assert relation.text.lower() in described[name].text.lower(), name
        for column, one in relation.columns.items():
            assert one.text.lower() in described[name].columns[column].text.lower(), f"{name}.{column}"
