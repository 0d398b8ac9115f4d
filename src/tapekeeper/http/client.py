"""Asks a venue over HTTP: at the pace of the rate budget, again where that helps, and every request is recorded."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import ConfigInvalid, NetworkFailure, RateLimited, RetryLater, Stop, VenueUnavailable
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.request_log import Outcome, RequestLog, RequestRecord
from tapekeeper.http.retry import pause_seconds
from tapekeeper.http.transport import Answer, Downloaded, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import BinaryIO, Self

    from tapekeeper.http.rate_budget import Priority, RateBudget
    from tapekeeper.http.transport import NoAnswer
    from tapekeeper.settings import HttpSettings

    Decide = Callable[[int, Mapping[str, str], bytes], Decision]
    Send = Callable[[], Answer | Downloaded | NoAnswer]

WAIT_PIECE_SECONDS: Final = 1.0
"""Longest sleep before `on_wait` is called again."""


class BudgetExhausted(RateLimited):
    """No permit of our own rate budget could be had in time: the venue was not asked, and no try is used up."""


def _nothing() -> None:
    """The `on_wait` of a caller that has nothing to do meanwhile."""


class HttpClient:
    """Asks one venue, for one thread.

    Args:
        settings: timeouts, tries and pauses.
        venue: the venue's key, for records and messages.
        base_url: scheme and host of the venue.
        budget: the permits that every request takes.
        log: keeps every request, failed ones too.
        priority: who we are to the budget.
        sleep: waits for seconds.
        on_wait: called before each try and at least every second of a wait, so that a lease can be renewed there;
            what it raises ends the request.
        jitter: random numbers in [0, 1).
    """

    def __init__(
        self,
        settings: HttpSettings,
        venue: str,
        base_url: str,
        budget: RateBudget,
        log: RequestLog,
        priority: Priority,
        sleep: Callable[[float], None] = time.sleep,
        on_wait: Callable[[], None] = _nothing,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._venue = venue
        self._transport = Transport(base_url, settings.timeout_seconds)
        self._budget = budget
        self._log = log
        self._priority = priority
        self._sleep = sleep
        self._on_wait = on_wait
        self._jitter = jitter

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def get(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int],
        weight: float,
        decide: Decide,
        further_budgets: Sequence[RateBudget] = (),
        headers: Mapping[str, str] | None = None,
    ) -> object:
        """Ask until there is an answer, and return what `decide` made of it.

        Args:
            method: what is asked, for records and messages; the address has no place there.
            path: of the address, with a slash at its start.
            parameters: of the query.
            weight: permits that it takes from the client's budget.
            decide: tells what status, headers and body mean.
            further_budgets: other limits that this method counts against; one permit of each is taken.
            headers: further ones, such as a key; they are in no record and no message.

        Raises:
            RateLimited: we asked too often.
            BudgetExhausted: our own budget would make us wait too long; the venue was not asked.
            VenueUnavailable: the venue could not serve in any of the tries.
            NetworkFailure: there was no whole answer in the last of the tries.
            Stop: `decide` gave up; the error is the one that it names.
        """
        budgets = [*((budget, 1.0) for budget in further_budgets), (self._budget, weight)]
        question = _Question(method, parameters, weight, budgets)
        return self._until_answered(question, lambda: self._transport.get(path, parameters, headers), decide)

    def download(
        self,
        method: str,
        path: str,
        target: BinaryIO,
        decide: Decide,
        *,
        parameters: Mapping[str, str],
        bytes_maximum: int,
    ) -> object:
        """Fetch a file, again where that helps; one permit of the client's budget for each try.

        Args:
            method: what is fetched, for records and messages; the address has no place there.
            path: of the address, with a slash at its start.
            target: takes the file; each try begins it anew.
            decide: tells what every other status than 200 means.
            parameters: what is told of the request in the records; nothing of it is sent.
            bytes_maximum: a longer file is refused.

        Returns:
            `Downloaded`, or what `decide` made of another answer.

        Raises:
            Everything that `get` raises, and
            StorageFull: the file cannot be written.
        """
        renewed_at = time.monotonic()

        def on_part() -> None:
            nonlocal renewed_at
            if time.monotonic() - renewed_at >= WAIT_PIECE_SECONDS:
                self._on_wait()
                renewed_at = time.monotonic()

        question = _Question(method, parameters, 1.0, [(self._budget, 1.0)])
        return self._until_answered(
            question, lambda: self._transport.download(path, target, on_part, bytes_maximum), decide
        )

    def _until_answered(self, question: _Question, send: Send, decide: Decide) -> object:
        method, attempt = question.method, 0
        while True:
            attempt += 1
            for budget, permits in question.budgets:
                self._take(budget, permits, method)
            self._on_wait()
            status, decision = self._try_once(question, send, decide, attempt)
            if isinstance(decision, Ok):
                return decision.payload
            if isinstance(decision, GiveUp):
                raise decision.error(f"{self._venue} refuses {method} with HTTP {status}: {decision.reason}")
            if decision.limited:
                for budget, _ in question.budgets:
                    budget.slow_down(decision.seconds)
            pause = pause_seconds(self._settings, attempt, decision.seconds, self._jitter())
            if attempt >= self._settings.attempts_maximum or pause > self._settings.inline_wait_longest_seconds:
                raise self._failure(method, decision, status, attempt, pause)
            self._wait(pause)

    def _try_once(
        self, question: _Question, send: Send, decide: Decide, attempt: int
    ) -> tuple[int | None, Ok | RetryAfter | GiveUp]:
        requested_at, started = now_microseconds(), time.monotonic()
        try:
            answer = send()
        except ConfigInvalid:
            # Nothing was sent.
            raise
        except BaseException as error:
            # What is broken off between two parts was sent all the same.
            seconds = time.monotonic() - started
            reason = f"broken off: {type(error).__name__}"
            self._record(question, attempt, requested_at, seconds, _Judged(None, 0, GiveUp(reason, Stop)))
            raise
        seconds = time.monotonic() - started
        judged = _judge(answer, decide)
        if isinstance(judged.decision, Ok) and judged.decision.pause_seconds > 0:
            self._budget.pause(judged.decision.pause_seconds)
        self._record(question, attempt, requested_at, seconds, judged)
        return judged.status, judged.decision

    def _record(
        self, question: _Question, attempt: int, requested_at: int, latency_seconds: float, judged: _Judged
    ) -> None:
        outcome, reason = _outcome(judged.decision)
        self._log.record(
            RequestRecord(
                venue=self._venue,
                method=question.method,
                parameters=dict(question.parameters),
                requested_at=requested_at,
                status=judged.status,
                outcome=outcome,
                reason=reason,
                weight=question.weight,
                latency_seconds=latency_seconds,
                bytes=judged.size_bytes,
                attempt=attempt,
            )
        )

    def _take(self, budget: RateBudget, permits: float, method: str) -> None:
        waited = 0.0
        while (seconds := budget.acquire(permits, self._priority)) > 0:
            if waited + seconds > self._settings.inline_wait_longest_seconds:
                raise BudgetExhausted(
                    f"{self._venue}: {method} has to wait {seconds:.1f} s more for our own rate budget, after"
                    f" {waited:.1f} s; it can be asked again then",
                    after_seconds=seconds,
                )
            self._wait(seconds)
            waited += seconds

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._on_wait()
            piece = min(seconds, WAIT_PIECE_SECONDS)
            self._sleep(piece)
            seconds -= piece

    def _failure(
        self, method: str, decision: RetryAfter, status: int | None, attempts: int, after_seconds: float
    ) -> RetryLater:
        last = "no answer" if status is None else f"HTTP {status}"
        message = (
            f"{self._venue} did not serve {method} in {attempts} {'try' if attempts == 1 else 'tries'},"
            f" the last with {last}: {decision.reason}; it can be asked again in {after_seconds:.1f} s"
        )
        if decision.limited:
            return RateLimited(message, after_seconds=after_seconds)
        if status is None:
            return NetworkFailure(message, after_seconds=after_seconds)
        return VenueUnavailable(message, after_seconds=after_seconds)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, whatever becomes of it."""

    method: str
    parameters: Mapping[str, str | int]
    """As they are recorded."""
    weight: float
    """Permits that it takes from the client's own budget."""
    budgets: Sequence[tuple[RateBudget, float]]
    """Every budget that it counts against, with its permits."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What came of one try."""

    status: int | None
    size_bytes: int
    decision: Decision


def _judge(answer: Answer | Downloaded | NoAnswer, decide: Decide) -> _Judged:
    if isinstance(answer, Answer):
        return _Judged(answer.status, len(answer.body), decide(answer.status, answer.headers, answer.body))
    if isinstance(answer, Downloaded):
        return _Judged(200, answer.size_bytes, Ok(answer))
    return _Judged(None, 0, RetryAfter(None, answer.reason, limited=False))


def _outcome(decision: Decision) -> tuple[Outcome, str]:
    if isinstance(decision, Ok):
        return "ok", ""
    return ("give up" if isinstance(decision, GiveUp) else "retry"), decision.reason
