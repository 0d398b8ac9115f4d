"""One request over a real socket: whole, or with the reason why not."""

from __future__ import annotations

import gzip
import socket

import pytest

from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.transport import USER_AGENT, Answer, NoAnswer, Transport
from tests.support.scripted_server import Said, ScriptedServer, http_answer

LONG = 10.0
"""A timeout that no test is meant to reach."""


def ask(*script: Said | bytes, timeout_seconds: float = LONG) -> Answer | NoAnswer:
    with ScriptedServer(*script) as server:
        transport = Transport(server.base_url, timeout_seconds)
        try:
            return transport.get("/path", {})
        finally:
            transport.close()


def test_an_answer_comes_whole_with_status_and_headers() -> None:
    answer = ask(http_answer(400, b'{"error":{}}', "Retry-After: 3\r\n"))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (400, b'{"error":{}}', "3")


def test_the_request_names_us_and_carries_the_parameters() -> None:
    with ScriptedServer(http_answer(200)) as server:
        transport = Transport(server.base_url, LONG)
        transport.get("/api/v2/public/get_instrument", {"instrument_name": "BTC_USDC-PERPETUAL", "n": 1})
        transport.close()
    assert server.requests[0].startswith(
        "GET /api/v2/public/get_instrument?instrument_name=BTC_USDC-PERPETUAL&n=1 HTTP"
    )
    assert f"User-Agent: {USER_AGENT}\r\n" in server.requests[0]
    assert USER_AGENT.startswith("tapekeeper/")


def test_further_headers_go_with_one_request_only() -> None:
    with ScriptedServer(http_answer(200)) as server:
        transport = Transport(server.base_url, LONG)
        try:
            transport.get("/path", {}, {"Authorization": "Token secret"})
            transport.get("/path", {})
        finally:
            transport.close()
    assert ["Authorization: Token secret" in request for request in server.requests] == [True, False]


def test_a_compressed_body_is_decompressed() -> None:
    answer = ask(http_answer(200, gzip.compress(b"x" * 1_000_000), "Content-Encoding: gzip\r\n"))
    assert isinstance(answer, Answer)
    assert answer.body == b"x" * 1_000_000


def test_a_chunked_body_is_joined() -> None:
    answer = ask(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert isinstance(answer, Answer)
    assert answer.body == b"abcde"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with ScriptedServer(http_answer(302, b"", "Location: /elsewhere\r\n")) as server:
        transport = Transport(server.base_url, LONG)
        answer = transport.get("/path", {})
        transport.close()
    assert isinstance(answer, Answer)
    assert answer.status == 302
    assert len(server.requests) == 1


def test_the_connection_is_kept_between_requests() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with ScriptedServer(http_answer(200, b"first"), http_answer(400), chunked, http_answer(200)) as server:
        transport = Transport(server.base_url, LONG)
        for _ in range(5):
            assert isinstance(transport.get("/path", {}), Answer)
        transport.close()
    assert (len(server.requests), server.connections) == (5, 1)


def test_the_connection_is_renewed_at_the_end_of_its_lifetime() -> None:
    with ScriptedServer(http_answer(200)) as server:
        transport = Transport(server.base_url, LONG, connection_lifetime_seconds=0.0)
        for _ in range(3):
            assert isinstance(transport.get("/path", {}), Answer)
        transport.close()
    assert server.connections == 3


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert isinstance(ask(http_answer(200)), Answer)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(http_answer(200, b"0123456789")[:-4], "close"), "the answer ended 4 bytes early"),
        (Said(http_answer(200, b"0123456789")[:-10], "close"), "the answer ended 10 bytes early"),
        (Said(b"", "close"), "the connection was closed without an answer"),
        (Said(b"", "reset"), "the connection was reset"),
        (
            Said(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", "close"),
            "the connection was closed before the answer was complete",
        ),
        (
            Said(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\nabc", "close"),
            "the connection was closed before the answer was complete",
        ),
        (Said(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "close"), "the connection was closed before the answer was complete"),
        (
            Said(http_answer(200, b"no gzip at all", "Content-Encoding: gzip\r\n")),
            "the answer cannot be decompressed",
        ),
    ],
)
def test_half_an_answer_is_none(said: Said, reason: str) -> None:
    answer = ask(said)
    assert isinstance(answer, NoAnswer), answer
    assert answer.reason.startswith(reason)


def test_a_body_of_unknown_length_ends_with_the_connection() -> None:
    # Nobody can tell half of it from the whole: that is left to who reads it.
    answer = ask(Said(b"HTTP/1.1 200 OK\r\n\r\n0123", "close"))
    assert isinstance(answer, Answer)
    assert answer.body == b"0123"


def test_half_an_answer_and_then_a_reset() -> None:
    # What the socket still held may be lost or not; half of it is no answer either way.
    answer = ask(Said(http_answer(200, b"0123456789")[:-4], "reset"))
    assert isinstance(answer, NoAnswer), answer


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"])
def test_silence_ends_after_the_timeout(begun: bytes) -> None:
    assert ask(Said(begun, "hang"), timeout_seconds=0.2) == NoAnswer("no answer within 0.2 s")


def test_a_dripping_answer_ends_too() -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    assert ask(Said(begun, "drip"), timeout_seconds=1.0) == NoAnswer("the answer was not complete within 2 s")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}", LONG)
    assert transport.get("/path", {"secret": "value"}) == NoAnswer("the connection was refused")


def test_a_plain_server_behind_https() -> None:
    with ScriptedServer(Said(b"HTTP/1.1 400 Bad Request\r\n\r\n", "close")) as server:
        # The server waits for the end of a head that a TLS greeting never has: the connection ends with the socket.
        transport = Transport(server.base_url.replace("http", "https"), 0.5)
        answer = transport.get("/path", {})
        transport.close()
    assert isinstance(answer, NoAnswer)


def test_an_address_that_cannot_be_one_is_a_setting_to_change() -> None:
    with pytest.raises(ConfigInvalid, match=r"'http://\.example' cannot be an address: type one like"):
        Transport("http://.example", LONG).get("/path", {})
