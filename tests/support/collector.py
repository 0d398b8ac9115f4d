"""The collector as a real process, a small world for it to follow, and its rows against the truth of that world."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click
import psycopg2
import requests
from prometheus_client.parser import text_string_to_metric_families

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MICROSECONDS_PER_SECOND, now_microseconds
from tests.support.command_line import environment
from tests.support.processes import wait_for
from tests.support.simulator import PROJECT, running_simulator
from tests.support.ticks import check_account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.simulator import Simulator

EXPIRY: Final = 1_924_588_800_000
BUSY: Final = ("ETH-27DEC30-9000-C", "ETH-27DEC30-9100-C", "ETH-27DEC30-9000-P", "ETH-27DEC30-9100-P")
QUIET: Final = ("ETH-27DEC30-9200-C", "ETH-27DEC30-9200-P")
NAMES: Final = (*BUSY, *QUIET)
TRADES_PER_DAY: Final = 300_000
FLUSH_SECONDS: Final = 0.3
COMPLETENESS: Final[list[str]] = []
"""What `assert_true` found, one line an instrument; shown when the tests have ended."""
PRECISION: Final = 3 * MICROSECONDS_PER_SECOND
"""No gap is longer than the interruption by more than this: after a kill it begins with the last account, which is made
once a second, of whole seconds, up to a quarter of a second before the last frame, and waits for the next flush."""


def control(simulator: Simulator, path: str, body: Mapping[str, Any]) -> Any:
    """Tell the simulator to do something to its world."""
    answer = requests.post(f"{simulator.base_url}{path}", json=dict(body), timeout=30)
    answer.raise_for_status()
    return answer.json()


def truth(simulator: Simulator, of: str, instrument: str, start: int, end: int) -> list[dict[str, Any]]:
    """Return the trades or quotes of a window in microseconds, one dictionary each."""
    window = {"instrument": instrument, "start": str(-(-start // 1_000)), "end": str(-(-end // 1_000))}
    answer = requests.get(f"{simulator.base_url}/truth/{of}", params=window, timeout=30)
    answer.raise_for_status()
    columns = {name: column for name, column in answer.json().items() if isinstance(column, list)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def list_option(simulator: Simulator, name: str, trades_per_day: float = TRADES_PER_DAY) -> None:
    """List an option now."""
    body = {"instrument_name": name, "expiration_timestamp": EXPIRY, "trades_per_day": trades_per_day}
    control(simulator, "/control/list", body)


def settle(simulator: Simulator, names: list[str]) -> None:
    """End the life of options now."""
    control(simulator, "/control/settle", {"instrument_names": names})


@contextmanager
def small_world(*arguments: str, trades_per_day: float = TRADES_PER_DAY) -> Iterator[Simulator]:
    """Run a world with nothing to follow but a few options that trade several times a second, and some that hardly do.

    Books change as often as the simulator allows. No calendar lists anything at 08:00 UTC, in the middle of a test.
    """
    with running_simulator("--calendar", "off", "--quote-changes-per-second", "10", *arguments) as simulator:
        for name in BUSY:
            list_option(simulator, name, trades_per_day)
        for name in QUIET:
            list_option(simulator, name, trades_per_day / 15)
        yield simulator


@dataclass
class RunningCollector:
    """A process, its log and its metrics."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = field(init=False, default="")

    def metric(self, name: str, *labels: str) -> float:
        """Return a sample; labels by their values, in the order of their names."""
        return self.metrics()[name, labels]

    def metrics(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return all samples."""
        families = text_string_to_metric_families(requests.get(f"{self.url}/metrics", timeout=10).text)
        return {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def readiness(self) -> tuple[int, dict[str, bool]]:
        """Return the status and the conditions of /readyz."""
        answer = requests.get(f"{self.url}/readyz", timeout=10)
        return answer.status_code, answer.json()

    def wait_until_fresh(self, instruments: int) -> None:
        """Wait until so many instruments have a verified feed, and no other is followed."""

        def fresh() -> bool:
            metrics = self.metrics()
            found = {metrics[f"tapekeeper_instruments_{name}", ()] for name in ("fresh", "expected")}
            return found == {instruments}

        wait_for(fresh)

    def wait_until_ready(self) -> None:
        """Wait until /readyz says so."""
        wait_for(lambda: self.readiness()[0] == 200)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def terminate(self) -> int:
        """End it as an operator would, and return its exit code."""
        self.process.terminate()
        return self.process.wait(10)

    def _find_url(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        marked = [line for line in self.log.read_text(encoding="utf-8").splitlines() if "metrics and health on" in line]
        self.url = marked[0].split()[-1] if marked else ""
        return bool(self.url)


def settings_for(url: str, simulator: Simulator, directory: Path, **more: object) -> dict[str, str]:
    """Return the environment variables of a collector that is quick in everything that a test has to wait for."""
    own = {
        "CURRENCY": "ETH",
        "SPOOL_DIRECTORY": directory / "spool",
        "METRICS_PORT": 0,
        "RECONNECT_FIRST_SECONDS": 0.2,
        "SILENCE_CLOSE_SECONDS": 2,
        "SWEEP_SECONDS": 1,
        "RESUBSCRIBE_SECONDS": 1,
    }
    short = {"TOP_N_INSTRUMENTS": "all", "FLUSH_INTERVAL_SEC": FLUSH_SECONDS}
    return {
        "TAPEKEEPER_DATABASE_URL": url,
        "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
        "TAPEKEEPER_DERIBIT_WEBSOCKET_URL": f"{simulator.base_url.replace('http', 'ws', 1)}/ws/api/v2",
        **{f"TAPEKEEPER_COLLECTOR_{name}": str(value) for name, value in own.items()},
        **{name: str(value) for name, value in {**short, **more}.items()},
    }


@contextmanager
def running_collector(
    url: str, simulator: Simulator, directory: Path, command: Sequence[str] = ("collector",), /, **more: object
) -> Iterator[RunningCollector]:
    """Run `python -m collector stream` with settings by their environment variables, and end it afterwards.

    `command` may name another module, which runs the collector in its own way, and its arguments.
    """
    number = len(list(directory.glob("collector-*.log")))
    log = directory / f"collector-{number}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", *command, "stream"],
            cwd=PROJECT,
            env=environment(settings_for(url, simulator, directory, **more)),
            stderr=output,
        ) as process,
    ):
        running = RunningCollector(process, log)
        try:
            wait_for(running._find_url)
            yield running
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)


def rows(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with closing(psycopg2.connect(url, options="-c TimeZone=UTC")) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


_MICROSECONDS: Final = "(extract(epoch FROM {}) * 1000000)::bigint"
_ACCOUNTED: Final = f"""
    SELECT instruments.name, {_MICROSECONDS.format("accounted_until")}
    FROM followed JOIN series USING (series_id) JOIN series_totals USING (series_id)
    JOIN instruments USING (instrument_id)
    WHERE dataset = 'deribit.option_quotes' AND window_end IS NULL
"""
_FOLLOWED_FROM: Final = f"""
    SELECT max({_MICROSECONDS.format("window_start")}), max({_MICROSECONDS.format("window_end")})
    FROM followed JOIN series USING (series_id) JOIN instruments USING (instrument_id) WHERE name = %s
"""
_TRADES: Final = f"""
    SELECT trade_seq, trade_id, {_MICROSECONDS.format("event_time")} / 1000, price, size, side
    FROM option_trades JOIN instruments USING (instrument_id)
    WHERE name = %s AND event_time >= to_timestamp(%s / 1e6) AND event_time < to_timestamp(%s / 1e6)
    ORDER BY trade_seq
"""
_QUOTES: Final = f"""
    SELECT {_MICROSECONDS.format("event_time")} / 1000, change_id, bid_price, bid_size, ask_price, ask_size
    FROM option_quotes JOIN instruments USING (instrument_id)
    WHERE name = %s AND NOT from_ticker
"""
_LAST_RECEIPT: Final = f"""
    SELECT {_MICROSECONDS.format("max(received_at)")} FROM option_quotes WHERE received_at <= to_timestamp(%s / 1e6)
"""
_LONGEST_DELAY: Final = f"SELECT {_MICROSECONDS.format('max(received_at - event_time)')} FROM option_quotes"
_GAPS: Final = f"""
    SELECT {_MICROSECONDS.format("window_start")}, {_MICROSECONDS.format("window_end")}, cause, state
    FROM data_gaps JOIN series USING (series_id) JOIN instruments USING (instrument_id)
    WHERE name = %s AND dataset = %s
    ORDER BY 1
"""


def wait_until_accounted(url: str, names: tuple[str, ...], moment: int | None = None) -> int:
    """Wait until everything of these instruments before now is committed, and return now, in microseconds."""
    now = moment or now_microseconds()

    def accounted() -> bool:
        until = dict(rows(url, _ACCOUNTED))
        return all(until.get(name, 0) >= now for name in names)

    wait_for(accounted)
    return now // MICROSECONDS_PER_MILLISECOND * MICROSECONDS_PER_MILLISECOND


def let_it_stream(url: str, seconds: float = 1.0) -> None:
    """Let so much market time pass, by the world's own clock, and the second or two until it is accounted.

    What is followed begins with the next full second, and is accounted up to there at once.
    """
    wait_for(lambda: all(rows(url, _FOLLOWED_FROM, name)[0][0] is not None for name in NAMES))
    began = max(now_microseconds(), *(followed_from(url, name) for name in NAMES))
    wait_until_accounted(url, NAMES, began + int(seconds * MICROSECONDS_PER_SECOND))


def wait_until_swept(url: str, simulator: Simulator, names: tuple[str, ...], end: int) -> None:
    """Wait until every trade before a moment is held, and no gap in trades is left.

    A trade that was lost is noticed by the next one, or by a sweep five seconds later: nobody else can know of it.
    """
    windows = {name: (followed_from(url, name), end) for name in names}
    expected = {name: _true_trades(simulator, name, *window) for name, window in windows.items()}

    def swept() -> bool:
        return all(
            rows(url, _TRADES, name, *window) == expected[name] and _has_no_gap_in_trades(url, name)
            for name, window in windows.items()
        )

    wait_for(swept)


def _true_trades(simulator: Simulator, name: str, start: int, end: int) -> list[tuple[Any, ...]]:
    return [
        (one["trade_seq"], one["trade_id"], one["timestamp"], one["price"], one["amount"], one["direction"])
        for one in truth(simulator, "trades", name, start, end)
    ]


def _has_no_gap_in_trades(url: str, name: str) -> bool:
    return all(state == "repaired" for *_, state in gaps(url, name, "deribit.option_trades"))


def gaps(url: str, name: str, dataset: str = "deribit.option_quotes") -> list[tuple[int, int, str, str]]:
    """Return start, end, cause and state of the recorded gaps of an instrument."""
    return [(start, end, cause, state) for start, end, cause, state in rows(url, _GAPS, name, dataset)]


def followed_from(url: str, name: str) -> int:
    """Return when an instrument began to be followed."""
    return int(rows(url, _FOLLOWED_FROM, name)[0][0])


def missing_quotes(url: str, simulator: Simulator, name: str, end: int) -> list[int]:
    """Return the event times of quotes that the venue had and the database has not; what both have has to agree."""
    return _missing(url, name, truth(simulator, "quotes", name, followed_from(url, name), end))


def _missing(url: str, name: str, told: list[dict[str, Any]]) -> list[int]:
    held = {(row[0], row[1]): row[2:] for row in rows(url, _QUOTES, name)}
    missing = []
    for quote in told:
        key = quote["timestamp"], quote["change_id"]
        if key in held:
            values = quote["bid_price"], quote["bid_amount"], quote["ask_price"], quote["ask_amount"]
            assert held[key] == values, f"{name} at {key}"
        else:
            missing.append(quote["timestamp"] * MICROSECONDS_PER_MILLISECOND)
    return missing


def assert_true(url: str, simulator: Simulator, names: tuple[str, ...], end: int) -> None:
    """Check that every trade of the truth is held once, and that every quote is held or lies in a recorded gap.

    There has to be some trade. How complete each instrument is goes to COMPLETENESS, and to standard output.
    """
    trades = 0
    for name in names:
        start = followed_from(url, name)
        expected = _true_trades(simulator, name, start, end)
        held, recorded = rows(url, _TRADES, name, start, end), gaps(url, name)
        told = truth(simulator, "quotes", name, start, end)
        missing = _missing(url, name, told)
        seconds = sum(min(ended, end) - began for began, ended, _, _ in recorded if began < end) / 1e6
        COMPLETENESS.append(
            f"{name}: trades {len(held)} of {len(expected)}, quotes {len(told) - len(missing)} of {len(told)}, "
            f"the others in {len(recorded)} gaps of {seconds:.1f} s in {(end - start) / 1e6:.0f} s"
        )
        click.echo(COMPLETENESS[-1])
        assert held == expected, name
        trades += len(expected)
        for moment in missing:
            assert any(start <= moment < end for start, end, _, _ in recorded), f"{name} lacks {moment}: {recorded}"
        assert _has_no_gap_in_trades(url, name), name
    assert trades
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        check_account(cursor)


def assert_gaps_are_short(url: str, names: tuple[str, ...], interruptions: list[tuple[int, int]]) -> None:
    """Check that every gap in quotes lies in one of the true interruptions, or exceeds it by little.

    On a busy machine the last row that outlived the interruption may be old, and frames are late: an interruption
    begins with that row, and a gap may be longer by the longest delay, because a frame under way lies in the gap.
    """
    [(delay,)] = rows(url, _LONGEST_DELAY)
    true = [(min(began, rows(url, _LAST_RECEIPT, began)[0][0]), ended) for began, ended in interruptions]
    for name in names:
        for start, end, cause, _ in gaps(url, name):
            assert any(began - PRECISION - delay <= start and end <= ended + PRECISION for began, ended in true), (
                f"{name}: {cause} {start} to {end}, true: {true}, longest delay: {delay}"
            )
