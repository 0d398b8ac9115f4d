"""What the venue's JSON looks like under its documents: the forms that a number may come in."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tapekeeper.clock import MILLISECONDS_MAXIMUM

Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=MILLISECONDS_MAXIMUM)]
"""A moment since 1970."""
Ordinal = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number that the venue counts by."""
Name = Annotated[str, msgspec.Meta(min_length=1)]

INTEGERS: Final = frozenset({"timestamp", "trade_seq", "change_id", "prev_change_id"})
NUMBERS: Final = frozenset({
    "best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount", "mark_price", "underlying_price",
    "index_price", "mark_iv", "bid_iv", "ask_iv", "iv", "open_interest",
})  # fmt: skip
"""Optional ones: each may be missing, null or, at an expiry, text such as "expired" (recorded)."""


def tolerated(value: object) -> object:
    """Return an object with its numbers as documented, where they came in another form; anything else as it is.

    A whole number may come as 1054.0 or 2.2e3 (recorded); text in the place of an optional number is no number.
    """
    if not isinstance(value, dict):
        return value
    return {name: _tolerated_field(name, field) for name, field in value.items()}


def _tolerated_field(name: str, field: object) -> object:
    if name in INTEGERS and isinstance(field, float) and field.is_integer():
        return int(field)
    if name in NUMBERS and isinstance(field, str):
        return None
    return field
