"""Instrument: something a venue lists, from its listing to its expiry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tapekeeper.model.window import Window

InstrumentKind = Literal["perpetual", "future", "option", "option_chain", "spot", "combo"]
"""An option chain is all options of a currency, where a venue tells them together."""

FOREVER = 32_503_680_000_000_000
"""3000-01-01 in microseconds: where the life of an instrument without an expiry ends."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument as its venue describes it; moments in microseconds since 1970, prices in the quote currency."""

    venue: str
    name: str
    kind: InstrumentKind
    currency: str
    listed_at: int
    expires_at: int | None = None
    tick_size: float | None = None
    strike: float | None = None
    option_type: Literal["call", "put"] | None = None

    def life(self, now: int) -> Window | None:
        """Return from the listing to the expiry or `now`, whichever comes first; None before the listing."""
        end = min(now, self.expires_at or FOREVER)
        return Window(self.listed_at, end) if self.listed_at < end else None


@dataclass(frozen=True, slots=True)
class Listing:
    """All instruments of a venue that live, as it lists them."""

    instruments: tuple[Instrument, ...]
    """Those that could be understood."""
    names: frozenset[str]
    """Of all that are listed: one that cannot be understood today is not delisted."""
