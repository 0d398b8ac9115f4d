"""What the standing facts and the faults of one request make of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.chart import COLUMNS, Chart
from simulator.fault_basics import Fault
from simulator.faults import BadCandle, ExclusiveStart, MissingMinutes, NoData, StopData, WrongWindow
from simulator.hashing import key_of, uniforms
from simulator.moments import MINUTE
from tapekeeper.model.candle import Int64Column


@dataclass(frozen=True, slots=True)
class Conditions:
    """The circumstances under which a request is answered; without any fault, the plain truth."""

    seed: int
    faults: tuple[Fault, ...] = ()

    def cutoff(self, instrument: str, now: int) -> int:
        """Return until when the venue has data of an instrument, in milliseconds."""
        stops = [fault.at for fault in self.faults if isinstance(fault, StopData) and fault.is_about(instrument)]
        return min([now, *stops])

    def shift(self) -> int:
        """Return by how many milliseconds the answer is beside the question."""
        return sum(fault.shift for fault in self.faults if isinstance(fault, WrongWindow))

    def has_no_data(self) -> bool:
        """Return whether the venue pretends to have nothing."""
        return any(isinstance(fault, NoData) for fault in self.faults)

    def start_is_exclusive(self) -> bool:
        """Return whether a start exactly on a candle leaves it out."""
        return any(isinstance(fault, ExclusiveStart) for fault in self.faults)

    def missing(self, instrument: str, ticks: Int64Column, step: int) -> npt.NDArray[np.bool_]:
        """Return which candles of `step` milliseconds the venue does not have, shape of `ticks`."""
        holes = [fault for fault in self.faults if isinstance(fault, MissingMinutes) and fault.is_about(instrument)]
        mask = np.zeros(len(ticks), dtype=np.bool_)
        if not holes:
            return mask
        minutes = (ticks[:, None] + np.arange(0, step, MINUTE)).ravel()
        missing = np.zeros(len(minutes), dtype=np.bool_)
        for hole in holes:
            missing |= self._hole(hole, instrument, minutes)
        whole: npt.NDArray[np.bool_] = np.logical_and.reduce(missing.reshape(len(ticks), -1), axis=1)
        return whole

    def spoiled(self, chart: Chart) -> dict[str, object]:
        """Return the columns of a chart with bad candles put in: plain lists where something is no number."""
        columns: dict[str, object] = {name: chart.column(name) for name in COLUMNS}
        for fault in self.faults:
            if isinstance(fault, BadCandle) and len(chart.ticks):
                self._spoil(fault, chart, columns)
        return columns

    def _hole(self, hole: MissingMinutes, instrument: str, minutes: Int64Column) -> npt.NDArray[np.bool_]:
        missing = np.isin(minutes, np.array(hole.open_times, dtype=np.int64))
        if hole.fraction:
            inside = minutes >= hole.start
            if hole.end is not None:
                inside &= minutes < hole.end
            key = key_of(self.seed, "missing", instrument)
            missing |= inside & (uniforms(key, minutes // MINUTE) < hole.fraction)
        return missing

    def _spoil(self, fault: BadCandle, chart: Chart, columns: dict[str, object]) -> None:
        if fault.open_times:
            bad = np.isin(chart.ticks, np.array(fault.open_times, dtype=np.int64))
        elif fault.fraction is not None:
            bad = uniforms(key_of(self.seed, "bad candle"), chart.ticks // MINUTE) < fault.fraction
        else:
            bad = np.arange(len(chart.ticks)) == len(chart.ticks) // 2
        positions = np.flatnonzero(bad).tolist()
        if fault.mode == "high_below_low":
            high = columns["high"] = chart.column("high").copy()
            high[positions] = chart.column("low")[positions] * 0.99
            return
        close = columns["close"] = chart.column("close").tolist()
        for position in positions:
            close[position] = {"null": None, "nan": "NaN", "text": "not a price"}[fault.mode]
