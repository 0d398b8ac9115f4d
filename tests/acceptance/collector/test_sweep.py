"""The sweep asks the simulator itself: a crash of the market puts thousands of trades into one millisecond."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter as Count
from contextlib import closing
from typing import TYPE_CHECKING, Any

import requests

from collector.buffer import Buffer
from collector.counters import Counters
from collector.instrument_tape import Hole
from collector.settings import CollectorSettings
from collector.sweep import Sweep
from collector.tape import Tape
from collector.venue_clock import VenueClock
from collector.venue_rest import VenueRest
from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.model.gap import Cause
from tapekeeper.settings import read_settings
from tapekeeper.store.option_series import OptionSeries
from tapekeeper.venues.deribit.channels import trades_channel
from tapekeeper.venues.deribit.limits import TRADES_PER_ANSWER
from tests.support.collector import truth
from tests.support.processes import wait_for
from tests.support.simulator import running_simulator

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

CURRENCY = "USDC"
"""The one with the fewest options: such a millisecond is asked for option by option."""
NAME = "XRP_USDC-27DEC30-0d755-C"
PER_MILLISECOND = 1_500


def crash(simulator: Simulator) -> None:
    """Let an option live for no more than a moment, as short as this machine is able to ask for."""
    lives = itertools.count(1)

    def listed() -> bool:
        expiry = now_microseconds() // MICROSECONDS_PER_MILLISECOND + next(lives)
        listing = {
            "instrument_name": NAME, "expiration_timestamp": expiry, "trades_per_day": PER_MILLISECOND * 86_400_000,
        }  # fmt: skip
        return requests.post(f"{simulator.base_url}/control/list", json=listing, timeout=30).ok

    wait_for(listed)
    over = now_microseconds() // MICROSECONDS_PER_MILLISECOND + next(lives)
    wait_for(lambda: bool(simulator.state()["now"] > over))


def swept(simulator: Simulator, database_url: str, since: int) -> list[int]:
    """Return the numbers of the trades that a sweep brings of an instrument that missed everything."""
    core = read_settings(
        {
            "TAPEKEEPER_DATABASE_URL": database_url,
            "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
            "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": "1000",
            "TAPEKEEPER_DERIBIT_BURST_REQUESTS": "1000",
        }
    )
    buffer, clock = Buffer(10, 1_000_000), VenueClock(now=now_microseconds(), monotonic=time.monotonic())
    tape = Tape(buffer, Counters(), clock, ("trades",))
    followed = tape.add(NAME, OptionSeries(1, 11, 12), None)
    followed.is_followed, followed.wanted_from = True, since
    followed.trades_hole = Hole(since, Cause.DISCONNECT, {})
    session: Any = object()
    tape.subscribed(session, [trades_channel(NAME)])
    with closing(VenueRest(core)) as rest:
        asyncio.run(Sweep(CollectorSettings(currency=CURRENCY), tape, rest).sweep())
    return [row.trade_seq for row in buffer.take(1_000_000).trades]


def test_more_trades_in_one_millisecond_than_an_answer_holds_all_come_once(database_url: str) -> None:
    with running_simulator("--limits", "off") as simulator:
        since = now_microseconds() - MICROSECONDS_PER_SECOND
        crash(simulator)
        told = truth(simulator, "trades", NAME, since, now_microseconds())
        found = swept(simulator, database_url, since)
    assert max(Count(trade["timestamp"] for trade in told).values()) > TRADES_PER_ANSWER
    assert sorted(found) == [trade["trade_seq"] for trade in told]
