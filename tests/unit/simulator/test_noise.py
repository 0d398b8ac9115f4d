"""Seeded noise: pure, continuous, and of the size it says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.hashing import key_of, uniforms
from simulator.moments import DAY, MINUTE
from simulator.noise import price_noise, slow_noise
from simulator.recent import Recent
from tests.unit.simulator.venue import NOW, steady


@steady
@given(times=st.lists(st.integers(0, NOW), min_size=1, max_size=6))
def test_noise_at_an_instant_does_not_depend_on_the_others(times: list[int]) -> None:
    noise = price_noise(3, "test")
    together = noise.at(np.array(times))
    alone = [float(noise.at(np.array([time]))[0]) for time in times]
    assert np.allclose(together, alone, rtol=0, atol=1e-12)


@steady
@given(time=st.integers(0, NOW))
def test_noise_does_not_jump(time: int) -> None:
    heights = price_noise(3, "test").at(np.array([time, time + 1_000]))
    assert abs(heights[1] - heights[0]) < 1e-3


def test_a_day_moves_the_price_by_some_percent() -> None:
    heights = price_noise(3, "test").at(np.arange(0, 1_000) * DAY)
    assert 0.01 < np.diff(heights).std() < 0.08


def test_slow_noise_keeps_to_its_amplitude() -> None:
    heights = slow_noise(DAY, 0.2, "test").at(np.arange(0, 5_000) * 7 * MINUTE)
    assert 0.1 < np.abs(heights).max() <= 0.2


def test_uniforms_are_spread_evenly_and_differ_by_key() -> None:
    first, second = (uniforms(key_of(seed, "test"), np.arange(20_000)) for seed in (1, 2))
    for column in (first, second):
        assert column.min() >= 0.0
        assert column.max() < 1.0
        assert np.allclose(np.histogram(column, bins=10, range=(0, 1))[0], 2_000, atol=250)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_a_memory_forgets_what_was_used_least_recently() -> None:
    made: list[str] = []
    memory: Recent[str, str] = Recent(3, len)

    def get(key: str) -> str:
        return memory.get(key, lambda: made.append(key) or key)  # type: ignore[func-returns-value]

    for key in ("a", "b", "c", "a", "d", "a", "b"):
        assert get(key) == key
    assert made == ["a", "b", "c", "d", "b"]
