from __future__ import annotations

from collector.venue_clock import VenueClock

SECOND = 1_000_000


def test_before_the_first_event_our_own_clock_has_to_do() -> None:
    clock = VenueClock(now=500 * SECOND, monotonic=10.0)
    assert clock.at(12.5) == 502 * SECOND + SECOND // 2


def test_the_least_delayed_event_tells_the_time() -> None:
    clock = VenueClock(now=0, monotonic=0.0)
    clock.observe(1_000 * SECOND, 10.4)
    clock.observe(1_001 * SECOND, 11.1)
    clock.observe(1_001 * SECOND, 12.0)
    assert clock.at(11.1) == 1_001 * SECOND
    assert clock.at(20.0) == 1_009 * SECOND + 900_000


def test_a_clock_that_drifts_is_followed_within_two_minutes() -> None:
    clock = VenueClock(now=0, monotonic=0.0)
    clock.observe(1_000 * SECOND, 10.0)
    for second in range(11, 200):
        clock.observe((1_000 + second - 10) * SECOND - 500_000, float(second))
    assert clock.at(200.0) == 1_190 * SECOND - 500_000
