"""What a database holds after a week of work: candles, trades, holes of many kinds, and what became of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_MILLISECOND, now_microseconds, parse_moment
from tapekeeper.model.backfill import BackfillRequest
from tapekeeper.model.gap import Cause
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
    DERIBIT_PERPETUAL_CANDLES,
)
from tapekeeper.model.window import Window
from tapekeeper.settings import BinanceArchiveSettings, BinanceUmSettings, CryptoDataDownloadSettings
from tapekeeper.store.database import Database
from tapekeeper.store.outages import add_outage
from tests.observability.live.ledger_dates import date_back
from tests.support.desk import BY, MINUTE, ONE_MINUTE, Desk

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

DAYS: Final = 7
HOUR: Final = 60 * MINUTE
BITCOIN, ETHER, SOL, XRP = "BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL", "XRP_USDC-PERPETUAL"
_OPTION_DAYS: Final = Window(parse_moment("2024-06-10", now=0), parse_moment("2024-06-12", now=0))
_TOO_MANY: Final = {"kind": "too_many_requests", "from_request": 2, "to_request": 2}


def fill(url: str, simulator: Simulator) -> None:
    """Fetch a week of candles and some trades from a venue that is not always well, check them, repair what can be.

    Afterwards gaps are repaired, permanent and open; of several causes; a run is done, one failed and one goes on.
    """
    desk = Desk(url, simulator)
    now = now_microseconds() // MINUTE * MINUTE
    week = Window(now - DAYS * MICROSECONDS_PER_DAY, now)
    yesterday = now // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY - MICROSECONDS_PER_DAY
    _with_holes_that_heal(desk, week, yesterday)
    _with_holes_that_stay(desk, week, yesterday)
    _of_further_venues(desk, week)
    _with_work_left(desk, week)
    simulator.clear_faults()
    date_back(url)


def _with_holes_that_heal(desk: Desk, week: Window, yesterday: int) -> None:
    """Of these holes one is filled by a repair, one lies in an outage, one is lost for good."""
    maintained = Window(yesterday - MICROSECONDS_PER_DAY + 2 * HOUR, yesterday - MICROSECONDS_PER_DAY + 3 * HOUR)
    lost = {"kind": "missing_minutes", "instrument": BITCOIN, "open_times": _minutes(maintained)}
    gone = {"kind": "missing_minutes", "instrument": ETHER, "open_times": _minutes(_hole(yesterday, 20, minutes=12))}
    untold = {"kind": "left_out_candles", "instrument": ETHER, "open_times": _minutes(_hole(yesterday, 9, minutes=90))}
    bad = {"kind": "bad_candle", "instrument": BITCOIN, "open_times": _minutes(_hole(yesterday, 15, minutes=2))}
    _register(desk, maintained)
    desk.simulator.set_faults([lost, gone, untold, bad, _TOO_MANY])
    for name in (BITCOIN, ETHER):
        desk.backfill(name, week, keep_fresh=True)
    option = desk.option("living")
    desk.simulator.set_faults(
        [lost, gone, untold, bad, {"kind": "missing_trades", "instrument": option.name, "fraction": 0.05}]
    )
    desk.collect_trades(option.name, 1, option.trades)
    desk.check("all")
    desk.simulator.set_faults([lost, gone])
    for _ in range(2):
        desk.repair()


def _with_holes_that_stay(desk: Desk, week: Window, yesterday: int) -> None:
    """Nobody has repaired these yet, and they are red."""
    untold = {"kind": "left_out_candles", "instrument": SOL, "open_times": _minutes(_hole(yesterday, 11, minutes=45))}
    jump = {"kind": "price_jump", "instrument": SOL, "open_times": _minutes(_hole(yesterday, 17, minutes=1))}
    desk.simulator.set_faults([untold, jump])
    desk.backfill(SOL, week)
    desk.check("all")


def _of_further_venues(desk: Desk, week: Window) -> None:
    """Everything of them is there; the chains of options ended years ago."""
    url = desk.simulator.base_url
    venues = {
        "binance_um": BinanceUmSettings(rest_url=url, weight_per_minute=1_000_000),
        "binance_archive": BinanceArchiveSettings(url=url),
        "cryptodatadownload": CryptoDataDownloadSettings(url=url, api_key=SecretStr("simulated-key")),
    }
    with BackfillJob(desk.settings.model_copy(update=venues)) as job:
        for dataset, name, window, resolution in (
            (BINANCE_UM_CANDLES, "BTCUSDT", week, ONE_MINUTE),
            (BINANCE_UM_OPEN_INTEREST, "BTCUSDT", week, Resolution(300)),
            (BINANCE_UM_AGG_TRADES, "BTCUSDT", week, Resolution(0)),
            (BINANCE_UM_FUNDING_RATES, "BTCUSDT", week, Resolution(0)),
            (CRYPTODATADOWNLOAD_OPTION_CANDLES, "ETH", _OPTION_DAYS, Resolution(0)),
        ):
            request = BackfillRequest(dataset, (name,), window, resolution, keep_fresh=window is week)
            run_id = job.start(job.plan(request), dataset.name)
            job.work(run_id)
            job.finish(run_id)


def _with_work_left(desk: Desk, week: Window) -> None:
    """A run whose venue answered nonsense has failed, and another one goes on.

    Two workers ask twice each: with four bad answers in a row one of them has used up its tries.
    """
    desk.simulator.set_faults([{"kind": "malformed", "instrument": XRP, "from_request": 8, "to_request": 11}])
    desk.backfill(XRP, week)
    before = Window(week.start - 3 * MICROSECONDS_PER_DAY, week.start)
    with BackfillJob(desk.settings) as job:
        job.start(job.plan(BackfillRequest(DERIBIT_PERPETUAL_CANDLES, (BITCOIN,), before, ONE_MINUTE)), "goes on")


def _register(desk: Desk, window: Window) -> None:
    with closing(Database(desk.url)) as database:
        database.run(
            lambda cursor: add_outage(
                cursor, venue="deribit", window=window, kind=Cause.VENUE_MAINTENANCE, source="announced", by=BY
            )
        )


def _hole(midnight: int, hour: int, *, minutes: int) -> Window:
    return Window(midnight + hour * HOUR, midnight + hour * HOUR + minutes * MINUTE)


def _minutes(window: Window) -> list[int]:
    """Return the open times of the candles of a window, as the simulator takes them."""
    return [moment // MICROSECONDS_PER_MILLISECOND for moment in range(window.start, window.end, MINUTE)]
