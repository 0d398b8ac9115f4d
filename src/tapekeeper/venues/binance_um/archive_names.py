"""Which file of Binance's public archive holds what, and since when it should be there.

Source: the README of the venue's public data: daily files come the next day, monthly ones on the first Monday; metrics
are daily only, funding rates monthly only. A file of metrics holds what was measured up to midnight: 00:05 to 24:00.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, day_of, day_start, from_microseconds
from tapekeeper.errors import ConfigInvalid, RequestRejected
from tapekeeper.model.archive import ArchiveFile
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
)
from tapekeeper.model.window import Window
from tapekeeper.venues.binance_um.limits import interval_name

if TYPE_CHECKING:
    from tapekeeper.model.series import Dataset

METRICS_PERIOD: Final = Resolution(300)
"""The only period of open interest that the archive has."""
MONTHLY: Final = frozenset({BINANCE_UM_CANDLES, BINANCE_UM_FUNDING_RATES})
"""The datasets that are taken from files of a month; others from files of a day."""
DAILY_DELAY: Final = 6 * 3_600 * MICROSECONDS_PER_SECOND
"""After the end of the day."""
MONTHLY_DELAY: Final = MICROSECONDS_PER_DAY
"""After the beginning of the first Monday of the next month."""

_FOLDER: Final = "data/futures/um"
_NAME: Final = re.compile(r"\w[\w.-]*")
"""Letters of any script: some contracts are named in Chinese."""


def archive_file(dataset: Dataset, instrument_name: str, moment: int, resolution: Resolution) -> ArchiveFile:
    """Return the file that holds a moment of a series.

    Args:
        dataset: one of Binance USD-M.
        instrument_name: as the venue writes it.
        moment: microseconds since 1970.
        resolution: of the series.

    Raises:
        ConfigInvalid: the archive has no such files.
        RequestRejected: no file can be named after this instrument.
    """
    if _NAME.fullmatch(instrument_name) is None:
        raise RequestRejected(
            f"no file of Binance's archive can be named after {instrument_name!r}: type the name as Binance writes it"
        )
    folder, kind = _place(dataset, instrument_name, resolution)
    window, day = _window(dataset, moment)
    period, written = ("monthly", f"{day:%Y-%m}") if dataset in MONTHLY else ("daily", f"{day:%Y-%m-%d}")
    name = f"{_FOLDER}/{period}/{folder}/{instrument_name}-{kind}-{written}.zip"
    return ArchiveFile(name, window, dataset, instrument_name, resolution)


def published_at(file: ArchiveFile) -> int:
    """Return the moment from which a file should be there, in microseconds since 1970."""
    if file.dataset not in MONTHLY:
        return day_start(day_of(file.window.start)) + MICROSECONDS_PER_DAY + DAILY_DELAY
    days_to_monday = -from_microseconds(file.window.end).weekday() % 7
    return file.window.end + days_to_monday * MICROSECONDS_PER_DAY + MONTHLY_DELAY


def _place(dataset: Dataset, instrument_name: str, resolution: Resolution) -> tuple[str, str]:
    """Return the folder of a series below daily or monthly, and what its files are called after."""
    if dataset == BINANCE_UM_CANDLES:
        interval = interval_name(resolution)
        return f"klines/{instrument_name}/{interval}", interval
    if dataset == BINANCE_UM_AGG_TRADES:
        return f"aggTrades/{instrument_name}", "aggTrades"
    if dataset == BINANCE_UM_FUNDING_RATES:
        return f"fundingRate/{instrument_name}", "fundingRate"
    if dataset == BINANCE_UM_OPEN_INTEREST and resolution == METRICS_PERIOD:
        return f"metrics/{instrument_name}", "metrics"
    raise ConfigInvalid(
        f"Binance's archive has no files of {dataset.name} of {resolution}:"
        f" of open interest it has {METRICS_PERIOD} alone"
    )


def _window(dataset: Dataset, moment: int) -> tuple[Window, date]:
    """Return what a file holds, and the day that it is named after; of a month it is the first."""
    if dataset in MONTHLY:
        first = day_of(moment).replace(day=1)
        following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return Window(day_start(first), day_start(following)), first
    lag = METRICS_PERIOD.microseconds if dataset == BINANCE_UM_OPEN_INTEREST else 0
    day = day_of(moment - lag)
    start = day_start(day) + lag
    return Window(start, start + MICROSECONDS_PER_DAY), day
