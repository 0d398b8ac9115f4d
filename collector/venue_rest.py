"""The venue's REST interface for the event loop: the core's client blocks, so it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

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
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rest")

    async def ask(self, question: Callable[[DeribitRest], Result]) -> Result:
        """Return what `question` makes of the venue; it runs in the thread, and may ask several times.

        Raises:
            TapekeeperError: what the venue's methods raise.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, question, self._rest)

    def close(self) -> None:
        """End the question that is under way, within about a second, and close the connections."""
        self._stopping = True
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()
        self._database.close()

    def _check(self) -> None:
        if self._stopping:
            raise asyncio.CancelledError
