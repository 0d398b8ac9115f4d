"""A request for a method, and what most methods need of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from simulator.conditions import Conditions
from simulator.errors import invalid
from simulator.instruments import KINDS, VenueInstrument
from simulator.params import Params
from simulator.world import World

CURRENCIES: Final = ("BTC", "ETH", "USDC", "USDT", "EURR")


@dataclass(frozen=True, slots=True)
class Request:
    """One call of one method at one instant (milliseconds)."""

    world: World
    params: Params
    now: int
    conditions: Conditions

    def instrument(self) -> VenueInstrument:
        """Return the instrument that the parameter `instrument_name` names.

        Raises:
            VenueError: -32602, there is none, with the reason and the parameter as the venue gives them.
        """
        found = self.world.catalogue.find(self.params.text("instrument_name"), self.now)
        if found is None:
            raise invalid("instrument_name", "instrument not found")
        return found

    def currency(self, *, may_be_any: bool) -> str | None:
        """Return the parameter `currency`, None for any."""
        currency = self.params.optional_text("currency")
        if may_be_any and currency in (None, "any"):
            return None
        if currency not in CURRENCIES:
            raise invalid("currency", "invalid currency" if currency else "missing required parameter")
        return currency

    def kind(self) -> str | None:
        """Return the parameter `kind`, None for any."""
        kind = self.params.choice("kind", (*KINDS, "any"), default="any")
        return None if kind == "any" else kind


Method: TypeAlias = Callable[[Request], object]
"""Answers a request with the `result` of the envelope, or raises VenueError."""


def chosen(instruments: Iterable[VenueInstrument], currency: str | None, kind: str | None) -> list[VenueInstrument]:
    """Return the instruments that settle in the currency and are of the kind; None means any."""
    return [
        instrument
        for instrument in instruments
        if currency in (None, instrument.settlement) and kind in (None, instrument.kind)
    ]
