"""Cut what is missing into chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.model.backfill import PlannedChunk, Source
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekeeper.backfill.offers import Archive
    from tapekeeper.model.archive import ArchiveFile
    from tapekeeper.model.resolution import Resolution


def cut(missing: Iterable[Window], step: int, rows_per_chunk: int) -> list[Window]:
    """Return the fewest windows of at most `rows_per_chunk` steps that cover all missing ones, ascending.

    `missing` is ascending, its windows do not overlap and lie on multiples of `step` microseconds. A request costs the
    same whatever it returns, so a chunk rather spans rows that are held than leaves a hole for another request;
    it always begins and ends with something missing.
    """
    longest = step * rows_per_chunk
    chunks: list[Window] = []
    for window in missing:
        start = window.start
        if chunks and window.start < chunks[-1].start + longest:
            end = min(window.end, chunks[-1].start + longest)
            chunks[-1] = Window(chunks[-1].start, end)
            start = end
        while start < window.end:
            end = min(window.end, start + longest)
            chunks.append(Window(start, end))
            start = end
    return chunks


class FileChooser:
    """Decides what is taken from the files of an archive rather than over REST.

    Args:
        archive: which file holds what.
        instrument_name: whose files.
        resolution: of the series.
        step: microseconds between the rows that are counted.
        kept_from: from when on REST tells everything; in microseconds since 1970, like `now`.
        now: a file that is not published by then is left to REST.
    """

    def __init__(
        self, archive: Archive, instrument_name: str, resolution: Resolution, step: int, *, kept_from: int, now: int
    ) -> None:
        self._archive = archive
        self._instrument_name = instrument_name
        self._resolution = resolution
        self._step = step
        self._kept_from = kept_from
        self._now = now

    def split(self, missing: Iterable[Window]) -> tuple[list[Window], list[Window]]:
        """Return what is left to REST, and one window for each file that is to be loaded; both ascending.

        A window of a file reaches from the first to the last that is missing of it.
        """
        parts: dict[ArchiveFile, list[Window]] = {}
        for window in missing:
            for file, part in self._archive.files_of(self._instrument_name, window, self._resolution):
                parts.setdefault(file, []).append(part)
        by_rest: list[Window] = []
        from_files = []
        for file, wanted in parts.items():
            if self._is_worth(file, wanted):
                from_files.append(Window(wanted[0].start, wanted[-1].end))
            else:
                by_rest += wanted
        return by_rest, from_files

    def _is_worth(self, file: ArchiveFile, wanted: list[Window]) -> bool:
        if wanted[0].start < self._kept_from:
            # Published or not: nobody else has it.
            return True
        if self._archive.steps_at_least is None or self._archive.published_at(file) > self._now:
            return False
        return sum(part.grid_points(self._step) for part in wanted) >= self._archive.steps_at_least


def planned_chunks(
    missing: Iterable[Window], step: int, rows_per_chunk: int, files: FileChooser | None
) -> list[PlannedChunk]:
    """Return the chunks that cover all missing windows, ascending: files where they are worth it, else requests."""
    by_rest, from_files = (missing, []) if files is None else files.split(missing)
    chunks = [PlannedChunk(window, Source.REST) for window in cut(by_rest, step, rows_per_chunk)]
    chunks += [PlannedChunk(window, Source.ARCHIVE) for window in from_files]
    return sorted(chunks, key=lambda chunk: chunk.window.start)
