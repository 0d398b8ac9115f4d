"""Every row leads back to what brought it, and every moment without a row to why."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.request import check_request
from tapekeeper.clock import format_moment, from_microseconds, now_microseconds, parse_moment
from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.request_log import RequestRecord
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.gap import Cause, Loss, Sequences
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES, DERIBIT_PERPETUAL_CANDLES, Dataset
from tapekeeper.model.window import Window
from tapekeeper.settings import read_settings
from tapekeeper.store import gaps, option_series, sessions, trade_gaps
from tapekeeper.store.account import Seconds, account_seconds
from tapekeeper.store.api_requests import ApiRequestLog
from tapekeeper.store.database import Database
from tapekeeper.store.explanation import SeriesLineage, Verdict
from tapekeeper.store.lineage import explain
from tapekeeper.store.losses import record_losses
from tapekeeper.store.origins import Effect
from tapekeeper.store.quarantine import quarantine
from tapekeeper.store.ticks import INCOMING_TABLES, write_ticks
from tests.support.ticks import MIDNIGHT, SECOND, option, quote, trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.settings import Settings
    from tapekeeper.store.option_series import OptionSeries
    from tests.support.simulator import Simulator

BITCOIN = "BTC-PERPETUAL"
HOUR = 3_600 * SECOND


def at(text: str) -> int:
    return parse_moment(text, now=0)


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> Settings:
    return read_settings(
        {
            "TAPEKEEPER_DATABASE_URL": database_url,
            "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
            "TAPEKEEPER_BACKFILL_ATTEMPTS_PER_CHUNK": "1",
            "TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK": "60",
            "TAPEKEEPER_HTTP_ATTEMPTS_MAXIMUM": "2",
            "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.01",
        }
    )


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url, prepare=INCOMING_TABLES)) as database:
        yield database


def backfill(settings: Settings, start: str, end: str, *, work: bool = True, **changes: str) -> int:
    """Run a backfill of three chunks an hour long or so, as the command does, and return the run's id."""
    typed: dict[str, Any] = {"resolution": "1", "direction": "oldest first", "mode": "missing only", **changes}
    request = check_request(
        DERIBIT_PERPETUAL_CANDLES,
        instruments=[BITCOIN],
        start=start,
        end=end,
        keep_fresh=False,
        now=now_microseconds(),
        **typed,
    )
    with BackfillJob(settings) as job:
        run_id = job.start(job.plan(request), run_key=f"test/{start}/{end}/{sorted(typed.items())}")
        if work:
            job.work(run_id)
            job.finish(run_id)
    return run_id


def known(database: Database, moment: int | str, *, of: str = BITCOIN, dataset: Dataset | None = None) -> SeriesLineage:
    """Return what is known about the only series that is meant."""
    wanted = at(moment) if isinstance(moment, str) else moment
    explanation = database.run(lambda cursor: explain(cursor, of, wanted, dataset=dataset))
    (lineage,) = explanation.series
    return lineage


def test_a_candle_leads_back_to_the_run_that_brought_it_and_to_those_that_only_looked(
    settings: Settings, database: Database
) -> None:
    first = backfill(settings, "2024-03-05T10:00Z", "2024-03-05T12:00Z")
    second = backfill(settings, "2024-03-05T11:30Z", "2024-03-05T11:40Z", mode="full refresh")
    lineage = known(database, "2024-03-05T11:34:59.5Z")
    assert lineage.verdict is Verdict.HELD
    assert lineage.row is not None
    assert lineage.row["open_time"] == from_microseconds(at("2024-03-05T11:34Z"))
    assert [(chunk.run_id, chunk.effect) for chunk in lineage.chunks] == [
        (first, Effect.BROUGHT),
        (second, Effect.LEFT_ALONE),
    ]
    brought, _ = lineage.chunks
    assert (lineage.first_change, lineage.is_first_change_certain) == (brought, True)
    assert (brought.window_start, brought.window_end) == Window(
        at("2024-03-05T11:00Z"), at("2024-03-05T12:00Z")
    ).as_datetimes()
    (request,) = brought.requests
    assert (request.method, request.status, request.outcome) == ("public/get_tradingview_chart_data", 200, "ok")
    assert request.parameters["end_timestamp"] == at("2024-03-05T12:00Z") // 1_000 - 1
    assert lineage.day is not None
    assert (lineage.day.held, lineage.day.expected, lineage.day.state) == (120, 120, "complete")


