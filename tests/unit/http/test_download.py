"""Files over a real socket: whole or not at all, begun anew with each try, and never held in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
from typing import TYPE_CHECKING, Final

import pytest

from tapekeeper.errors import AuthRejected, NetworkFailure, RateLimited, StorageFull
from tapekeeper.http.client import HttpClient
from tapekeeper.http.decision import Ok
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.transport import Answer, Downloaded, NoAnswer, Transport
from tests.support.scripted_server import Said, ScriptedServer, http_answer
from tests.unit.http.test_client import SETTINGS, Book, Budget, decide

if TYPE_CHECKING:
    from collections.abc import Callable

LONG: Final = 10.0
ENOUGH: Final = 1_000_000
CONTENT: Final = bytes(range(256)) * 2_000
WHOLE: Final = http_answer(200, CONTENT)


def nothing() -> None:
    pass


def download(
    *script: Said | bytes,
    target: io.BytesIO | None = None,
    timeout_seconds: float = LONG,
    bytes_maximum: int = ENOUGH,
    on_part: Callable[[], None] = nothing,
) -> Downloaded | Answer | NoAnswer:
    with ScriptedServer(*script) as server:
        transport = Transport(server.base_url, timeout_seconds)
        try:
            return transport.download("/file", target or io.BytesIO(), on_part, bytes_maximum)
        finally:
            transport.close()


def fetch(book: Book, target: io.BytesIO, *script: Said | bytes, budget: Budget | None = None) -> object:
    with (
        ScriptedServer(*script) as server,
        HttpClient(
            SETTINGS,
            "venue",
            server.base_url,
            budget or Budget(book),
            book,
            Priority.BACKFILL,
            sleep=book.sleep,
            on_wait=book.on_wait,
            jitter=lambda: 0.5,
        ) as client,
    ):
        return client.download(
            "archive/thing", "/file", target, decide, parameters={"file": "a.zip"}, bytes_maximum=ENOUGH
        )


def test_a_file_is_written_with_its_size_and_checksum() -> None:
    target = io.BytesIO(b"something older that is longer than nothing")
    parts: list[int] = []
    received = download(WHOLE, target=target, on_part=lambda: parts.append(target.tell()))
    assert received == Downloaded(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert target.getvalue() == CONTENT
    assert len(parts) > 1
    assert parts[-1] == len(CONTENT)


def test_a_file_is_kept_as_it_comes_and_asked_for_so() -> None:
    packed, target = gzip.compress(CONTENT), io.BytesIO()
    with ScriptedServer(http_answer(200, packed, "Content-Encoding: gzip\r\n")) as server:
        transport = Transport(server.base_url, LONG)
        assert isinstance(transport.download("/file", target, nothing, ENOUGH), Downloaded)
        transport.close()
    assert target.getvalue() == packed
    assert "Accept-Encoding: identity\r\n" in server.requests[0]
    assert "Accept: */*\r\n" in server.requests[0]


@pytest.mark.parametrize("status", [206, 302, 404, 503])
def test_any_other_status_is_an_answer(status: int) -> None:
    answer = download(http_answer(status, b"<Error/>", "Retry-After: 3\r\n"))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (status, b"<Error/>", "3")


def test_half_a_file_is_none() -> None:
    assert download(Said(WHOLE[:-4], "close")) == NoAnswer("the answer ended 4 bytes early")


def test_a_file_that_stalls_is_given_up() -> None:
    assert download(Said(WHOLE[:-4], "hang"), timeout_seconds=0.2) == NoAnswer("no answer within 0.2 s")


def test_a_file_that_drips_is_given_up() -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    answer = download(Said(begun, "drip"), timeout_seconds=0.5)
    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith("only ")


def test_a_file_that_is_too_long_is_given_up() -> None:
    assert download(WHOLE, bytes_maximum=1_000) == NoAnswer("the file is longer than 1,000 bytes")


def test_no_room_for_the_file_is_no_error_of_the_network() -> None:
    class Full(io.BytesIO):
        def write(self, part: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageFull, match=r"cannot be written \(No space left on device\): make room"):
        download(WHOLE, target=Full())


def test_a_retry_begins_the_file_anew_and_every_try_is_recorded() -> None:
    book, target = Book(), io.BytesIO()
    other = bytes(reversed(CONTENT))
    received = fetch(book, target, Said(http_answer(200, other)[:-9], "close"), http_answer(503), WHOLE)
    assert received == Downloaded(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert target.getvalue() == CONTENT
    assert [(one.attempt, one.status, one.outcome, one.bytes) for one in book.records] == [
        (1, None, "retry", 0),
        (2, 503, "retry", 0),
        (3, 200, "ok", len(CONTENT)),
    ]
    assert {(one.method, str(one.parameters), one.weight) for one in book.records} == {
        ("archive/thing", "{'file': 'a.zip'}", 1.0)
    }
    assert [event for event in book.events if event.startswith("acquire")] == ["acquire 1 BACKFILL"] * 3


def test_what_is_decided_of_other_answers_is_returned_or_raised() -> None:
    def absent(status: int, headers: object, body: bytes) -> Ok:
        return Ok(("absent", status, body))

    book = Book()
    with (
        ScriptedServer(http_answer(404, b"<Error/>")) as server,
        HttpClient(SETTINGS, "venue", server.base_url, Budget(book), book, Priority.BACKFILL) as client,
    ):
        asked = client.download("archive/thing", "/file", io.BytesIO(), absent, parameters={}, bytes_maximum=ENOUGH)
    assert asked == ("absent", 404, b"<Error/>")
    with pytest.raises(AuthRejected):
        fetch(Book(), io.BytesIO(), http_answer(401))
    budget = Budget(book)
    with pytest.raises(RateLimited):
        fetch(Book(), io.BytesIO(), http_answer(429, b"", "Retry-After: 2815\r\n"), budget=budget)
    assert budget.slowed_down == [2815.0]
    with pytest.raises(NetworkFailure):
        fetch(Book(), io.BytesIO(), Said(WHOLE[:-1], "close"))


def test_what_on_wait_raises_between_two_parts_ends_the_download_and_is_recorded() -> None:
    class LeaseLost(Exception):
        pass

    calls = 0

    def lose_the_lease() -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise LeaseLost

    book = Book()
    dripping = Said(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "drip")
    with (
        ScriptedServer(dripping) as server,
        HttpClient(
            SETTINGS, "venue", server.base_url, Budget(book), book, Priority.BACKFILL, on_wait=lose_the_lease
        ) as client,
        pytest.raises(LeaseLost),
    ):
        client.download("archive/thing", "/file", io.BytesIO(), decide, parameters={}, bytes_maximum=ENOUGH)
    assert [(one.outcome, one.reason, one.status) for one in book.records] == [
        ("give up", "broken off: LeaseLost", None)
    ]
