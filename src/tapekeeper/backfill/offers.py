"""What the venues offer, by dataset: what a form, a plan and a chunk have to know beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from tapekeeper.errors import ConfigInvalid
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
from tapekeeper.venues.binance_um import archive_names
from tapekeeper.venues.binance_um import limits as binance_um
from tapekeeper.venues.cryptodatadownload import limits as cryptodatadownload
from tapekeeper.venues.deribit import limits as deribit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekeeper.model.archive import ArchiveFile
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings

_MINUTE_SECONDS: Final = 60
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Archive:
    """Files of the past that a venue publishes beside its REST interface."""

    file_at: Callable[[str, int, Resolution], ArchiveFile]
    """The file that holds a moment of an instrument, in microseconds since 1970."""
    published_at: Callable[[ArchiveFile], int]
    """From when on the file should be there."""
    steps_at_least: int | None
    """With less to fetch of a file's window, and all of it told by REST, REST is asked; None: whenever REST tells."""
    resolution: Resolution | None = None
    """The only one that the files have; None: all of them."""

    def files_of(
        self, instrument_name: str, window: Window, resolution: Resolution
    ) -> Iterator[tuple[ArchiveFile, Window]]:
        """Yield the files that a window touches, ascending, with the part of the window inside each."""
        start = window.start
        while start < window.end:
            file = self.file_at(instrument_name, start, resolution)
            part = Window(start, min(window.end, file.window.end))
            yield file, part
            start = part.end


@dataclass(frozen=True, slots=True)
class Offer:
    """What one venue offers."""

    resolutions: tuple[str, ...]
    """As the venue writes them, the shortest first; none where there is no choice."""
    parse_resolution: Callable[[str], Resolution]
    """Reads what a person typed; raises ConfigInvalid where the venue has no such resolution."""
    example: str
    """The name of an instrument, for messages."""
    rows_per_request: int
    """As many rows as one request brings at the best price; where rows have no grid, as many steps as a chunk has."""
    requests_per_second: Callable[[Settings], float]
    """How fast such requests can be sent for ever."""
    days_kept: float | None = None
    """How far back the venue tells it over REST; None: since the listing."""
    leaves_out_for_good: bool = False
    """What an answer leaves out is never told later."""
    step: Resolution | None = None
    """Where rows have no grid: chunks begin and end on its multiples, and it is noted which of them were told."""
    settles_after_seconds: int = 0
    """How long after it happened something can be asked for."""
    is_told_at_its_moment: bool = False
    """A row can be asked for as soon as its moment has come, not only when the one after it begins."""
    archive: Archive | None = None

    @property
    def has_schedules(self) -> bool:
        """Each instrument has an interval of its own, which may change."""
        return not self.resolutions and self.step is None

    def step_of(self, resolution: Resolution) -> int:
        """Return the microseconds between the moments that chunks of a series of this resolution are cut at."""
        return (self.step or resolution).microseconds

    def rows_per_chunk(self, settings: Settings) -> int:
        """Return how many rows a chunk holds: one request brings them, one transaction writes them."""
        return min(settings.backfill.rows_per_chunk, self.rows_per_request)

    def kept_from(self, now: int) -> int:
        """Return the first moment that the venue still tells over REST; both in microseconds since 1970."""
        return 0 if self.days_kept is None else now - round(self.days_kept * MICROSECONDS_PER_DAY)

    def closed_until(self, now: int, step: int) -> int:
        """Return up to where everything on a grid of `step` microseconds can be asked for, itself left out."""
        last = (now - self.settles_after_seconds * MICROSECONDS_PER_SECOND) // step * step
        return last + step if self.is_told_at_its_moment else last

    def told_from(self, now: int, resolution: Resolution, settings: Settings) -> int:
        """Return the first moment that can be fetched, over REST or from files."""
        return 0 if self.archive_of(resolution, settings) else self.kept_from(now)

    def archive_of(self, resolution: Resolution, settings: Settings) -> Archive | None:
        """Return the files that have a resolution; None where there are none, or nothing is to be taken from files."""
        archive = self.archive
        if archive is None or not settings.binance_archive.url or archive.resolution not in {None, resolution}:
            return None
        return archive


def _no_choice(text: str) -> Resolution:
    if text.strip():
        raise ConfigInvalid(f"there is no choice of resolutions here: leave {text.strip()!r} out")
    return Resolution(0)


