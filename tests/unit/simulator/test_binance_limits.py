"""Weight, pools, and bans of Binance."""

from __future__ import annotations

import pytest

from simulator.binance_um.endpoints import kline_weight
from simulator.binance_um.limits import Refused, UmLimits, UmTerms


class Hands:
    """The hands of a clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_200_000_010.0

    def __call__(self) -> float:
        return self.now


def status(limits: UmLimits, weight: int = 1, pool: str = "weight", address: str = "127.0.0.1") -> int:
    try:
        limits.charge(address, pool, weight)  # type: ignore[arg-type]
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize(
    ("limit", "weight"),
    [("1", 1), ("99", 1), ("100", 2), ("499", 2), ("500", 5), ("1000", 5), ("1001", 10), ("1500", 10), ("x", 5)],
)
def test_klines_cost_by_their_limit(limit: str, weight: int) -> None:
    assert kline_weight({"limit": limit}) == weight
    assert kline_weight({}) == 5


def test_a_window_is_a_whole_minute() -> None:
    hands = Hands()
    limits = UmLimits(hands)
    assert [status(limits, 1_000) for _ in range(3)] == [200, 200, 429]
    assert limits.used_weight("127.0.0.1") == 3_000
    hands.now += 49.9
    assert status(limits) == 429
    hands.now += 0.1
    assert limits.used_weight("127.0.0.1") == 0
    assert status(limits, 2_400) == 200


def test_a_refusal_asks_to_wait_until_the_window_ends() -> None:
    limits = UmLimits(Hands())
    with pytest.raises(Refused) as caught:
        limits.charge("127.0.0.1", "weight", 2_401)
    assert (caught.value.status, caught.value.retry_after) == (429, 50.0)


def test_who_goes_on_is_banned_and_each_ban_is_longer() -> None:
    hands = Hands()
    limits = UmLimits(hands, terms=UmTerms(weight=10, refusals_before_ban=3, ban_seconds=90))
    assert [status(limits, 10) for _ in range(6)] == [200, 429, 429, 429, 418, 418]
    hands.now += 89.9
    assert status(limits) == 418, "a new window does not end a ban"
    assert status(limits, pool="data") == 418
    assert status(limits, address="127.0.0.2") == 200
    hands.now += 0.2
    assert [status(limits, 10) for _ in range(5)] == [200, 429, 429, 429, 418]
    with pytest.raises(Refused) as caught:
        limits.charge("127.0.0.1", "weight", 1)
    assert caught.value.retry_after == pytest.approx(180)
    assert limits.as_json()["bans"] == 2


def test_open_interest_and_funding_have_pools_of_their_own() -> None:
    limits = UmLimits(Hands(), terms=UmTerms(data_requests=2, funding_requests=1))
    assert [status(limits, pool="data") for _ in range(3)] == [200, 200, 429]
    assert [status(limits, pool="funding") for _ in range(2)] == [200, 429]
    assert status(limits) == 200
    assert limits.used_weight("127.0.0.1") == 1


def test_limits_can_be_switched_off_and_set() -> None:
    hands = Hands()
    limits = UmLimits(hands, enabled=False)
    assert status(limits, 100_000) == 200
    limits.change(enabled=True, terms=UmTerms(weight=1, weight_window_seconds=2))
    assert [status(limits) for _ in range(2)] == [200, 429]
    hands.now += 2.0
    assert status(limits) == 200