def test_a_candle_that_was_corrected_leads_to_both_runs_and_claims_nothing_that_is_not_known(
    settings: Settings, database: Database, simulator: Simulator
) -> None:
    fault = {"kind": "wrong_volume", "instrument": BITCOIN, "open_times": [at("2024-03-05T10:05Z") // 1_000]}
    simulator.set_faults([fault])
    first = backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    wrong = known(database, "2024-03-05T10:05Z").row
    simulator.clear_faults()
    second = backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:20Z", mode="full refresh")
    lineage = known(database, "2024-03-05T10:05Z")
    assert lineage.row != wrong
    assert [(chunk.run_id, chunk.effect) for chunk in lineage.chunks] == [
        (first, Effect.BROUGHT),
        (second, Effect.MAY_HAVE_CHANGED),
    ]
    only_second = known(database, "2024-03-05T10:15Z")
    assert only_second.first_change is not None
    assert (only_second.first_change.run_id, only_second.is_first_change_certain) == (second, True)


def test_a_request_that_failed_is_told_with_the_one_that_succeeded(
    settings: Settings, database: Database, simulator: Simulator
) -> None:
    method = "public/get_tradingview_chart_data"
    simulator.set_faults([{"kind": "server_error", "method": method, "from_request": 1, "to_request": 1}])
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    (chunk,) = known(database, "2024-03-05T10:05Z").chunks
    assert [(request.outcome, request.attempt) for request in chunk.requests] == [("retry", 1), ("ok", 2)]


def test_a_minute_that_the_answer_lacked_is_missing_until_a_gap_is_recorded(
    settings: Settings, database: Database, simulator: Simulator
) -> None:
    hole = [at(f"2024-03-05T10:0{minute}Z") // 1_000 for minute in range(3)]
    simulator.set_faults([{"kind": "missing_minutes", "instrument": BITCOIN, "open_times": hole}])
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T11:00Z")
    lineage = known(database, "2024-03-05T10:01Z")
    assert (lineage.verdict, lineage.row, lineage.first_change) == (Verdict.MISSING, None, None)
    assert [chunk.fetched for chunk in lineage.chunks] == [57]
    assert known(database, "2024-03-05T10:03Z").verdict is Verdict.HELD


def test_a_backfill_that_is_not_done_yet_or_failed_says_so(
    settings: Settings, database: Database, simulator: Simulator
) -> None:
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z", work=False)
    assert known(database, "2024-03-05T10:05Z").verdict is Verdict.UNDER_WAY
    simulator.set_faults([{"kind": "malformed", "method": "public/get_tradingview_chart_data"}])
    backfill(settings, "2024-03-06T10:00Z", "2024-03-06T10:10Z")
    lineage = known(database, "2024-03-06T10:05Z")
    assert lineage.verdict is Verdict.FAILED
    assert lineage.chunks[0].error
    simulator.clear_faults()
    backfill(settings, "2024-03-06T10:00Z", "2024-03-06T10:09Z")
    assert known(database, "2024-03-06T10:05Z").verdict is Verdict.HELD
    assert known(database, "2024-03-06T10:09Z").verdict is Verdict.FAILED


def test_a_row_that_cannot_be_believed_is_told_from_quarantine(
    settings: Settings, database: Database, simulator: Simulator
) -> None:
    simulator.set_faults([{"kind": "bad_candle", "instrument": BITCOIN}])
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    bad = [minute for minute in range(10) if known(database, f"2024-03-05T10:0{minute}Z").row is None]
    assert bad, "the fault was felt"
    lineage = known(database, f"2024-03-05T10:0{bad[0]}Z")
    assert lineage.verdict is Verdict.QUARANTINED
    (row,) = lineage.quarantined
    assert (row.event_time, row.times_seen) == (lineage.window_start, 1)
    assert "high" in row.reason


def test_a_moment_of_which_nothing_is_expected_says_why(settings: Settings, database: Database) -> None:
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    verdicts = {
        "2016-01-01": Verdict.BEFORE_LISTING,
        "2018-08-14T10:23:59Z": Verdict.BEFORE_LISTING,
        "2018-08-14T10:24Z": Verdict.NOT_FOLLOWED,
        "2024-03-05T09:59:59Z": Verdict.NOT_FOLLOWED,
        "2024-03-05T10:10Z": Verdict.NOT_FOLLOWED,
        "2999-01-01": Verdict.NOT_OVER,
    }
    assert {moment: known(database, moment).verdict for moment in verdicts} == verdicts


def test_a_candle_that_is_still_open_is_not_over(settings: Settings, database: Database) -> None:
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    lineage = known(database, now_microseconds())
    assert lineage.verdict is Verdict.NOT_OVER
    assert lineage.now < lineage.window_end


def test_every_resolution_is_told_of(settings: Settings, database: Database) -> None:
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T12:00Z")
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T12:00Z", resolution="60")
    explanation = database.run(lambda cursor: explain(cursor, BITCOIN, at("2024-03-05T11:34Z")))
    opened = [(str(each.series.resolution), each.verdict, each.window_start) for each in explanation.series]
    assert opened == [
        ("1m", Verdict.HELD, from_microseconds(at("2024-03-05T11:34Z"))),
        ("1h", Verdict.HELD, from_microseconds(at("2024-03-05T11:00Z"))),
    ]


def test_what_nobody_ever_asked_for_is_an_error_that_names_what_is_written_alike(
    settings: Settings, database: Database
) -> None:
    backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    for name, dataset, sentence in (
        ("btc-perpetul", None, "did you mean BTC-PERPETUAL"),
        ("nothing at all", None, "as the venue writes it"),
        (BITCOIN, DERIBIT_OPTION_TRADES, "nobody ever asked to hold deribit.option_trades of BTC-PERPETUAL"),
    ):
        with pytest.raises(ConfigInvalid, match=sentence):
            database.run(lambda cursor: explain(cursor, name, 0, dataset=dataset))  # noqa: B023 (run at once)


@pytest.fixture
def ether(database: Database) -> OptionSeries:
    """An option that is followed from midnight to 10:00, with a trade and a quote each hour."""

    def follow(cursor: Any) -> OptionSeries:
        ids = option_series.ensure_option_series(cursor, [option(0)])[option(0).name]
        both = [ids.quotes_series_id, ids.trades_series_id]
        option_series.follow_from(cursor, both, MIDNIGHT)
        hours = [number for number in range(1, 10) if number != 5]
        write_ticks(
            cursor,
            [quote(ids.instrument_id, MIDNIGHT + number * HOUR, number) for number in hours],
            [trade(ids.instrument_id, MIDNIGHT + number * HOUR, number) for number in hours],
        )
        account_seconds(
            cursor,
            [Seconds(ids.quotes_series_id, from_microseconds(MIDNIGHT).date(), 36_000, 36_000)],
            until=MIDNIGHT + 10 * HOUR,
        )
        sessions.open_session(cursor, UUID(int=1), collector="live 0/1", opened_at=MIDNIGHT, channels=150)
        closed_at = MIDNIGHT + 6 * HOUR
        ending: dict[str, Any] = {"close_code": 1000, "close_reason": "bye", "messages": 9, "channels": 150}
        sessions.close_session(cursor, UUID(int=1), closed_at=closed_at, **ending)
        return ids

    return database.run(follow)


def tick(database: Database, moment: int, dataset: Dataset) -> SeriesLineage:
    return known(database, moment, of=option(0).name, dataset=dataset)


@pytest.mark.parametrize("dataset", [DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES], ids=lambda dataset: dataset.name)
@pytest.mark.usefixtures("ether")
def test_the_last_tick_up_to_a_moment_is_told_with_the_connection_that_was_open(
    dataset: Dataset, database: Database
) -> None:
    for minutes, hour, open_sessions in ((0, 3, 1), (30, 3, 1), (59, 8, 0)):
        lineage = tick(database, MIDNIGHT + hour * HOUR + minutes * 60 * SECOND, dataset)
        assert lineage.verdict is Verdict.HELD
        assert lineage.row is not None
        assert lineage.row["event_time"] == from_microseconds(MIDNIGHT + hour * HOUR)
        assert [session.collector for session in lineage.sessions] == ["live 0/1"] * open_sessions


@pytest.mark.parametrize("dataset", [DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES], ids=lambda dataset: dataset.name)
def test_ticks_have_reasons_too(dataset: Dataset, database: Database, ether: OptionSeries) -> None:
    listed, expires = option(0).listed_at, option(0).expires_at or 0
    assert tick(database, listed - 1, dataset).verdict is Verdict.BEFORE_LISTING
    assert tick(database, MIDNIGHT - 1, dataset).verdict is Verdict.NOT_FOLLOWED
    assert tick(database, MIDNIGHT + SECOND, dataset).verdict is Verdict.QUIET
    assert tick(database, expires, dataset).verdict is Verdict.AFTER_EXPIRY
    series_ids = [ether.quotes_series_id, ether.trades_series_id]
    database.run(lambda cursor: option_series.unfollow(cursor, series_ids, MIDNIGHT + 10 * HOUR))
    late = tick(database, MIDNIGHT + 11 * HOUR, dataset)
    assert late.verdict is Verdict.NOT_FOLLOWED
    assert late.row is not None, "the last tick is told nevertheless"


@pytest.mark.usefixtures("ether")
def test_quotes_that_no_collector_has_accounted_for_are_under_way(database: Database) -> None:
    assert tick(database, MIDNIGHT + 10 * HOUR - 1, DERIBIT_OPTION_QUOTES).verdict is Verdict.HELD
    assert tick(database, MIDNIGHT + 10 * HOUR, DERIBIT_OPTION_QUOTES).verdict is Verdict.UNDER_WAY


@pytest.mark.usefixtures("ether")
def test_the_newest_trade_is_the_last_one_only_while_somebody_listens(database: Database) -> None:
    for moment, verdict in (
        (MIDNIGHT + 10 * HOUR - 1, Verdict.HELD),
        (MIDNIGHT + 10 * HOUR, Verdict.UNDER_WAY),
        (MIDNIGHT + 11 * HOUR, Verdict.UNDER_WAY),
    ):
        assert tick(database, moment, DERIBIT_OPTION_TRADES).verdict is verdict
    opened: dict[str, Any] = {"collector": "live 0/1", "opened_at": MIDNIGHT + 11 * HOUR}
    database.run(lambda cursor: sessions.open_session(cursor, UUID(int=2), **opened))
    assert tick(database, MIDNIGHT + 11 * HOUR, DERIBIT_OPTION_TRADES).verdict is Verdict.HELD


def test_a_gap_is_told_with_its_cause_every_step_and_its_receipt(database: Database, ether: OptionSeries) -> None:
    window = Window(MIDNIGHT + 4 * HOUR, MIDNIGHT + 6 * HOUR + 1)
    evidence = {"close_code": 1006}
    (gap,) = database.run(
        lambda cursor: trade_gaps.open_gap(
            cursor,
            ether.trades_series_id,
            window,
            Sequences(5, 5),
            cause=Cause.DISCONNECT,
            by="collector",
            evidence=evidence,
        )
    )
    inside = MIDNIGHT + 5 * HOUR
    lineage = tick(database, inside + 1, DERIBIT_OPTION_TRADES)
    assert lineage.verdict is Verdict.GAP
    (story,) = lineage.gaps
    assert (story.gap.gap_id, story.gap.cause, story.gap.evidence) == (gap.gap_id, Cause.DISCONNECT, evidence)
    assert [event.to_state.value for event in story.events] == ["open", "classified"]
    assert story.receipt is None
    assert tick(database, MIDNIGHT + 4 * HOUR, DERIBIT_OPTION_TRADES).verdict is Verdict.HELD, "that trade is held"

    def repair(cursor: Any) -> None:
        gaps.begin_repair(cursor, gap.gap_id, by="repair", why="asked again")
        late = {"received_at": MIDNIGHT + 8 * HOUR}
        write_ticks(cursor, [], [trade(ether.instrument_id, inside, 5, **late)])
        gaps.close_gap(cursor, gap.gap_id, requests=1, by="repair")

    database.run(repair)
    repaired = tick(database, inside + 1, DERIBIT_OPTION_TRADES)
    assert repaired.verdict is Verdict.HELD
    assert [event.to_state.value for event in repaired.gaps[0].events] == [
        "open",
        "classified",
        "repairing",
        "repaired",
    ]
    assert repaired.gaps[0].receipt is not None
    assert (repaired.gaps[0].receipt.requests, repaired.gaps[0].receipt.rows_found) == (1, 1)
    much_later = tick(database, MIDNIGHT + 6 * HOUR, DERIBIT_OPTION_TRADES)
    assert [story.gap.gap_id for story in much_later.gaps] == [gap.gap_id], "its window holds this moment too"
    assert tick(database, MIDNIGHT + 7 * HOUR, DERIBIT_OPTION_TRADES).gaps == ()


def test_a_loss_of_quotes_is_a_gap_for_ever(database: Database, ether: OptionSeries) -> None:
    window = Window(MIDNIGHT + 5 * HOUR, MIDNIGHT + 5 * HOUR + 30 * SECOND)
    loss = Loss(ether.quotes_series_id, window, Cause.DISCONNECT, {"close_code": 1006})
    database.run(lambda cursor: record_losses(cursor, [loss], by="collector"))
    inside = tick(database, window.start + SECOND, DERIBIT_OPTION_QUOTES)
    assert (inside.verdict, inside.gaps[0].gap.state.value) == (Verdict.GAP, "permanent")
    assert inside.row is not None, "the last quote before it is told nevertheless"
    assert tick(database, window.end, DERIBIT_OPTION_QUOTES).verdict is Verdict.HELD


def test_a_trade_that_was_asked_for_leads_to_the_requests_right_before_it_came(
    database: Database, ether: OptionSeries
) -> None:
    event_time, received_at = MIDNIGHT + 5 * HOUR, MIDNIGHT + 8 * HOUR
    late = trade(ether.instrument_id, event_time, 5, received_at=received_at)
    database.run(lambda cursor: write_ticks(cursor, [], [late]))
    asked: list[dict[str, object]] = [
        {"instrument_name": option(0).name, "start_seq": 5, "end_seq": 5},
        {"instrument_name": option(0).name, "start_seq": 6, "end_seq": 9},
        {"instrument_name": option(1).name, "start_seq": 5, "end_seq": 5},
        {"currency": "ETH", "start_timestamp": event_time // 1_000 - 10, "end_timestamp": event_time // 1_000},
        {"currency": "BTC", "start_timestamp": event_time // 1_000 - 10, "end_timestamp": event_time // 1_000},
    ]
    log = ApiRequestLog(database)
    for number, parameters in enumerate(asked):
        log.record(_answered(received_at - (len(asked) - number) * SECOND, parameters))
    log.record(_answered(received_at + 1, asked[0]))
    log.record(_answered(received_at - 61 * SECOND, asked[0]))
    lineage = tick(database, event_time, DERIBIT_OPTION_TRADES)
    assert [request.parameters for request in lineage.requests] == [asked[0], asked[3]]


def _answered(requested_at: int, parameters: dict[str, object]) -> RequestRecord:
    return RequestRecord(
        venue="deribit",
        method="public/get_last_trades_by_instrument",
        parameters=parameters,
        requested_at=requested_at,
        status=200,
        outcome="ok",
        reason="",
        weight=1.0,
        latency_seconds=0.01,
        bytes=10,
        attempt=1,
    )


def test_a_tick_in_quarantine_after_the_last_row_is_told(database: Database, ether: OptionSeries) -> None:
    bad = RejectedRow(MIDNIGHT + 5 * HOUR, "the price is no number", {"price": "NaN"})
    database.run(lambda cursor: quarantine(cursor, ether.trades_series_id, [bad]))
    lineage = tick(database, MIDNIGHT + 5 * HOUR + SECOND, DERIBIT_OPTION_TRADES)
    assert (lineage.verdict, [row.reason for row in lineage.quarantined]) == (Verdict.QUARANTINED, [bad.reason])
    assert tick(database, MIDNIGHT + 7 * HOUR, DERIBIT_OPTION_TRADES).verdict is Verdict.HELD


def test_the_whole_is_told_to_scripts_with_times_in_utc(settings: Settings, database: Database) -> None:
    run_id = backfill(settings, "2024-03-05T10:00Z", "2024-03-05T10:10Z")
    moment = at("2024-03-05T10:05:30Z")
    told: Any = database.run(lambda cursor: explain(cursor, BITCOIN, moment)).as_json()
    assert (told["instrument"], told["moment"]) == (BITCOIN, format_moment(moment))
    (series,) = told["series"]
    assert series["dataset"] == "deribit.perpetual_candles"
    assert (series["verdict"], series["window_start"]) == ("held", "2024-03-05T10:05:00Z")
    assert series["row"]["open_time"] == "2024-03-05T10:05:00Z"
    assert series["first_change"] == {"run_id": run_id, "certain": True}
    assert series["chunks"][0]["effect"] == "brought it"
    assert series["chunks"][0]["requests"][0]["outcome"] == "ok"
    assert series["followed"][0]["window_end"] == "2024-03-05T10:10:00Z"
