"""The command line: `python -m simulator`, from the root of the repository."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

from simulator.binance_archive.files import ArchiveTerms
from simulator.binance_um.limits import UmTerms
from simulator.books import MOST_CHANGES_PER_SECOND
from simulator.cryptodatadownload.http import DEFAULT_KEY
from simulator.deribit.stream.load import LoadTerms
from simulator.errors import ControlError
from simulator.fault_basics import Fault
from simulator.faults import parse_faults
from simulator.limits import DEFAULT_COST, DEFAULT_TERMS, INSTRUMENTS_TERMS, STRICT_INSTRUMENTS_TERMS, Limits
from simulator.moments import HOUR, Clock, day_of, day_start
from simulator.server import Address, Terms, make_application, serve

_EXAMPLES = """examples:
  python -m simulator                                    the venue, well, on http://127.0.0.1:8810
  python -m simulator --port 0 --faults storm.json       on a free port, with faults
  python -m simulator --limits off                       as fast as this machine can, for benchmarks
  curl 'http://127.0.0.1:8810/api/v2/public/get_instruments?currency=BTC&kind=future'
  curl 'http://127.0.0.1:8810/truth/candles?instrument=BTC-PERPETUAL&start=1700000000000&end=1700003600000&resolution=1'
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A stand-in for the venues: seeded data, the venue's limits, and faults on demand.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8810, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same world (default: %(default)s)")
    parser.add_argument("--faults", type=Path, metavar="FILE", help='JSON document {"faults": [...]}')
    parser.add_argument(
        "--limits", choices=("on", "off"), default="on", help="the venue's limits (default: %(default)s)"
    )
    parser.add_argument(
        "--requests-per-second", type=float, default=20.0, help="refill of the default bucket (default: %(default)s)"
    )
    parser.add_argument(
        "--rate-limit-status",
        choices=("alternate", "400", "429"),
        default="alternate",
        help="HTTP status of error 10028 (default: %(default)s)",
    )
    parser.add_argument(
        "--strict-instruments-limit", action="store_true", help="get_instruments once in 10 s, as older documents say"
    )
    parser.add_argument(
        "--clock-offset-seconds",
        type=float,
        default=0.0,
        help="how far the venue's now is ahead (default: %(default)s)",
    )
    parser.add_argument(
        "--quote-changes-per-second",
        type=float,
        default=1.0,
        help=f"how often each book changes, up to {MOST_CHANGES_PER_SECOND:g} (default: %(default)s)",
    )
    parser.add_argument(
        "--calendar",
        choices=("on", "off"),
        default="on",
        help="off: no option and no dated future but those that POST /control/list makes (default: %(default)s)",
    )
    parser.add_argument(
        "--time-scale",
        type=float,
        default=1.0,
        help="how long heartbeats and idle sockets wait, 0.1 for a tenth; the market goes on as ever (default: 1)",
    )
    binance = parser.add_argument_group("binance", "USD-M futures and their archive; more by POST /control/binance_um")
    binance.add_argument(
        "--binance-trades-per-day",
        type=int,
        metavar="N",
        help="aggregate trades of each contract (default: 300 to 4320)",
    )
    binance.add_argument(
        "--binance-weight", type=float, default=2_400.0, help="weight in a window (default: %(default)s)"
    )
    binance.add_argument(
        "--binance-window-seconds", type=float, default=60.0, help="length of that window (default: %(default)s)"
    )
    binance.add_argument(
        "--binance-ban-seconds", type=float, default=120.0, help="length of the first ban (default: %(default)s)"
    )
    binance.add_argument(
        "--archive-header-from",
        type=date.fromisoformat,
        default=day_of(ArchiveTerms().header_from),
        metavar="DATE",
        help="first day whose files of klines and trades have a header (default: %(default)s)",
    )
    binance.add_argument(
        "--archive-delay-hours",
        type=float,
        default=3.0,
        help="how long after midnight files come (default: %(default)s)",
    )
    dailies = parser.add_argument_group("cryptodatadownload", "daily candles of options")
    dailies.add_argument(
        "--cryptodatadownload-key", default=DEFAULT_KEY, help="the key it knows (default: %(default)s)"
    )
    dailies.add_argument(
        "--cryptodatadownload-calls", type=float, default=600.0, help="calls in a window (default: %(default)s)"
    )
    dailies.add_argument(
        "--cryptodatadownload-window-seconds",
        type=float,
        default=3_600.0,
        help="length of that window, which slides (default: %(default)s)",
    )
    load = parser.add_argument_group("load", "options that tick as fast as asked; what is sent is no part of the truth")
    load.add_argument("--load", type=float, metavar="RATE", help="frames each second, such as 25000")
    load.add_argument("--load-options", type=int, default=830, metavar="N", help="how many (default: %(default)s)")
    replay = parser.add_argument_group("replay", "recorded frames, played to all who subscribe to something")
    replay.add_argument("--replay", type=Path, metavar="FILE", help="one JSON document a line")
    replay.add_argument(
        "--replay-rate", type=float, default=0.0, help="frames each second; 0 is as fast as possible (default: 0)"
    )
    replay.add_argument("--replay-times", type=int, default=1, help="how often (default: %(default)s)")
    return parser


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 for a bad option."""
    options = make_parser().parse_args()
    try:
        faults = _read_faults(options.faults)
    except (ControlError, OSError) as error:
        print(f"--faults {options.faults}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if problem := _problem(options):
        print(problem, file=sys.stderr)  # noqa: T201
        return 2
    limits = Limits(
        clock=time.monotonic,
        enabled=options.limits == "on",
        default_terms=replace(DEFAULT_TERMS, refill_per_second=options.requests_per_second * DEFAULT_COST),
        instruments_terms=STRICT_INSTRUMENTS_TERMS if options.strict_instruments_limit else INSTRUMENTS_TERMS,
        status=options.rate_limit_status,
    )
    clock = Clock(round(options.clock_offset_seconds * 1_000))
    try:
        application = make_application(_terms(options), clock, limits, faults)
    except (ControlError, OSError) as error:
        print(f"--replay {options.replay}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        asyncio.run(serve(application, Address(options.host, options.port)))
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _terms(options: argparse.Namespace) -> Terms:
    return Terms(
        seed=options.seed,
        quote_changes_per_second=options.quote_changes_per_second,
        has_calendar=options.calendar == "on",
        time_scale=options.time_scale,
        load=None if options.load is None else LoadTerms(options.load_options, options.load),
        replay=options.replay,
        replay_frames_per_second=options.replay_rate,
        replay_times=options.replay_times,
        binance_trades_per_day=options.binance_trades_per_day,
        binance=UmTerms(
            weight=options.binance_weight,
            weight_window_seconds=options.binance_window_seconds,
            ban_seconds=options.binance_ban_seconds,
        ),
        cryptodatadownload_key=options.cryptodatadownload_key,
        cryptodatadownload_calls=options.cryptodatadownload_calls,
        cryptodatadownload_window_seconds=options.cryptodatadownload_window_seconds,
        archive=ArchiveTerms(day_start(options.archive_header_from), round(options.archive_delay_hours * HOUR)),
    )


def _problem(options: argparse.Namespace) -> str | None:
    """Return what is wrong with the options, or None."""
    if options.requests_per_second <= 0:
        return "--requests-per-second has to be above 0"
    if not 0 < options.quote_changes_per_second <= MOST_CHANGES_PER_SECOND:
        return f"--quote-changes-per-second has to be above 0, and {MOST_CHANGES_PER_SECOND:g} at most"
    if options.time_scale <= 0:
        return "--time-scale has to be above 0"
    if options.load is not None and (options.load < 0 or options.load_options < 1):
        return "--load has to be 0 or above, --load-options above 0"
    if options.replay_rate < 0 or options.replay_times < 1:
        return "--replay-rate has to be 0 or above, --replay-times above 0"
    return _problem_of_services(options)


def _problem_of_services(options: argparse.Namespace) -> str | None:
    if options.binance_trades_per_day is not None and options.binance_trades_per_day < 1:
        return "--binance-trades-per-day has to be above 0"
    if min(options.binance_weight, options.binance_window_seconds, options.binance_ban_seconds) <= 0:
        return "--binance-weight, --binance-window-seconds and --binance-ban-seconds have to be above 0"
    if min(options.cryptodatadownload_calls, options.cryptodatadownload_window_seconds) <= 0:
        return "--cryptodatadownload-calls and --cryptodatadownload-window-seconds have to be above 0"
    return None


def _read_faults(path: Path | None) -> tuple[Fault, ...]:
    return () if path is None else parse_faults(path.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
