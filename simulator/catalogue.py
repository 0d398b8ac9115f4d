"""Which instruments the venue lists, at any time of its life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from simulator import expiries
from simulator.hashing import uniform
from simulator.instruments import Leg, TickStep, VenueInstrument, combo
from simulator.market import Market, moments
from simulator.moments import DAY, FOREVER

RECENTLY_EXPIRED: Final = 3 * DAY
"""How long `expired=true` still lists an instrument; the venue does not document its own."""
_BEGINNING: Final = 1_534_242_287_000
_DATED_FUTURE_TRADES: Final = 60_000


@dataclass(frozen=True, slots=True)
class Underlying:
    """What the dated instruments of one base currency look like."""

    base: str
    settlement: str
    strikes: int
    has_dailies: bool
    future_tick: float
    future_amount: float


UNDERLYINGS: Final = {
    "BTC": Underlying("BTC", "BTC", 17, True, 2.5, 10.0),
    "ETH": Underlying("ETH", "ETH", 17, True, 0.05, 1.0),
    "XRP_USDC": Underlying("XRP", "USDC", 9, False, 0.0001, 1.0),
}
_INVERSE_OPTION_STEPS: Final = (TickStep(0.005, 0.0005),)


def _perpetual(
    name: str, base: str, settlement: str, listed_at: int, tick: float, amount: float, per_day: float
) -> VenueInstrument:
    return VenueInstrument(
        name=name,
        kind="future",
        base=base,
        quote="USD" if settlement == base else settlement,
        settlement=settlement,
        listed_at=listed_at,
        expires_at=FOREVER,
        tick_size=tick,
        contract_size=amount,
        min_trade_amount=amount,
        trades_per_hundred_days=round(per_day * 100),
    )


def _spot(base: str, quote: str, listed_at: int, tick: float, amount: float, per_day: float) -> VenueInstrument:
    return replace(_perpetual(f"{base}_{quote}", base, quote, listed_at, tick, amount, per_day), kind="spot")


LASTING: Final = (
    _perpetual("BTC-PERPETUAL", "BTC", "BTC", _BEGINNING, 0.5, 10.0, 4_320),
    _perpetual("ETH-PERPETUAL", "ETH", "ETH", 1_552_568_454_000, 0.05, 1.0, 2_880),
    _perpetual("BTC_USDC-PERPETUAL", "BTC", "USDC", 1_647_853_200_000, 0.5, 0.001, 720),
    _perpetual("SOL_USDC-PERPETUAL", "SOL", "USDC", 1_650_621_600_000, 0.01, 0.1, 1_440),
    _perpetual("XRP_USDC-PERPETUAL", "XRP", "USDC", 1_653_292_800_000, 0.0001, 1.0, 500),
    _perpetual("PAXG_USDC-PERPETUAL", "PAXG", "USDC", 1_707_901_200_000, 0.1, 0.001, 0.4),
    _spot("BTC", "USDC", 1_682_404_200_000, 1.0, 0.0001, 900),
    _spot("ETH", "USDC", 1_682_404_200_000, 0.1, 0.001, 700),
    _spot("BTC", "USDT", 1_707_210_000_000, 1.0, 0.0001, 120),
)
"""What is listed once and stays. PAXG_USDC-PERPETUAL trades less than once in two days."""


class Catalogue:
    """All instruments of one seeded world: a pure function of time, but for what was listed or settled by hand.

    Args:
        market: where the index stands.
        has_calendar: whether dated instruments come and go by themselves, or only by hand.
    """

    def __init__(self, market: Market, *, has_calendar: bool = True) -> None:
        self._market = market
        self._has_calendar = has_calendar
        self._by_hand: dict[str, VenueInstrument] = {}
        self._chain = lru_cache(maxsize=2_048)(self._make_chain)

    def find(self, name: str, now: int) -> VenueInstrument | None:
        """Return the instrument of that name if it was listed by `now`, dead or alive."""
        instrument = self._by_hand.get(name) or _LASTING_BY_NAME.get(name) or self._find_dated(name)
        return instrument if instrument is not None and instrument.listed_at <= now else None

    def between(self, start: int, end: int) -> Iterator[VenueInstrument]:
        """Yield what is alive at some time in `[start, end]` (milliseconds)."""
        instruments = {instrument.name: instrument for instrument in self._nominal(start, end)} | self._by_hand
        for instrument in instruments.values():
            if instrument.listed_at <= end and instrument.end > start:
                yield instrument

    def live(self, now: int) -> list[VenueInstrument]:
        """Return what can be traded at `now`."""
        return list(self.between(now, now))

    def expired(self, now: int) -> list[VenueInstrument]:
        """Return what expired recently."""
        return [instrument for instrument in self.between(now - RECENTLY_EXPIRED, now) if instrument.end <= now]

    def combo_of(self, option: VenueInstrument) -> str | None:
        """Return the name of the option combo of the same expiry, if there is one."""
        root = option.name.split("-")[0]
        chain = self._chain(root, option.expiry_day) if option.expiry_day and root in UNDERLYINGS else {}
        return next((one.name for one in chain.values() if one.kind == "option_combo"), None)

    def settle(self, instrument: VenueInstrument, now: int) -> VenueInstrument:
        """End the life of an instrument now, and return it as it is from here on."""
        settled = self._by_hand[instrument.name] = instrument.settled(now)
        return settled

    def list_by_hand(
        self, name: str, now: int, expires_at: int | None, trades_per_day: float
    ) -> VenueInstrument | None:
        """List an instrument now that time alone does not list; None if nothing that lives could be called so."""
        described = self._from_name(name)
        if described is None:
            return None
        expires_at = expires_at or described.expires_at
        if expires_at <= now:
            return None
        pace = round(trades_per_day * 100)
        listed = replace(described, listed_at=now, expires_at=expires_at, trades_per_hundred_days=pace)
        self._by_hand[name] = listed
        return listed

    def _nominal(self, start: int, end: int) -> Iterator[VenueInstrument]:
        yield from LASTING
        for day in expiries.expiries_between(start, end):
            for root in UNDERLYINGS:
                yield from self._chain(root, day).values()

    def _find_dated(self, name: str) -> VenueInstrument | None:
        day, root = expiries.expiry_in_name(name), name.split("-")[0]
        return self._chain(root, day).get(name) if day is not None and root in UNDERLYINGS else None

    def _make_chain(self, root: str, day: date) -> dict[str, VenueInstrument]:
        underlying, period = UNDERLYINGS[root], expiries.settlement_period(day)
        before = expiries.listed_at(day) < _BEGINNING
        if not self._has_calendar or before or (period == "day" and not underlying.has_dailies):
            return {}
        chain = []
        if underlying.settlement == underlying.base and period != "day":
            chain += _future_and_spread(underlying, root, day)
        chain += _options_and_spread(underlying, root, day, self._strikes(underlying, day))
        return {instrument.name: instrument for instrument in chain}

    def _strikes(self, underlying: Underlying, day: date) -> list[float]:
        """Return strikes around the index at the listing, wider for later expiries, on round numbers."""
        listed_at = expiries.listed_at(day)
        level = float(self._market.index(underlying.base, moments(listed_at))[0])
        days = (expiries.expires_at(day) - listed_at) / DAY
        width = min(0.07 * days**0.5, 1.2)
        magnitude = 10.0 ** np.floor(np.log10(level))
        grid = magnitude / (50 if days > 30 else 200)
        raw = level * np.exp(np.linspace(-width, width, underlying.strikes))
        return sorted({round(float(max(np.rint(strike / grid), 1.0) * grid), 6) for strike in raw})

    def _from_name(self, name: str) -> VenueInstrument | None:
        day, parts = expiries.expiry_in_name(name), name.split("-")
        if day is None:
            base, _, settlement = parts[0].partition("_")
            if parts[1:] != ["PERPETUAL"] or settlement != "USDC":
                return None
            return _perpetual(name, base, settlement, 0, 0.001, 1.0, 100)
        underlying = UNDERLYINGS.get(parts[0])
        if underlying is None:
            return None
        if len(parts) == 2:
            return _dated_future(underlying, parts[0], day)
        try:
            _, _, strike, letter = parts
            kind: Literal["call", "put"] = {"C": "call", "P": "put"}[letter]  # type: ignore[assignment]
            option = _option(underlying, parts[0], day, float(strike.replace("d", ".")), kind)
        except (ValueError, KeyError):
            return None
        return option if option.name == name else None


def strike_code(strike: float) -> str:
    """Return a strike as it stands in names: 3200, or 1d25 for 1.25."""
    return f"{strike:f}".rstrip("0").rstrip(".").replace(".", "d")


def _future_and_spread(underlying: Underlying, root: str, day: date) -> list[VenueInstrument]:
    future = _dated_future(underlying, root, day)
    name = f"{root}-FS-{expiries.expiry_code(day)}_PERP"
    return [future, combo(future, name, "future_combo", (Leg(f"{root}-PERPETUAL", -1), Leg(future.name, 1)))]


def _options_and_spread(underlying: Underlying, root: str, day: date, strikes: list[float]) -> list[VenueInstrument]:
    calls = [_option(underlying, root, day, strike, "call") for strike in strikes]
    puts = [_option(underlying, root, day, strike, "put") for strike in strikes]
    middle = len(strikes) // 2
    name = (
        f"{root}-CS-{expiries.expiry_code(day)}-{strike_code(strikes[middle - 1])}_{strike_code(strikes[middle + 1])}"
    )
    legs = (Leg(calls[middle - 1].name, 1), Leg(calls[middle + 1].name, -1))
    return [*calls, *puts, combo(calls[0], name, "option_combo", legs)]


def _dated_future(underlying: Underlying, root: str, day: date) -> VenueInstrument:
    perpetual = _perpetual(
        f"{root}-{expiries.expiry_code(day)}",
        underlying.base,
        underlying.settlement,
        expiries.listed_at(day),
        underlying.future_tick,
        underlying.future_amount,
        0,
    )
    return replace(
        perpetual,
        expires_at=expiries.expires_at(day),
        expiry_day=day,
        settlement_period=expiries.settlement_period(day),
        trades_per_hundred_days=_DATED_FUTURE_TRADES,
    )


def _option(
    underlying: Underlying, root: str, day: date, strike: float, option_type: Literal["call", "put"]
) -> VenueInstrument:
    is_linear = underlying.settlement != underlying.base
    name = f"{root}-{expiries.expiry_code(day)}-{strike_code(strike)}-{option_type[0].upper()}"
    chance = uniform("busyness", name)
    return VenueInstrument(
        name=name,
        kind="option",
        base=underlying.base,
        quote=underlying.settlement,
        settlement=underlying.settlement,
        listed_at=expiries.listed_at(day),
        expires_at=expiries.expires_at(day),
        tick_size=0.0001,
        contract_size=1.0,
        min_trade_amount=1.0 if is_linear else 0.1,
        trades_per_hundred_days=0 if chance < 0.1 else round(2_000 * 60**chance),
        settlement_period=expiries.settlement_period(day),
        tick_size_steps=() if is_linear else _INVERSE_OPTION_STEPS,
        strike=strike,
        option_type=option_type,
        expiry_day=day,
    )


_LASTING_BY_NAME: Final = {instrument.name: instrument for instrument in LASTING}
