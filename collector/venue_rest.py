"""The venue's REST interface for the event loop: the core's client blocks, so it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tapekeeper.errors import NetworkFailure
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.database import Database
from tapekeeper.store.rate_budgets import DatabaseRateBudget
from tapekeeper.venues.deribit.limits import GET_INSTRUMENTS_LIMIT, rest_limit
from tapekeeper.venues.deribit.rest import DeribitRest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.settings import Settings

CLOSE_SECONDS: Final = 1.0

Result = TypeVar("Result")


class VenueRest:
    """Asks the venue, one question after the other, at the priority of live work."""

    def __init__(self, settings: Settings) -> None:
        # A permit that a crash forgets costs one request too many; waiting for the disk would cost every request.
        self._database = Database(
            settings.database.url.get_secret_value(),
            application_name="tapekeeper collector budget",
            connect_timeout_seconds=settings.database.connect_timeout_seconds,
            prepare="SET synchronous_commit = off",
        )
        self._stopping = False
        self._client = HttpClient(
            settings.http,
            venue="deribit",
            base_url=settings.deribit.rest_url,
            budget=DatabaseRateBudget(self._database, rest_limit(settings.deribit)),
            log=ApiRequestLog(self._database),
            priority=Priority.LIVE,
            sleep=time.sleep,
            on_wait=self._check,
            jitter=random.random,
        )
        self._rest = DeribitRest(self._client, DatabaseRateBudget(self._database, GET_INSTRUMENTS_LIMIT))
        self._questions: SimpleQueue[tuple[Callable[[DeribitRest], Any], Future[Any]] | None] = SimpleQueue()
        # A daemon: a venue that does not answer must not keep the process from ending.
        self._thread = Thread(target=self._run, name="rest", daemon=True)
        self._thread.start()

    async def ask(self, question: Callable[[DeribitRest], Result]) -> Result:
        """Return what `question` makes of the venue; it runs in the thread, and may ask several times.

        Raises:
            TapekeeperError: what the venue's methods raise.
        """
        answer: Future[Result] = Future()
        self._questions.put((question, answer))
        return await asyncio.wrap_future(answer)

    def close(self) -> None:
        """End; a question that is under way is left alone."""
        self._stopping = True
        self._questions.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (asked := self._questions.get()) is not None and not self._stopping:
            question, answer = asked
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(question(self._rest))
            except BaseException as error:  # noqa: BLE001 (whatever it is, who asked has to know)
                answer.set_exception(error)
        self._client.close()
        self._database.close()

    def _check(self) -> None:
        if self._stopping:
            raise NetworkFailure("the collector ends", after_seconds=0.0)
