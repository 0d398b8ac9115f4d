"""What the standing facts and the faults of one request make of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.chart import COLUMNS, Chart
from simulator.data_faults import (
    BadCandle,
    CandleFault,
    DuplicatedRows,
    ExclusiveStart,
    LeftOutCandles,
    MissingMinutes,
    MissingTrades,
    NoData,
    PriceJump,
    RetoldTrades,
    StopData,
    TradeFact,
    WrongVolume,
    WrongWindow,
)
from simulator.fault_basics import Fault
from simulator.faults import ClockSkew
from simulator.hashing import key_of, uniforms
from simulator.moments import MINUTE
from tapekeeper.model.candle import Int64Column

Mask = npt.NDArray[np.bool_]
TradeRow = dict[str, object]


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

    def skew(self) -> int:
        """Return by how many milliseconds the venue's clock is ahead."""
        return sum(fault.skew for fault in self.faults if isinstance(fault, ClockSkew))

    def has_no_data(self) -> bool:
        """Return whether the venue pretends to have nothing."""
        return any(isinstance(fault, NoData) for fault in self.faults)

    def start_is_exclusive(self) -> bool:
        """Return whether a start exactly on a candle leaves it out."""
        return any(isinstance(fault, ExclusiveStart) for fault in self.faults)

    def missing(self, instrument: str, ticks: Int64Column, step: int) -> Mask:
        """Return which candles of `step` milliseconds the venue does not have, shape of `ticks`."""
        holes = [fault for fault in self.faults if isinstance(fault, MissingMinutes) and fault.is_about(instrument)]
        mask = np.zeros(len(ticks), dtype=np.bool_)
        if not holes:
            return mask
        minutes = (ticks[:, None] + np.arange(0, step, MINUTE)).ravel()
        missing = np.zeros(len(minutes), dtype=np.bool_)
        for hole in holes:
            missing |= self.chosen(hole, instrument, minutes)
        whole: Mask = np.logical_and.reduce(missing.reshape(len(ticks), -1), axis=1)
        return whole

    def told(self, instrument: str, chart: Chart) -> Chart:
        """Return the candles of an answer: without those left out, some twice, some with other numbers."""
        ticks, rows = chart.ticks, chart.rows
        for fault in self.faults:
            if not isinstance(fault, CandleFault):
                continue
            chosen = self.chosen(fault, instrument, ticks)
            match fault:
                case LeftOutCandles():
                    ticks, rows = ticks[~chosen], rows[:, ~chosen]
                case DuplicatedRows():
                    ticks, rows = np.repeat(ticks, 1 + chosen), np.repeat(rows, 1 + chosen, axis=1)
                case WrongVolume() | PriceJump():
                    first, last = (4, 6) if isinstance(fault, WrongVolume) else (0, 4)
                    rows = rows.copy()
                    rows[first:last, chosen] *= fault.factor
        return Chart(ticks, rows)

    def spoiled(self, instrument: str, chart: Chart) -> dict[str, object]:
        """Return the columns of a chart with bad candles put in: plain lists where something is no number."""
        columns: dict[str, object] = {name: chart.column(name) for name in COLUMNS}
        for fault in self.faults:
            if isinstance(fault, BadCandle):
                _spoil(fault, self.chosen(fault, instrument, chart.ticks), chart, columns)
        return columns

    def told_sequences(self, instrument: str, first: int, last: int) -> Sequence[int]:
        """Return the numbers from `first` to `last`, both included, of the trades that are told."""
        if not any(isinstance(fault, MissingTrades) and fault.is_about(instrument) for fault in self.faults):
            return range(first, last + 1)
        sequences = np.arange(first, last + 1)
        told: list[int] = sequences[~self.missing_trades(instrument, sequences)].tolist()
        return told

    def missing_trades(self, instrument: str, sequences: Int64Column) -> Mask:
        """Return which trades nobody is told of, shape of `sequences`."""
        return self._trades(MissingTrades, instrument, sequences)

    def told_trades(self, instrument: str, rows: list[TradeRow], times: range | None = None) -> list[TradeRow]:
        """Return the rows of an answer or a notification: without missing trades, some told twice.

        A trade is told again with another time only where that is one of `times`, in milliseconds.
        """
        kinds = (MissingTrades, RetoldTrades, DuplicatedRows)
        if not rows or not any(isinstance(fault, kinds) for fault in self.faults):
            return rows
        sequences = np.array([row["trade_seq"] for row in rows], dtype=np.int64)
        told = [[row] for row in rows]
        for fault in self.faults:
            match fault:
                case DuplicatedRows():
                    for position in np.flatnonzero(self._duplicated(fault, instrument, sequences)):
                        told[position].append(rows[position])
                case RetoldTrades() if fault.is_about(instrument):
                    for position in np.flatnonzero(self._is_one(fault, instrument, sequences)):
                        time = int(str(rows[position]["timestamp"])) + fault.shift
                        if times is None or time in times:
                            told[position].append({**rows[position], "timestamp": time})
        missing = self.missing_trades(instrument, sequences)
        return [row for gone, same in zip(missing, told, strict=True) if not gone for row in same]

    def chosen(self, fault: CandleFault | MissingMinutes, instrument: str, ticks: Int64Column) -> Mask:
        """Return which candles or minutes a fault is about, shape of `ticks`."""
        chosen = np.isin(ticks, np.array(fault.open_times, dtype=np.int64))
        if fault.fraction:
            inside = ticks >= fault.start
            if fault.end is not None:
                inside &= ticks < fault.end
            chosen |= inside & (uniforms(key_of(self.seed, fault.kind, instrument), ticks // MINUTE) < fault.fraction)
        elif isinstance(fault, CandleFault) and fault.fraction is None and not fault.open_times:
            chosen = np.arange(len(ticks)) == len(ticks) // 2
        return chosen

    def _trades(self, kind: type[TradeFact], instrument: str, sequences: Int64Column) -> Mask:
        chosen = np.zeros(len(sequences), dtype=np.bool_)
        for fault in self.faults:
            if isinstance(fault, kind) and fault.is_about(instrument):
                chosen |= self._is_one(fault, instrument, sequences)
        return chosen

    def _is_one(self, fault: TradeFact | DuplicatedRows, instrument: str, sequences: Int64Column) -> Mask:
        listed = np.isin(sequences, np.array(fault.trade_seqs, dtype=np.int64))
        one: Mask = listed | (uniforms(key_of(self.seed, fault.kind, instrument), sequences) < (fault.fraction or 0.0))
        return one

    def _duplicated(self, fault: DuplicatedRows, instrument: str, sequences: Int64Column) -> Mask:
        if fault.fraction is None and not fault.trade_seqs:
            middle: Mask = np.arange(len(sequences)) == len(sequences) // 2
            return middle
        return self._is_one(fault, instrument, sequences)


def _spoil(fault: BadCandle, bad: Mask, chart: Chart, columns: dict[str, object]) -> None:
    positions = np.flatnonzero(bad).tolist()
    if fault.mode == "high_below_low":
        high = columns["high"] = chart.column("high").copy()
        high[positions] = chart.column("low")[positions] * 0.99
        return
    close = columns["close"] = chart.column("close").tolist()
    for position in positions:
        close[position] = {"null": None, "nan": "NaN", "text": "not a price"}[fault.mode]
