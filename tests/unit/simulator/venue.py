"""Asks the venue without HTTP."""

from __future__ import annotations

from typing import Any, Final

import orjson
from hypothesis import settings

from simulator.conditions import Conditions
from simulator.deribit.methods import call
from simulator.faults import parse_faults
from simulator.instruments import VenueInstrument
from simulator.world import World

SEED: Final = 11
NOW: Final = 1_779_280_496_789
"""2026-05-20 12:34:56.789 UTC, a Wednesday."""

steady: Final = settings(deadline=None, derandomize=True, max_examples=60)
"""The same examples in every run, however slow the machine is."""


class Venue:
    """Calls methods of a world, now or at another time, with or without faults."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(self, method: str, *, now: int = NOW, faults: list[dict[str, Any]] | None = None, **params: Any) -> Any:
        """Return the result as a client reads it from JSON."""
        parsed = parse_faults(orjson.dumps({"faults": faults or []}))
        result = call(self.world, f"public/{method}", params, now, Conditions(self.world.seed, parsed))
        return orjson.loads(orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY))

    def candles(
        self,
        instrument: str,
        start: int,
        end: int,
        resolution: str = "1",
        *,
        now: int = NOW,
        faults: list[dict[str, Any]] | None = None,
    ) -> Any:
        """Return the result of get_tradingview_chart_data."""
        return self.ask(
            "get_tradingview_chart_data",
            now=now,
            faults=faults,
            instrument_name=instrument,
            start_timestamp=start,
            end_timestamp=end,
            resolution=resolution,
        )

    def instrument(self, name: str) -> VenueInstrument:
        """Return an instrument that has to be there."""
        found = self.world.catalogue.find(name, NOW)
        assert found is not None
        return found
