"""Frames on their way into the socket: written as bytes, so that faults and load need no detour."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import zlib
from collections.abc import Iterable
from typing import Final

_TEXT: Final = 0x81
_COMPRESSED_TEXT: Final = 0xC1
_FLUSH_TAIL: Final = b"\x00\x00\xff\xff"
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)


def text_frame(payload: bytes, first: int = _TEXT) -> bytes:
    """Return a whole text frame as a server sends it."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


class Deflate:
    """permessage-deflate as it was negotiated."""

    def __init__(self, extension: str) -> None:
        match = re.search(r"server_max_window_bits=(\d+)", extension)
        self._bits = -int(match[1]) if match else -zlib.MAX_WBITS
        self._keeps_context = "server_no_context_takeover" not in extension
        self._compressor = zlib.compressobj(wbits=self._bits)

    def frame(self, payload: bytes) -> bytes:
        """Return a whole compressed text frame."""
        if not self._keeps_context:
            self._compressor = zlib.compressobj(wbits=self._bits)
        packed = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return text_frame(packed.removesuffix(_FLUSH_TAIL), _COMPRESSED_TEXT)


class Wire:
    """The socket of one connection."""

    def __init__(self, transport: asyncio.WriteTransport, extension: str | None = None) -> None:
        self._transport = transport
        self._deflate = Deflate(extension) if extension else None
        self.is_open = True

    @property
    def backlog(self) -> int:
        """How many bytes the client has not taken yet, beyond what the kernel holds."""
        return self._transport.get_write_buffer_size()

    def send(self, payloads: Iterable[bytes]) -> None:
        """Write text frames, in one go."""
        frame = text_frame if self._deflate is None else self._deflate.frame
        self.write(b"".join([frame(payload) for payload in payloads]))

    def write(self, frames: bytes) -> None:
        """Write frames that are ready."""
        if self.is_open and frames and not self._transport.is_closing():
            self._transport.write(frames)

    def abort(self, *, reset: bool = False) -> None:
        """End the connection without a close frame; with a TCP reset if asked to."""
        self.is_open = False
        sock = self._transport.get_extra_info("socket")
        if reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()
