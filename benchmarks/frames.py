"""Frames of many options as a venue sends them, made by the simulator's load encoder."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

import orjson

from simulator.deribit.stream.load import LoadTerms, option_names
from simulator.deribit.stream.load_frames import (
    FIRST_CHANGE_ID,
    FIRST_TRADE_NUMBER,
    BookFrames,
    LoadFrames,
    TickerFrames,
    TradeFrames,
)
from simulator.moments import Clock
from simulator.world import World

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS: Final = 830
"""As many as ETH has at the venue."""
SHARES: Final = {"ticker": 49, "book": 47, "trades": 4}
"""Of the frames that the venue sends of them, in percent."""
FIRST_RECORDED_CHANGE_ID: Final = 10 * FIRST_CHANGE_ID
"""Recorded changes have larger numbers than those that a simulator makes itself."""
WARM_SHARE: Final = 0.25
"""Of the frames, before anything is measured."""
_FRAMES_PER_MILLISECOND: Final = 25
_SHORT: Final = 126
"""A frame whose second byte is smaller says its length there; that of a longer one takes two bytes more."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A snapshot of every book, and what follows."""

    names: list[str]
    frames: list[bytes]
    """JSON documents, snapshots first."""
    books: int
    """How many changes of books there are; every one changes the best bid or the best ask."""
    trades: int
    warm_at: int
    """Event time, in milliseconds since 1970, from which on rows are measured: a collector has begun by then."""
    warm_rows: int
    """How many rows belong to the frames from then on."""

    @property
    def rows(self) -> int:
        """How many rows belong to it: one for every snapshot, change and trade."""
        return len(self.names) + self.books + self.trades

    def write(self, path: Path) -> None:
        """Write one document a line, as `--replay` reads it."""
        path.write_bytes(b"\n".join(self.frames) + b"\n")


def record(frames: int, seed: int) -> Recording:
    """Return so many frames after the snapshots, from now on as dense as the venue sends at most."""
    world = World(seed, Clock(0))
    now = world.clock.now()
    names = option_names(LoadTerms(OPTIONS), now)
    options = [world.catalogue.list_by_hand(name, now, None, 0.0) for name in names]
    ids, numbers = count(FIRST_RECORDED_CHANGE_ID), count(FIRST_TRADE_NUMBER)
    kinds: dict[str, list[LoadFrames]] = {kind: [] for kind in SHARES}
    recorded = []
    for option in options:
        if option is None:
            raise AssertionError("the simulator refuses an option of its own load")
        mark = world.quotes.values(option, now).mark
        book = BookFrames(option, mark, ids)
        recorded.append(_document(book.channels[0], book.snapshot(now)))
        kinds["book"].append(book)
        kinds["ticker"].append(TickerFrames(world, option, now))
        kinds["trades"].append(TradeFrames(option, mark, numbers))
    turns = dict.fromkeys(SHARES, 0)
    warm_at, warm_rows = now + 1 + int(frames * WARM_SHARE) // _FRAMES_PER_MILLISECOND, 0
    for position in range(frames):
        moment = now + 1 + position // _FRAMES_PER_MILLISECOND
        kind = _kind(turns, position + 1)
        one = kinds[kind][turns[kind] % len(options)]
        turns[kind] += 1
        warm_rows += kind != "ticker" and moment >= warm_at
        recorded.append(_payload(one.make(moment)[0]))
    return Recording(names, recorded, turns["book"], turns["trades"], warm_at, warm_rows)


def _kind(turns: dict[str, int], frames: int) -> str:
    """Return the kind that is furthest behind its share."""
    return max(SHARES, key=lambda kind: SHARES[kind] * frames / 100 - turns[kind])


def _document(channel: str, data: object) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}})


def _payload(frame: bytes) -> bytes:
    return frame[2:] if frame[1] < _SHORT else frame[4:]
