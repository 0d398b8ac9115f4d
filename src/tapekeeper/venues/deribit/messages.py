"""Frames of the venue's WebSocket: bytes in, typed messages out, no I/O. What a client sends is in `calls`.

A frame is a notification (`subscription`, `heartbeat`) or the reply to a request (https://docs.deribit.com, JSON-RPC).
Values come as the venue means them: a side of a book without an order has 0.0 for price, amount and iv, which becomes
None; unknown fields are passed over; numbers may be written in any form.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND
from tapekeeper.errors import ParseFailure
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.instrument import Instrument
from tapekeeper.venues.deribit.channels import ChannelKind, parse_channel
from tapekeeper.venues.deribit.listings import ListingParser
from tapekeeper.venues.deribit.trades import VenueTrade, parse_trades
from tapekeeper.venues.deribit.wire import Milliseconds, Name, Ordinal, tolerated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Level = tuple[Literal["new", "change", "delete"], float, float]
"""What happened to a price, the price, and the amount that rests there now; 0.0 when it is deleted."""
Decoded = TypeVar("Decoded")


class _Timed(msgspec.Struct, gc=False):
    instrument_name: Name
    timestamp: Milliseconds

    @property
    def event_time(self) -> int:
        """When the venue's values changed, in microseconds since 1970."""
        return self.timestamp * MICROSECONDS_PER_MILLISECOND


class BookMessage(_Timed, gc=False):
    """A book as a whole, or what changed in it (book.{instrument_name}.{interval})."""

    change_id: Ordinal
    prev_change_id: Ordinal | None = None
    type: Literal["snapshot", "change"] | None = None
    """Missing in old recordings: `is_snapshot` tells."""
    bids: list[Level] = []
    asks: list[Level] = []

    @property
    def is_snapshot(self) -> bool:
        """Whether it is the whole book; a snapshot may have a prev_change_id (recorded)."""
        return self.type == "snapshot" or (self.type is None and self.prev_change_id is None)


class TickerMessage(_Timed, gc=False):
    """Latest values of an instrument (ticker.{instrument_name}.{interval})."""

    state: str | None = None
    """Such as open, settlement, delivered; closed in old recordings."""
    bid_price: float | None = msgspec.field(default=None, name="best_bid_price")
    bid_size: float | None = msgspec.field(default=None, name="best_bid_amount")
    ask_price: float | None = msgspec.field(default=None, name="best_ask_price")
    ask_size: float | None = msgspec.field(default=None, name="best_ask_amount")
    mark_price: float | None = None
    """0.0 is a value here: what expired worthless is worth nothing."""
    underlying_price: float | None = None
    index_price: float | None = None
    mark_iv: float | None = None
    bid_iv: float | None = None
    ask_iv: float | None = None
    open_interest: float | None = None

    def __post_init__(self) -> None:
        if not self.bid_price or not self.bid_size:
            self.bid_price = self.bid_size = None
        if not self.ask_price or not self.ask_size:
            self.ask_price = self.ask_size = None
        if not self.mark_iv:
            self.mark_iv = None
        if not self.bid_iv:
            self.bid_iv = None
        if not self.ask_iv:
            self.ask_iv = None


class TradesMessage(msgspec.Struct, frozen=True):
    """Trades of one instrument (trades.{instrument_name}.{interval}) or many (trades.{kind}.{currency}.{interval})."""

    trades: tuple[VenueTrade, ...]
    """Ascending by trade_seq, whatever their order in the frame."""
    rejected: tuple[RejectedRow, ...] = ()
    """Rows that cannot be believed."""


class InstrumentStateMessage(_Timed, gc=False):
    """An instrument opened, settles, expired (instrument.state.{kind}.{currency})."""

    state: str


class InstrumentCreatedMessage(msgspec.Struct, frozen=True):
    """A new instrument (instrument.creation.{kind}.{currency})."""

    instrument: Instrument


class PlatformStateMessage(msgspec.Struct, gc=False):
    """A lock of an index, or a break of the whole venue; most frames say that nothing is locked."""

    maintenance: bool = False
    locked: bool | None = None
    price_index: str | None = None


class Heartbeat(msgspec.Struct, frozen=True):
    """The venue is there; comes on sockets with nothing else to tell."""


class TestRequest(msgspec.Struct, frozen=True):
    """The venue asks whether we are there: answer with `test`, or it closes the socket after 10 seconds."""

    __test__ = False


class Unknown(msgspec.Struct, frozen=True):
    """A notification that nobody here reads."""

    name: str
    """Its channel, or its method where it has none."""


class VenueError(msgspec.Struct, frozen=True):
    """Why the venue refuses a request; codes: https://docs.deribit.com/articles/errors, the complete table."""

    code: int
    message: str = ""
    data: Any = None


class Reply(msgspec.Struct, frozen=True):
    """The answer to a request: a result, or an error."""

    request_id: int | str | None
    """Missing where the venue could not read the request."""
    result: Any = None
    error: VenueError | None = None


