"""Archive files: what a venue publishes of the past, a day or a month in each file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file of an archive, as it should be there."""

    name: str
    """Its path below the archive's address, such as
    `data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-03-01.zip`."""
    window: Window
    """All that it holds lies in this window."""
    dataset: Dataset
    instrument_name: str
    """As the venue writes it."""
    resolution: Resolution
    """Of the series that its rows belong to."""


class VerifiedFile(Protocol):
    """A file that was fetched, and is what its checksum says."""

    @property
    def sha256(self) -> str:
        """The checksum, 64 hexadecimal digits."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of the file as it was fetched."""
        ...

    def batches(self, window: Window) -> Iterator[Answer[Rows]]:
        """Yield the rows of the file that lie in a window, some thousand at a time, in their order; can be asked again.

        Raises:
            ArchiveDefect: the file cannot be read to its end.
        """
        ...
