"""Frames encoded ahead, for load: only timestamps and chained ids are filled in when one is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

import orjson

from simulator.deribit.stream.source import Silent
from simulator.deribit.stream.wire import text_frame
from simulator.deribit.tickers import ticker_row
from simulator.instruments import VenueInstrument
from simulator.world import World

_VARIANTS: Final = 8
_TIME: Final = 1_111_111_111_111
_CHANGE_ID: Final = 22_222_222_222_222
_PREVIOUS_ID: Final = 33_333_333_333_333
_SEQUENCE: Final = 444_444_444
_TRADE_NUMBER: Final = 55_555_555_555
"""Places for what is filled in, each as long as what takes its place, so that a frame's length is known ahead."""
FIRST_CHANGE_ID: Final = 10_000_000_000_000
_FIRST_SEQUENCE: Final = 100_000_000
FIRST_TRADE_NUMBER: Final = 10_000_000_000


class LoadFrames(Protocol):
    """The frames of one instrument and kind; moments in milliseconds."""

    channels: tuple[str, ...]
    """Where they are told; each has its own copy."""

    def make(self, now: int) -> tuple[bytes, ...]:
        """Return the next frame, whole as a server sends it, for each of the channels."""

    def stream(self) -> Silent:
        """Return what a new subscriber is told first."""


class BookFrames:
    """Changes of the best bid and the best ask in turn, chained."""

    def __init__(self, instrument: VenueInstrument, mark: float, ids: Iterator[int]) -> None:
        self._name = instrument.name
        self._bid, self._ask = _prices(mark)
        self._ids = ids
        self._last_id = next(ids)
        self._turn = 0
        self.channels: tuple[str, ...] = (f"book.{self._name}.100ms",)
        self._templates = [_template(self.channels[0], self._change(turn)) for turn in range(_VARIANTS)]

    def make(self, now: int) -> tuple[bytes, ...]:
        """Return the next change."""
        previous, self._last_id = self._last_id, next(self._ids)
        self._turn = (self._turn + 1) % _VARIANTS
        return (self._templates[self._turn] % (now, self._last_id, previous),)

    def stream(self) -> Silent:
        """Return the snapshot that the next change follows."""
        return _Snapshot(self)

    def snapshot(self, now: int) -> dict[str, object]:
        """Return the book as it is."""
        return {
            "type": "snapshot",
            "timestamp": now,
            "instrument_name": self._name,
            "change_id": self._last_id,
            "bids": [["new", self._bid, 10.0]],
            "asks": [["new", self._ask, 10.0]],
        }

    def _change(self, turn: int) -> dict[str, object]:
        level = [["change", self._bid if turn % 2 else self._ask, turn + 1.0]]
        return {
            "type": "change",
            "timestamp": _TIME,
            "instrument_name": self._name,
            "change_id": _CHANGE_ID,
            "prev_change_id": _PREVIOUS_ID,
            "bids": level if turn % 2 else [],
            "asks": [] if turn % 2 else level,
        }


class _Snapshot(Silent):
    """The book of a load as it is when somebody subscribes."""

    def __init__(self, frames: BookFrames) -> None:
        super().__init__()
        self._frames = frames

    def first(self, moment: int) -> object | None:
        """Return the snapshot."""
        return self._frames.snapshot(moment)


class TickerFrames:
    """The state of an instrument, with amounts that change."""

    def __init__(self, world: World, instrument: VenueInstrument, now: int) -> None:
        self._row = ticker_row(world, instrument, now)
        self._turn = 0
        self.channels: tuple[str, ...] = (f"ticker.{instrument.name}.100ms",)
        bid, ask = _prices(world.quotes.values(instrument, now).mark)
        self._row |= {"best_bid_price": bid, "best_ask_price": ask, "best_ask_amount": 10.0}
        rows = [self._row | {"timestamp": _TIME, "best_bid_amount": turn + 1.0} for turn in range(_VARIANTS)]
        self._templates = [_template(self.channels[0], row) for row in rows]

    def make(self, now: int) -> tuple[bytes, ...]:
        """Return the next state."""
        self._turn = (self._turn + 1) % _VARIANTS
        return (self._templates[self._turn] % now,)

    def stream(self) -> Silent:
        """Return the state to begin with."""
        return Silent(self._row)


class TradeFrames:
    """One trade after the other, with sequence numbers without a hole, for the instrument and for its currency."""

    def __init__(self, instrument: VenueInstrument, mark: float, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._sequence = _FIRST_SEQUENCE
        currency = instrument.settlement
        self.channels: tuple[str, ...] = (f"trades.{instrument.name}.100ms", f"trades.option.{currency}.100ms")
        row: dict[str, object] = {
            "trade_seq": _SEQUENCE,
            "trade_id": f"{currency}-{_TRADE_NUMBER}",
            "timestamp": _TIME,
            "tick_direction": 1,
            "price": _prices(mark)[0],
            "mark_price": mark,
            "iv": 60.0,
            "instrument_name": instrument.name,
            "index_price": 2_000.5,
            "direction": "sell",
            "contracts": 1.0,
            "amount": 1.0,
        }
        self._templates = [_template(channel, [row]) for channel in self.channels]

    def make(self, now: int) -> tuple[bytes, ...]:
        """Return the next trade."""
        self._sequence += 1
        number = next(self._numbers)
        return tuple(template % (self._sequence, number, now) for template in self._templates)

    def stream(self) -> Silent:
        """Return silence: trades begin with the next one."""
        return Silent()


def _prices(mark: float) -> tuple[float, float]:
    middle = max(mark, 0.01)
    return round(middle * 0.98, 4), round(middle * 1.02 + 0.0005, 4)


def _template(channel: str, data: object) -> bytes:
    """Return a whole frame with places for `%`, in the order in which they stand in the data."""
    payload = b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":%b,"data":%b}}' % (
        orjson.dumps(channel),
        orjson.dumps(data),
    )
    frame = text_frame(payload).replace(b"%", b"%%")
    for place in (_TIME, _CHANGE_ID, _PREVIOUS_ID, _SEQUENCE, _TRADE_NUMBER):
        frame = frame.replace(b"%d" % place, b"%d")
    return frame
