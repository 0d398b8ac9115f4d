"""What the venues offer, by dataset: what a form, a plan and a chunk have to know beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.series import BINANCE_UM_CANDLES, BINANCE_UM_OPEN_INTEREST, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.venues.binance_um import limits as binance_um
from tapekeeper.venues.deribit import limits as deribit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.model.resolution import Resolution
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings


@dataclass(frozen=True, slots=True)
class Offer:
    """What one venue offers."""

    resolutions: tuple[str, ...]
    """As the venue writes them, the shortest first."""
    parse_resolution: Callable[[str], Resolution]
    """Reads what a person typed; raises ConfigInvalid where the venue has no such resolution."""
    example: str
    """The name of an instrument, for messages."""
    rows_per_request: int
    """As many rows as one request brings at the best price."""
    requests_per_second: Callable[[Settings], float]
    """How fast such requests can be sent for ever."""
    days_kept: int | None = None
    """How far back the venue tells it; None: since the listing."""
    leaves_out_for_good: bool = False
    """What an answer leaves out is never told later."""

    def rows_per_chunk(self, settings: Settings) -> int:
        """Return how many rows a chunk holds: one request brings them, one transaction writes them."""
        return min(settings.backfill.rows_per_chunk, self.rows_per_request)

    def kept_from(self, now: int) -> int:
        """Return the first moment that the venue still tells; both in microseconds since 1970."""
        return 0 if self.days_kept is None else now - self.days_kept * MICROSECONDS_PER_DAY


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
    ),
    BINANCE_UM_OPEN_INTEREST.name: Offer(
        resolutions=tuple(binance_um.PERIODS),
        parse_resolution=binance_um.parse_period,
        example="BTCUSDT",
        rows_per_request=binance_um.OPEN_INTEREST_PER_REQUEST,
        requests_per_second=lambda _: binance_um.DATA_LIMIT.permits_per_second,
        days_kept=binance_um.OPEN_INTEREST_DAYS,
        leaves_out_for_good=True,
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
