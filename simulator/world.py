"""One seeded world: the market, its instruments, their tape, and what is derived from it."""

from __future__ import annotations

from simulator.catalogue import Catalogue
from simulator.chart import ChartMaker
from simulator.market import Market
from simulator.moments import Clock
from simulator.quotes import Quotes
from simulator.recent import Recent
from simulator.tape import Tape


class World:
    """Everything that a venue can be asked about; the same seed makes the same world."""

    def __init__(
        self, seed: int, clock: Clock, quote_changes_per_second: float = 1.0, *, has_calendar: bool = True
    ) -> None:
        self.seed = seed
        self.clock = clock
        self.market = Market(seed)
        self.catalogue = Catalogue(self.market, has_calendar=has_calendar)
        self.tape = Tape(self.market)
        self.charts = ChartMaker(self.tape)
        self.quotes = Quotes(self.market, self.tape, quote_changes_per_second)
        self.summaries: Recent[tuple[str | None, str | None, int], list[dict[str, object]]] = Recent(12, lambda _: 1)
