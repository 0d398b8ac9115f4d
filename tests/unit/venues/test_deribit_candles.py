"""Candles as Deribit sends them, and as it should not."""

from __future__ import annotations

import contextlib
import logging
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import BadData, InvariantBroken, ParseFailure, WindowMismatch
from tapekeeper.model.answer import Answer
from tapekeeper.model.candle import Candles
from tapekeeper.venues.candle_columns import VALUES
from tapekeeper.venues.deribit.parse import CandleParser
from tests.support.deribit_answers import COLUMNS, LONG_AFTER, MINUTE, START_MS, STEP_MS, good, window


def parse(result: object, minutes: int = 4, now: int = LONG_AFTER) -> Answer[Candles]:
    return CandleParser().parse(result, window(minutes), MINUTE, now)


def test_columns_keep_their_units_and_order() -> None:
    answer = parse(good(3))
    candles = answer.rows
    assert answer.rejected == ()
    assert candles.open_time.tolist() == [(START_MS + STEP_MS * minute) * 1_000 for minute in range(3)]
    assert candles.open_time.dtype == np.int64
    assert candles.open.tolist() == [100.0, 101.0, 102.0]
    assert candles.high.tolist() == [100.5, 101.5, 102.5]
    assert candles.low.tolist() == [99.5, 100.5, 101.5]
    assert candles.close.tolist() == [100.25, 101.25, 102.25]
    assert candles.volume.tolist() == [0.0, 0.125, 0.25]
    assert candles.cost.tolist() == [0.0, 10.0, 20.0]
    assert candles.open.dtype == np.float64
    assert candles.trade_count is None


def test_numbers_may_change_their_form() -> None:
    exponents = b'{"status":"ok","ticks":[1.7184528e12],"open":[2.2e3],"high":[2200],"low":[2200.0],"close":[22E+2],'
    candles = parse(orjson.loads(exponents + b'"volume":[1.423e-4],"cost":[0]}')).rows
    assert (candles.open_time[0], candles.open[0], candles.high[0]) == (START_MS * 1_000, 2200.0, 2200.0)
    assert (candles.low[0], candles.close[0], candles.volume[0]) == (2200.0, 2200.0, 0.0001423)


@pytest.mark.parametrize("result", [{"status": "no_data"}, {**good(0), "status": "no_data"}, good(0)])
def test_no_data_is_an_empty_answer(result: object) -> None:
    answer = parse(result)
    assert (len(answer.rows), answer.rejected) == (0, ())


