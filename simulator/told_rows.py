"""What the standing facts and the faults of one request make of rows that each have a number or a time of their own."""

from __future__ import annotations

from typing import Literal

import numpy as np

from simulator.conditions import Conditions, Mask
from simulator.data_faults import DuplicatedRows, LeftOutRows, OmittedPeriods
from simulator.hashing import key_of, uniforms
from tapekeeper.model.candle import Int64Column


def told_positions(conditions: Conditions, symbol: str, keys: Int64Column) -> Int64Column:
    """Return which rows of an answer are told, in order and some of them twice; `keys` are numbers or times."""
    positions = np.arange(len(keys))
    for fault in conditions.faults:
        match fault:
            case LeftOutRows():
                positions = positions[~_chosen(conditions, fault, symbol, keys[positions])]
            case DuplicatedRows():
                positions = np.repeat(positions, 1 + _chosen(conditions, fault, symbol, keys[positions]))
    return positions


def omitted(
    conditions: Conditions, symbol: str, dataset: Literal["open_interest", "funding_rates"], times: Int64Column
) -> Mask:
    """Return which rows the venue does not have, shape of `times` (milliseconds)."""
    gone = np.zeros(len(times), dtype=np.bool_)
    for fault in conditions.faults:
        if isinstance(fault, OmittedPeriods) and fault.dataset == dataset and fault.is_about(symbol):
            gone |= np.isin(times, np.array(fault.times, dtype=np.int64))
            gone |= uniforms(key_of(conditions.seed, fault.kind, dataset, symbol), times) < fault.fraction
    return gone


def _chosen(conditions: Conditions, fault: LeftOutRows | DuplicatedRows, symbol: str, keys: Int64Column) -> Mask:
    listed = (*fault.trade_seqs, *fault.open_times) if isinstance(fault, DuplicatedRows) else ()
    if fault.fraction is None and not listed:
        middle: Mask = np.arange(len(keys)) == len(keys) // 2
        return middle
    chosen: Mask = np.isin(keys, np.array(listed, dtype=np.int64))
    return chosen | (uniforms(key_of(conditions.seed, fault.kind, symbol), keys) < (fault.fraction or 0.0))
