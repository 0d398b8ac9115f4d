"""What answers of Binance mean."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.errors import AuthRejected, RequestRejected, Stop
from tapekeeper.http.decision import GiveUp, Ok, RetryAfter
from tapekeeper.venues.binance_um.decisions import BAN_SECONDS, FIREWALL_SECONDS, Decisions, Reply, UnknownSymbol

DATE = {"Date": "Sat, 15 Jun 2024 12:00:45 GMT"}
ANSWERED_AT = 1_718_452_845 * MICROSECONDS_PER_SECOND
decide = Decisions(weight_per_minute=2400).decide


def error(code: int, words: str = "words") -> bytes:
    return orjson.dumps({"code": code, "msg": words})


def test_an_answer_carries_the_clock_of_the_venue() -> None:
    assert decide(200, DATE, b"[1]") == Ok(Reply([1], ANSWERED_AT))
    assert decide(200, {"Date": "yesterday"}, b"{}") == Ok(Reply({}, None))


@pytest.mark.parametrize(("used", "pause"), [("2351", 0.0), ("2352", 15.0), ("2400", 15.0), ("soon", 0.0)])
def test_a_spent_minute_is_waited_out_by_everybody(used: str, pause: float) -> None:
    decision = decide(200, {**DATE, "X-MBX-USED-WEIGHT-1M": used}, b"[]")
    assert decision == Ok(Reply([], ANSWERED_AT), pause_seconds=pause)


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        (429, error(-1003), {"Retry-After": "17"}, 17.0),
        (429, error(-1003), {}, None),
        (400, error(-1003), {}, None),
        (418, error(-1003), {"Retry-After": "3600"}, 3600.0),
        (418, b"", {}, BAN_SECONDS),
        (403, b"<html>", {}, FIREWALL_SECONDS),
    ],
)
def test_too_much_slows_everybody_down(
    status: int, body: bytes, headers: dict[str, str], seconds: float | None
) -> None:
    decision = decide(status, headers, body)
    assert isinstance(decision, RetryAfter)
    assert (decision.limited, decision.seconds) == (True, seconds)


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (503, error(-1008 - 999)), (408, b""), (400, error(-1001)), (200, b'[[17,"0.1'), (400, b"<html>")],
)
def test_trouble_of_the_venue_is_tried_again(status: int, body: bytes) -> None:
    decision = decide(status, {}, body)
    assert isinstance(decision, RetryAfter)
    assert not decision.limited


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, error(-1121, "Invalid symbol."), UnknownSymbol, "-1121 Invalid symbol."),
        (400, error(-1120, "Invalid interval."), RequestRejected, "-1120 Invalid interval."),
        (
            400,
            error(-1130, "parameter 'startTime' is invalid."),
            RequestRejected,
            "is invalid; what was asked for may",
        ),
        (400, error(-1128, "Combination invalid"), RequestRejected, "the venue takes either an id or times"),
        (401, error(-2015, "Invalid API-key"), AuthRejected, "-2015"),
        (451, b"{}", AuthRejected, "does not serve the place"),
        (404, b"<html>", RequestRejected, "check the address"),
    ],
)
def test_what_would_fail_again_is_given_up(status: int, body: bytes, kind: type[Stop], words: str) -> None:
    decision = decide(status, {}, body)
    assert isinstance(decision, GiveUp)
    assert decision.error is kind
    assert words in decision.reason


@given(st.integers(100, 599), st.binary(max_size=60), st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_whatever_comes_is_decided(status: int, body: bytes, headers: dict[str, str]) -> None:
    decision = decide(status, headers, body)
    if isinstance(decision, RetryAfter | GiveUp):
        assert decision.reason.isprintable()
