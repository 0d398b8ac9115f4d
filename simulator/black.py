"""Prices and greeks of European options on a forward, after Black (1976), vectorised and without interest."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from tapekeeper.model.candle import Float64Column


@dataclass(frozen=True, slots=True)
class Valuation:
    """Values of one option at n moments, or of n options; prices in the strike's currency, shape (n,)."""

    price: Float64Column
    delta: Float64Column
    gamma: Float64Column
    vega: Float64Column
    theta: Float64Column


def _normal_distribution(x: Float64Column) -> Float64Column:
    """Return the cumulative normal distribution, to seven digits (Abramowitz and Stegun 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-0.5 * x * x) / sqrt(2 * pi) * series
    return np.where(x >= 0, 1.0 - tail, tail)


def value(
    forward: Float64Column,
    strike: float | Float64Column,
    years: Float64Column,
    volatility: Float64Column,
    *,
    is_call: bool,
) -> Valuation:
    """Return what options are worth, theta per day.

    All columns have the shape (n,): one option at n moments, or n options; `volatility` is a fraction.
    """
    deviation = volatility * np.sqrt(years)
    upper = np.log(forward / strike) / deviation + 0.5 * deviation
    in_upper, in_lower = _normal_distribution(upper), _normal_distribution(upper - deviation)
    density = np.exp(-0.5 * upper * upper) / sqrt(2 * pi)
    call = np.maximum(forward * in_upper - strike * in_lower, 0.0)
    vega = forward * density * np.sqrt(years)
    return Valuation(
        price=call if is_call else np.maximum(call - forward + strike, 0.0),
        delta=in_upper if is_call else in_upper - 1.0,
        gamma=density / (forward * deviation),
        vega=vega / 100.0,
        theta=-vega * volatility / (2.0 * years) / 365.0,
    )
