"""Which instruments are worth following: the largest open interest first, as the venue tells it about once an hour."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, NamedTuple

from collector.subscriptions import of_shard
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import TapekeeperError
from tapekeeper.model.instrument import Instrument

if TYPE_CHECKING:
    from collector.settings import CollectorSettings
    from collector.venue_rest import VenueRest
    from tapekeeper.model.book_summary import BookSummary
    from tapekeeper.venues.deribit.rest import DeribitRest

CACHE_FILE: Final = "instruments.json"

log = logging.getLogger(__name__)


class Listed(NamedTuple):
    """What the venue lists, with open interest where it tells one."""

    instruments: list[Instrument]
    open_interest: dict[str, float]


class InstrumentChoice:
    """Chooses instruments; remembers the last list on disk, for a start while the venue is away."""

    def __init__(self, settings: CollectorSettings, rest: VenueRest) -> None:
        self._settings = settings
        self._rest = rest
        self._cache = settings.spool_directory / CACHE_FILE

    async def choose(self) -> list[Instrument]:
        """Return the instruments to follow, of this process's shard; from the cache where the venue is away.

        Raises:
            TapekeeperError: the venue is away, and there is no cache.
        """
        try:
            listed = await self._rest.ask(self._ask)
        except TapekeeperError as error:
            cached = self._read_cache()
            if cached is None:
                raise
            log.warning("the venue does not tell its instruments; the last list is used: %s", error)
            listed = cached
        else:
            self._write_cache(listed)
        return chosen(listed, self._settings, now_microseconds())

    def _ask(self, rest: DeribitRest) -> Listed:
        instruments = rest.instruments(self._settings.currency, self._settings.kind)
        summaries: list[BookSummary] = rest.book_summaries(self._settings.currency, self._settings.kind)
        return Listed(instruments, {summary.instrument_name: summary.open_interest for summary in summaries})

    def _write_cache(self, listed: Listed) -> None:
        content = {"instruments": [asdict(one) for one in listed.instruments], "open_interest": listed.open_interest}
        fresh = self._cache.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(content), encoding="utf-8")
            fresh.replace(self._cache)
        except OSError as error:
            log.warning("the list of instruments could not be kept: %s", error)

    def _read_cache(self) -> Listed | None:
        try:
            content = json.loads(self._cache.read_text(encoding="utf-8"))
            return Listed([Instrument(**one) for one in content["instruments"]], content["open_interest"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def chosen(listed: Listed, settings: CollectorSettings, now: int) -> list[Instrument]:
    """Return the living instruments with the largest open interest, those of the shard; equals by name."""
    living = [one for one in listed.instruments if one.expires_at is None or one.expires_at > now]
    living.sort(key=lambda one: (-listed.open_interest.get(one.name, 0.0), one.name))
    top = {one.name: one for one in living[: settings.top_n_instruments]}
    return [top[name] for name in of_shard(top, settings.shard_number, settings.shard_count)]
