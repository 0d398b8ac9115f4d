"""A limit that a venue sets, as its documents state it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many permits there are of one kind; the rate budget of the same name enforces it for all processes."""

    name: str
    """The name of the budget, such as `deribit.rest`."""
    permits_per_second: float
    """The pace that can be kept for ever."""
    burst: int
    """Permits that can be taken at once after a quiet time."""
