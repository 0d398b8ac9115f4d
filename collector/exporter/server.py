"""The process: it reads the families in turns and serves them, until it is told to stop."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from collector.exporter.cache import REFRESH_SECONDS, STALE_SECONDS, FamilyCache
from collector.exporter.families import FAMILIES
from collector.health import HealthServer
from collector.settings import variable_of
from tapekeeper.store.reader import Reader

if TYPE_CHECKING:
    from threading import Event

    from collector.settings import CollectorSettings
    from tapekeeper.settings import Settings

STUCK_SECONDS: Final = STALE_SECONDS
"""Without a finished question for so long /livez fails."""

log = logging.getLogger("collector.exporter")


class Exporter:
    """Reads what stands in the database through the reader's login, and tells it on `/metrics`."""

    def __init__(self, core: Settings, own: CollectorSettings, stop: Event) -> None:
        """`stop` ends `run` after the question that is under way, which takes some seconds at the longest."""
        url = core.reader_database_url.get_secret_value()
        self._cache = FamilyCache(FAMILIES, Reader(url, connect_timeout_seconds=core.database.connect_timeout_seconds))
        self._own = own
        self._stop = stop
        self._turned_at = time.monotonic()

    def run(self) -> None:
        """Serve until it is told to stop.

        Raises:
            ConfigInvalid: the port cannot be had.
        """
        own = self._own
        server = HealthServer(
            own.exporter_host,
            own.exporter_port,
            self._cache,
            lambda: {"turning": time.monotonic() - self._turned_at < STUCK_SECONDS},
            self._cache.readable,
            port_variable=variable_of("exporter_port"),
        )
        with closing(server):
            log.info("metrics and health on %s", server.url)
            while not self._stop.is_set():
                started = time.monotonic()
                self._turn()
                self._stop.wait(max(0.0, started + REFRESH_SECONDS - time.monotonic()))
        log.info("ended")

    def _turn(self) -> None:
        for family in FAMILIES:
            if self._stop.is_set():
                return
            self._cache.refresh(family)
            self._turned_at = time.monotonic()