def _binance_files(dataset: Dataset, *, steps_at_least: int | None, resolution: Resolution | None = None) -> Archive:
    return Archive(
        file_at=lambda name, moment, asked: archive_names.archive_file(dataset, name, moment, asked),
        published_at=archive_names.published_at,
        steps_at_least=steps_at_least,
        resolution=resolution,
    )


_OFFERS: Final = {
    DERIBIT_PERPETUAL_CANDLES.name: Offer(
        resolutions=tuple(deribit.RESOLUTIONS),
        parse_resolution=deribit.parse_resolution,
        example="BTC-PERPETUAL",
        rows_per_request=deribit.CANDLES_PER_REQUEST,
        requests_per_second=lambda settings: settings.deribit.requests_per_second,
    ),
    BINANCE_UM_CANDLES.name: Offer(
        resolutions=tuple(binance_um.INTERVALS),
        parse_resolution=binance_um.parse_interval,
        example="BTCUSDT",
        rows_per_request=binance_um.CANDLES_PER_REQUEST,
        requests_per_second=lambda settings: (
            binance_um.weight_limit(settings.binance_um).permits_per_second / binance_um.CANDLES_WEIGHT
        ),
        # A file is one request, whatever it holds.
        archive=_binance_files(BINANCE_UM_CANDLES, steps_at_least=10 * binance_um.CANDLES_PER_REQUEST),
    ),
    BINANCE_UM_OPEN_INTEREST.name: Offer(
        resolutions=tuple(binance_um.PERIODS),
        parse_resolution=binance_um.parse_period,
        example="BTCUSDT",
        rows_per_request=binance_um.OPEN_INTEREST_PER_REQUEST,
        requests_per_second=lambda _: binance_um.DATA_LIMIT.permits_per_second,
        days_kept=binance_um.OPEN_INTEREST_DAYS,
        leaves_out_for_good=True,
        archive=_binance_files(
            BINANCE_UM_OPEN_INTEREST,
            steps_at_least=binance_um.OPEN_INTEREST_PER_REQUEST,
            resolution=binance_um.PERIODS["5m"],
        ),
    ),
    BINANCE_UM_AGG_TRADES.name: Offer(
        resolutions=(),
        parse_resolution=_no_choice,
        example="BTCUSDT",
        rows_per_request=binance_um.AGG_TRADES_WINDOW_MINUTES,
        requests_per_second=lambda settings: (
            binance_um.weight_limit(settings.binance_um).permits_per_second / binance_um.AGG_TRADES_WEIGHT
        ),
        days_kept=binance_um.AGG_TRADES_HOURS / 24,
        step=Resolution(_MINUTE_SECONDS),
        settles_after_seconds=_MINUTE_SECONDS,
        archive=_binance_files(BINANCE_UM_AGG_TRADES, steps_at_least=0),
    ),
    BINANCE_UM_FUNDING_RATES.name: Offer(
        resolutions=(),
        parse_resolution=_no_choice,
        example="BTCUSDT",
        rows_per_request=binance_um.FUNDING_RATES_PER_REQUEST,
        requests_per_second=lambda _: binance_um.FUNDING_LIMIT.permits_per_second,
        settles_after_seconds=_MINUTE_SECONDS,
        is_told_at_its_moment=True,
        archive=_binance_files(BINANCE_UM_FUNDING_RATES, steps_at_least=None),
    ),
    CRYPTODATADOWNLOAD_OPTION_CANDLES.name: Offer(
        resolutions=(),
        parse_resolution=_no_choice,
        example="ETH",
        rows_per_request=1,
        requests_per_second=lambda settings: (
            cryptodatadownload.hourly_limit(settings.cryptodatadownload).permits_per_second
        ),
        step=Resolution(_DAY_SECONDS),
        # A day ends at 08:00 of the next one, and is published some time after.
        settles_after_seconds=_DAY_SECONDS,
    ),
}


def offer_of(dataset: Dataset) -> Offer:
    """Return what there is of a dataset.

    Raises:
        ConfigInvalid: it cannot be backfilled; the message lists those that can.
    """
    if dataset.name not in _OFFERS:
        raise ConfigInvalid(f"there is no backfill of {dataset.name}: choose one of {', '.join(_OFFERS)}")
    return _OFFERS[dataset.name]


def leaves_out_for_good(dataset: Dataset) -> bool:
    """Tell whether the venue never tells later what its answer leaves out of a dataset."""
    return dataset.name in _OFFERS and _OFFERS[dataset.name].leaves_out_for_good
