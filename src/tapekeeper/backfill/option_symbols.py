"""Which options of those that a venue tells of are held: it tells of many that it has no rows of."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.tools import open_database, tools_for
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.store.held_options import held_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekeeper.settings import Settings

EXAMPLES: Final = 10


@dataclass(frozen=True, slots=True)
class SymbolReport:
    """The options that the venue tells of, against those that are held."""

    available: int
    held: int
    """Those of them with at least one row."""
    examples: tuple[str, ...]
    """The first few that are missing, by name."""

    def as_json(self) -> dict[str, object]:
        """Return the report with plain names."""
        missing = self.available - self.held
        return {"available": self.available, "held": self.held, "missing": missing, "examples": list(self.examples)}


def available_symbols(settings: Settings, currencies: Iterable[str]) -> frozenset[str]:
    """Return the names of all options of some currencies that the venue tells of.

    Raises:
        RetryLater: the venue cannot be asked now.
        Stop: a person has to change something first.
    """
    tools = tools_for(CRYPTODATADOWNLOAD_OPTION_CANDLES, settings, Priority.BACKFILL)()
    try:
        venue = tools.option_venue()
        return frozenset(name for currency in currencies for name in venue.available(currency))
    finally:
        tools.close()


def compare_symbols(settings: Settings, names: frozenset[str]) -> SymbolReport:
    """Return which of the options of these names are held."""
    with closing(open_database(settings, application_name="tapekeeper backfill")) as database:
        held = database.run(lambda cursor: held_options(cursor, CRYPTODATADOWNLOAD_OPTION_CANDLES, names))
    return SymbolReport(len(names), len(held), tuple(sorted(names - held)[:EXAMPLES]))
