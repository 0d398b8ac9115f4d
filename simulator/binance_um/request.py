"""A request to the venue, and what most of its endpoints need of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from simulator.binance_um import errors
from simulator.binance_um.agg_trades import AggTape
from simulator.binance_um.contracts import Contract, Contracts
from simulator.binance_um.funding import FundingMaker
from simulator.binance_um.klines import KlineMaker
from simulator.binance_um.open_interest import OpenInterestMaker
from simulator.conditions import Conditions
from simulator.market import Market

_SYMBOL: Final = "^[A-Z0-9-_.]{1,20}$"
_NUMBER: Final = "^[0-9]{1,20}$"


class UmData:
    """Everything that the venue can be asked about; the same seed makes the same."""

    def __init__(self, market: Market, trades_per_day: int | None = None) -> None:
        self.market = market
        self.contracts = Contracts(trades_per_day)
        self.tape = AggTape(market)
        self.klines = KlineMaker(self.tape)
        self.open_interest = OpenInterestMaker(market, self.klines)
        self.funding = FundingMaker(market)


@dataclass(frozen=True, slots=True)
class Window:
    """What of a dataset is asked for: times in milliseconds, both included, and so many rows at most."""

    start: int | None
    end: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class UmRequest:
    """One request at one instant (milliseconds)."""

    data: UmData
    params: Mapping[str, str]
    now: int
    conditions: Conditions

    def contract(self) -> Contract:
        """Return the contract that the parameter `symbol` names.

        Raises:
            UmError: -1102, -1100 or -1121.
        """
        symbol = self.params.get("symbol")
        if not symbol:
            raise errors.missing("symbol")
        if not re.fullmatch(_SYMBOL, symbol):
            raise errors.illegal("symbol", _SYMBOL)
        contract = self.data.contracts.find(symbol, self.now)
        if contract is None:
            raise errors.bad_symbol()
        return contract

    def number(self, name: str) -> int | None:
        """Return a whole number, or None if it was not sent.

        Raises:
            UmError: -1100 or -1102.
        """
        value = self.params.get(name)
        if value is None:
            return None
        if not value:
            raise errors.missing(name)
        if not re.fullmatch(_NUMBER, value):
            raise errors.illegal(name, _NUMBER)
        return int(value)

    def choice(self, name: str, allowed: Collection[str], wrong: errors.UmError) -> str:
        """Return one of the allowed words, which has to be there.

        Raises:
            UmError: -1102, or the one given.
        """
        value = self.params.get(name)
        if not value:
            raise errors.missing(name)
        if value not in allowed:
            raise wrong
        return value

    def window(self, *, default: int, most: int) -> Window:
        """Return the window that startTime, endTime and limit ask for.

        Raises:
            UmError: -1100, -1102, -1130 or -1023.
        """
        start, end, limit = self.number("startTime"), self.number("endTime"), self.number("limit")
        if limit is not None and not 1 <= limit <= most:
            raise errors.not_valid("limit")
        if start is not None and end is not None and start > end:
            raise errors.turned_round()
        return Window(start, end, limit or default)
