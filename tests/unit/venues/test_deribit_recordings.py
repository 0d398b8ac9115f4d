"""Recorded replies of the venue, read from the folder that TAPEKEEPER_PAYLOADS names."""

from __future__ import annotations

from typing import Any

import orjson

from tapekeeper.http.decision import Ok
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.venues.deribit.decisions import Reply, decide
from tapekeeper.venues.deribit.listings import ListingParser
from tapekeeper.venues.deribit.parse import CandleParser
from tests.support.payloads import recorded

MINUTE = Resolution(60)


def recording(name: str) -> bytes:
    return recorded(name).read_bytes()


def reply(name: str) -> Reply:
    decision = decide(200, {}, recording(name))
    assert isinstance(decision, Ok)
    assert isinstance(decision.payload, Reply)
    return decision.payload


def column(reply: Reply, name: str) -> Any:
    assert isinstance(reply.result, dict)
    return reply.result[name]


def test_a_recorded_chart_whose_last_candle_is_open() -> None:
    recorded = reply("deribit_ccxt/tradingview_chart_2020-03-11_open_candle.json")
    ticks = column(recorded, "ticks")
    assert recorded.answered_at == 1583917166710175
    window = Window(ticks[0] * 1_000, ticks[-1] * 1_000 + MINUTE.microseconds)
    parser = CandleParser()
    answer = parser.parse(recorded.result, window, MINUTE, recorded.answered_at)
    assert answer.rows.open_time.tolist() == [tick * 1_000 for tick in ticks[:-1]]
    assert answer.rows.volume.tolist() == column(recorded, "volume")[:-1]
    assert answer.rejected == ()
    assert parser.long_numbers == 1


def test_a_recorded_chart_of_closed_candles() -> None:
    recorded = reply("deribit_nautilus/http_get_tradingview_chart_data.json")
    ticks = column(recorded, "ticks")
    window = Window(ticks[0] * 1_000, ticks[-1] * 1_000 + MINUTE.microseconds)
    answer = CandleParser().parse(recorded.result, window, MINUTE, recorded.answered_at or 0)
    assert answer.rows.close.tolist() == column(recorded, "close")
    assert answer.rows.cost.tolist() == column(recorded, "cost")
    assert answer.rejected == ()


def test_recorded_combos() -> None:
    recorded = reply("deribit_nautilus/http_get_instruments_option_combo.json")
    parser = ListingParser()
    combos = parser.instruments(recorded.result)
    assert isinstance(recorded.result, list)
    assert len(combos) == len(recorded.result) > 0
    assert {combo.kind for combo in combos} == {"combo"}
    assert combos[0].name == "BTC-STRG-19MAY26-74000_79000"
    assert combos[0].expires_at == 1779177600000_000
    assert not parser.left_out


def test_a_recorded_book_summary() -> None:
    line = orjson.loads(recording("deribit_ccxt/book_summary_option_2024-03-22.json"))
    (summary,) = ListingParser().book_summaries([line])
    assert (summary.open_interest, summary.mark_price) == (274.2, 0.04007735)
    assert (summary.bid_price, summary.ask_price) == (0.0385, 0.042)
    assert summary.mark_iv is None
