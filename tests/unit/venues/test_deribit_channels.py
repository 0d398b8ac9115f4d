"""Names of channels, made and understood."""

from __future__ import annotations

import pytest

from tapekeeper.venues.deribit import channels
from tapekeeper.venues.deribit.channels import Channel, parse_channel

NAME = "XRP_USDC-21SEP26-1d25-C"


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        (channels.book_channel(NAME), f"book.{NAME}.100ms", Channel("book", NAME, interval="100ms")),
        (channels.ticker_channel(NAME, "agg2"), f"ticker.{NAME}.agg2", Channel("ticker", NAME, interval="agg2")),
        (channels.trades_channel(NAME), f"trades.{NAME}.100ms", Channel("trades", NAME, interval="100ms")),
        (
            channels.all_trades_channel("ETH"),
            "trades.option.ETH.100ms",
            Channel("all_trades", None, "option", "ETH", "100ms"),
        ),
        (
            channels.instrument_state_channel("option", "ETH"),
            "instrument.state.option.ETH",
            Channel("instrument_state", None, "option", "ETH"),
        ),
        (
            channels.instrument_creation_channel(),
            "instrument.creation.any.any",
            Channel("instrument_creation", None, "any", "any"),
        ),
        (channels.PLATFORM_STATE, "platform_state", Channel("platform_state")),
    ],
)
def test_a_channel_that_is_made_is_understood(name: str, text: str, parts: Channel) -> None:
    assert name == text
    assert parse_channel(name) == parts


@pytest.mark.parametrize(
    "name",
    [
        "",
        "book",
        "quote.BTC-PERPETUAL",
        "book.X.none.1.100ms",
        "incremental_ticker.X",
        "platform_state.x",
        "chart.trades.X.1",
    ],
)
def test_other_channels_are_unknown(name: str) -> None:
    assert parse_channel(name) == Channel("unknown")
