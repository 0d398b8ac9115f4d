"""Files that were replaced in the archive after they were loaded: noticed by their checksum, and loaded again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.errors import ArchiveDefect
from tapekeeper.model.backfill import BackfillRequest, Mode, PlannedChunk, Source
from tapekeeper.store import archive_files, runs

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.venue import ArchiveVenue
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings
    from tapekeeper.store.archive_files import LoadedFile
    from tapekeeper.store.database import Database

LOOKS_PER_TURN: Final = 100
"""So many checksums are looked at in one turn, those first that were not looked at for the longest time."""


def replaced_files(
    database: Database, archive: ArchiveVenue, dataset: Dataset, settings: Settings, *, now: int
) -> list[LoadedFile]:
    """Return the loaded files of a dataset whose published checksum is another one now.

    Each file is looked at once in `recheck_hours`. One that is gone keeps its rows.

    Raises:
        RetryLater: the archive cannot be asked now.
    """
    before = now - round(settings.binance_archive.recheck_hours * 3_600 * MICROSECONDS_PER_SECOND)
    due = database.run(lambda cursor: archive_files.due_for_look(cursor, dataset, before=before, limit=LOOKS_PER_TURN))
    replaced = []
    for loaded in due:
        if _is_replaced(archive, loaded, settings):
            replaced.append(loaded)
        else:
            database.run(partial(archive_files.note_looked, series_id=loaded.series_id, name=loaded.name))
    return replaced


def start_reload(cursor: Cursor, loaded: LoadedFile, run_key: str) -> int:
    """Write down a run that loads a file again, and return its id; one of this key that exists already is gone on with.

    What is followed and expected stays as it is. The file has been looked at: one that cannot be loaded is not fetched
    again before its turn.
    """
    archive_files.note_looked(cursor, loaded.series_id, loaded.name)
    request = BackfillRequest(
        dataset=loaded.dataset,
        instruments=(loaded.instrument_name,),
        window=loaded.window,
        resolution=loaded.resolution,
        mode=Mode.FULL_REFRESH,
    )
    run_id, is_new = runs.begin_run(cursor, run_key, request)
    if is_new:
        runs.add_chunks(cursor, run_id, loaded.series_id, [PlannedChunk(loaded.window, Source.ARCHIVE)])
    return run_id


def _is_replaced(archive: ArchiveVenue, loaded: LoadedFile, settings: Settings) -> bool:
    files = offer_of(loaded.dataset).archive_of(loaded.resolution, settings)
    if files is None:
        return False
    try:
        file = files.file_at(loaded.instrument_name, loaded.window.start, loaded.resolution)
        return archive.checksum(file) != loaded.sha256
    except ArchiveDefect:
        return False
