"""The pace of subscribe calls: the venue allows about 3.3 a second, whatever number of channels each names."""

from __future__ import annotations

import asyncio
from typing import Final

CALLS_PER_SECOND: Final = 3.0


class Pace:
    """Lets callers through one after the other, for all connections of the process."""

    def __init__(self, per_second: float = CALLS_PER_SECOND) -> None:
        self._interval = 1.0 / per_second
        self._free_at = 0.0

    async def wait(self) -> None:
        """Return when it is the caller's turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._free_at)
        self._free_at = turn + self._interval
        if turn > now:
            await asyncio.sleep(turn - now)
