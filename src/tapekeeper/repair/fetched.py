"""What a repair fetched: rows that are written already, and the last of them, which is committed with the gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.window import Window


@dataclass(frozen=True, slots=True)
class RepairPurpose:
    """What the requests of a repair are for."""

    series_id: int
    window: Window
    run_id: None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The venue's answers about a gap."""

    is_clean: bool
    """Everything in them could be believed."""
    write_rest: Callable[[Cursor], None]
    """Writes what is not written yet."""


def _nothing(_: Cursor) -> None:
    """Stand in where all is written."""


NOTHING_FETCHED: Final = Fetched(is_clean=True, write_rest=_nothing)
"""The venue told nothing, or all of what it told is written and believed."""
