"""What the database knows before the first frame: which instruments are followed, and how far each is written."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from collector.subscriptions import of_shard
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import RetryLater
from tapekeeper.store.database import Database
from tapekeeper.store.gaps import open_gaps
from tapekeeper.store.option_series import ensure_option_series, followed_options, positions
from tapekeeper.store.sessions import close_abandoned_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from uuid import UUID

    from psycopg2.extensions import cursor as Cursor

    from collector.settings import CollectorSettings
    from tapekeeper.model.gap import Gap
    from tapekeeper.model.instrument import Instrument
    from tapekeeper.settings import Settings
    from tapekeeper.store.option_series import OptionSeries, Position

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Known(NamedTuple):
    """An instrument that was followed when the collector ended."""

    series: OptionSeries
    position: Position
    gaps: list[Gap]
    """Trades that were missing then."""


class Registry:
    """Asks the database from the event loop, in a thread."""

    def __init__(self, settings: Settings, collector_settings: CollectorSettings) -> None:
        self._settings = collector_settings
        self._database = Database(
            settings.database.url.get_secret_value(),
            application_name="tapekeeper collector registry",
            connect_timeout_seconds=settings.database.connect_timeout_seconds,
        )
        self._lock = asyncio.Lock()

    async def resume(self, collector: str, living: Callable[[], Collection[UUID]]) -> dict[str, Known]:
        """Return what was followed when a collector of this name ended, and note that its connections are gone.

        Waits for the database where it is away. `living` tells which connections are not gone, because they are ours.
        """

        def ask(cursor: Cursor) -> dict[str, Known]:
            close_abandoned_sessions(cursor, collector=collector, closed_at=now_microseconds(), living=living())
            followed = {name: series for name, series in followed_options(cursor).items() if self._is_ours(name)}
            places = positions(cursor, [series.instrument_id for series in followed.values()])
            gaps: dict[int, list[Gap]] = {}
            for gap in open_gaps(cursor, [series.trades_series_id for series in followed.values()]):
                gaps.setdefault(gap.series_id, []).append(gap)
            return {
                name: Known(series, places[series.instrument_id], gaps.get(series.trades_series_id, []))
                for name, series in followed.items()
            }

        while True:
            try:
                return await self._run(ask)
            except RetryLater as error:
                log.warning("the database is waited for: %s", error)
                await asyncio.sleep(min(error.after_seconds, 1.0))

    async def ensure(self, instruments: Iterable[Instrument]) -> dict[str, OptionSeries]:
        """Return the ids of instruments, made where they are new.

        Raises:
            RetryLater: the database is away.
        """
        wanted = list(instruments)
        return await self._run(lambda cursor: ensure_option_series(cursor, wanted))

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _is_ours(self, name: str) -> bool:
        base = name.split("-")[0]
        of_currency = base == self._settings.currency or base.endswith(f"_{self._settings.currency}")
        return of_currency and bool(of_shard([name], self._settings.shard_number, self._settings.shard_count))

    async def _run(self, work: Callable[[Cursor], Result]) -> Result:
        async with self._lock:
            return await asyncio.to_thread(self._database.run, work)
