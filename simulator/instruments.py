"""What an instrument of the venue is: its terms, never its prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from simulator.expiries import SettlementPeriod
from simulator.hashing import key_of
from simulator.moments import DAY, FOREVER

Kind = Literal["future", "option", "spot", "future_combo", "option_combo"]
KINDS: Final = ("future", "option", "spot", "future_combo", "option_combo")


@dataclass(frozen=True, slots=True)
class TickStep:
    """Above this price, another tick size."""

    above_price: float
    tick_size: float


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a combo: so many of an instrument, negative for sold ones."""

    instrument_name: str
    amount: int


@dataclass(frozen=True, slots=True)
class VenueInstrument:
    """One instrument; moments in milliseconds, prices in the quote currency."""

    name: str
    kind: Kind
    base: str
    quote: str
    settlement: str
    listed_at: int
    expires_at: int
    tick_size: float
    contract_size: float
    min_trade_amount: float
    trades_per_hundred_days: int
    """How busy its tape is; fewer than a hundred means days without a trade."""
    settlement_period: SettlementPeriod = "perpetual"
    tick_size_steps: tuple[TickStep, ...] = ()
    strike: float | None = None
    option_type: Literal["call", "put"] | None = None
    expiry_day: date | None = None
    legs: tuple[Leg, ...] = ()
    """What a combo consists of."""
    ended_at: int | None = None
    """Set where the instrument was settled before its time."""

    @property
    def end(self) -> int:
        """When its life ends."""
        return self.expires_at if self.ended_at is None else min(self.ended_at, self.expires_at)

    @property
    def instrument_id(self) -> int:
        """The venue's number for it."""
        return 100_000 + key_of("instrument", self.name) % 900_000

    @property
    def is_linear(self) -> bool:
        """Whether amounts are in the base currency; inverse futures count in US dollars."""
        return self.settlement != self.base

    @property
    def counts_in_dollars(self) -> bool:
        """Whether an amount is a sum of US dollars, as for inverse futures."""
        return self.kind == "future" and not self.is_linear

    @property
    def is_perpetual(self) -> bool:
        """Whether it is a future without an expiry."""
        return self.kind == "future" and self.expires_at == FOREVER

    @property
    def price_index(self) -> str:
        """The name of the index that it follows."""
        return f"{self.base}_{self.settlement if self.is_linear else 'USD'}".lower()

    def state(self, now: int) -> str:
        """Return open, or delivered after the end of its life."""
        return "open" if now < self.end else "delivered"

    def settled(self, moment: int) -> VenueInstrument:
        """Return it with its life ended at `moment`."""
        return replace(self, ended_at=moment)

    def trades_before(self, moment: int) -> int:
        """Return how many trades its whole life holds before a day boundary; the first one falls on the listing.

        Arithmetic alone, so that the sequence number of any trade of any day is known without making the others.
        """
        moment = min(moment, self.expires_at)
        if moment <= self.listed_at or not self.trades_per_hundred_days:
            return 0
        return 1 + (moment - self.listed_at) * self.trades_per_hundred_days // (100 * DAY)

    def day_of_trade(self, sequence: int) -> int:
        """Return the day, counted from 1970, that holds the trade with this sequence number (from 1)."""
        since_listing = -(-(sequence - 1) * 100 * DAY // self.trades_per_hundred_days)
        return max(self.listed_at + since_listing - 1, self.listed_at) // DAY


def combo(template: VenueInstrument, name: str, kind: Kind, legs: tuple[Leg, ...]) -> VenueInstrument:
    """Return a combination of instruments of one expiry; combos are listed but have no tape of their own."""
    return replace(
        template,
        name=name,
        kind=kind,
        legs=legs,
        trades_per_hundred_days=0,
        strike=None,
        option_type=None,
        tick_size_steps=(),
    )
