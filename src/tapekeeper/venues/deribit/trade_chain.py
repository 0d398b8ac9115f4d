"""The chain of trade_seq of one instrument: 1, 2, 3, ... A number that is passed over is a trade that is missing."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

MISSING_RANGES_MAXIMUM: Final = 1_000
"""So many holes are remembered per instrument; a trade that comes late for an older one counts as a duplicate here, and
is brought by the repair of that hole."""


class TradeGap(NamedTuple):
    """Trades that are missing before one that came; both ends included."""

    first_missing: int
    last_missing: int


class Known(Enum):
    """Whether a trade came before."""

    NEW = "new"
    """It is the next one, or one that was missing and came late."""
    DUPLICATE = "duplicate"


class TradeChain:
    """Follows one instrument; trades of one frame are given in the order of their numbers.

    Args:
        last_trade_seq: of the newest trade that is held; 0 for an instrument that has just been listed, so that its
            first trade has to be number 1; None where nothing is known, so that any number begins the chain.
    """

    def __init__(self, last_trade_seq: int | None = None) -> None:
        self.last_trade_seq = last_trade_seq
        """Of the newest trade that came."""
        self._missing: list[TradeGap] = []

    def accept(self, trade_seq: int) -> Known | TradeGap:
        """Take the number of a trade.

        Returns:
            NEW: it follows the last one, or fills a hole.
            DUPLICATE: it came before.
            TradeGap: it is new, and those between the last one and it are missing.
        """
        last = self.last_trade_seq
        if last is not None and trade_seq <= last:
            return Known.NEW if self._fill(trade_seq) else Known.DUPLICATE
        self.last_trade_seq = trade_seq
        if trade_seq == (last or 0) + 1:
            return Known.NEW
        gap = TradeGap((last or 0) + 1, trade_seq - 1)
        self._missing.append(gap)
        del self._missing[:-MISSING_RANGES_MAXIMUM]
        # Where nothing was known nothing is said to be missing; but what comes late is none that came before.
        return Known.NEW if last is None else gap

    def _fill(self, trade_seq: int) -> bool:
        for position, (first, last) in enumerate(self._missing):
            if first <= trade_seq <= last:
                rest = (TradeGap(first, trade_seq - 1), TradeGap(trade_seq + 1, last))
                self._missing[position : position + 1] = [gap for gap in rest if gap.first_missing <= gap.last_missing]
                return True
        return False
