"""Faults of the files of an archive: what is wrong with them as long as the fault is set, in every answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.fault_basics import Fraction, Moment, StandingFact


class ArchiveFact(StandingFact):
    """What is so of some files: those of a dataset, of a period, of some dates, or all."""

    dataset: Literal["klines", "aggTrades", "metrics", "fundingRate"] | None = None
    period: Literal["daily", "monthly"] | None = None
    dates: tuple[str, ...] = ()
    """As in the names of files: 2024-03-01, 2024-03."""

    def is_about_file(self, symbol: str, dataset: str, period: str, date: str) -> bool:
        """Return whether it is about this file."""
        chosen = self.dataset in (None, dataset) and self.period in (None, period)
        return chosen and self.is_about(symbol) and (not self.dates or date in self.dates)


class ArchiveMissingFile(ArchiveFact):
    """There is no such file, and no checksum of it."""

    kind: Literal["archive_missing_file"]


class ArchiveWrongChecksum(ArchiveFact):
    """The checksum is that of another file."""

    kind: Literal["archive_wrong_checksum"]


class ArchiveTruncated(ArchiveFact):
    """Half of the file was published."""

    kind: Literal["archive_truncated"]
    checksum_fits: bool = False
    """Whether the checksum is of that half."""


class ArchiveHeader(ArchiveFact):
    """The table has a header, or has none, whatever its date."""

    kind: Literal["archive_header"]
    present: bool


class ArchiveRows(ArchiveFact):
    """What is wrong with some rows: a fraction of those in `[start, end)`; the checksum is right."""

    fraction: Fraction = 0.01
    start: Moment = 0
    end: Moment | None = None


class ArchiveLeftOutRows(ArchiveRows):
    """Rows that the file does not have."""

    kind: Literal["archive_left_out_rows"]


class ArchiveAlteredRows(ArchiveRows):
    """An edition with other numbers: sizes, open interest and rates are this many times the true ones.

    Before `from_moment` and from `to_moment` on (of the venue's clock), and when the fault is cleared, the file is
    that of the truth: so a file is replaced by the clock or by hand, each time with the checksum that belongs to it.
    """

    kind: Literal["archive_altered_rows"]
    factor: Annotated[float, Field(gt=0)] = 2.0
    from_moment: Moment = 0
    to_moment: Moment | None = None

    def is_due(self, now: int) -> bool:
        """Return whether this edition is the one that is published now (milliseconds)."""
        return self.from_moment <= now and (self.to_moment is None or now < self.to_moment)
