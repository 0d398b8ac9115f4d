"""What a person types to have something checked."""

from __future__ import annotations

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.quality import QualityRequest
from tapekeeper.model.series import DATASETS, DERIBIT_OPTION_TRADES, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.request import check_request

HOUR = 3_600 * MICROSECONDS_PER_SECOND
NOW = 1_732_190_400_000_000
"""2024-11-21 12:00 UTC in microseconds."""
MIDNIGHT = NOW - 12 * HOUR
BEGINNING = 1_600_041_600_000_000


def request(window: str | None = None, **names: list[str]) -> QualityRequest:
    return check_request(names.get("datasets"), window, names.get("checks"), now=NOW, beginning=lambda: BEGINNING)


def test_what_is_left_out_means_everything_of_the_last_day() -> None:
    assert request() == QualityRequest(tuple(DATASETS.values()), tuple(CHECKS), Window(NOW - 24 * HOUR, NOW))
    assert request("  ", datasets=[], checks=[" "]) == request()


def test_datasets_and_checks_are_taken_once_in_the_order_of_typing() -> None:
    names = [" deribit.option_trades", "deribit.perpetual_candles ", "deribit.option_trades"]
    asked = request(datasets=names, checks=["row_counts", "gap_detection", "row_counts"])
    assert asked.datasets == (DERIBIT_OPTION_TRADES, DERIBIT_PERPETUAL_CANDLES)
    assert asked.checks == ("row_counts", "gap_detection")


@pytest.mark.parametrize(
    ("typed", "window"),
    [
        ("24h", Window(NOW - 24 * HOUR, NOW)),
        ("1H", Window(NOW - HOUR, NOW)),
        ("7d", Window(NOW - 7 * MICROSECONDS_PER_DAY, NOW)),
        ("2024-11-20/2024-11-21", Window(MIDNIGHT - MICROSECONDS_PER_DAY, MIDNIGHT)),
        ("2024-11-21T06:00Z/now", Window(NOW - 6 * HOUR, NOW)),
        ("2024-11-21 / 2024-11-21T13:00+02:00", Window(MIDNIGHT, NOW - HOUR)),
    ],
)
def test_windows(typed: str, window: Window) -> None:
    assert request(typed).window == window
    assert not request(typed).is_everything


def test_all_begins_where_anything_is_known() -> None:
    assert request(" ALL ") == QualityRequest(
        tuple(DATASETS.values()), tuple(CHECKS), Window(BEGINNING, NOW), is_everything=True
    )
    nothing = check_request(None, "all", None, now=NOW, beginning=lambda: NOW)
    assert nothing.window == Window(NOW - 1, NOW)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("yesterday", "'yesterday' is not a window: type 24h, 7d"),
        ("0d", "'0d' is not a window"),
        ("24", "'24' is not a window"),
        ("-7d", "'-7d' is not a window"),
        ("2024-11-21", "'2024-11-21' is not a window"),
        ("2024-11-21/", "'' is not a time"),
        ("2024-11-21T06:00/now", "has no time zone"),
        ("2024-11-22/2024-11-23", "is in the future"),
        ("2024-11-21/2024-11-20", "is not before the end"),
    ],
)
def test_a_window_that_cannot_be_says_what_to_type(typed: str, message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        request(typed)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid, match=r"no check 'gaps': choose one of gap_detection, .*row_counts"):
        request(checks=["gaps"])
    with pytest.raises(ConfigInvalid, match=r"no dataset 'deribit': choose one of deribit\.perpetual_candles"):
        request(datasets=["deribit"])
