"""What a case found: figures, the bounds that they have to keep, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

Say = Callable[[str], None]
"""Tells what is under way."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A promise about one figure."""

    figure: str
    measured: float
    limit: float
    at_least: bool
    """Whether the limit is the least that is allowed, or the most."""
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def as_json(self) -> dict[str, Any]:
        """Return the bound with plain names."""
        return {
            "figure": self.figure,
            "measured": round(self.measured, 4),
            "limit": self.limit,
            "at_least": self.at_least,
            "holds": self.holds,
        }

    def as_text(self) -> Text:
        """Return a line for a person."""
        word, side = ("kept", ">=") if self.holds else ("MISSED", ">=")
        side = side if self.at_least else "<="
        line = f"  {word:7}{self.figure}: {self.measured:,.2f}{self.unit} (bound: {side} {self.limit:,g}{self.unit})"
        return Text(line, style="green" if self.holds else "bold red")


@dataclass(slots=True)
class Report:
    """The outcome of one case."""

    case: str
    about: str
    """What was measured and on what, in sentences."""
    columns: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list)
    """What the table shows, as text."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The same for programs: numbers by name."""
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the report with plain names."""
        return {
            "case": self.case,
            "about": self.about,
            "figures": self.figures,
            "bounds": [bound.as_json() for bound in self.bounds],
            "notes": self.notes,
        }

    def as_picture(self) -> Group:
        """Return the report for a person."""
        table = Table(title=self.case, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for line in self.lines:
            table.add_row(*line)
        parts: list[RenderableType] = [Text(self.about), table]
        parts += [Text(f"  {note}") for note in self.notes]
        return Group(*parts, *(bound.as_text() for bound in self.bounds))


def thousands(value: float) -> str:
    """Return a count with thousands separators."""
    return f"{value:,.0f}"
