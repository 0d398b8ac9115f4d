"""What the log says without being asked: a line of figures every minute, and a warning while the buffer fills."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.buffer import Buffer
    from collector.counters import Counters
    from collector.metrics import Levels

WARNING_SECONDS: Final = 60.0
WARNING_SHARE: Final = 0.8
_LOOK_SECONDS: Final = 0.1

log = logging.getLogger(__name__)


class Stats:
    """Tells how it goes."""

    def __init__(self, counters: Counters, buffer: Buffer, levels: Callable[[], Levels]) -> None:
        self._counters = counters
        self._buffer = buffer
        self._levels = levels

    async def run(self, seconds: float) -> None:
        """Tell every so many seconds."""
        while True:
            await asyncio.sleep(seconds)
            self.tell()

    def tell(self) -> None:
        """Log one line of what was counted since the start."""
        levels, counters = self._levels(), self._counters
        data = {
            "connected": levels.connected,
            "subscriptions": levels.subscriptions,
            "not_accepted": levels.not_accepted,
            "instruments": levels.instruments_expected,
            "fresh": levels.instruments_fresh,
            "messages": sum(counters.messages.values()),
            "quotes_written": counters.rows_written["option_quotes"],
            "trades_written": counters.rows_written["option_trades"],
            "quotes_dropped": counters.rows_dropped["option_quotes"],
            "waiting": self._buffer.rows_waiting,
            "spool_bytes": levels.spool_bytes,
            "gaps": sum(counters.gaps_recorded.values()),
            "repaired_trades": counters.repaired_trades,
            "latency_p99_seconds": counters.ingest_latency.quantile(0.99),
        }
        log.info("STATS %s", " ".join(f"{name}={value}" for name, value in data.items()), extra={"data": data})

    async def watch_buffer(self) -> None:
        """Warn while the buffer is nearly full, at most once a minute."""
        while True:
            share = self._buffer.share_used
            if share >= WARNING_SHARE:
                log.warning("the buffer is %.0f %% full: the database is slower than the venue", 100 * share)
                await asyncio.sleep(WARNING_SECONDS)
            await asyncio.sleep(_LOOK_SECONDS)
