"""Cut what is missing into chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable


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
