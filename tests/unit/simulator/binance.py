"""Asks Binance USD-M without HTTP."""

from __future__ import annotations

from typing import Any, Final

import orjson

from simulator.binance_um.contracts import Contract
from simulator.binance_um.endpoints import ENDPOINTS
from simulator.binance_um.request import UmData, UmRequest
from simulator.conditions import Conditions
from simulator.faults import parse_faults
from simulator.market import Market
from tests.unit.simulator.venue import NOW, SEED

START: Final = 1_767_225_600_000
"""2026-01-01 00:00 UTC, a Thursday."""


class Binance:
    """Calls endpoints of a small world, now or at another time, with or without faults."""

    def __init__(self) -> None:
        self.data = UmData(Market(SEED))

    def ask(self, path: str, *, now: int = NOW, faults: list[dict[str, Any]] | None = None, **params: Any) -> Any:
        """Return the answer as a client reads it from JSON."""
        parsed = parse_faults(orjson.dumps({"faults": faults or []}))
        query = {name: str(value) for name, value in params.items()}
        return orjson.loads(ENDPOINTS[path].answer(UmRequest(self.data, query, now, Conditions(SEED, parsed))))

    def klines(self, symbol: str, interval: str, **params: Any) -> Any:
        """Return the answer of klines."""
        return self.ask("fapi/v1/klines", symbol=symbol, interval=interval, **params)

    def contract(self, symbol: str) -> Contract:
        """Return a contract that has to be there."""
        found = self.data.contracts.find(symbol, NOW)
        assert found is not None
        return found
