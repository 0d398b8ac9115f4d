"""Asks a venue over HTTP: at the pace of the rate budget, again where that helps, and every request is recorded."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import NetworkFailure, RateLimited, RetryLater, VenueUnavailable
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.request_log import Outcome, RequestLog, RequestRecord
from tapekeeper.http.retry import pause_seconds
from tapekeeper.http.transport import Answer, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from tapekeeper.http.rate_budget import Priority, RateBudget
    from tapekeeper.settings import HttpSettings

    Decide = Callable[[int, Mapping[str, str], bytes], Decision]

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
        attempt = 0
        while True:
            attempt += 1
            for budget, permits in budgets:
                self._take(budget, permits, method)
            self._on_wait()
            status, decision = self._try_once(method, path, parameters, weight, decide, attempt, headers)
            if isinstance(decision, Ok):
                return decision.payload
            if isinstance(decision, GiveUp):
                raise decision.error(f"{self._venue} refuses {method} with HTTP {status}: {decision.reason}")
            if decision.limited:
                for budget, _ in budgets:
                    budget.slow_down(decision.seconds)
            pause = pause_seconds(self._settings, attempt, decision.seconds, self._jitter())
            if attempt >= self._settings.attempts_maximum or pause > self._settings.inline_wait_longest_seconds:
                raise self._failure(method, decision, status, attempt, pause)
            self._wait(pause)

    def _try_once(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int],
        weight: float,
        decide: Decide,
        attempt: int,
        headers: Mapping[str, str] | None,
    ) -> tuple[int | None, Ok | RetryAfter | GiveUp]:
        requested_at, started = now_microseconds(), time.monotonic()
        answer = self._transport.get(path, parameters, headers)
        latency = time.monotonic() - started
        if isinstance(answer, Answer):
            status, size = answer.status, len(answer.body)
            decision = decide(answer.status, answer.headers, answer.body)
        else:
            status, size = None, 0
            decision = RetryAfter(None, answer.reason, limited=False)
        if isinstance(decision, Ok) and decision.pause_seconds > 0:
            self._budget.pause(decision.pause_seconds)
        outcome, reason = _outcome(decision)
        self._log.record(
            RequestRecord(
                venue=self._venue,
                method=method,
                parameters=dict(parameters),
                requested_at=requested_at,
                status=status,
                outcome=outcome,
                reason=reason,
                weight=weight,
                latency_seconds=latency,
                bytes=size,
                attempt=attempt,
            )
        )
        return status, decision

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


def _outcome(decision: Decision) -> tuple[Outcome, str]:
    if isinstance(decision, Ok):
        return "ok", ""
    return ("give up" if isinstance(decision, GiveUp) else "retry"), decision.reason
