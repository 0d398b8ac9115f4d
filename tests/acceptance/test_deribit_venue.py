"""The venue against the simulator process: what comes back is the truth, or an error that a user understands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tapekeeper.clock import now_microseconds, parse_moment
from tapekeeper.errors import NetworkFailure, RateLimited, RequestRejected, RetryLater, VenueUnavailable, WindowMismatch
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.http.request_log import RequestRecord
from tapekeeper.model.candle import Candles
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.window import Window
from tapekeeper.settings import HttpSettings
from tapekeeper.store.rate_budgets import LocalRateBudget
from tapekeeper.venues.candle_columns import VALUES
from tapekeeper.venues.deribit.limits import RESOLUTIONS, resolution_name
from tapekeeper.venues.deribit.rest import DeribitRest
from tests.support.simulator import Simulator

CHART: Final = "public/get_tradingview_chart_data"
NAME: Final = "BTC-PERPETUAL"
MINUTE: Final = Resolution(60)
START: Final = parse_moment("2024-03-01", now=0)
HOUR: Final = Window(START, START + 60 * MINUTE.microseconds)
TRIES: Final = 3
SETTINGS: Final = HttpSettings(timeout_seconds=10, attempts_maximum=TRIES, backoff_first_seconds=0.01)


class Records(list[RequestRecord]):
    """All requests, in order."""

    def record(self, record: RequestRecord) -> None:
        self.append(record)

    def outcomes(self) -> list[tuple[str, int | None]]:
        return [(record.outcome, record.status) for record in self]


@pytest.fixture
def records() -> Records:
    return Records()


def make_rest(
    simulator: Simulator, records: Records, settings: HttpSettings = SETTINGS
) -> tuple[HttpClient, DeribitRest]:
    budget = LocalRateBudget(RateLimit("deribit.rest", permits_per_second=15, burst=30))
    client = HttpClient(settings, "deribit", simulator.base_url, budget, records, Priority.LIVE)
    return client, DeribitRest(client, LocalRateBudget(RateLimit("deribit.get_instruments", 1, 20)))


@pytest.fixture
def rest(simulator: Simulator, records: Records) -> Iterator[DeribitRest]:
    client, rest = make_rest(simulator, records)
    with client:
        yield rest


def truth(
    simulator: Simulator, window: Window, resolution: Resolution = MINUTE, name: str = NAME
) -> dict[str, list[Any]]:
    """Return the columns of the candles that the venue has in a window."""
    start, end = str(window.start // 1_000), str(window.end // 1_000)
    told = simulator.truth_candles(instrument=name, start=start, end=end, resolution=resolution_name(resolution))
    missing = told["missing"]
    return {
        column: [value for value, gone in zip(told[column], missing, strict=True) if not gone]
        for column in ("ticks", *VALUES)
    }


def columns(candles: Candles) -> dict[str, list[Any]]:
    values = {name: getattr(candles, name).tolist() for name in VALUES}
    return {"ticks": (candles.open_time // 1_000).tolist(), **values}


def fault(kind: str, **options: Any) -> dict[str, Any]:
    return {"kind": kind, "method": CHART, **options}


def test_the_longest_request_is_the_truth_row_by_row(simulator: Simulator, rest: DeribitRest, records: Records) -> None:
    window = Window(START, START + 5_000 * MINUTE.microseconds)
    answer = rest.candles(NAME, window, MINUTE)
    assert len(answer.rows) == 5_000
    assert answer.rejected == ()
    assert columns(answer.rows) == truth(simulator, window)
    assert records.outcomes() == [("ok", 200)]
    assert records[0].bytes > 100_000


@pytest.mark.parametrize("name", RESOLUTIONS)
def test_every_resolution_is_the_truth(name: str, simulator: Simulator, rest: DeribitRest) -> None:
    resolution = RESOLUTIONS[name]
    window = Window(START, START + 40 * resolution.microseconds)
    answer = rest.candles(NAME, window, resolution)
    assert len(answer.rows) == 40
    assert columns(answer.rows) == truth(simulator, window, resolution)


@pytest.mark.parametrize("kind", ["number_forms", "exclusive_start"])
def test_habits_of_the_venue_change_nothing(kind: str, simulator: Simulator, rest: DeribitRest) -> None:
    simulator.set_faults([fault(kind)])
    assert columns(rest.candles(NAME, HOUR, MINUTE).rows) == truth(simulator, HOUR)


def test_before_the_listing_there_is_nothing(simulator: Simulator, rest: DeribitRest) -> None:
    before = Window(parse_moment("2016-12-01", now=0), parse_moment("2016-12-02", now=0))
    assert len(rest.candles(NAME, before, MINUTE).rows) == 0
    listed_at = rest.instrument(NAME).listed_at
    around = Window(listed_at - 3_600_000_000, listed_at + 3_600_000_000)
    candles = rest.candles(NAME, around, MINUTE).rows
    assert columns(candles) == truth(simulator, around)
    assert 0 < len(candles) < 120


def test_the_open_candle_is_left_out(rest: DeribitRest) -> None:
    before = now_microseconds()
    window = Window(before - 5 * MINUTE.microseconds, before + 5 * MINUTE.microseconds)
    last = int(rest.candles(NAME, window, MINUTE).rows.open_time[-1])
    # Minutes may pass meanwhile, so that only the bounds are certain.
    assert before - 2 * MINUTE.microseconds < last <= now_microseconds() - MINUTE.microseconds


def test_a_clock_of_the_venue_that_is_ahead_makes_no_open_candle_a_closed_one(
    simulator: Simulator, rest: DeribitRest
) -> None:
    simulator.set_faults([fault("clock_skew", skew=3_600_000)])
    now = now_microseconds()
    candles = rest.candles(NAME, Window(now - 5 * MINUTE.microseconds, now + MINUTE.microseconds), MINUTE).rows
    assert int(candles.open_time[-1]) <= now_microseconds() - MINUTE.microseconds


def test_a_clock_of_the_venue_that_is_behind_leaves_out_what_is_not_over_there(
    simulator: Simulator, rest: DeribitRest
) -> None:
    simulator.set_faults([fault("clock_skew", skew=-3_600_000)])
    now = now_microseconds()
    recent = Window(now - 10 * MINUTE.microseconds, now)
    assert len(rest.candles(NAME, recent, MINUTE).rows) == 0
    assert columns(rest.candles(NAME, HOUR, MINUTE).rows) == truth(simulator, HOUR)


def test_missing_minutes_stay_missing(simulator: Simulator, rest: DeribitRest) -> None:
    gone = [START // 1_000, START // 1_000 + 7 * 60_000, START // 1_000 + 59 * 60_000]
    simulator.set_faults([{"kind": "missing_minutes", "open_times": gone}])
    candles = rest.candles(NAME, HOUR, MINUTE).rows
    assert len(candles) == 57
    assert columns(candles) == truth(simulator, HOUR)


def test_no_data_is_empty_and_no_error(simulator: Simulator, rest: DeribitRest, records: Records) -> None:
    simulator.set_faults([fault("no_data")])
    answer = rest.candles(NAME, HOUR, MINUTE)
    assert (len(answer.rows), answer.rejected) == (0, ())
    assert records.outcomes() == [("ok", 200)]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("high_below_low", "is below low"),
        ("null", "close None is no finite number"),
        ("nan", "close 'NaN' is no finite number"),
        ("text", "close 'not a price' is no finite number"),
    ],
)
def test_bad_candles_are_kept_apart(mode: str, reason: str, simulator: Simulator, rest: DeribitRest) -> None:
    bad = [START // 1_000 + minute * 60_000 for minute in (3, 30)]
    simulator.set_faults([fault("bad_candle", mode=mode, open_times=bad)])
    answer = rest.candles(NAME, HOUR, MINUTE)
    expected = truth(simulator, HOUR)
    keep = [tick not in bad for tick in expected["ticks"]]
    assert columns(answer.rows) == {
        name: [value for value, kept in zip(values, keep, strict=True) if kept] for name, values in expected.items()
    }
    assert [row.event_time for row in answer.rejected] == [tick * 1_000 for tick in bad]
    assert all(reason in row.reason for row in answer.rejected)


def test_an_answer_for_another_window_is_not_believed(simulator: Simulator, rest: DeribitRest) -> None:
    simulator.set_faults([fault("wrong_window")])
    with pytest.raises(WindowMismatch) as raised:
        rest.candles(NAME, HOUR, MINUTE)
    assert "rows lie outside the asked window [2024-03-01T00:00:00Z, 2024-03-01T01:00:00Z)" in str(raised.value)
    assert "such as 2024-02-29T" in str(raised.value)


PASSING: Final = [
    (fault("too_many_requests", status=400), RateLimited, "HTTP 400: 10028 too_many_requests", 400),
    (fault("too_many_requests", status=429), RateLimited, "HTTP 429: 10028 too_many_requests", 429),
    (
        fault("server_error", status=502),
        VenueUnavailable,
        "HTTP 502: not a JSON-RPC answer: <html><head><title>502",
        502,
    ),
    (
        fault("server_error", status=520),
        VenueUnavailable,
        "HTTP 520: not a JSON-RPC answer: <html><head><title>520",
        520,
    ),
    (fault("settlement"), VenueUnavailable, "HTTP 400: 10041 settlement_in_progress", 400),
    (fault("maintenance"), VenueUnavailable, "HTTP 400: 11051 system_maintenance", 400),
    (fault("malformed"), VenueUnavailable, 'HTTP 200: not a JSON-RPC answer: {"jsonrpc"', 200),
    (fault("truncated"), VenueUnavailable, "HTTP 200: not a JSON-RPC answer: {", 200),
    (fault("cut", where="before"), NetworkFailure, "no answer: the connection was ", None),
    (fault("cut", where="middle"), NetworkFailure, "no answer: the ", None),
]


@pytest.mark.parametrize(("trouble", "error", "words", "status"), PASSING)
def test_a_trouble_that_passes_is_waited_out(
    trouble: dict[str, Any],
    error: type[RetryLater],
    words: str,
    status: int | None,
    simulator: Simulator,
    rest: DeribitRest,
    records: Records,
) -> None:
    simulator.set_faults([{**trouble, "to_request": TRIES - 1}])
    assert columns(rest.candles(NAME, HOUR, MINUTE).rows) == truth(simulator, HOUR)
    assert records.outcomes() == [("retry", status)] * (TRIES - 1) + [("ok", 200)]
    assert all(record.reason for record in records[:-1])


@pytest.mark.parametrize(("trouble", "error", "words", "status"), PASSING)
def test_a_trouble_that_stays_is_told(
    trouble: dict[str, Any],
    error: type[RetryLater],
    words: str,
    status: int | None,
    simulator: Simulator,
    rest: DeribitRest,
    records: Records,
) -> None:
    simulator.set_faults([trouble])
    with pytest.raises(error) as raised:
        rest.candles(NAME, HOUR, MINUTE)
    message = str(raised.value)
    assert message.startswith(f"deribit did not serve {CHART} in {TRIES} tries, the last with {words}")
    assert "it can be asked again in " in message
    assert simulator.base_url not in message
    assert raised.value.after_seconds > 0
    assert records.outcomes() == [("retry", status)] * TRIES


def test_a_slow_answer_is_waited_for_up_to_the_timeout(simulator: Simulator, records: Records) -> None:
    simulator.set_faults([fault("slow", seconds=3, to_request=2)])
    settings = HttpSettings(timeout_seconds=0.5, attempts_maximum=2, backoff_first_seconds=0.01)
    client, rest = make_rest(simulator, records, settings)
    with client, pytest.raises(NetworkFailure, match=r"in 2 tries, the last with no answer: no answer within 0\.5 s"):
        rest.candles(NAME, HOUR, MINUTE)
    simulator.set_faults([fault("slow", seconds=1)])
    client, rest = make_rest(simulator, records)
    with client:
        assert columns(rest.candles(NAME, HOUR, MINUTE).rows) == truth(simulator, HOUR)


def test_an_unknown_instrument_is_told_with_names_written_alike(rest: DeribitRest, records: Records) -> None:
    with pytest.raises(RequestRejected) as raised:
        rest.instrument("BTC-PERP")
    assert str(raised.value) == (
        "Deribit knows no instrument 'BTC-PERP': did you mean BTC-PERPETUAL or"
        " BTC_USDC-PERPETUAL? If not, type the name as Deribit writes it, such as BTC-PERPETUAL or ETH_USDC-PERPETUAL"
    )
    with pytest.raises(
        RequestRejected, match=r"^deribit refuses public/get_tradingview_chart_data with HTTP 400: -?\d+ .*instrument"
    ):
        rest.candles("BTC-PERP", HOUR, MINUTE)
    assert records.outcomes() == [("give up", 400), ("ok", 200), ("give up", 400)]


def test_instruments_of_all_currencies_and_kinds(rest: DeribitRest) -> None:
    instruments = {instrument.name: instrument for instrument in rest.instruments("any")}
    assert {instrument.kind for instrument in instruments.values()} == {
        "perpetual",
        "future",
        "option",
        "spot",
        "combo",
    }
    perpetual = instruments[NAME]
    assert (perpetual.kind, perpetual.currency, perpetual.expires_at) == ("perpetual", "BTC", None)
    assert rest.instrument(NAME) == perpetual
    option = next(instrument for instrument in instruments.values() if instrument.kind == "option")
    assert option.strike is not None
    assert option.option_type in {"call", "put"}
    assert option.expires_at is not None
    assert option.expires_at > now_microseconds()
    assert not rest.listing_parser.left_out


def test_instruments_of_one_kind_and_expired_ones(rest: DeribitRest) -> None:
    futures = rest.instruments("BTC", "future")
    assert NAME in {instrument.name for instrument in futures}
    assert {instrument.kind for instrument in futures} == {"perpetual", "future"}
    expired = rest.instruments("BTC", "option", expired=True)
    assert expired
    assert all(
        instrument.expires_at is not None and instrument.expires_at <= now_microseconds() for instrument in expired
    )


def test_book_summaries_rank_options_by_open_interest(rest: DeribitRest) -> None:
    summaries = rest.book_summaries("ETH", "option")
    names = {instrument.name for instrument in rest.instruments("ETH", "option")}
    assert {summary.instrument_name for summary in summaries} <= names
    assert any(summary.open_interest > 0 for summary in summaries)
    assert all(summary.underlying_price for summary in summaries)
    assert not rest.listing_parser.left_out
    with pytest.raises(
        RequestRejected, match=r"^deribit refuses public/get_book_summary_by_currency with HTTP 400: .*currency"
    ):
        rest.book_summaries("any", "option")


def test_the_time_of_the_venue(rest: DeribitRest) -> None:
    before = now_microseconds() // 1_000 * 1_000
    assert before <= rest.server_time() <= now_microseconds()
