"""deribit_price_index.{index} and platform_state: what the venue tells about itself."""

from __future__ import annotations

from typing import Final

from simulator.deribit.platform import index_price
from simulator.deribit.stream.source import Source, grid

_SECOND: Final = 1_000
_STATE_EVERY: Final = 377


class PriceIndexStream:
    """The price of an index, once a second."""

    def __init__(self, source: Source, name: str, base: str) -> None:
        self._source = source
        self._name = name
        self._base = base

    def first(self, moment: int) -> object | None:
        """Return the price as it is."""
        return self.notice(moment)

    def next_after(self, moment: int) -> int | None:
        """Return the next whole second."""
        return grid(moment, _SECOND)

    def notice(self, moment: int) -> object | None:
        """Return the price as it is."""
        price = index_price(self._source.world, self._base, moment)
        return {"timestamp": moment // _SECOND * _SECOND, "price": price, "index_name": self._name}


class PlatformStateStream:
    """That an index is not locked, several times a second: noise, as the venue sends it."""

    def __init__(self, indices: list[str]) -> None:
        self._indices = indices

    def first(self, _: int) -> object | None:
        """Return None: it begins with the next noise."""
        return None

    def next_after(self, moment: int) -> int | None:
        """Return when the next one is told."""
        return grid(moment, _STATE_EVERY)

    def notice(self, moment: int) -> object | None:
        """Return that the next index in turn is not locked."""
        return {"price_index": self._indices[moment // _STATE_EVERY % len(self._indices)], "locked": False}
