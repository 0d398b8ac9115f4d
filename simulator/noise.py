"""Noise over time: continuous, seeded, and known at any instant without its past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.hashing import key_of, uniforms
from simulator.moments import DAY, MINUTE
from tapekeeper.model.candle import Float64Column, Int64Column


@dataclass(frozen=True, slots=True)
class Octave:
    """One layer of noise: a random height every `period` milliseconds, joined smoothly."""

    key: int
    period: int
    amplitude: float

    def at(self, times: Int64Column) -> Float64Column:
        """Return heights in [-amplitude, amplitude) at `times` (milliseconds), same shape."""
        cells = times // self.period
        first = int(cells.min())
        heights = uniforms(self.key, np.arange(first, int(cells.max()) + 2)) * 2.0 - 1.0
        part = (times - cells * self.period) / self.period
        part = part * part * (3.0 - 2.0 * part)
        cells -= first
        left = heights[cells]
        cells += 1
        return (left + (heights[cells] - left) * part) * self.amplitude


@dataclass(frozen=True, slots=True)
class Noise:
    """Layers of noise added up."""

    octaves: tuple[Octave, ...]

    def at(self, times: Int64Column) -> Float64Column:
        """Return the sum of the layers at `times` (milliseconds), same shape; empty in, empty out."""
        total = np.zeros(len(times))
        if len(times):
            for octave in self.octaves:
                total += octave.at(times)
        return total


def price_noise(*key_parts: object) -> Noise:
    """Return noise for the logarithm of a price: like a random walk, from years down to minutes, about 3 % a day."""
    period, octaves = 2048 * DAY, []
    while period >= 2 * MINUTE:
        amplitude = 0.035 * (period / (2 * DAY)) ** 0.5
        octaves.append(Octave(key_of(*key_parts, period), period, min(amplitude, 0.6)))
        period //= 4
    return Noise(tuple(octaves))


def slow_noise(period: int, amplitude: float, *key_parts: object) -> Noise:
    """Return a single layer, for a basis, a volatility or an open interest."""
    return Noise((Octave(key_of(*key_parts), period, amplitude),))
