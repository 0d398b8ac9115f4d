"""Datasets are found by name, and an unknown name tells those that exist."""

from __future__ import annotations

import pytest

from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    DATASETS,
    DERIBIT_OPTION_QUOTES,
    DERIBIT_OPTION_TRADES,
    DERIBIT_PERPETUAL_CANDLES,
    Dataset,
    dataset_named,
)


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("deribit.perpetual_candles", DERIBIT_PERPETUAL_CANDLES),
        ("deribit.option_quotes", DERIBIT_OPTION_QUOTES),
        ("deribit.option_trades", DERIBIT_OPTION_TRADES),
    ],
)
def test_a_dataset_is_found_by_its_name(name: str, dataset: Dataset) -> None:
    assert dataset_named(name) is dataset
    assert DATASETS[name].name == name


def test_an_unknown_dataset_lists_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid, match=r"no dataset 'deribit.books': choose one of deribit.perpetual_candles"):
        dataset_named("deribit.books")


@pytest.mark.parametrize(("seconds", "text"), [(60, "1m"), (7_200, "2h"), (86_400, "1d"), (0, "0s"), (90, "90s")])
def test_a_resolution_reads_like_a_duration(seconds: int, text: str) -> None:
    assert str(Resolution(seconds)) == text
