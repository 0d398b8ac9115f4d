"""ticker.{i}.{interval}, incremental_ticker.{i}, markprice.options.{index}."""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.deribit.stream.source import Source, grid
from simulator.deribit.tickers import ticker_row

_SECOND: Final = 1_000


class TickerStream:
    """The whole state of an instrument, whenever its quote changes; its last word is about its delivery."""

    def __init__(self, source: Source, name: str, every: int) -> None:
        self._source = source
        self._name = name
        self._every = every

    def first(self, moment: int) -> object | None:
        """Return the state as it is."""
        return self._row(moment)

    def next_after(self, moment: int) -> int | None:
        """Return when the quote changes next, or when the life ends; nothing after that."""
        instrument = self._source.known(self._name, moment)
        if moment >= instrument.end:
            return None
        if self._every:
            return min(grid(moment, self._every), instrument.end)
        schedule = self._source.world.quotes.books.schedule(instrument)
        return min(schedule.time_of(schedule.number_at(moment) + 1), instrument.end)

    def notice(self, moment: int) -> object | None:
        """Return the state as it is."""
        return self._row(moment)

    def _row(self, moment: int) -> dict[str, object]:
        return ticker_row(self._source.world, self._source.known(self._name, moment), moment)


class IncrementalTickerStream(TickerStream):
    """A whole state first, then once a second the fields that changed."""

    def __init__(self, source: Source, name: str) -> None:
        super().__init__(source, name, _SECOND)

    def first(self, moment: int) -> object | None:
        """Return the whole state."""
        return {"type": "snapshot", **self._row(moment)}

    def notice(self, moment: int) -> object | None:
        """Return the fields that changed in the last second, and what names the instrument."""
        row, before = self._row(moment), self._row(moment - _SECOND)
        changed = {field: value for field, value in row.items() if before.get(field) != value}
        return {"type": "change", "instrument_name": self._name, **changed}


class MarkPriceStream:
    """Mark prices and volatilities of all options of an index, once a second."""

    def __init__(self, source: Source, index: str) -> None:
        self._source = source
        self._index = index

    def first(self, moment: int) -> object | None:
        """Return them as they are."""
        return self.notice(moment)

    def next_after(self, moment: int) -> int | None:
        """Return the next whole second."""
        return grid(moment, _SECOND)

    def notice(self, moment: int) -> object | None:
        """Return them as they are."""
        world, second = self._source.world, moment // _SECOND * _SECOND
        live = world.catalogue.live(moment)
        options = [one for one in live if one.kind == "option" and one.price_index == self._index]
        if not options:
            return []
        marks, volatilities = world.market.chain(options, second)
        rounded = zip(np.round(marks, 6).tolist(), np.round(volatilities * 100, 2).tolist(), strict=True)
        return [
            {"instrument_name": one.name, "mark_price": mark, "iv": volatility, "timestamp": second}
            for one, (mark, volatility) in zip(options, rounded, strict=True)
        ]
