"""What can be asked for on the command line."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Final

from simulator.binance_archive.files import ArchiveTerms
from simulator.binance_um.limits import UmTerms
from simulator.books import MOST_CHANGES_PER_SECOND
from simulator.cryptodatadownload.http import DEFAULT_KEY
from simulator.deribit.stream.load import LoadTerms
from simulator.moments import HOUR, day_of, day_start
from simulator.server import Terms

_EXAMPLES: Final = """examples:
  python -m simulator                                    the venue, well, on http://127.0.0.1:8810
  python -m simulator --port 0 --faults storm.json       on a free port, with faults
  python -m simulator --limits off                       as fast as this machine can, for benchmarks
  curl 'http://127.0.0.1:8810/api/v2/public/get_instruments?currency=BTC&kind=future'
  curl 'http://127.0.0.1:8810/truth/candles?instrument=BTC-PERPETUAL&start=1700000000000&end=1700003600000&resolution=1'
  curl 'http://127.0.0.1:8810/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=3'
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
    _add_deribit(parser)
    _add_binance(parser.add_argument_group("binance", "USD-M futures and their archive"))
    _add_dailies(parser.add_argument_group("cryptodatadownload", "daily candles of options"))
    _add_load(parser.add_argument_group("load", "options that tick as fast as asked; no part of the truth"))
    _add_replay(parser.add_argument_group("replay", "recorded frames, played to all who subscribe to something"))
    return parser


def _add_deribit(parser: argparse._ActionsContainer) -> None:
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


def _add_binance(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--binance-trades-per-day",
        type=int,
        metavar="N",
        help="aggregate trades of each contract (default: 300 to 4320)",
    )
    group.add_argument(
        "--binance-weight", type=float, default=2_400.0, help="weight in a window (default: %(default)s)"
    )
    group.add_argument(
        "--binance-window-seconds", type=float, default=60.0, help="length of that window (default: %(default)s)"
    )
    group.add_argument(
        "--binance-ban-seconds", type=float, default=120.0, help="length of the first ban (default: %(default)s)"
    )
    group.add_argument(
        "--archive-header-from",
        type=date.fromisoformat,
        default=day_of(ArchiveTerms().header_from),
        metavar="DATE",
        help="first day whose files of klines and trades have a header (default: %(default)s)",
    )
    group.add_argument(
        "--archive-delay-hours",
        type=float,
        default=3.0,
        help="how long after midnight files come (default: %(default)s)",
    )


def _add_dailies(group: argparse._ActionsContainer) -> None:
    group.add_argument("--cryptodatadownload-key", default=DEFAULT_KEY, help="the key it knows (default: %(default)s)")
    group.add_argument(
        "--cryptodatadownload-calls", type=float, default=600.0, help="calls in a window (default: %(default)s)"
    )
    group.add_argument(
        "--cryptodatadownload-window-seconds",
        type=float,
        default=3_600.0,
        help="length of that window, which slides (default: %(default)s)",
    )


def _add_load(group: argparse._ActionsContainer) -> None:
    group.add_argument("--load", type=float, metavar="RATE", help="frames each second, such as 25000")
    group.add_argument("--load-options", type=int, default=830, metavar="N", help="how many (default: %(default)s)")


def _add_replay(group: argparse._ActionsContainer) -> None:
    group.add_argument("--replay", type=Path, metavar="FILE", help="one JSON document a line")
    group.add_argument(
        "--replay-rate", type=float, default=0.0, help="frames each second; 0 is as fast as possible (default: 0)"
    )
    group.add_argument("--replay-times", type=int, default=1, help="how often (default: %(default)s)")


def terms_of(options: argparse.Namespace) -> Terms:
    """Return what kind of venue the options ask for."""
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


def problem_of(options: argparse.Namespace) -> str | None:
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
