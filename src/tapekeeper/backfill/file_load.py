"""A chunk that is loaded from a file of the archive; what the file lacks is asked for over REST while that tells it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from tapekeeper.backfill.cut import cut
from tapekeeper.backfill.landing import land, land_answer, make_room, settle
from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import (
    ArchiveDefect,
    FileAbsent,
    NetworkFailure,
    RateLimited,
    RequestRejected,
    VenueUnavailable,
)
from tapekeeper.model.backfill import RowCounts
from tapekeeper.model.gap import Cause
from tapekeeper.model.window import Window
from tapekeeper.store import archive_files, coverage, gaps, told
from tapekeeper.store.candle_gaps import open_candle_gaps
from tapekeeper.store.quarantine import quarantine
from tapekeeper.store.trade_gaps import open_untold_gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.archive import ArchiveFile, VerifiedFile
    from tapekeeper.model.backfill import Chunk
    from tapekeeper.model.gap import Gap
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings

_BY: Final = "backfill"
_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Patiently(Protocol):
    """Runs a transaction, and sits out a database that is away for a short while."""

    def __call__(self, work: Callable[[Cursor], Result]) -> Result:
        """Return what the transaction returned."""
        ...


def write_file(
    cursor: Cursor, dataset: Dataset, series_id: int, window: Window, file: ArchiveFile, verified: VerifiedFile
) -> RowCounts:
    """Write what a file holds of a window, all of it in this transaction, and remember the file.

    Of one that was replaced since something was taken from it, that is taken anew as well: remembered as what it is
    now, nobody would ever notice what else has changed in it.

    Raises:
        ArchiveDefect: the file cannot be read to its end, or no row of the window can be believed.
    """
    source, rows = f"{file.name} {verified.sha256}", RowCounts()
    kept = archive_files.loaded_sha256(cursor, series_id, file.name)
    if kept is not None and kept.sha256 != verified.sha256:
        window = Window(min(window.start, kept.window.start), max(window.end, kept.window.end))
    for batch in verified.batches(window):
        rows += land(cursor, dataset, series_id, window, batch.rows, source=source)
        quarantine(cursor, series_id, batch.rejected)
        rows += RowCounts(fetched=len(batch.rejected), rejected=len(batch.rejected))
    if rows.rejected and rows.rejected == rows.fetched:
        raise ArchiveDefect(
            f"none of the {rows.rejected} rows of {file.name} in {window} can be believed",
            evidence={**_evidence(file, verified.sha256), "defect": "no row can be believed"},
        )
    settle(
        cursor,
        dataset,
        series_id,
        window,
        cause=Cause.ARCHIVE_DEFECT,
        by=_BY,
        evidence=_evidence(file, verified.sha256),
    )
    archive_files.note_loaded(
        cursor,
        series_id,
        file,
        window,
        sha256=verified.sha256,
        size_bytes=verified.size_bytes,
        rows=rows.fetched,
    )
    return rows


class FileLoad:
    """One try to load one chunk.

    Args:
        tools: of the worker.
        dataset: of the chunk.
        chunk: a window that lies in one file.
        settings: of the process.
        patiently: runs transactions.
        renew: keeps the chunk, in a transaction.
        count: adds rows to what came of the chunk, in their transaction.
        finish: settles the chunk, in the transaction of the last rows.
    """

    def __init__(
        self,
        tools: WorkerTools,
        dataset: Dataset,
        chunk: Chunk,
        settings: Settings,
        patiently: Patiently,
        *,
        renew: Callable[[Cursor], None],
        count: Callable[[Cursor, RowCounts], None],
        finish: Callable[[Cursor, RowCounts], None],
    ) -> None:
        self._tools = tools
        self._dataset = dataset
        self._chunk = chunk
        self._settings = settings
        self._patiently = patiently
        self._renew = renew
        self._count = count
        self._finish = finish
        self._offer = offer_of(dataset)
        self._kept_from = self._offer.kept_from(now_microseconds())
        self._file = self._file_of_chunk()
        self._evidence: Mapping[str, object] = {"file": self._file.name}
        self._is_sound = False
        self._gaps_of_defect: list[Gap] = []

    def run(self) -> RowCounts:
        """Load the file, fill its holes over REST, and let gaps tell what neither has.

        Raises:
            RetryLater: the venue cannot be asked now, or the archive for what REST tells no more; what came before is
                kept.
            BadData: an answer over REST cannot be believed; what came before is kept.
        """
        try:
            with self._tools.archive().fetch(self._file) as verified:
                self._evidence, self._is_sound = _evidence(self._file, verified.sha256), True
                self._patiently(lambda cursor: make_room(cursor, self._dataset, self._chunk.window))
                rows, holes = self._patiently(lambda cursor: self._write(cursor, verified))
        except ArchiveDefect as error:
            _log.warning("%s", error)
            self._evidence, self._is_sound = error.evidence, False
            is_absent = isinstance(error, FileAbsent)
            rows = RowCounts()
            holes = self._patiently(lambda cursor: self._note_defect(cursor, is_absent=is_absent))
        except (RateLimited, VenueUnavailable, NetworkFailure) as error:
            if self._offer.days_kept is None or self._chunk.window.start < self._kept_from:
                raise
            # What is young enough that REST tells it is soon told no more, and somebody waits for it.
            _log.warning("%s is asked for over REST: %s", self._chunk.window, error)
            rows = RowCounts()
            holes = self._patiently(lambda cursor: self._note_defect(cursor, is_absent=True))
        if holes:
            rows += self._fill(holes)
            self._patiently(lambda cursor: self._conclude(cursor, RowCounts()))
        return rows

    def _file_of_chunk(self) -> ArchiveFile:
        archive, chunk = self._offer.archive_of(self._chunk.resolution, self._settings), self._chunk
        if archive is None:
            raise RequestRejected(
                f"{chunk.instrument_name} {chunk.window} was to be loaded from the archive, which is switched off now: "
                "set TAPEKEEPER_BINANCE_ARCHIVE_URL, or start the backfill again"
            )
        return archive.file_at(chunk.instrument_name, chunk.window.start, chunk.resolution)

    def _write(self, cursor: Cursor, verified: VerifiedFile) -> tuple[RowCounts, list[Window]]:
        """Write the file; return the holes that REST can fill. Without any the chunk is finished with it."""
        self._renew(cursor)
        chunk = self._chunk
        rows = write_file(cursor, self._dataset, chunk.series_id, chunk.window, self._file, verified)
        holes = self._told_by_rest(self._holes(cursor))
        if holes:
            self._count(cursor, rows)
        else:
            self._conclude(cursor, rows)
        return rows, holes

    def _note_defect(self, cursor: Cursor, *, is_absent: bool) -> list[Window]:
        """Record what a defective file would have told as missing; return what REST can tell instead.

        A file that is not there proves nothing by itself, as long as REST tells the same.
        """
        holes = self._told_by_rest(self._holes(cursor))
        self._gaps_of_defect = self._open_gaps(cursor) if not holes or not is_absent else []
        if not holes:
            self._finish(cursor, RowCounts())
        return holes

    def _fill(self, holes: list[Window]) -> RowCounts:
        """Ask for the holes over REST and write what comes, one transaction for each answer."""
        chunk, rows = self._chunk, RowCounts()
        step = self._offer.step_of(chunk.resolution)
        for window in cut(holes, step, self._offer.rows_per_chunk(self._settings)):
            answer = self._tools.venue.rows(self._dataset, chunk.instrument_name, window, chunk.resolution)
            rows += self._patiently(partial(self._land_answer, window=window, answer=answer))
        return rows

    def _land_answer(self, cursor: Cursor, window: Window, answer: Answer[Rows]) -> RowCounts:
        dataset, series_id = self._dataset, self._chunk.series_id
        quarantine(cursor, series_id, answer.rejected)
        rows = land_answer(cursor, dataset, series_id, window, answer, by=_BY, evidence=self._evidence)
        self._count(cursor, rows)
        return rows

    def _conclude(self, cursor: Cursor, rows: RowCounts) -> None:
        """Let gaps tell what is missing nevertheless, close those that were filled, and finish the chunk."""
        self._open_gaps(cursor)
        for gap in self._gaps_of_defect:
            gaps.close_filled(cursor, gap.gap_id, by=_BY)
        self._finish(cursor, rows)

    def _open_gaps(self, cursor: Cursor) -> list[Gap]:
        holes, series_id = self._holes(cursor), self._chunk.series_id
        if self._offer.step is None:
            # Nothing is wrong with a sound file of what the venue itself leaves out.
            is_defect = not (self._is_sound and self._offer.leaves_out_for_good)
            cause = Cause.ARCHIVE_DEFECT if is_defect else Cause.UNKNOWN
            return open_candle_gaps(cursor, series_id, holes, cause=cause, by=_BY, evidence=self._evidence)
        why: dict[str, Any] = {"cause": Cause.ARCHIVE_DEFECT, "by": _BY, "evidence": self._evidence}
        return [gap for hole in holes if (gap := open_untold_gap(cursor, series_id, hole, **why)) is not None]

    def _holes(self, cursor: Cursor) -> list[Window]:
        chunk = self._chunk
        if self._offer.step is not None:
            return told.untold_windows(cursor, chunk.series_id, chunk.window)
        return coverage.missing_windows(cursor, chunk.series_id, chunk.window, chunk.resolution)

    def _told_by_rest(self, holes: list[Window]) -> list[Window]:
        kept = [(max(hole.start, self._kept_from), hole.end) for hole in holes]
        return [Window(start, end) for start, end in kept if start < end]


def _evidence(file: ArchiveFile, sha256: str) -> dict[str, object]:
    return {"file": file.name, "sha256": sha256}
