"""A keeper of candles and trades against the simulator: fetches, checks and repairs in this process."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import requests
from pydantic import SecretStr

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MILLISECOND,
    format_moment,
    now_microseconds,
    to_microseconds,
)
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.model.backfill import BackfillRequest, Mode
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.job import QualityJob
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import (
    BackfillSettings,
    DatabaseSettings,
    DeribitSettings,
    HttpSettings,
    QualitySettings,
    RepairSettings,
    Settings,
)
from tapekeeper.store import option_series, ticks
from tapekeeper.store.database import Database
from tapekeeper.store.rate_budgets import LocalRateBudget
from tapekeeper.store.ticks import write_ticks
from tapekeeper.venues.deribit.rest import DeribitRest
from tests.support.granting import NoLog
from tests.support.ticks import check_account
from tests.support.truth import held_candles, true_candles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekeeper.model.backfill import RunSummary
    from tapekeeper.model.quality import QualitySummary
    from tapekeeper.model.repair import RepairSummary
    from tests.support.simulator import Simulator

ONE_MINUTE: Final = Resolution(60)
MINUTE: Final = ONE_MINUTE.microseconds
BY: Final = "test"
_numbers = itertools.count(1)
_TRADE_COLUMNS: Final = ("trade_seq", "trade_id", "timestamp", "price", "amount", "direction")
_TRADES: Final = """
    SELECT trade_seq, trade_id, (extract(epoch FROM event_time) * 1000)::bigint, price, size, side
    FROM option_trades JOIN instruments USING (instrument_id)
    WHERE name = %s
    ORDER BY trade_seq, event_time
