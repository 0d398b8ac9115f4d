"""Binance's public archive: files of a day or a month, each with its checksum beside it.

Raises everywhere, beside what each method says: RetryLater when the archive cannot be asked now, Stop when it refuses.
"""

from __future__ import annotations

import io
import re
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import quote

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import ArchiveDefect, AuthRejected, ConfigInvalid, FileAbsent, RequestRejected
from tapekeeper.http.decision import Decision, GiveUp, Ok, RetryAfter
from tapekeeper.http.retry import retry_after_seconds
from tapekeeper.http.transport import Downloaded
from tapekeeper.venues.binance_um.archive_content import FetchedFile
from tapekeeper.venues.binance_um.archive_limits import CHECKSUM_BYTES_MAXIMUM, FILE_BYTES_MAXIMUM
from tapekeeper.venues.excerpt import excerpt, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tapekeeper.http.client import HttpClient
    from tapekeeper.model.archive import ArchiveFile

FETCHES: Final = 2
"""A file may be replaced between its checksum and itself, so both are fetched again before it is called defective."""
ABSENT_STATUS: Final = 404
FIREWALL_SECONDS: Final = 60.0
"""How long to wait where the archive refuses us without saying why."""
_LIMITED: Final = frozenset({403, 429, 503})
"""Refused by the firewall, too many requests, and how the bucket behind the archive says: slower."""
_CHECKSUM_LINE: Final = re.compile(r"([0-9a-fA-F]{64}) [ *](\S+)")


class BinanceArchive:
    """Fetches files, for one thread.

    Args:
        client: of the archive, with the budget of `archive_limits.archive_limit`.
        folder: where files lie while they are read; None for the system's folder for temporary files.
    """

    def __init__(self, client: HttpClient, folder: Path | None = None) -> None:
        self._client = client
        self._folder = folder

    def checksum(self, file: ArchiveFile) -> str:
        """Return the SHA-256 that is published for a file now, 64 small hexadecimal digits.

        Raises:
            FileAbsent: there is none.
            ArchiveDefect: what is there is no checksum of this file.
        """
        target = io.BytesIO()
        self._download(file, ".CHECKSUM", target, CHECKSUM_BYTES_MAXIMUM)
        text = target.getvalue().decode("utf-8", "replace").strip()
        match = _CHECKSUM_LINE.fullmatch(text)
        if match is None or match[2] != file.name.rpartition("/")[2]:
            raise ArchiveDefect(
                f"{file.name}.CHECKSUM is no checksum of the file: {excerpt(target.getvalue())}",
                evidence={"file": file.name, "checksum": shown(text)},
            )
        return match[1].lower()

    @contextmanager
    def fetch(self, file: ArchiveFile) -> Iterator[FetchedFile]:
        """Fetch a file for as long as the context lasts.

        Raises:
            FileAbsent: there is no such file, or no checksum of it.
            ArchiveDefect: the file is not what its checksum says.
        """
        with self._temporary() as content:
            for _ in range(FETCHES):
                published = self.checksum(file)
                received = self._download(file, "", content, FILE_BYTES_MAXIMUM)
                if received.sha256 == published:
                    yield FetchedFile(file, content, received.sha256, received.size_bytes)
                    return
        raise ArchiveDefect(
            f"{file.name} is not what its checksum says: {published} was published, {received.sha256} came",
            evidence={
                "file": file.name,
                "sha256_published": published,
                "sha256_received": received.sha256,
                "size_bytes": received.size_bytes,
            },
        )

    def _download(self, file: ArchiveFile, ending: str, target: BinaryIO, bytes_maximum: int) -> Downloaded:
        kind = file.dataset.name.partition(".")[2]
        method = f"archive/{kind}/checksum" if ending else f"archive/{kind}"
        name = file.name + ending
        received = self._client.download(
            method, f"/{quote(name)}", target, decide, parameters={"file": name}, bytes_maximum=bytes_maximum
        )
        if isinstance(received, Downloaded):
            return received
        raise FileAbsent(
            f"there is no {name} in the archive", evidence={"file": file.name, "absent": name, "status": ABSENT_STATUS}
        )

    def _temporary(self) -> BinaryIO:
        """Return a file that only we can read, and that is gone when it is closed, or when this process ends."""
        try:
            return cast("BinaryIO", tempfile.TemporaryFile(dir=self._folder))
        except OSError as error:
            raise ConfigInvalid(
                f"no file can be made in {self._folder or tempfile.gettempdir()} ({error.strerror}): "
                "choose a folder for temporary files that can be written, such as by TMPDIR"
            ) from None


def decide(status: int, headers: Mapping[str, str], body: bytes) -> Decision:
    """Return what an answer without a file means; that there is none is an answer, too."""
    reason = f"the answer was {excerpt(body)}"
    asked = retry_after_seconds(headers, now_microseconds())
    if status == ABSENT_STATUS:
        return Ok(None)
    if status in _LIMITED:
        return RetryAfter(asked or (FIREWALL_SECONDS if status == 403 else None), reason, limited=True)
    if status >= 500 or status == 408:
        return RetryAfter(asked, reason, limited=False)
    if status in {401, 451}:
        return GiveUp(f"{reason}; the archive does not serve us", AuthRejected)
    return GiveUp(f"{reason}; check the address of the archive in the settings", RequestRejected)
