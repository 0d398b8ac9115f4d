"""What faults make of the frames of one connection."""

from __future__ import annotations

import heapq
import re
from itertools import count
from typing import Final

from simulator.deribit.stream.publisher import Frame
from simulator.frame_faults import (
    FrameFault,
    WsDelay,
    WsDrop,
    WsDuplicate,
    WsHuge,
    WsMalformed,
    WsReorder,
    WsSequenceBreak,
)

_MEGABYTE: Final = 1_000_000
_LONGEST_SWAP: Final = 1.0
_PREVIOUS_ID: Final = re.compile(rb'(?<="prev_change_id":)\d+')


class Mischief:
    """Drops, doubles, delays and spoils frames; moments in seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._late: list[tuple[float, int, bytes]] = []
        self._order = count()
        self._swapped: bytes | None = None

    def pass_on(self, frame: Frame, fired: list[FrameFault], now: float) -> list[bytes]:
        """Return what is sent instead of a frame, at once."""
        payloads = [_spoiled(frame.payload, fired)]
        for fault in fired:
            match fault:
                case WsDrop():
                    payloads = []
                case WsDuplicate():
                    payloads += payloads
                case WsDelay():
                    self._hold(payloads, now + fault.seconds)
                    payloads = []
                case WsReorder() if payloads and self._swapped is None:
                    self._swapped = payloads.pop()
                    self._hold([self._swapped], now + _LONGEST_SWAP)
        if payloads and self._swapped is not None:
            self._late = [one for one in self._late if one[2] is not self._swapped]
            heapq.heapify(self._late)
            payloads.append(self._swapped)
            self._swapped = None
        return payloads

    def release(self, now: float) -> list[bytes]:
        """Return the frames that have been held back for long enough."""
        released = []
        while self._late and self._late[0][0] <= now:
            payload = heapq.heappop(self._late)[2]
            if payload is self._swapped:
                self._swapped = None
            released.append(payload)
        return released

    def _hold(self, payloads: list[bytes], until: float) -> None:
        for payload in payloads:
            heapq.heappush(self._late, (until, next(self._order), payload))


def _spoiled(payload: bytes, fired: list[FrameFault]) -> bytes:
    for fault in fired:
        match fault:
            case WsSequenceBreak():
                payload = _PREVIOUS_ID.sub(lambda found: b"%d" % (int(found[0]) + 7), payload)
            case WsMalformed():
                payload = payload[: len(payload) // 2]
            case WsHuge():
                payload = payload[:-1] + b',"padding":"' + b"x" * int(fault.megabytes * _MEGABYTE) + b'"}'
    return payload