def test_a_filler_minute_is_a_candle_and_a_missing_minute_stays_missing() -> None:
    result = good(4)
    for name in COLUMNS:
        del result[name][1]
    for name in ("open", "high", "low", "close"):
        result[name][1] = 99.0
    result["volume"][1] = result["cost"][1] = 0
    answer = parse(result)
    assert ((answer.rows.open_time // 1_000 - START_MS) // STEP_MS).tolist() == [0, 2, 3]
    assert answer.rejected == ()


def test_the_open_candle_is_left_out_until_the_instant_it_closes() -> None:
    closes_at = (START_MS + 3 * STEP_MS) * 1_000
    assert len(parse(good(3), now=closes_at).rows) == 3
    assert len(parse(good(3), now=closes_at - 1).rows) == 2


def test_more_than_one_open_candle_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(parse(good(4), now=(START_MS + STEP_MS) * 1_000).rows) == 1
    assert caplog.messages == ["left out 3 rows of 1m that are not over yet: at most one can be, so the clocks differ"]


def test_the_one_candle_before_the_window_that_we_asked_for_is_left_out() -> None:
    result = good(4)
    result["ticks"] = [tick - STEP_MS for tick in result["ticks"]]
    answer = parse(result)
    assert answer.rows.open.tolist() == [101.0, 102.0, 103.0]
    assert answer.rejected == ()


@pytest.mark.parametrize("shift", [-2 * STEP_MS, STEP_MS, -86_400_000, 86_400_000])
def test_candles_of_another_window_are_a_mismatch(shift: int) -> None:
    result = good(4)
    result["ticks"] = [tick + shift for tick in result["ticks"]]
    with pytest.raises(WindowMismatch, match=r"of 4 rows lie outside the asked window \[2024-06-15T12:00:00Z, "):
        parse(result)


def test_candles_off_the_grid_are_a_mismatch() -> None:
    result = good(4)
    result["ticks"][2] += 1
    with pytest.raises(WindowMismatch) as raised:
        parse(result)
    assert str(raised.value) == ("1 of 4 rows do not lie on a multiple of 1m, such as 2024-06-15T12:02:00.001000Z")


@pytest.mark.parametrize(
    ("order", "words"), [([0, 2, 1, 3], "12:01:00Z comes after 2024-06-15T12:02"), ([0, 1, 1, 2], "")]
)
def test_open_times_must_ascend(order: list[int], words: str) -> None:
    result = {name: [values[row] for row in order] if name != "status" else "ok" for name, values in good(4).items()}
    with pytest.raises(InvariantBroken, match=f"the open times do not ascend: .*{words}"):
        parse(result)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([], "candles should come as an object, not as list"),
        (None, "candles should come as an object, not as NoneType"),
        ({}, "candles came with status None: only 'ok', or 'no_data' without candles, is known"),
        ({**good(2), "status": "no_data"}, "candles came with status 'no_data': only"),
        ({**good(2), "close": None}, "candles came without a list of 'close'"),
        ({"status": "ok"}, "candles came without a list of 'ticks'"),
        (
            {**good(2), "low": [1]},
            "the columns of the candles differ in length: ticks 2, open 2, high 2, low 1, close 2, volume 2, cost 2",
        ),
    ],
)
def test_another_shape_is_a_failure_to_parse(result: object, message: str) -> None:
    with pytest.raises(ParseFailure) as raised:
        parse(result)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("high", 90, "high 90.0 is below low 100.5"),
        ("open", 102, "open 102.0 is outside low 100.5 and high 101.5"),
        ("open", 100, "open 100.0 is outside low 100.5 and high 101.5"),
        ("close", 100, "close 100.0 is outside low 100.5 and high 101.5"),
        ("low", 0, "low 0.0 is not above zero"),
        ("low", -5.5, "low -5.5 is not above zero"),
        ("volume", -0.5, "volume -0.5 is below zero"),
        ("cost", -10, "cost -10.0 is below zero"),
        ("close", None, "close None is no finite number"),
        ("high", "101.5", "high '101.5' is no finite number"),
        ("open", True, "open True is no finite number"),
        ("volume", [], "volume [] is no finite number"),
        ("cost", {}, "cost {} is no finite number"),
        ("low", math.nan, "low nan is no finite number"),
        ("high", math.inf, "high inf is no finite number"),
    ],
)
def test_a_row_that_cannot_be_believed_is_kept_apart_as_it_came(column: str, value: object, reason: str) -> None:
    result = good(3)
    result[column][1] = value
    answer = parse(result)
    assert answer.rows.open.tolist() == [100.0, 102.0]
    (rejected,) = answer.rejected
    assert rejected.reason == reason
    assert rejected.event_time == (START_MS + STEP_MS) * 1_000
    assert rejected.row == {name: result[name][1] for name in COLUMNS}


@pytest.mark.parametrize("tick", [None, "1718452860000", -1, 1.5, math.inf, 2**60, 9.9e30])
def test_a_row_without_a_time_is_kept_apart_too(tick: object) -> None:
    result = good(3)
    result["ticks"][1] = tick
    answer = parse(result)
    assert answer.rows.open.tolist() == [100.0, 102.0]
    (rejected,) = answer.rejected
    assert rejected.event_time is None
    assert rejected.reason.startswith("ticks ")


def test_a_row_has_one_reason_and_a_long_value_is_cut_in_it() -> None:
    result = good(2)
    result["open"][1], result["high"][1] = "x" * 1_000, None
    (rejected,) = parse(result).rejected
    assert rejected.reason == "open 'xxxxxxxxxxxx...xxxxxxxxxxxxx' is no finite number"
    assert rejected.row["open"] == "x" * 1_000


