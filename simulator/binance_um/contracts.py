"""The perpetual contracts that the venue lists, and the terms of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from simulator.instruments import VenueInstrument
from simulator.moments import FOREVER, HOUR

DELIVERED_NEVER: Final = 4_133_404_800_000
"""What the venue calls the delivery date of a perpetual."""


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """From an instant (milliseconds) on, funding is paid every so many hours, on whole multiples of them."""

    since: int
    hours: int


@dataclass(frozen=True, slots=True)
class Contract:
    """One perpetual; moments in milliseconds, sizes as powers of ten."""

    instrument: VenueInstrument
    price_decimals: int
    quantity_decimals: int
    funding: tuple[FundingTerms, ...]

    @property
    def symbol(self) -> str:
        """The venue's name for it."""
        return self.instrument.name

    @property
    def onboard_at(self) -> int:
        """When its first trade happens."""
        return self.instrument.listed_at

    @property
    def end(self) -> int:
        """When its last trade has happened."""
        return self.instrument.end

    @property
    def quote_decimals(self) -> int:
        """How many decimals a price times a quantity has."""
        return self.price_decimals + self.quantity_decimals

    def status(self, now: int) -> str:
        """Return TRADING, or SETTLING after its end."""
        return "TRADING" if now < self.end else "SETTLING"

    def funding_hours(self, moment: int) -> int:
        """Return after how many hours funding is paid at this instant."""
        return next(terms.hours for terms in reversed(self.funding) if terms.since <= moment or terms.since == 0)


class Contracts:
    """All contracts of the venue; `trades_per_day` makes each of them as busy as that."""

    def __init__(self, trades_per_day: int | None = None) -> None:
        self._by_symbol = {one.symbol: _as_busy(one, trades_per_day) for one in _LISTED}

    def find(self, symbol: str, now: int) -> Contract | None:
        """Return the contract if it was listed by `now`, trading or not."""
        contract = self._by_symbol.get(symbol)
        return contract if contract is not None and contract.onboard_at <= now else None

    def listed(self, now: int) -> Iterator[Contract]:
        """Yield what was listed by `now`, in the order of listing."""
        for contract in self._by_symbol.values():
            if contract.onboard_at <= now:
                yield contract


def _as_busy(contract: Contract, trades_per_day: int | None) -> Contract:
    if trades_per_day is None:
        return contract
    return replace(contract, instrument=replace(contract.instrument, trades_per_hundred_days=trades_per_day * 100))


def _contract(
    base: str,
    onboard_at: int,
    decimals: tuple[int, int],
    tick_size: float,
    trades_per_day: int,
    *,
    funding: tuple[FundingTerms, ...] = (FundingTerms(0, 8),),
    ended_at: int | None = None,
) -> Contract:
    price_decimals, quantity_decimals = decimals
    instrument = VenueInstrument(
        name=f"{base}USDT",
        kind="future",
        base=base,
        quote="USDT",
        settlement="USDT",
        listed_at=onboard_at,
        expires_at=FOREVER,
        tick_size=tick_size,
        contract_size=1.0,
        min_trade_amount=10.0**-quantity_decimals,
        trades_per_hundred_days=trades_per_day * 100,
        ended_at=ended_at,
    )
    return Contract(instrument, price_decimals, quantity_decimals, funding)


_CHANGED_AT: Final = 1_697_529_600_000
"""2023-10-17 08:00 UTC."""
_LISTED: Final = (
    _contract("BTC", 1_567_965_420_000, (2, 3), 0.1, 4_320),
    _contract("ETH", 1_574_841_600_000, (2, 3), 0.01, 2_880),
    _contract("SOL", 1_600_066_800_000, (4, 2), 0.001, 1_440),
    _contract("SRM", 1_598_943_600_000, (4, 0), 0.0001, 720, ended_at=1_669_629_600_000),
    _contract("TRB", 1_599_030_000_000, (3, 1), 0.001, 500, funding=(FundingTerms(0, 8), FundingTerms(_CHANGED_AT, 4))),
    _contract("LPT", 1_631_350_800_000, (3, 1), 0.001, 400, funding=(FundingTerms(0, 4),)),
    _contract("MYX", 1_746_522_000_000 // HOUR * HOUR, (4, 0), 0.0001, 600, funding=(FundingTerms(0, 1),)),
    _contract("HUMA", 1_748_266_200_000, (5, 0), 0.00001, 300),
)
"""SRMUSDT ended on 2022-11-28; TRBUSDT changed from 8 to 4 hours, LPTUSDT has 4, MYXUSDT 1; HUMAUSDT is the newest."""
