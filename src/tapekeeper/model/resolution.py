"""Resolution: how long a candle lasts."""

from __future__ import annotations

from dataclasses import dataclass

from tapekeeper.clock import MICROSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True, order=True)
class Resolution:
    """The length of a candle in whole seconds; 0 for data that has none, such as trades."""

    seconds: int

    @property
    def microseconds(self) -> int:
        """The length in microseconds."""
        return self.seconds * MICROSECONDS_PER_SECOND

    def __str__(self) -> str:
        for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
            if self.seconds and self.seconds % size == 0:
                return f"{self.seconds // size}{unit}"
        return f"{self.seconds}s"