def test_a_bad_row_that_is_still_open_or_not_asked_for_is_left_out_like_a_good_one() -> None:
    result = good(3)
    result["ticks"] = [tick - STEP_MS for tick in result["ticks"]]
    result["high"][0] = result["high"][2] = None
    answer = parse(result, now=(START_MS + STEP_MS) * 1_000)
    assert (answer.rows.open.tolist(), answer.rejected) == ([101.0], ())


@pytest.mark.parametrize(
    ("number", "long"),
    [
        (0.1, False),
        (87456.5, False),
        (2.94375216, False),
        (123456789012345.0, False),
        (1234567890.12345, False),
        (1e-8, False),
        (1e22, False),
        (3.6680847969999992, True),
        (0.1 + 0.2, True),
        (1 / 3, True),
        (123456789012345.6, True),
        (999.9999999999999, True),
        (9007199254740993.0, True),
    ],
)
def test_long_numbers_are_counted_and_kept(number: float, long: bool) -> None:
    parser = CandleParser()
    result = good(2)
    result["volume"][1] = number
    candles = parser.parse(result, window(2), MINUTE, LONG_AFTER).rows
    assert candles.volume[1] == number
    assert parser.long_numbers == int(long)


@given(st.floats(1e-7, 1e21))
def test_a_long_number_is_one_that_fifteen_digits_do_not_hold(number: float) -> None:
    parser = CandleParser()
    result = good(1)
    result["volume"][0] = number
    parser.parse(result, window(1), MINUTE, LONG_AFTER)
    assert parser.long_numbers == int(float(f"{number:.15g}") != number)


MINUTES = 12
numbers = st.floats(90, 110) | st.integers(90, 110)
odd_values = (
    st.none()
    | st.booleans()
    | st.text(max_size=3)
    | st.floats()
    | st.integers(-(2**63), 2**63)
    | st.lists(st.none(), max_size=1)
)
ticks = st.lists(st.integers(0, MINUTES - 1), unique=True).map(sorted)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """Columns on the grid, with anything in any of the cells but the ticks."""
    open_times = [START_MS + STEP_MS * minute for minute in draw(ticks)]
    cells = st.lists(numbers | odd_values, min_size=len(open_times), max_size=len(open_times))
    return {"status": "ok", "ticks": open_times, **{name: draw(cells) for name in VALUES}}


@given(answers())
def test_every_row_is_either_believed_or_rejected_and_none_is_made_up(result: dict[str, Any]) -> None:
    answer = parse(result, minutes=MINUTES)
    believed = (answer.rows.open_time // 1_000).tolist()
    rejected = [row.row["ticks"] for row in answer.rejected]
    assert sorted([*believed, *rejected]) == result["ticks"]
    for position, tick in enumerate(believed):
        row = result["ticks"].index(tick)
        for name in VALUES:
            assert float(getattr(answer.rows, name)[position]) == result[name][row]
    candles = answer.rows
    for price in (candles.open, candles.close):
        assert np.all((candles.low <= price) & (price <= candles.high) & (price > 0))
    assert np.all((candles.volume >= 0) & (candles.cost >= 0))


json_values = st.recursive(
    odd_values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
columns = st.lists(st.integers(START_MS - 10**6, START_MS + 10**6) | odd_values, max_size=4) | json_values


@given(
    st.fixed_dictionaries(
        {}, optional={"status": st.sampled_from(["ok", "no_data"]) | json_values} | dict.fromkeys(COLUMNS, columns)
    )
)
def test_nothing_but_bad_data_is_raised(result: dict[str, Any]) -> None:
    with contextlib.suppress(BadData):
        answer = parse(result)
        assert len(answer.rows) + len(answer.rejected) <= len(result.get("ticks") or [])


@given(json_values)
def test_nothing_but_bad_data_is_raised_for_any_result(result: object) -> None:
    with pytest.raises(BadData):
        parse(result)
