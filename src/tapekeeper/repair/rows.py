"""Rows that a gap lacks: fetched window by window, as a backfill does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tapekeeper.backfill.cut import cut
from tapekeeper.backfill.landing import land_answer
from tapekeeper.backfill.offers import offer_of
from tapekeeper.model.backfill import Source
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.repair.fetched import Fetched, RepairPurpose
from tapekeeper.store.grid_rows import OPTION_CANDLES, write_rows
from tapekeeper.store.quarantine import quarantine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.settings import Settings
    from tapekeeper.store.repair_claims import Claim


def fetch_rows(tools: WorkerTools, claim: Claim, settings: Settings, *, kept_from: int) -> Fetched:
    """Ask the venue for all of a gap; each window but the last is written before the next one is asked for.

    Nothing is asked for that lies before `kept_from`, in microseconds since 1970: the venue tells it no more, and an
    answer that refuses the question would leave the gap open for ever.

    Raises:
        RetryLater: the venue cannot be asked now; what came before is kept.
        BadData: an answer cannot be believed as a whole.
        RequestRejected: the venue refuses for good.
    """
    asking, is_clean = _Asking(tools, claim), True
    gap = claim.gap.window
    kept = [Window(max(gap.start, kept_from), gap.end)] if gap.end > kept_from else []
    written: tuple[Window, Answer[Rows]] | None = None
    for window in asking.windows(kept, settings):
        if written is not None:
            tools.database.run(partial(asking.write, told=written))
        tools.about_to_fetch(RepairPurpose(claim.gap.series_id, window))
        written = window, asking.ask(window)
        is_clean = is_clean and not written[1].rejected
    return Fetched(is_clean, partial(asking.write, told=written))


class _Asking:
    """How the series of a gap is asked for, and how its rows are written."""

    def __init__(self, tools: WorkerTools, claim: Claim) -> None:
        self._tools = tools
        self._claim = claim
        self._is_option_of_chain = claim.dataset == CRYPTODATADOWNLOAD_OPTION_CANDLES and claim.resolution.seconds > 0

    def windows(self, missing: Sequence[Window], settings: Settings) -> list[Window]:
        if self._is_option_of_chain:
            # All days of one option come with one answer.
            return list(missing)
        offer = offer_of(self._claim.dataset)
        return cut(missing, offer.step_of(self._claim.resolution), offer.rows_per_chunk(settings))

    def ask(self, window: Window) -> Answer[Rows]:
        claim = self._claim
        if self._is_option_of_chain:
            return self._tools.option_venue().option_rows(claim.instrument_name, window)
        return self._tools.venue.rows(claim.dataset, claim.instrument_name, window, claim.resolution)

    def write(self, cursor: Cursor, told: tuple[Window, Answer[Rows]] | None) -> None:
        if told is None:
            return
        (window, answer), claim = told, self._claim
        series_id = claim.gap.series_id
        quarantine(cursor, series_id, answer.rejected)
        if self._is_option_of_chain:
            write_rows(cursor, OPTION_CANDLES, series_id, answer.rows, source=Source.REST.value)
            return
        land_answer(cursor, claim.dataset, series_id, window, answer, by="repair", evidence={})
