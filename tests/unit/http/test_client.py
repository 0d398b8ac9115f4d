"""The client against a real socket: what is retried, what is recorded, what is raised and with which words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from tapekeeper.errors import AuthRejected, NetworkFailure, RateLimited, RequestRejected, VenueUnavailable
from tapekeeper.http.client import WAIT_PIECE_SECONDS, BudgetExhausted, HttpClient
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.rate_budget import Priority
from tapekeeper.settings import HttpSettings
from tests.support.scripted_server import Said, ScriptedServer, http_answer

if TYPE_CHECKING:
    from tapekeeper.http.request_log import RequestRecord

SETTINGS = HttpSettings(timeout_seconds=10, attempts_maximum=3, backoff_first_seconds=1, inline_wait_longest_seconds=60)
RESET = Said(b"", "reset")


class Book:
    """Writes down everything that the client does, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.records: list[RequestRecord] = []
        self.slept: list[float] = []

    def record(self, record: RequestRecord) -> None:
        self.events.append(f"record {record.outcome}")
        self.records.append(record)

    def sleep(self, seconds: float) -> None:
        self.events.append(f"sleep {seconds:g}")
        self.slept.append(seconds)

    def on_wait(self) -> None:
        self.events.append("on_wait")


class Budget:
    """A rate budget that answers what it was told to, and then that there are permits."""

    def __init__(self, book: Book, *waits: float, name: str = "acquire") -> None:
        self._book = book
        self._waits = list(waits)
        self._name = name
        self.slowed_down: list[float | None] = []
        self.paused: list[float] = []

    def acquire(self, weight: float, priority: Priority) -> float:
        self._book.events.append(f"{self._name} {weight:g} {priority.name}")
        return self._waits.pop(0) if self._waits else 0.0

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    def slow_down(self, retry_after_seconds: float | None) -> None:
        self.slowed_down.append(retry_after_seconds)


def decide(status: int, headers: Mapping[str, str], body: bytes) -> Decision:
    """200 is good, 429 says slower, 401 and 404 are final, everything else is retried."""
    if status == 200:
        return Ok(body, pause_seconds=float(headers.get("Spent-For", 0)))
    seconds = float(headers["Retry-After"]) if "Retry-After" in headers else None
    if status in {401, 404}:
        return GiveUp("not you", AuthRejected if status == 401 else RequestRejected)
    return RetryAfter(seconds, f"the venue said {status}", limited=status == 429)


def ask(
    book: Book,
    *script: Said | bytes,
    budget: Budget | None = None,
    further: tuple[Budget, ...] = (),
    settings: HttpSettings = SETTINGS,
    on_wait: Callable[[], None] | None = None,
) -> object:
    with (
        ScriptedServer(*script) as server,
        HttpClient(
            settings,
            "venue",
            server.base_url,
            budget or Budget(book),
            book,
            Priority.LIVE,
            sleep=book.sleep,
            on_wait=on_wait or book.on_wait,
            jitter=lambda: 0.5,
        ) as client,
    ):
        return client.get("public/thing", "/thing", {"name": "a", "count": 2}, 3.0, decide, further)


def test_an_answer_is_returned_and_recorded() -> None:
    book = Book()
    assert ask(book, http_answer(200, b"payload")) == b"payload"
    assert book.events == ["acquire 3 LIVE", "on_wait", "record ok"]
    record = book.records[0]
    assert (record.venue, record.method, record.parameters) == ("venue", "public/thing", {"name": "a", "count": 2})
    assert (record.status, record.outcome, record.reason, record.bytes) == (200, "ok", "", 7)
    assert (record.weight, record.attempt) == (3.0, 1)
    assert record.latency_seconds > 0
    assert record.requested_at > 1_700_000_000_000_000


def test_a_budget_that_the_venue_counts_as_spent_makes_everybody_pause() -> None:
    book = Book()
    budget, further = Budget(book), Budget(book, name="further")
    script = http_answer(200, b"payload", "Spent-For: 12.5\r\n")
    assert ask(book, script, budget=budget, further=(further,)) == b"payload"
    assert (budget.paused, budget.slowed_down, further.paused) == ([12.5], [], [])


def test_failures_are_retried_with_growing_pauses_and_all_are_recorded() -> None:
    book = Book()
    assert ask(book, http_answer(503), RESET, http_answer(200, b"at last")) == b"at last"
    assert [(record.attempt, record.status, record.outcome, record.reason) for record in book.records] == [
        (1, 503, "retry", "the venue said 503"),
        (2, None, "retry", "the connection was reset"),
        (3, 200, "ok", ""),
    ]
    assert sum(book.slept) == 1 + 2