"""


class TradedOption(NamedTuple):
    """An option, and how many trades it has had."""

    name: str
    trades: int


@dataclass(frozen=True, slots=True)
class Desk:
    """One database, one venue, and everything that is done with them."""

    url: str
    simulator: Simulator

    @property
    def settings(self) -> Settings:
        """Bad data are not tried again, what the venue lacks twice is permanent, and every day is
        fetched again and compared.
        """
        return Settings(
            database=DatabaseSettings(url=SecretStr(self.url)),
            deribit=DeribitSettings(rest_url=self.simulator.base_url, requests_per_second=1_000, burst_requests=1_000),
            http=HttpSettings(attempts_maximum=2, backoff_first_seconds=0.01),
            backfill=BackfillSettings(rows_per_chunk=1_000, attempts_per_chunk=1, workers=2),
            quality=QualitySettings(refetch_windows=100),
            repair=RepairSettings(permanent_after_hours=0, attempt_pause_minutes=0),
        )

    def backfill(
        self,
        instrument: str,
        window: Window,
        *,
        resolution: Resolution = ONE_MINUTE,
        mode: Mode = Mode.MISSING_ONLY,
        keep_fresh: bool = False,
    ) -> RunSummary:
        """Fetch the candles of a window."""
        request = BackfillRequest(
            DERIBIT_PERPETUAL_CANDLES, (instrument,), window, resolution, mode=mode, keep_fresh=keep_fresh
        )
        with BackfillJob(self.settings) as job:
            run_id = job.start(job.plan(request), f"backfill {next(_numbers)}")
            job.work(run_id)
            return job.finish(run_id)

    def collect_trades(self, name: str, first: int, last: int, *, goes_on: bool = True) -> None:
        """Write the trades `first` to `last` of an option as the venue tells them, and follow it from the first on.

        Unless it goes on it is followed until now.
        """
        budget = LocalRateBudget(RateLimit("deribit.rest", permits_per_second=1_000, burst=1_000))
        with (
            HttpClient(HttpSettings(), "deribit", self.simulator.base_url, budget, NoLog(), Priority.LIVE) as client,
            closing(Database(self.url, prepare=ticks.INCOMING_TABLES)) as database,
        ):
            rest = DeribitRest(client, budget)
            instrument = rest.instrument(name)
            told = [trade for answer in rest.trades_by_instrument(name, first, last) for trade in answer.trades]
            ids = database.run(lambda cursor: option_series.ensure_option_series(cursor, [instrument]))[name]
            start = min(trade.event_time for trade in told)
            rows = [trade.as_trade(ids.instrument_id, now_microseconds()) for trade in told]
            database.run(lambda cursor: option_series.follow_from(cursor, [ids.trades_series_id], start, reason="test"))
            database.run(lambda cursor: write_ticks(cursor, [], rows))
            if not goes_on:
                database.run(lambda cursor: option_series.unfollow(cursor, [ids.trades_series_id], now_microseconds()))

    def check(self, asked: Window | str, *, checks: Sequence[str] | None = None) -> QualitySummary:
        """Run the checks over a window, or what somebody types."""
        if isinstance(asked, Window):
            asked = f"{format_moment(asked.start)}/{format_moment(asked.end)}"
        with QualityJob(self.settings) as job:
            return job.run(job.request(None, asked, checks), f"check {next(_numbers)}", by=BY)

    def repair(self) -> RepairSummary:
        """Repair what is open."""
        with RepairJob(self.settings) as job:
            return job.repair_open(by=BY)

    def option(self, which: str) -> TradedOption:
        """Return an option on Ether that has traded a little: one that `expired` before today, or one `living`."""
        is_expired = which == "expired"
        asked = {"currency": "ETH", "kind": "option", "expired": "true" if is_expired else "false"}
        today = now_microseconds() // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY // MICROSECONDS_PER_MILLISECOND
        for listed in self._ask("/api/v2/public/get_instruments", asked)["result"]:
            if is_expired and listed["expiration_timestamp"] >= today:
                continue
            trades = len(self._ask("/truth/trades", {"instrument": listed["instrument_name"]})["trade_seq"])
            if 100 <= trades <= 900:
                return TradedOption(listed["instrument_name"], trades)
        raise AssertionError(f"no {which} option has traded a little")

    def missing_trades(self, name: str) -> list[int]:
        """Return the numbers of the trades that the venue does not tell."""
        truth = self._ask("/truth/trades", {"instrument": name})
        return [number for number, gone in zip(truth["trade_seq"], truth["missing"], strict=True) if gone]

    def _ask(self, path: str, params: Mapping[str, str]) -> Any:
        answer = requests.get(f"{self.simulator.base_url}{path}", params=params, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def assert_candles_are_true(self, instrument: str, window: Window) -> None:
        """Check that what is held is what the venue has, row by row."""
        start, end = (str(moment // MICROSECONDS_PER_MILLISECOND) for moment in (window.start, window.end))
        gone = self.simulator.truth_candles(instrument=instrument, start=start, end=end)["missing"]
        truth = true_candles(self.simulator, instrument, window)
        has = [row for row, is_missing in zip(truth, gone, strict=True) if not is_missing]
        assert held_candles(self.url, instrument, window) == has, instrument

    def assert_trades_are_true(self, name: str, first: int, last: int) -> None:
        """Check that what is held of these numbers is what the venue tells, row by row."""
        told = self._ask("/truth/trades", {"instrument": name})
        columns = zip(*(told[column] for column in (*_TRADE_COLUMNS, "missing")), strict=True)
        truth = [row[:-1] for row in columns if first <= row[0] <= last and not row[-1]]
        assert self.rows(_TRADES, name) == truth, name

    def assert_proven(self) -> None:
        """Check that held + explained = expected on every day that is over, and that all accounts agree."""
        assert self.rows("SELECT * FROM series_days WHERE state = 'red'") == []
        self.assert_account_is_true()

    def assert_account_is_true(self) -> None:
        """Check that coverage, totals and tables agree with each other."""
        with closing(Database(self.url)) as database:
            database.run(check_account)
        unequal = """
            SELECT series_id, day, held, rows FROM coverage
            JOIN series USING (series_id)
            CROSS JOIN LATERAL (
                SELECT count(*) AS rows FROM candles
                WHERE candles.series_id = coverage.series_id AND (open_time AT TIME ZONE 'UTC')::date = coverage.day
            ) AS counted
            WHERE resolution_seconds > 0 AND held <> rows
        """
        assert self.rows(unequal) == []
        twice = """
            SELECT one.gap_id, other.gap_id FROM data_gaps AS one JOIN data_gaps AS other USING (series_id)
            WHERE one.gap_id < other.gap_id AND one.closed_at IS NULL AND other.closed_at IS NULL
                AND one.first_sequence IS NULL AND other.first_sequence IS NULL
                AND one.window_start < other.window_end AND other.window_start < one.window_end
        """
        assert self.rows(twice) == []

    def followed(self) -> list[Window]:
        """Return the parts of time that are followed, of whatever series."""
        parts = self.rows("SELECT unnest(range_agg(tstzrange(window_start, window_end))) FROM followed")
        return [Window(to_microseconds(part.lower), to_microseconds(part.upper)) for (part,) in parts]

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with closing(Database(self.url)) as database:

            def fetch(cursor: Any) -> list[tuple[Any, ...]]:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall())

            return database.run(fetch)
