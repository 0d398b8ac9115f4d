"""Series: a dataset of an instrument at a resolution; the unit that everything is counted by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.instrument import Instrument, InstrumentKind
from tapekeeper.model.resolution import Resolution


class Unit(StrEnum):
    """What completeness is counted in."""

    GRID_POINTS = "grid points"
    """Of the series' resolution."""
    SEQUENCE_NUMBERS = "sequence numbers"
    """That the venue gives to trades, without a hole."""
    SECONDS = "seconds"
    """With a verified feed."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A kind of data of one venue."""

    name: str
    """Such as `deribit.perpetual_candles`."""
    venue: str
    """The venue's own key, such as `deribit`."""
    instrument_kind: InstrumentKind
    """The only kind of instrument that it can be asked of."""
    unit: Unit
    """What its completeness is counted in."""
    table: str
    """The table that holds its rows; several datasets may share one."""
    source: str
    """How the status page calls it."""
    target_interval_seconds: int
    """How often new rows are expected; the data are stale after twice this."""


DERIBIT_PERPETUAL_CANDLES: Final = Dataset(
    name="deribit.perpetual_candles",
    venue="deribit",
    instrument_kind="perpetual",
    unit=Unit.GRID_POINTS,
    table="candles",
    source="Deribit intraday",
    target_interval_seconds=300,
)

DERIBIT_OPTION_QUOTES: Final = Dataset(
    name="deribit.option_quotes",
    venue="deribit",
    instrument_kind="option",
    unit=Unit.SECONDS,
    table="option_quotes",
    source="Deribit option quotes",
    target_interval_seconds=60,
)

DERIBIT_OPTION_TRADES: Final = Dataset(
    name="deribit.option_trades",
    venue="deribit",
    instrument_kind="option",
    unit=Unit.SEQUENCE_NUMBERS,
    table="option_trades",
    source="Deribit option trades",
    target_interval_seconds=900,
)

BINANCE_UM_CANDLES: Final = Dataset(
    name="binance_um.candles",
    venue="binance_um",
    instrument_kind="perpetual",
    unit=Unit.GRID_POINTS,
    table="candles",
    source="Binance USD-M candles",
    target_interval_seconds=300,
)

BINANCE_UM_OPEN_INTEREST: Final = Dataset(
    name="binance_um.open_interest",
    venue="binance_um",
    instrument_kind="perpetual",
    unit=Unit.GRID_POINTS,
    table="open_interest",
    source="Binance USD-M open interest",
    target_interval_seconds=900,
)

BINANCE_UM_AGG_TRADES: Final = Dataset(
    name="binance_um.agg_trades",
    venue="binance_um",
    instrument_kind="perpetual",
    unit=Unit.SEQUENCE_NUMBERS,
    table="agg_trades",
    source="Binance USD-M trades",
    target_interval_seconds=900,
)

BINANCE_UM_FUNDING_RATES: Final = Dataset(
    name="binance_um.funding_rates",
    venue="binance_um",
    instrument_kind="perpetual",
    unit=Unit.GRID_POINTS,
    table="funding_rates",
    source="Binance USD-M funding rates",
    target_interval_seconds=28_800,
)

CRYPTODATADOWNLOAD_OPTION_CANDLES: Final = Dataset(
    name="cryptodatadownload.option_candles",
    venue="cryptodatadownload",
    instrument_kind="option_chain",
    unit=Unit.GRID_POINTS,
    table="option_candles",
    source="CryptoDataDownload option dailies",
    target_interval_seconds=86_400,
)

DATASETS: Final[dict[str, Dataset]] = {
    dataset.name: dataset
    for dataset in (
        DERIBIT_PERPETUAL_CANDLES,
        DERIBIT_OPTION_QUOTES,
        DERIBIT_OPTION_TRADES,
        BINANCE_UM_CANDLES,
        BINANCE_UM_OPEN_INTEREST,
        BINANCE_UM_AGG_TRADES,
        BINANCE_UM_FUNDING_RATES,
        CRYPTODATADOWNLOAD_OPTION_CANDLES,
    )
}
CANDLE_DATASETS: Final = tuple(dataset.name for dataset in DATASETS.values() if dataset.table == "candles")
"""The names of those whose rows are candles, of whichever venue."""
GRID_DATASETS: Final = tuple(dataset.name for dataset in DATASETS.values() if dataset.unit is Unit.GRID_POINTS)
"""The names of those whose rows lie on the grid of a resolution."""


def dataset_named(name: str) -> Dataset:
    """Return the dataset of that name.

    Raises:
        ConfigInvalid: there is none; the message lists those that exist.
    """
    try:
        return DATASETS[name]
    except KeyError:
        raise ConfigInvalid(f"there is no dataset {name!r}: choose one of {', '.join(DATASETS)}") from None


@dataclass(frozen=True, slots=True)
class Series:
    """A series as the store knows it."""

    series_id: int
    dataset: Dataset
    instrument: Instrument
    resolution: Resolution

    def __str__(self) -> str:
        return f"{self.instrument.name} {self.resolution}"
