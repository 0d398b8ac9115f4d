"""Aggregate trades of Binance: what is asked, where it ends, and what can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import orjson
import pytest

from tapekeeper.clock import now_microseconds
from tapekeeper.errors import (
    BadData,
    InvariantBroken,
    ParseFailure,
    RequestRejected,
    VenueUnavailable,
    WindowMismatch,
)
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.agg_trade_history import AggTradeHistory
from tapekeeper.venues.binance_um.agg_trades import parse_agg_trades
from tapekeeper.venues.binance_um.decisions import Reply
from tapekeeper.venues.binance_um.limits import AGG_TRADES_PER_REQUEST
from tests.support.payloads import recorded
from tests.unit.simulator.binance import Binance
from tests.unit.venues.test_binance_um_rest import venue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.model.agg_trade import AggTrades
    from tapekeeper.model.answer import Answer

FIRST_ID: Final = 2**53 + 1
"""No double holds it."""
START_MS: Final = (now_microseconds() // 60_000_000 - 30) * 60_000
"""Half an hour ago: what is older than two days is not asked for."""
LONG_AFTER: Final = (START_MS + 10**9) * 1_000
WINDOW: Final = Window(START_MS * 1_000, (START_MS + 60_000) * 1_000)
HOUR: Final = 3_600_000_000


def trade(number: int, **changes: Any) -> dict[str, Any]:
    """Return a trade that can be believed; two share each millisecond."""
    return {
        "a": FIRST_ID + number,
        "p": f"{100 + number}.50",
        "q": "0.125",
        "f": 3 * number + 7,
        "l": 3 * number + 8,
        "T": START_MS + number // 2,
        "m": number % 2 == 0,
        **changes,
    }


def trades(first: int, end: int, **changes: Any) -> list[dict[str, Any]]:
    return [trade(number, **changes) for number in range(first, end)]


class Pages:
    """Answers one page after the other, and remembers what was asked."""

    def __init__(self, *pages: object, answered_at: int | None = None) -> None:
        self._pages = list(pages)
        self._answered_at = answered_at
        self.asked: list[Mapping[str, str | int]] = []

    def __call__(self, asked: Mapping[str, str | int]) -> Reply:
        self.asked.append(asked)
        return Reply(self._pages.pop(0), self._answered_at)


def numbers(answer: Answer[AggTrades]) -> list[int]:
    return [int(each) - FIRST_ID for each in answer.rows.agg_trade_id]


def test_they_are_asked_for_by_their_weight_and_come_in_their_units() -> None:
    with venue(trades(0, 3)) as (rest, budget, server):
        rows = rest.agg_trades("BTCUSDT", WINDOW).rows
        target = urlsplit(server.requests[0].split()[1])
        assert target.path == "/fapi/v1/aggTrades"
        assert dict(parse_qsl(target.query)) == {
            "symbol": "BTCUSDT",
            "startTime": str(START_MS),
            "endTime": str(START_MS + 59_999),
            "limit": "1000",
        }
        assert (budget.taken, len(server.requests)) == (20.0, 1)
    assert rows.agg_trade_id.tolist() == [FIRST_ID, FIRST_ID + 1, FIRST_ID + 2]
    assert rows.event_time.tolist() == [START_MS * 1_000, START_MS * 1_000, (START_MS + 1) * 1_000]
    assert rows.price.tolist() == [100.5, 101.5, 102.5]
    assert rows.quantity.tolist() == [0.125] * 3
    assert rows.first_trade_id.tolist() == [7, 10, 13]
    assert rows.last_trade_id.tolist() == [8, 11, 14]
    assert rows.is_buyer_maker.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"p": "cheap"}, "p 'cheap' is no finite number"),
        ({"p": "0"}, "price 0.0 is not above zero"),
        ({"q": "-1"}, "quantity -1.0 is not above zero"),
        ({"q": None}, "q None is no finite number"),
        ({"l": 1}, "its last trade 1 is before its first 10"),
        ({"f": -1}, "f -1 is no whole number from 0 on"),
        ({"a": 5.0}, "a 5.0 is no whole number from 0 on"),
        ({"a": 2**63}, f"a {2**63} is no whole number from 0 on"),
        ({"m": 1}, "m 1 is no truth value"),
        ({"T": "soon"}, "T 'soon' is no finite number"),
    ],
)
def test_a_row_that_contradicts_itself_is_put_aside_alone(changes: dict[str, Any], reason: str) -> None:
    rows = [trade(0), trade(1, **changes), trade(2)]
    answer = parse_agg_trades(rows, WINDOW, LONG_AFTER)
    assert numbers(answer) == [0, 2]
    (rejected,) = answer.rejected
    assert (rejected.reason, rejected.row) == (reason, rows[1])
    assert rejected.event_time == (None if "T" in changes else START_MS * 1_000)


def test_a_trade_of_the_future_is_put_aside() -> None:
    far = 4_000_000_000_000
    answer = parse_agg_trades([trade(0), trade(1, T=far), trade(2)], None, LONG_AFTER)
    assert numbers(answer) == [0, 2]
    assert answer.rejected[0].reason == f"its time of {far} milliseconds has not come yet"


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ({"code": 0}, ParseFailure, "should come as a list"),
        ([5], ParseFailure, "should be an object with a, p, q, f, l, T, m, not 5"),
        ([{"a": 1}], ParseFailure, "should be an object with"),
        (trades(0, 3)[::-1], InvariantBroken, "the numbers do not ascend"),
        (trades(0, 2) + trades(1, 3), InvariantBroken, "the numbers do not ascend"),
        ([trade(0), trade(1, T=START_MS + 5), trade(2)], InvariantBroken, "the moments descend"),
        ([trade(0, T=START_MS - 1)], WindowMismatch, "outside the asked window"),
        ([trade(0, T=START_MS + 60_000)], WindowMismatch, "outside the asked window"),
    ],
)
def test_an_answer_that_cannot_be_believed_as_a_whole_is_bad_data(
    rows: object, error: type[BadData], words: str
) -> None:
    with pytest.raises(error, match=words):
        parse_agg_trades(rows, WINDOW, LONG_AFTER)


def test_nothing_happened_is_an_empty_answer_and_a_window_without_a_millisecond_asks_nothing() -> None:
    pages = Pages([])
    assert numbers(AggTradeHistory(pages).by_time("BTCUSDT", WINDOW)) == []
    inside = Window(WINDOW.start + 1, WINDOW.start + 999)
    assert numbers(AggTradeHistory(pages).by_time("BTCUSDT", inside)) == []
    assert len(pages.asked) == 1


def test_a_full_page_is_followed_by_id_until_one_is_short() -> None:
    pages = Pages(trades(0, 1_000), trades(1_000, 2_000), trades(2_000, 2_001))
    assert numbers(AggTradeHistory(pages).by_time("BTCUSDT", WINDOW)) == list(range(2_001))
    assert pages.asked[1:] == [
        {"symbol": "BTCUSDT", "fromId": FIRST_ID + 1_000, "limit": 1_000},
        {"symbol": "BTCUSDT", "fromId": FIRST_ID + 2_000, "limit": 1_000},
    ]


def test_a_page_that_goes_past_the_window_is_the_last_and_is_cut() -> None:
    beyond = [trade(number, T=START_MS + 59_000 + number) for number in range(500, 1_500)]
    bad = trade(1_499, T=START_MS + 70_000, p="0")
    pages = Pages(trades(0, 1_000), trades(1_000, 1_100), [])
    assert len(numbers(AggTradeHistory(pages).by_time("BTCUSDT", WINDOW))) == 1_100
    pages = Pages([trade(number, T=START_MS) for number in range(1_000)], [*beyond[500:-1], bad])
    answer = AggTradeHistory(pages).by_time("BTCUSDT", WINDOW)
    assert numbers(answer) == list(range(1_000))
    assert (answer.rejected, len(pages.asked)) == ((), 2)


def test_ids_that_a_full_page_leaves_out_are_a_hole_and_not_its_end() -> None:
    holed = [row for row in trades(0, 1_000) if row["a"] != FIRST_ID + 500]
    later = trades(1_001, 2_000)
    pages = Pages(holed, later, trades(2_000, 2_005))
    told = numbers(AggTradeHistory(pages).by_time("BTCUSDT", WINDOW))
    assert told == [*range(500), *range(501, 1_000), *range(1_001, 2_005)]


def test_pages_that_overlap_tell_each_trade_once() -> None:
    pages = Pages(trades(0, 1_000), trades(990, 1_990), trades(1_990, 1_995))
    assert numbers(AggTradeHistory(pages).by_time("BTCUSDT", WINDOW)) == list(range(1_995))


def test_a_row_that_is_put_aside_twice_is_told_once() -> None:
    bad = trade(1_000, p="0")
    pages = Pages([*trades(0, 999), trade(999, q="0")], [trade(999, q="0"), bad, *trades(1_001, 1_010)])
    answer = AggTradeHistory(pages).by_time("BTCUSDT", WINDOW)
    assert numbers(answer) == [*range(999), *range(1_001, 1_010)]
    assert [row.reason for row in answer.rejected] == ["quantity 0.0 is not above zero", "price 0.0 is not above zero"]


@pytest.mark.parametrize(
    ("second", "error", "words"),
    [
        ([trade(999, p="7")], InvariantBroken, "was told twice, with another price"),
        ([trade(-1, T=START_MS)], WindowMismatch, "which is before them"),
        ([trade(1_000, T=START_MS)], InvariantBroken, "the pages of aggregate trades of BTCUSDT contradict each other"),
        (trades(0, 1_000), ParseFailure, "leads no further, and all were told before"),
        (trades(1_000, 2_000, p="0"), ParseFailure, "leads no further: price 0.0 is not above zero"),
    ],
)
def test_pages_that_contradict_each_other_are_bad_data(second: object, error: type[BadData], words: str) -> None:
    with pytest.raises(error, match=words):
        AggTradeHistory(Pages(trades(0, 1_000), second)).by_time("BTCUSDT", WINDOW)


def test_a_window_that_is_too_long_or_too_old_is_refused_before_anything_is_asked() -> None:
    history = AggTradeHistory(Pages())
    with pytest.raises(ValueError, match="less than an hour"):
        history.by_time("BTCUSDT", Window(WINDOW.start, WINDOW.start + HOUR))
    old = Window(WINDOW.start - 48 * HOUR, WINDOW.end - 48 * HOUR)
    with pytest.raises(RequestRejected, match=r"keeps aggregate trades for 48 hours.*load them from its archive"):
        history.by_time("BTCUSDT", old)


def test_an_answer_that_came_too_late_or_too_early_proves_nothing() -> None:
    late = Pages([], answered_at=WINDOW.start + 48 * HOUR + 1)
    with pytest.raises(RequestRejected, match="keeps aggregate trades for 48 hours"):
        AggTradeHistory(late).by_time("BTCUSDT", WINDOW)
    future = Window(WINDOW.start + HOUR, WINDOW.start + HOUR + 1_000_000)
    with pytest.raises(VenueUnavailable, match="its trades cannot be told yet"):
        AggTradeHistory(Pages([])).by_time("BTCUSDT", future)
    early = Pages(trades(0, 5), answered_at=WINDOW.end - 2_000_000)
    with pytest.raises(VenueUnavailable, match=r"ends 2\.0 s after the clock of Binance") as caught:
        AggTradeHistory(early).by_time("BTCUSDT", WINDOW)
    assert caught.value.after_seconds == 2.0


def test_by_id_the_pages_are_cut_at_the_last() -> None:
    pages = Pages(trades(0, 1_000), trades(1_000, 2_000))
    told = list(AggTradeHistory(pages).by_id("BTCUSDT", FIRST_ID, FIRST_ID + 1_004))
    assert [len(page.rows) for page in told] == [1_000, 5]
    assert [page["fromId"] for page in pages.asked] == [FIRST_ID, FIRST_ID + 1_000]
    assert [numbers(page) for page in AggTradeHistory(Pages([])).by_id("BTCUSDT", 1, 9)] == [[]]
    bad = [trade(1, p="0"), trade(2), trade(3, p="0")]
    (page,) = AggTradeHistory(Pages(bad)).by_id("BTCUSDT", FIRST_ID, FIRST_ID + 2)
    assert (numbers(page), [row.row["a"] for row in page.rejected]) == ([2], [FIRST_ID + 1])
    beyond = Pages(trades(3, 1_003))
    assert [numbers(page) for page in AggTradeHistory(beyond).by_id("BTCUSDT", FIRST_ID, FIRST_ID + 2)] == [[]]
    with pytest.raises(ValueError, match="the ids have to ascend"):
        AggTradeHistory(Pages()).by_id("BTCUSDT", 9, 8)


def test_by_id_other_trades_are_bad_data() -> None:
    with pytest.raises(WindowMismatch, match="which is before them"):
        list(AggTradeHistory(Pages(trades(0, 5))).by_id("BTCUSDT", FIRST_ID + 2, FIRST_ID + 4))


@pytest.fixture(scope="module")
def binance() -> Binance:
    return Binance()


def simulated(binance: Binance, *faults: dict[str, Any]) -> AggTradeHistory:
    now = now_microseconds() // 1_000
    return AggTradeHistory(
        lambda asked: Reply(binance.ask("fapi/v1/aggTrades", now=now, faults=list(faults), **asked), None)
    )


def test_windows_that_touch_tell_the_whole_tape(binance: Binance) -> None:
    end = now_microseconds() // HOUR * HOUR
    start = end - 20 * HOUR
    truth = binance.data.tape.between(binance.contract("BTCUSDT"), start // 1_000, end // 1_000)
    assert len(truth) > 3 * AGG_TRADES_PER_REQUEST
    history = simulated(binance)
    windows = [Window(begin, begin + HOUR // 2) for begin in range(start, end, HOUR // 2)]
    ids = np.concatenate([history.by_time("BTCUSDT", each).rows.agg_trade_id for each in windows])
    assert (ids == truth.number).all()
    first, last = int(truth.number[0]), int(truth.number[-1])
    told = list(history.by_id("BTCUSDT", first, last))
    assert (np.concatenate([page.rows.agg_trade_id for page in told]) == truth.number).all()
    assert (np.concatenate([page.rows.event_time for page in told]) == truth.time * 1_000).all()
    told = list(simulated(binance, {"kind": "left_out_rows", "fraction": 0.01}).by_id("BTCUSDT", first, last))
    ids = np.concatenate([page.rows.agg_trade_id for page in told])
    assert 0.97 * len(truth) < len(ids) < len(truth)
    assert ids[-1] > last - 100, "a page that leaves rows out is not taken for the last"


def test_what_was_recorded_is_understood() -> None:
    for name in ("futures", "spot"):
        rows = orjson.loads(recorded(f"binance_nautilus/http_{name}_market_agg_trades.json").read_bytes())
        answer = parse_agg_trades(rows, None, LONG_AFTER)
        assert (len(answer.rows), answer.rejected) == (len(rows), ())
        assert answer.rows.agg_trade_id.tolist() == [row["a"] for row in rows]
        assert answer.rows.price[0] == float(rows[0]["p"])
