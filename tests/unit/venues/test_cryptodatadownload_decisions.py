"""What answers of CryptoDataDownload mean."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import AuthRejected, RequestRejected, Stop
from tapekeeper.http.decision import GiveUp, Ok, RetryAfter
from tapekeeper.http.retry import RETRY_AFTER_LONGEST_SECONDS
from tapekeeper.settings import CryptoDataDownloadSettings
from tapekeeper.venues.cryptodatadownload.decisions import NOTHING, Decisions
from tapekeeper.venues.cryptodatadownload.limits import hourly_limit

KEY = "0123456789abcdef"
HOUR = 3_600
decide = Decisions(KEY).decide


def detail(words: str) -> bytes:
    return orjson.dumps({"detail": words})


def throttled(seconds: str) -> bytes:
    return detail(f"Request was throttled. Expected available in {seconds} seconds.")


@pytest.mark.parametrize("calls", [2, 3, 400])
def test_no_hour_holds_more_than_the_venue_grants(calls: int) -> None:
    limit = hourly_limit(CryptoDataDownloadSettings(calls_per_hour=calls))
    assert calls - 1 <= limit.burst + limit.permits_per_second * HOUR <= calls
    assert limit.name == "cryptodatadownload.calls"


def test_an_answer_is_what_it_says_and_404_is_an_answer_without_rows() -> None:
    assert decide(200, {}, b'{"result": []}') == Ok({"result": []})
    assert decide(404, {}, detail("Not found.")) == Ok(NOTHING)


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        (throttled("2815"), {"Retry-After": "2815"}, 2815.0),
        (throttled("2815"), {}, 2815.0),
        (throttled("12.75"), {"retry-after": "3"}, 12.75),
        (throttled("3"), {"Retry-After": "60"}, 60.0),
        (detail("Request was throttled. Expected available in 1 second."), {}, 1.0),
        (throttled("999999999"), {}, RETRY_AFTER_LONGEST_SECONDS),
        (throttled("some"), {}, None),
        (b"", {"Retry-After": "soon"}, None),
    ],
)
def test_a_throttle_is_waited_out_as_long_as_it_says(
    body: bytes, headers: dict[str, str], seconds: float | None
) -> None:
    decision = decide(429, headers, body)
    assert isinstance(decision, RetryAfter)
    assert (decision.limited, decision.seconds) == (True, seconds)


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (503, detail("x")), (408, b""), (200, b'{"result": ['), (400, b"<html>")]
)
def test_trouble_of_the_venue_is_tried_again(status: int, body: bytes) -> None:
    decision = decide(status, {"Retry-After": "7"}, body)
    assert isinstance(decision, RetryAfter)
    assert not decision.limited
    assert decision.seconds == (7.0 if status not in {200, 400} else None)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, detail("Send symbol."), RequestRejected, "Send symbol."),
        (401, detail("Invalid token."), AuthRejected, "Invalid token.; set TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY"),
        (403, b"", AuthRejected, "TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY_FILE"),
        (404, b"<html>", RequestRejected, "check the address"),
        (404, b"[]", RequestRejected, "check the address"),
        (301, b"", RequestRejected, "check the address"),
    ],
)
def test_what_would_fail_again_is_given_up(status: int, body: bytes, kind: type[Stop], words: str) -> None:
    decision = decide(status, {}, body)
    assert isinstance(decision, GiveUp)
    assert decision.error is kind
    assert words in decision.reason


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("body", [detail(f"{KEY} is wrong"), f"<p>{'x' * 195}{KEY}</p>".encode()])
def test_the_key_is_in_no_reason_whatever_the_venue_repeats(status: int, body: bytes) -> None:
    decision = decide(status, {}, body)
    if not isinstance(decision, Ok):
        assert KEY[:4] not in decision.reason


@given(st.integers(100, 599), st.binary(max_size=60), st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_whatever_comes_is_decided(status: int, body: bytes, headers: dict[str, str]) -> None:
    decision = decide(status, headers, body)
    if isinstance(decision, RetryAfter | GiveUp):
        assert decision.reason.isprintable()