MarketMessage = BookMessage | TickerMessage | TradesMessage
"""What rows are made of."""
Message = (
    MarketMessage
    | InstrumentStateMessage
    | InstrumentCreatedMessage
    | PlatformStateMessage
    | Heartbeat
    | TestRequest
    | Unknown
    | Reply
)


class _Parameters(msgspec.Struct, frozen=True, gc=False):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()
    type: str = ""


class _Envelope(msgspec.Struct, gc=False):
    method: str | None = None
    params: _Parameters = _Parameters()
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: VenueError | None = None


class _BookParameters(msgspec.Struct, gc=False):
    data: BookMessage


class _BookFrame(msgspec.Struct, gc=False):
    params: _BookParameters


class _TickerParameters(msgspec.Struct, gc=False):
    data: TickerMessage


class _TickerFrame(msgspec.Struct, gc=False):
    params: _TickerParameters


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_BOOK_FRAME: Final = msgspec.json.Decoder(_BookFrame)
_TICKER_FRAME: Final = msgspec.json.Decoder(_TickerFrame)
_NOTIFICATION: Final = b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"'
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_BOOK: Final = _NOTIFICATION + b"book."
_TICKER: Final = _NOTIFICATION + b"ticker."


def decode(frame: bytes) -> Message:
    """Return what a frame says.

    Raises:
        ParseFailure: it is no JSON, or not of the documented shape; the frame is the caller's to keep.
    """
    try:
        # Nearly all frames begin like this and can be read in one go; what cannot is read piece by piece.
        if frame.startswith(_BOOK):
            return _BOOK_FRAME.decode(frame).params.data
        if frame.startswith(_TICKER):
            return _TICKER_FRAME.decode(frame).params.data
    except _UNREADABLE:
        pass
    try:
        envelope = _ENVELOPE.decode(frame)
        parameters = envelope.params
        if envelope.method == "subscription":
            return _READERS[parse_channel(parameters.channel).kind](parameters)
        return _reply(envelope) if envelope.method is None else _notification(envelope.method, parameters)
    except _UNREADABLE as error:
        raise ParseFailure(f"a frame of Deribit cannot be understood: {error}") from None


def _notification(method: str, parameters: _Parameters) -> Message:
    if method != "heartbeat":
        return Unknown(method)
    return TestRequest() if parameters.type == "test_request" else Heartbeat()


def _reply(envelope: _Envelope) -> Reply:
    if envelope.error is not None:
        return Reply(envelope.id, error=envelope.error)
    if envelope.result is msgspec.UNSET:
        raise ParseFailure("a frame of Deribit is neither a notification nor a reply: it has no method and no result")
    return Reply(envelope.id, envelope.result)


def _reader(decoder: msgspec.json.Decoder[Decoded]) -> Callable[[_Parameters], Decoded]:
    """Return what reads the data of a channel: as documented, and once more with tolerance where it is not."""

    def read(parameters: _Parameters) -> Decoded:
        try:
            return decoder.decode(parameters.data)
        except msgspec.ValidationError:
            return msgspec.convert(tolerated(msgspec.json.decode(parameters.data)), decoder.type)

    return read


_TRADES: Final = msgspec.json.Decoder(list[VenueTrade])
_TRADE_SEQ: Final = attrgetter("trade_seq")


def _trades(parameters: _Parameters) -> TradesMessage:
    rejected: tuple[RejectedRow, ...] = ()
    trades: Sequence[VenueTrade]
    try:
        trades = _TRADES.decode(parameters.data)
    except msgspec.ValidationError:
        # One that cannot be believed must not cost the others.
        answer = parse_trades(msgspec.json.decode(parameters.data, type=list[Any]))
        trades, rejected = answer.trades, answer.rejected
    return TradesMessage(tuple(sorted(trades, key=_TRADE_SEQ)), rejected)


def _instrument_created(parameters: _Parameters) -> InstrumentCreatedMessage:
    found = ListingParser().instruments([msgspec.json.decode(parameters.data)])
    if not found:
        raise ParseFailure("a frame of Deribit tells of a new instrument that cannot be understood")
    return InstrumentCreatedMessage(found[0])


def _unknown(parameters: _Parameters) -> Unknown:
    if not parameters.channel:
        raise ParseFailure("a frame of Deribit is a notification of no channel")
    return Unknown(parameters.channel)


_READERS: Final[dict[ChannelKind, Callable[[_Parameters], Message]]] = {
    "book": _reader(msgspec.json.Decoder(BookMessage)),
    "ticker": _reader(msgspec.json.Decoder(TickerMessage)),
    "trades": _trades,
    "all_trades": _trades,
    "instrument_state": _reader(msgspec.json.Decoder(InstrumentStateMessage)),
    "instrument_creation": _instrument_created,
    "platform_state": _reader(msgspec.json.Decoder(PlatformStateMessage)),
    "unknown": _unknown,
}
