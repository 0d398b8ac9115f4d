"""Rows for tests, with what they do not care about left at anything."""

from __future__ import annotations

from tapekeeper.model.quote import Quote
from tapekeeper.model.trade import Trade


def quote(instrument_id: int = 1, event_time: int = 1_000, change_id: int = 1) -> Quote:
    return Quote(
        instrument_id=instrument_id,
        event_time=event_time,
        received_at=event_time + 150_000,
        change_id=change_id,
        bid_price=0.05,
        bid_size=10.0,
        ask_price=None,
        ask_size=None,
        mark_price=0.051,
        underlying_price=3_000.0,
        mark_iv=60.0,
        bid_iv=None,
        ask_iv=None,
        open_interest=12.0,
        from_ticker=False,
    )


def trade(instrument_id: int = 1, event_time: int = 1_000, trade_seq: int = 1) -> Trade:
    return Trade(
        instrument_id=instrument_id,
        event_time=event_time,
        received_at=event_time + 150_000,
        trade_seq=trade_seq,
        trade_id=f"ETH-{instrument_id}-{trade_seq}",
        price=0.05,
        size=1.0,
        side="buy",
        iv=60.0,
        index_price=3_000.0,
        mark_price=0.051,
        liquidation=None,
        combo_id=None,
        block_trade_id=None,
    )
