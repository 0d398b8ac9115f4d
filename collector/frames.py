"""Raw frames on disk: the last hundred that could not be understood, and all of them where somebody wants them."""

from __future__ import annotations

import gzip
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

from collector.counters import MessageChannel

if TYPE_CHECKING:
    from pathlib import Path

KEPT: Final = 100
_PIECE_BYTES: Final = 1 << 20
_FILE_BYTES: Final = 64 << 20
_PIECES_WAITING: Final = 32
_SUFFIX: Final = ".jsonl.gz"

log = logging.getLogger(__name__)


class MalformedFrames:
    """Keeps the last hundred frames that could not be understood, one file each, numbered round and round."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0

    def keep(self, frame: bytes, reason: str) -> None:
        """Write the frame and its reason; a disk that takes nothing costs a log line."""
        path = self._directory / f"{self._number % KEPT:02d}.txt"
        self._number += 1
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            path.write_bytes(reason.encode() + b"\n" + frame)
        except OSError as error:
            log.warning("a malformed frame could not be kept: %s", error)


class Recorder:
    """Writes every frame as a line, compressed, in files that are rotated; the oldest go when all are too large.

    A line is the frame itself with two more fields, `received_at` in microseconds since 1970 and `session`: it can be
    parsed, and played by the simulator, as it came.

    A thread of its own compresses. When the disk is too slow, frames are left out and counted: the live rows go first.
    """

    def __init__(self, directory: Path, bytes_maximum: int) -> None:
        self.left_out = 0
        self._directory = directory
        self._bytes_maximum = bytes_maximum
        self._lines: list[bytes] = []
        self._size = 0
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_PIECES_WAITING)
        directory.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def keep(self, frame: bytes, session: str, received_at: int) -> None:
        """Take a frame, which is a JSON object; one that is none is left to `MalformedFrames`."""
        line = b'%s,"received_at":%d,"session":"%s"}\n' % (frame.rstrip()[:-1], received_at, session.encode())
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        if not self._lines:
            return
        try:
            self._pieces.put_nowait(b"".join(self._lines))
        except queue.Full:
            self.left_out += len(self._lines)
        self._lines, self._size = [], 0

    def close(self) -> None:
        """Write the rest and end."""
        self.flush()
        self._pieces.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (piece := self._pieces.get()) is not None:
            path = self._directory / f"{time.time_ns()}{_SUFFIX}"
            try:
                with gzip.open(path, "wb", compresslevel=1) as file:
                    written = file.write(piece)
                    while written < _FILE_BYTES and (piece := self._pieces.get()) is not None:
                        written += file.write(piece)
                self._make_room()
            except OSError as error:
                self.left_out += 1
                log.warning("raw frames could not be kept: %s", error)
            if piece is None:
                return

    def _make_room(self) -> None:
        files = sorted(self._directory.glob(f"*{_SUFFIX}"))
        sizes = {file: file.stat().st_size for file in files}
        while files and sum(sizes[file] for file in files) > self._bytes_maximum:
            files.pop(0).unlink()


def channel_of_malformed(frame: bytes) -> MessageChannel:
    """Return what a frame that cannot be understood seems to be about."""
    for channel in (MessageChannel.BOOK, MessageChannel.TICKER, MessageChannel.TRADES):
        if b'"%s.' % channel.encode() in frame[:512]:
            return channel
    return MessageChannel.UNKNOWN
