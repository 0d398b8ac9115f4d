"""Lists of instruments and of book summaries."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import ParseFailure
from tapekeeper.model.book_summary import BookSummary
from tapekeeper.model.instrument import Instrument
from tapekeeper.venues.deribit.listings import ListingParser
from tests.support.deribit_answers import OPTION, PERPETUAL


def without(line: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != field}


def test_a_perpetual_never_expires_and_unknown_fields_do_no_harm() -> None:
    assert ListingParser().instruments([PERPETUAL]) == [
        Instrument("deribit", "BTC-PERPETUAL", "perpetual", "BTC", listed_at=1534242287000_000, tick_size=0.5)
    ]


def test_an_option_is_read_from_its_fields_not_from_its_name() -> None:
    assert ListingParser().instruments([OPTION]) == [
        Instrument(
            venue="deribit",
            name="XRP_USDC-21SEP26-1d25-C",
            kind="option",
            currency="XRP",
            listed_at=1779100724000_000,
            expires_at=1789977600000_000,
            tick_size=1e-4,
            strike=1.25,
            option_type="call",
        )
    ]


@pytest.mark.parametrize(
    ("kind", "period", "ours"),
    [
        ("future", "week", "future"),
        ("future", None, "future"),
        ("spot", None, "spot"),
        ("future_combo", "perpetual", "combo"),
        ("option_combo", "day", "combo"),
    ],
)
def test_the_kinds_of_the_venue_are_ours(kind: str, period: str | None, ours: str) -> None:
    (instrument,) = ListingParser().instruments([{**PERPETUAL, "kind": kind, "settlement_period": period}])
    assert instrument.kind == ours


def test_a_new_kind_is_left_out_counted_and_said_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    parser = ListingParser()
    with caplog.at_level(logging.WARNING):
        found = parser.instruments([{**PERPETUAL, "kind": "prediction"}, PERPETUAL, {**OPTION, "kind": "prediction"}])
    assert [instrument.name for instrument in found] == ["BTC-PERPETUAL"]
    assert parser.left_out == {"unknown kind 'prediction'": 2}
    assert caplog.messages == ["2 of 3 lines of a list of Deribit were left out: unknown kind 'prediction'"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (without(PERPETUAL, "instrument_name"), "instrument_name is no text"),
        (without(PERPETUAL, "base_currency"), "base_currency is no text"),
        (without(PERPETUAL, "creation_timestamp"), "creation_timestamp is no number"),
        ({**PERPETUAL, "tick_size": "0.5"}, "tick_size is no number"),
        ({**PERPETUAL, "creation_timestamp": 1e18}, "creation_timestamp is no time in milliseconds"),
        ({**OPTION, "expiration_timestamp": -1}, "expiration_timestamp is no time in milliseconds"),
        ({**PERPETUAL, "creation_timestamp": True}, "creation_timestamp is no number"),
        ("BTC-PERPETUAL", "kind is no text"),
        (None, "kind is no text"),
    ],
)
def test_a_line_that_cannot_be_understood_costs_only_itself(line: object, reason: str) -> None:
    parser = ListingParser()
    assert len(parser.instruments([OPTION, line, PERPETUAL])) == 2
    assert parser.left_out == {reason: 1}


@pytest.mark.parametrize("result", [None, {}, "text", 5])
def test_what_is_no_list_is_a_failure_to_parse(result: object) -> None:
    with pytest.raises(ParseFailure, match="a list was expected, not"):
        ListingParser().instruments(result)
    with pytest.raises(ParseFailure):
        ListingParser().book_summaries(result)


def test_a_book_summary_keeps_missing_values_missing() -> None:
    line = {
        "instrument_name": "ETH-29NOV24-3200-C",
        "creation_timestamp": 1711100949273,
        "open_interest": 274.2,
        "mark_price": 0.04007735,
        "bid_price": None,
        "ask_price": 0.042,
        "underlying_price": 73742.14,
        "volume_usd": 11045.12,
    }
    assert ListingParser().book_summaries([line]) == [
        BookSummary(
            instrument_name="ETH-29NOV24-3200-C",
            summarised_at=1711100949273_000,
            open_interest=274.2,
            mark_price=0.04007735,
            bid_price=None,
            ask_price=0.042,
            underlying_price=73742.14,
            mark_iv=None,
            volume_usd=11045.12,
        )
    ]


cells = (
    st.none() | st.booleans() | st.text(max_size=3) | st.floats() | st.integers(-(2**63), 2**63) | st.lists(st.none())
)
lines = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(PERPETUAL, cells) | {"kind": st.just("future"), "open_interest": cells, "mark_price": cells},
)


@given(st.lists(lines | cells, max_size=4))
def test_every_line_is_returned_or_counted(result: list[Any]) -> None:
    parser = ListingParser()
    found = [*parser.instruments(result), *parser.book_summaries(result)]
    assert len(found) + parser.left_out.total() == 2 * len(result)