def test_a_failed_request_takes_a_new_permit_for_each_try() -> None:
    book = Book()
    ask(book, http_answer(503), http_answer(200))
    assert [event for event in book.events if event.startswith("acquire")] == ["acquire 3 LIVE"] * 2


@pytest.mark.parametrize(
    ("last", "error", "words"),
    [
        (http_answer(503), VenueUnavailable, "the last with HTTP 503: the venue said 503"),
        (http_answer(429), RateLimited, "the last with HTTP 429: the venue said 429"),
        (RESET, NetworkFailure, "the last with no answer: the connection was reset"),
    ],
)
def test_when_the_tries_are_used_up_the_last_reason_is_raised(
    last: Said | bytes, error: type[VenueUnavailable | RateLimited | NetworkFailure], words: str
) -> None:
    book = Book()
    with pytest.raises(error) as raised:
        ask(book, http_answer(500), http_answer(500), last)
    assert str(raised.value) == (
        f"venue did not serve public/thing in 3 tries, {words}; it can be asked again in 4.0 s"
    )
    assert raised.value.after_seconds == 4.0
    assert len(book.records) == 3


def test_a_refusal_is_raised_at_once_as_the_error_that_the_venue_chose() -> None:
    book = Book()
    with pytest.raises(AuthRejected, match=r"^venue refuses public/thing with HTTP 401: not you$"):
        ask(book, http_answer(401))
    assert [(record.outcome, record.reason) for record in book.records] == [("give up", "not you")]
    assert book.slept == []


def test_too_many_requests_slow_down_every_budget_of_the_request() -> None:
    book = Book()
    budget, further = Budget(book), Budget(book, name="further")
    ask(book, http_answer(429, b"", "Retry-After: 7\r\n"), http_answer(200), budget=budget, further=(further,))
    assert (budget.slowed_down, further.slowed_down) == ([7.0], [7.0])
    assert sum(book.slept) == 7.0
    assert [event for event in book.events if "LIVE" in event] == ["further 1 LIVE", "acquire 3 LIVE"] * 2


def test_other_failures_slow_nobody_down() -> None:
    book = Book()
    budget = Budget(book)
    ask(book, http_answer(503), http_answer(200), budget=budget)
    assert budget.slowed_down == []


def test_a_wait_that_the_venue_makes_too_long_gives_the_place_back() -> None:
    book = Book()
    budget = Budget(book)
    with pytest.raises(RateLimited, match=r"in 1 try, the last with HTTP 429.*again in 2815\.0 s") as raised:
        ask(book, http_answer(429, b"", "Retry-After: 2815\r\n"), budget=budget)
    assert raised.value.after_seconds == 2815.0
    assert (book.slept, budget.slowed_down) == ([], [2815.0])
    with pytest.raises(VenueUnavailable):
        ask(book, http_answer(503, b"", "Retry-After: 2815\r\n"))


def test_the_budget_is_waited_for_in_pieces_with_the_lease_renewed_between() -> None:
    book = Book()
    ask(book, http_answer(200), budget=Budget(book, 2.5 * WAIT_PIECE_SECONDS, 0.25))
    assert book.events == [
        "acquire 3 LIVE",
        "on_wait",
        "sleep 1",
        "on_wait",
        "sleep 1",
        "on_wait",
        "sleep 0.5",
        "acquire 3 LIVE",
        "on_wait",
        "sleep 0.25",
        "acquire 3 LIVE",
        "on_wait",
        "record ok",
    ]


def test_waiting_too_long_for_the_budget_gives_the_place_back_without_a_request() -> None:
    book = Book()
    with pytest.raises(BudgetExhausted) as raised:
        ask(book, http_answer(200), budget=Budget(book, 40.0, 15.0, 30.0))
    assert str(raised.value) == (
        "venue: public/thing has to wait 30.0 s more for our own rate budget, after 55.0 s; it can be asked again then"
    )
    assert raised.value.after_seconds == 30.0
    assert (sum(book.slept), book.records) == (55.0, [])


def test_what_on_wait_raises_ends_the_request() -> None:
    class LeaseLost(Exception):
        pass

    def lose_the_lease() -> None:
        raise LeaseLost

    book = Book()
    with pytest.raises(LeaseLost):
        ask(book, http_answer(200), budget=Budget(book, 5.0), on_wait=lose_the_lease)
    assert (book.slept, book.records) == ([], [])
