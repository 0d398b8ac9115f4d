"""Credits and connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.counters import Counters
from simulator.errors import VenueError
from simulator.limits import DEFAULT_TERMS, STRICT_INSTRUMENTS_TERMS, Limits


class Hands:
    """The hands of a clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def granted(limits: Limits, method: str, attempts: int, address: str = "127.0.0.1") -> int:
    return sum(is_granted(limits, method, address) for _ in range(attempts))


def is_granted(limits: Limits, method: str, address: str) -> bool:
    try:
        limits.spend(address, method)
    except VenueError:
        return False
    return True


def test_a_hundred_at_once_then_twenty_a_second() -> None:
    hands = Hands()
    limits = Limits(hands)
    assert granted(limits, "public/ticker", 150) == 100
    hands.now += 1.0
    assert granted(limits, "public/ticker", 150) == 20
    hands.now += 0.0625
    assert granted(limits, "public/ticker", 150) == 1, "credits come back all the time"
    hands.now += 3_600.0
    assert granted(limits, "public/ticker", 150) == 100, "no more than the pool"


def test_instruments_have_credits_of_their_own() -> None:
    hands = Hands()
    limits = Limits(hands)
    assert granted(limits, "public/get_instruments", 70) == 50
    assert granted(limits, "public/ticker", 150) == 100
    hands.now += 1.0
    assert granted(limits, "public/get_instruments", 70) == 1


def test_the_older_documents_are_stricter_about_instruments() -> None:
    hands = Hands()
    limits = Limits(hands, instruments_terms=STRICT_INSTRUMENTS_TERMS)
    assert granted(limits, "public/get_instruments", 70) == 5
    hands.now += 10.0
    assert granted(limits, "public/get_instruments", 70) == 1


def test_addresses_do_not_share_credits() -> None:
    limits = Limits(Hands())
    assert granted(limits, "public/ticker", 150, "127.0.0.1") == 100
    assert granted(limits, "public/ticker", 150, "127.0.0.2") == 100


def test_a_refusal_comes_as_429_and_as_400() -> None:
    limits = Limits(Hands())
    assert [limits.refusal().status for _ in range(4)] == [429, 400, 429, 400]
    assert limits.refusal(400).status == 400
    assert limits.refusal().code == 10028
    assert {Limits(Hands(), status="400").refusal().status for _ in range(3)} == {400}


def test_limits_can_be_switched_off_and_set() -> None:
    hands = Hands()
    limits = Limits(hands, enabled=False)
    assert granted(limits, "public/ticker", 1_000) == 1_000
    limits.change(enabled=True, default_terms=replace(DEFAULT_TERMS, refill_per_second=50_000.0))
    assert granted(limits, "public/ticker", 1_000) == 100
    hands.now += 0.5
    assert granted(limits, "public/ticker", 1_000) == 50


def test_the_33rd_request_at_once_finds_no_room() -> None:
    limits = Limits(Hands())
    limits.in_flight["127.0.0.1"] = 31
    assert limits.has_room("127.0.0.1")
    limits.in_flight["127.0.0.1"] = 32
    assert not limits.has_room("127.0.0.1")
    assert limits.has_room("127.0.0.2")


def test_the_most_requests_in_any_second_are_known() -> None:
    counters = Counters()
    for moment in (0.0, 0.9, 0.95, 1.5, 1.85, 1.89, 5.0):
        counters.arrive(moment)
        counters.leave("public/ticker", "200")
    assert counters.most_in_one_second == 5
    assert counters.as_json()["requests"] == {"public/ticker": {"200": 7}}


def test_what_is_in_flight_is_known() -> None:
    counters = Counters()
    counters.arrive(0.0)
    counters.arrive(0.0)
    counters.leave("public/ticker", "cut")
    assert (counters.in_flight, counters.most_in_flight) == (1, 2)


@pytest.mark.parametrize("code", [10028, 10041, 11051])
def test_an_error_has_the_word_of_the_venue(code: int) -> None:
    words = {10028: "too_many_requests", 10041: "settlement_in_progress", 11051: "system_maintenance"}
    assert VenueError(code).body() == {"code": code, "message": words[code]}
