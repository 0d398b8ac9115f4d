"""A file of Binance's public archive that was fetched: one table in a zip, read stretch by stretch."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from tapekeeper.errors import ArchiveDefect, BadData, ParseFailure
from tapekeeper.venues.binance_um.archive_tables import table_of
from tapekeeper.venues.excerpt import excerpt, shown
from tapekeeper.venues.text_columns import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.archive import ArchiveFile
    from tapekeeper.model.window import Window
    from tapekeeper.venues.binance_um.archive_tables import Table

STRETCH_BYTES: Final = 4 * 1024 * 1024
"""Of the table's text at once: about 50,000 rows."""
LINE_BYTES_MAXIMUM: Final = 64 * 1024
"""A longer line is none; those of the archive have up to 200."""
RATIO_MAXIMUM: Final = 200
"""A table that is longer than so many times its file is not read: tables of numbers shrink to a tenth at most."""
REJECTED_MAXIMUM: Final = 1_000
"""A file with more rows that cannot be believed is not believed at all."""
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 1
_UNREADABLE: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError, NotImplementedError
)  # fmt: skip
"""What reading a damaged zip raises."""


class FetchedFile:
    """A file that was fetched, and is what its checksum says; see `VerifiedFile`.

    Args:
        file: which one it is.
        content: holds it, and is read again from its beginning each time.
        sha256: of the content.
        size_bytes: of the content.
    """

    def __init__(self, file: ArchiveFile, content: BinaryIO, sha256: str, size_bytes: int) -> None:
        self._file = file
        self._content = content
        self._sha256 = sha256
        self._size_bytes = size_bytes

    @property
    def sha256(self) -> str:
        """The checksum, 64 hexadecimal digits."""
        return self._sha256

    @property
    def size_bytes(self) -> int:
        """Of the file as it was fetched."""
        return self._size_bytes

    def batches(self, window: Window) -> Iterator[Answer[Rows]]:
        """Yield the rows of the file that lie in a window, some thousand at a time, ascending; can be asked again.

        Raises:
            ArchiveDefect: the file cannot be read to its end, or what it holds cannot be believed.
        """
        try:
            yield from self._answers(table_of(self._file, window))
        except BadData as error:
            raise self._defect(str(error)) from error

    def _answers(self, table: Table) -> Iterator[Answer[Rows]]:
        rejected = 0
        for number, text in enumerate(self._stretches()):
            # Older files have no header; a row begins with a number or a date.
            header, rows = _parted(text) if number == 0 and text[:1].isalpha() else (None, text)
            if header is not None:
                table.check_header(header)
            answer = table.read(Fields.split(rows, len(table.columns)))
            rejected += len(answer.rejected)
            if rejected > REJECTED_MAXIMUM:
                reason = answer.rejected[-1].reason
                raise ParseFailure(
                    f"more than {REJECTED_MAXIMUM:,} of its rows cannot be believed, the last as {reason}"
                )
            yield answer

    def _stretches(self) -> Iterator[bytes]:
        """Yield whole lines of the table, each with its end."""
        try:
            yield from self._lines()
        except _UNREADABLE as error:
            raise ParseFailure(f"it cannot be read: {shown(str(error)) or type(error).__name__}") from error

    def _lines(self) -> Iterator[bytes]:
        with zipfile.ZipFile(self._content) as archive:
            member = self._member(archive)
            with archive.open(member) as table:
                rest = b""
                while part := table.read(STRETCH_BYTES):
                    text = rest + part
                    end = text.rfind(b"\n") + 1
                    rest = text[end:]
                    if len(rest) > LINE_BYTES_MAXIMUM:
                        raise ParseFailure(f"it has a line of more than {LINE_BYTES_MAXIMUM:,} bytes: {excerpt(rest)}")
                    if end:
                        yield text[:end]
        if rest:
            yield rest + b"\n"

    def _member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        expected = self._file.name.rpartition("/")[2].removesuffix(".zip") + ".csv"
        members = archive.infolist()
        # Without a mark of UTF-8 a name is decoded as if it came from DOS.
        if len(members) != 1 or members[0].filename not in {expected, expected.encode().decode("cp437")}:
            names = shown(", ".join(member.filename for member in members[:3])) or "nothing"
            raise ParseFailure(f"it should hold {expected} alone, and holds {names}")
        member = members[0]
        if member.compress_type not in _METHODS or member.flag_bits & _ENCRYPTED:
            raise ParseFailure("it is packed in a way that the archive does not use")
        if member.file_size > RATIO_MAXIMUM * max(self._size_bytes, 1):
            raise ParseFailure(f"it would grow to {member.file_size:,} bytes, more than {RATIO_MAXIMUM} times its size")
        return member

    def _defect(self, what: str) -> ArchiveDefect:
        evidence = {"file": self._file.name, "sha256": self._sha256, "size_bytes": self._size_bytes, "defect": what}
        return ArchiveDefect(f"{self._file.name} is what its checksum says, but {what}", evidence=evidence)


def _parted(text: bytes) -> tuple[list[str], bytes]:
    """Return the names in a header, and what comes after it."""
    header, _, rows = text.partition(b"\n")
    return header.decode("utf-8", "replace").rstrip("\r").split(","), rows
