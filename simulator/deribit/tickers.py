"""public/ticker, get_order_book, get_book_summary_by_instrument and by_currency."""

from __future__ import annotations

from typing import Final

from simulator.books import Book
from simulator.deribit.request import Request, chosen
from simulator.errors import invalid
from simulator.expiries import expiry_code
from simulator.instruments import VenueInstrument
from simulator.quotes import DayStatistics, Values
from simulator.world import World

SUMMARY_INTERVAL: Final = 2_000
"""Summaries are made anew every two seconds (milliseconds); asking more often tells nothing new."""
_DEPTHS: Final = (1, 5, 10, 20, 50, 100, 1_000, 10_000)


def ticker(request: Request) -> object:
    """Answer with the state of one instrument now; a side without a quote is 0.0, a value without a trade is null."""
    return ticker_row(request.world, request.instrument(), request.now)


def get_order_book(request: Request) -> object:
    """Answer with the ticker and the best levels of the book."""
    depth = request.params.optional_integer("depth") or 5
    if depth not in _DEPTHS:
        raise invalid("depth", f"must be one of {', '.join(map(str, _DEPTHS))}")
    instrument = request.instrument()
    book = request.world.quotes.books.at(instrument, request.now)
    return {
        **ticker_row(request.world, instrument, request.now),
        "change_id": book.change_id,
        "bids": [[level.price, level.amount] for level in book.bids[:depth]],
        "asks": [[level.price, level.amount] for level in book.asks[:depth]],
    }


def get_book_summary_by_instrument(request: Request) -> object:
    """Answer with a list of one summary."""
    return [summary_row(request.world, request.instrument(), _summary_time(request.now))]


def get_book_summary_by_currency(request: Request) -> object:
    """Answer with a summary of every living instrument; here the currency `any` is refused."""
    made_at = _summary_time(request.now)
    currency, kind, world = request.currency(may_be_any=False), request.kind(), request.world

    def make() -> list[dict[str, object]]:
        live = chosen(world.catalogue.live(request.now), currency, kind)
        return [summary_row(world, instrument, made_at) for instrument in live]

    return world.summaries.get((currency, kind, made_at), make)


def ticker_row(world: World, instrument: VenueInstrument, now: int) -> dict[str, object]:
    """Return what ticker answers; the last word about an expired instrument is its delivery."""
    quotes = world.quotes
    book, statistics, values = (
        quotes.books.top_at(instrument, now),
        quotes.statistics(instrument, now),
        quotes.values(instrument, now),
    )
    mark, is_over = values.mark, now >= instrument.end
    bid, ask = _best(book)
    row: dict[str, object] = {
        "timestamp": min(now, instrument.end),
        "state": "closed" if is_over else "open",
        "instrument_name": instrument.name,
        "stats": _statistics(statistics),
        "index_price": values.index,
        "last_price": statistics.last,
        "settlement_price": round(mark * 1.0004, 6),
        "min_price": round(mark * 0.985, 6),
        "max_price": round(mark * 1.015, 6),
        "open_interest": values.open_interest,
        "mark_price": mark,
        "estimated_delivery_price": "expired" if is_over else values.index,
        "best_bid_price": bid[0] or 0.0,
        "best_bid_amount": bid[1],
        "best_ask_price": ask[0] or 0.0,
        "best_ask_amount": ask[1],
    }
    if is_over:
        row["delivery_price"] = values.index
    if instrument.is_perpetual:
        row |= {"interest_value": 0.0028, "current_funding": 0.0, "funding_8h": 6.55e-6}
    if instrument.kind == "option":
        row |= _option_fields(instrument, values, has_bid=bid[1] > 0, has_ask=ask[1] > 0)
    return row


def summary_row(world: World, instrument: VenueInstrument, now: int) -> dict[str, object]:
    """Return a book summary; here a missing bid, ask, middle or last is null."""
    quotes = world.quotes
    statistics, values = quotes.statistics(instrument, now), quotes.values(instrument, now)
    (bid, _), (ask, _) = _best(quotes.books.top_at(instrument, now))
    row: dict[str, object] = {
        "instrument_name": instrument.name,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "creation_timestamp": now,
        "open_interest": values.open_interest,
        "mark_price": values.mark,
        "bid_price": bid,
        "ask_price": ask,
        "mid_price": None if bid is None or ask is None else round((bid + ask) / 2, 8),
        "last": statistics.last,
        "high": statistics.high,
        "low": statistics.low,
        "price_change": statistics.price_change,
        "volume": statistics.volume,
        "volume_usd": statistics.volume_usd,
        "volume_notional": statistics.volume_usd,
        "estimated_delivery_price": values.index,
    }
    if instrument.is_perpetual:
        row |= {"current_funding": 0.0, "funding_8h": 6.55e-6}
    if instrument.kind == "option":
        row |= {
            "underlying_price": values.forward,
            "underlying_index": underlying_index(instrument),
            "interest_rate": 0.0,
            "mark_iv": values.volatility,
        }
    return row


def underlying_index(instrument: VenueInstrument) -> str:
    """Return the future that an option hangs on, or the synthetic one where no future expires on that day."""
    root = instrument.name.split("-")[0]
    has_future = instrument.settlement_period != "day" and not instrument.is_linear
    code = "" if instrument.expiry_day is None else expiry_code(instrument.expiry_day)
    return f"{'' if has_future else 'SYN.'}{root}-{code}"


def _option_fields(instrument: VenueInstrument, values: Values, *, has_bid: bool, has_ask: bool) -> dict[str, object]:
    volatility, value = values.volatility, values.valuation
    if volatility is None or value is None:
        raise ValueError(f"{instrument.name} is no option")
    return {
        "mark_iv": volatility,
        "bid_iv": round(volatility * 0.97, 2) if has_bid else 0.0,
        "ask_iv": round(volatility * 1.03, 2) if has_ask else 0.0,
        "underlying_price": values.forward,
        "underlying_index": underlying_index(instrument),
        "interest_rate": 0.0,
        "greeks": {
            "delta": round(float(value.delta[0]), 5),
            "gamma": round(float(value.gamma[0]), 5),
            "vega": round(float(value.vega[0]), 5),
            "theta": round(float(value.theta[0]), 5),
            "rho": 0.0,
        },
    }


def _statistics(statistics: DayStatistics) -> dict[str, object]:
    is_traded = statistics.high is not None
    return {
        "high": statistics.high,
        "low": statistics.low,
        "price_change": statistics.price_change,
        "volume": statistics.volume if is_traded else None,
        "volume_usd": statistics.volume_usd if is_traded else None,
        "volume_notional": statistics.volume_usd if is_traded else None,
    }


def _best(book: Book) -> tuple[tuple[float | None, float], tuple[float | None, float]]:
    bid = (book.bids[0].price, book.bids[0].amount) if book.bids else (None, 0.0)
    ask = (book.asks[0].price, book.asks[0].amount) if book.asks else (None, 0.0)
    return bid, ask


def _summary_time(now: int) -> int:
    return now - now % SUMMARY_INTERVAL
