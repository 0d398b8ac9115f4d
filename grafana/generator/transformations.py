"""What is done to the answers of several queries before a table shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grafana.generator.queries import Json

MERGED: Final[Json] = {"id": "merge", "options": {}}
"""Rows with the same labels become one, with a column per query."""


def organised(names: Mapping[str, str]) -> Json:
    """Keep these columns, in this order, under these names.

    Args:
        names: what the reader sees by what the query gives; `Value #B` is the number of the second query.
    """
    options = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate(names)},
        "renameByName": dict(names),
    }
    return {"id": "organize", "options": options}


def value_columns(titles: list[str]) -> dict[str, str]:
    """Name the numbers of several queries, in their order."""
    return {f"Value #{letter}": title for letter, title in zip("ABCDEFGHIJ", titles, strict=False)}
