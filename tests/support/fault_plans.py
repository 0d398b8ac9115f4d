"""Plans of faults in candles: what the simulator is told, and what has to be found then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND
from tapekeeper.model.window import Window
from tests.support.desk import MINUTE

MINUTES_PER_DAY: Final = 1_440


@dataclass(frozen=True, slots=True)
class CandleFaults:
    """What is wrong with the candles of one instrument, in minutes from the start of a window."""

    lost: frozenset[int] = field(default_factory=frozenset)
    """The venue does not have them."""
    left_out: frozenset[int] = field(default_factory=frozenset)
    """The venue has them and does not tell them."""
    bad: frozenset[int] = field(default_factory=frozenset)
    """They contradict themselves."""
    mode: str = "high_below_low"

    @property
    def untold(self) -> frozenset[int]:
        """The minutes that no answer holds."""
        return self.lost | self.left_out

    @property
    def quarantined(self) -> frozenset[int]:
        """The minutes that are told and cannot be believed."""
        return self.bad - self.untold

    @property
    def missing(self) -> frozenset[int]:
        """The minutes that are not held after a backfill."""
        return self.untold | self.bad

    def documents(self, instrument: str, start: int) -> list[dict[str, Any]]:
        """Return them as the simulator takes them; `start` in microseconds since 1970."""
        planted: tuple[tuple[str, frozenset[int], dict[str, Any]], ...] = (
            ("missing_minutes", self.lost, {}),
            ("left_out_candles", self.left_out, {}),
            ("bad_candle", self.bad, {"mode": self.mode}),
        )
        return [
            {
                "kind": kind,
                "instrument": instrument,
                "open_times": sorted((start + minute * MINUTE) // MICROSECONDS_PER_MILLISECOND for minute in minutes),
                **options,
            }
            for kind, minutes, options in planted
            if minutes
        ]

    def holes(self, start: int) -> list[Window]:
        """Return the maximal windows of missing minutes, ascending."""
        windows: list[Window] = []
        for minute in sorted(self.missing):
            opened = start + minute * MINUTE
            if windows and windows[-1].end == opened:
                windows[-1] = Window(windows[-1].start, opened + MINUTE)
            else:
                windows.append(Window(opened, opened + MINUTE))
        return windows

    def healed(self) -> CandleFaults:
        """Return what stays wrong when the venue mends its answers."""
        return CandleFaults(lost=self.lost)


def candle_faults(minutes: int) -> st.SearchStrategy[CandleFaults]:
    """Return plans over so many minutes: holes of all lengths, at the edges too, overlapping or side by side."""
    first = st.integers(0, minutes - 1) | st.sampled_from((0, MINUTES_PER_DAY - 1, MINUTES_PER_DAY, minutes - 1))
    runs = st.lists(st.tuples(first, st.integers(1, 12) | st.integers(1, 1_500)), max_size=3).map(
        lambda found: frozenset(
            minute for start, length in found for minute in range(start, min(start + length, minutes))
        )
    )
    modes = st.sampled_from(("high_below_low", "null", "nan", "text"))
    return st.builds(CandleFaults, runs, runs, st.frozensets(first, max_size=4), modes)
