"""What every answer of Deribit means."""

from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import AuthRejected, RequestRejected, Stop
from tapekeeper.http.decision import GiveUp, Ok, RetryAfter
from tapekeeper.venues.deribit.decisions import Reply, UnknownInstrument, decide

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
statuses = st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 520]) | st.integers()


def error_body(code: object, message: object = "message", **data: object) -> bytes:
    error = {"code": code, "message": message, **({"data": data} if data else {})}
    return orjson.dumps({"jsonrpc": "2.0", "error": error, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False})


def test_a_result_comes_with_the_clock_of_the_venue() -> None:
    body = b'{"jsonrpc":"2.0","result":{"status":"ok"},"usIn":1766487086141005,"usOut":1766487086146245}'
    assert decide(200, {}, body) == Ok(Reply({"status": "ok"}, 1766487086146245))


@pytest.mark.parametrize(
    "clock", [b"", b',"usOut":null', b',"usOut":"1"', b',"usOut":true', b',"usOut":0', b',"usOut":1.5']
)
def test_a_clock_that_is_none_is_left_out(clock: bytes) -> None:
    assert decide(200, {}, b'{"result":[]' + clock + b"}") == Ok(Reply([], None))


def test_an_error_of_null_is_no_error() -> None:
    assert decide(200, {}, b'{"result":1,"error":null}') == Ok(Reply(1, None))


@pytest.mark.parametrize("number", ["NaN", "-NaN", "Infinity", "-Infinity", "1e999", "-1.5E+400"])
def test_what_is_no_number_of_json_costs_only_itself(number: str) -> None:
    body = f'{{"result": {{"open":[1.5,{number}, {number} ,2],"low":[{number}]}}}}'.encode()
    assert decide(200, {}, body) == Ok(Reply({"open": [1.5, number, number, 2], "low": [number]}, None))


@pytest.mark.parametrize("code", [10040, 10041, 10047, 11051, 11094, 13028, 13888])
@pytest.mark.parametrize("status", [200, 400, 503])
def test_passing_troubles_are_retried(code: int, status: int) -> None:
    assert decide(status, {}, error_body(code, "passing")) == RetryAfter(None, f"{code} passing", limited=False)


@pytest.mark.parametrize("code", [10028, 10066])
@pytest.mark.parametrize("status", [200, 400, 429])
def test_too_many_requests_slow_us_down_under_any_status(code: int, status: int) -> None:
    assert decide(status, {}, error_body(code, "too_many")) == RetryAfter(None, f"{code} too_many", limited=True)


def test_429_without_a_body_or_with_a_page_slows_us_down_too() -> None:
    assert decide(429, {}, b"") == RetryAfter(None, "not a JSON-RPC answer: an empty body", limited=True)
    page = b"<html>\n<title>Slow  down</title>\n</html>"
    assert decide(429, {"retry-after": "12"}, page) == RetryAfter(
        12.0, "not a JSON-RPC answer: <html> <title>Slow down</title> </html>", limited=True
    )


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520, 522])
def test_a_page_of_a_failing_server_is_retried(status: int) -> None:
    decision = decide(status, {"Retry-After": "5"}, b"<html>Bad gateway</html>")
    assert decision == RetryAfter(5.0, "not a JSON-RPC answer: <html>Bad gateway</html>", limited=False)


@pytest.mark.parametrize(
    "body", [b"", b"not json", b'{"result": {"ticks": [1', b"[1]", b'"text"', b"null", b'{"id":1}']
)
def test_a_success_without_a_result_is_retried(body: bytes) -> None:
    decision = decide(200, {}, body)
    assert isinstance(decision, RetryAfter)
    assert decision.reason.startswith("not a JSON-RPC answer: ")
    assert not decision.limited


@pytest.mark.parametrize("code", [13004, 13009, 13021, 13778])
def test_who_we_are_is_refused_by_code(code: int) -> None:
    assert decide(400, {}, error_body(code, "unauthorized")) == GiveUp(f"{code} unauthorized", AuthRejected)


@pytest.mark.parametrize("status", [401, 403])
def test_who_we_are_is_refused_by_status(status: int) -> None:
    assert decide(status, {}, b"<html>Attention</html>") == GiveUp(
        "not a JSON-RPC answer: <html>Attention</html>", AuthRejected
    )


def test_an_unknown_instrument_has_an_error_of_its_own() -> None:
    recorded = error_body(-32602, "Invalid params", reason="instrument not found", param="instrument_name")
    assert decide(400, {}, recorded) == GiveUp(
        "-32602 Invalid params: instrument not found (instrument_name)", UnknownInstrument
    )
    assert decide(400, {}, error_body(13020, "not_found")) == GiveUp("13020 not_found", UnknownInstrument)
    assert issubclass(UnknownInstrument, RequestRejected)


@pytest.mark.parametrize(
    "code", [10012, 10030, 11044, 11050, 13019, -32000, -32601, -32602, -32700, 12345, "x", None, [1]]
)
def test_all_other_errors_are_final_and_keep_the_words_of_the_venue(code: object) -> None:
    decision = decide(400, {}, error_body(code, "no", reason="why", param="which"))
    assert decision == GiveUp(f"{code} no: why (which)", RequestRejected)


def test_half_of_a_refusal_is_asked_for_again() -> None:
    half = error_body(10028, "too_many_requests")[:30]
    decision = decide(400, {}, half)
    assert decision == RetryAfter(None, f"not a JSON-RPC answer: {half.decode()}", limited=False)


def test_a_wrong_address_says_what_to_check() -> None:
    assert decide(404, {}, b"<html>nginx</html>") == GiveUp(
        "not a JSON-RPC answer: <html>nginx</html>; check the address of the venue in the settings", RequestRejected
    )
    assert isinstance(decide(302, {"Location": "https://elsewhere"}, b""), GiveUp)


def test_a_reason_fits_into_a_log_line() -> None:
    decision = decide(400, {}, error_body(1, "a\x00b\nc\u2028" + "x" * 100_000))
    assert isinstance(decision, GiveUp)
    assert decision.reason.startswith("1 ab c xxx")
    assert decision.reason.endswith("x...")
    assert len(decision.reason) < 250


@given(status=statuses, headers=st.dictionaries(st.text(), st.text()), body=st.binary())
def test_no_bytes_break_it(status: int, headers: dict[str, str], body: bytes) -> None:
    check(status, headers, body)


@given(status=statuses, retry_after=st.text(), envelope=json_values)
def test_no_json_breaks_it(status: int, retry_after: str, envelope: object) -> None:
    check(status, {"Retry-After": retry_after}, orjson.dumps(envelope))


@given(
    status=statuses,
    error=st.fixed_dictionaries({}, optional={"code": json_values, "message": json_values, "data": json_values})
    | json_values,
    result=json_values,
)
def test_no_error_object_breaks_it(status: int, error: object, result: object) -> None:
    check(status, {}, orjson.dumps({"error": error, "result": result}))


def check(status: int, headers: dict[str, str], body: bytes) -> None:
    decision = decide(status, headers, body)
    if isinstance(decision, Ok):
        assert status == 200
        assert isinstance(decision.payload, Reply)
        return
    assert decision.reason
    assert decision.reason.isprintable()
    if isinstance(decision, GiveUp):
        assert issubclass(decision.error, Stop)
        assert status < 500
    else:
        assert decision.seconds is None or (math.isfinite(decision.seconds) and decision.seconds >= 0)
