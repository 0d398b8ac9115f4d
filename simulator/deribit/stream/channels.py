"""Channels by their names: what can be subscribed to, and what is dropped without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from simulator.chart import RESOLUTIONS
from simulator.deribit.request import CURRENCIES
from simulator.deribit.stream.book_streams import BookStream, QuoteStream, WindowStream
from simulator.deribit.stream.platform_streams import PlatformStateStream, PriceIndexStream
from simulator.deribit.stream.source import INTERVALS, Silent, Source, Stream
from simulator.deribit.stream.ticker_streams import IncrementalTickerStream, MarkPriceStream, TickerStream
from simulator.deribit.stream.trade_streams import ChartStream, CurrencyTradeStream, TradeStream
from simulator.errors import VenueError
from simulator.instruments import KINDS

_DEPTHS: Final = ("1", "10", "20")
_PUBLIC_METHODS: Final = {"allow_unauthenticated_public_requests": True}


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that exists."""

    name: str
    instrument: str | None
    """The instrument that it is about, if it is about one."""
    stream: Stream

    @property
    def kind(self) -> str:
        """The first word of its name, such as `book`."""
        return self.name.split(".")[0]


Maker: TypeAlias = Callable[[Source, list[str], int], Stream | None]
"""Makes the stream of a channel from the words of its name after the first; None where there is no such channel."""


def open_channel(source: Source, name: str, moment: int) -> Channel | None:
    """Return the channel of that name, or None: the venue says nothing about a name that it does not know.

    Raises:
        VenueError: 13778, raw intervals are for those who are logged in.
    """
    kind, *words = name.split(".")
    if words and words[-1] == "raw":
        raise VenueError(13778)
    maker = _MAKERS.get((kind, len(words)))
    stream = None if maker is None else maker(source, words, moment)
    if stream is None:
        return None
    return Channel(name, next((word for word in words if source.living(word, moment)), None), stream)


def _book(source: Source, words: list[str], moment: int) -> Stream | None:
    name, interval = words
    is_known = source.living(name, moment) and interval in INTERVALS
    return BookStream(source, name, INTERVALS[interval]) if is_known else None


def _window(source: Source, words: list[str], moment: int) -> Stream | None:
    name, group, depth, interval = words
    is_known = source.living(name, moment) and depth in _DEPTHS and interval in INTERVALS
    step = None if group == "none" else _price_step(group)
    if not is_known or step == 0.0:
        return None
    return WindowStream(source, name, INTERVALS[interval], step, int(depth))


def _quote(source: Source, words: list[str], moment: int) -> Stream | None:
    return QuoteStream(source, words[0], 0) if source.living(words[0], moment) else None


def _ticker(source: Source, words: list[str], moment: int) -> Stream | None:
    name, interval = words
    is_known = source.living(name, moment) and interval in INTERVALS
    return TickerStream(source, name, INTERVALS[interval]) if is_known else None


def _incremental_ticker(source: Source, words: list[str], moment: int) -> Stream | None:
    return IncrementalTickerStream(source, words[0]) if source.living(words[0], moment) else None


def _mark_price(source: Source, words: list[str], moment: int) -> Stream | None:
    return MarkPriceStream(source, words[1]) if words[0] == "options" and _indices(source, moment, words[1]) else None


def _trades(source: Source, words: list[str], moment: int) -> Stream | None:
    name, interval = words
    is_known = source.living(name, moment) and interval in INTERVALS
    return TradeStream(source, name, INTERVALS[interval]) if is_known else None


def _trades_of_currency(source: Source, words: list[str], _: int) -> Stream | None:
    kind, currency, interval = words
    if not _is_family(kind, currency) or interval not in INTERVALS:
        return None
    any_kind, any_currency = kind == "any", currency == "any"
    return CurrencyTradeStream(
        source, None if any_currency else currency, None if any_kind else kind, INTERVALS[interval]
    )


def _chart(source: Source, words: list[str], moment: int) -> Stream | None:
    trades, name, resolution = words
    is_known = trades == "trades" and source.living(name, moment) and resolution in RESOLUTIONS
    return ChartStream(source, name, resolution) if is_known else None


def _instrument(_: Source, words: list[str], __: int) -> Stream | None:
    what, kind, currency = words
    return Silent() if what in ("state", "creation") and _is_family(kind, currency) else None


def _platform_state(source: Source, words: list[str], moment: int) -> Stream | None:
    if words:
        return Silent(_PUBLIC_METHODS) if words == ["public_methods_state"] else None
    return PlatformStateStream(sorted(_indices(source, moment)))


def _price_index(source: Source, words: list[str], moment: int) -> Stream | None:
    base = _indices(source, moment).get(words[0])
    return None if base is None else PriceIndexStream(source, words[0], base)


def _is_family(kind: str, currency: str) -> bool:
    return kind in (*KINDS, "any") and currency in (*CURRENCIES, "any")


def _indices(source: Source, moment: int, name: str | None = None) -> dict[str, str]:
    """Return the base currency of every index, or of one."""
    live = source.world.catalogue.live(moment)
    return {one.price_index: one.base for one in live if name in (None, one.price_index)}


def _price_step(text: str) -> float:
    """Return a price step, 0.0 for what is none."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


_MAKERS: Final[dict[tuple[str, int], Maker]] = {
    ("book", 2): _book,
    ("book", 4): _window,
    ("quote", 1): _quote,
    ("ticker", 2): _ticker,
    ("incremental_ticker", 1): _incremental_ticker,
    ("markprice", 2): _mark_price,
    ("trades", 2): _trades,
    ("trades", 3): _trades_of_currency,
    ("chart", 3): _chart,
    ("instrument", 3): _instrument,
    ("platform_state", 0): _platform_state,
    ("platform_state", 1): _platform_state,
    ("deribit_price_index", 1): _price_index,
}
