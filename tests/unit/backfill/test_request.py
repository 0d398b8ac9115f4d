"""What a person types is understood, or refused with what to type instead."""

from __future__ import annotations

from typing import Any

import pytest

from tapekeeper.backfill.request import check_request
from tapekeeper.clock import parse_moment
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.backfill import BackfillRequest, Direction, Mode
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES

NOW = parse_moment("2026-11-21T12:00Z", now=0)


def check(**changes: Any) -> BackfillRequest:
    typed: dict[str, Any] = {
        "instruments": ["BTC-PERPETUAL"],
        "start": "2026-11-01",
        "end": "now",
        "resolution": "1",
        "direction": "newest first",
        "mode": "missing only",
        "keep_fresh": False,
    }
    return check_request(DERIBIT_PERPETUAL_CANDLES, **{**typed, **changes}, now=NOW)


def test_a_good_request_is_understood() -> None:
    request = check(instruments=[" ETH-PERPETUAL", "", "ETH-PERPETUAL", "BTC-PERPETUAL"], mode="full-refresh")
    assert request.instruments == ("ETH-PERPETUAL", "BTC-PERPETUAL")
    assert request.window.end == NOW
    assert (request.direction, request.mode) == (Direction.NEWEST_FIRST, Mode.FULL_REFRESH)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"instruments": [" "]}, "no instrument is chosen: choose at least one, such as BTC-PERPETUAL"),
        ({"instruments": ["BTC\udcff"]}, r"'BTC\\udcff' holds characters that cannot be shown: type the name as"),
        ({"instruments": ["BTC\x00"]}, "holds characters that cannot be shown"),
        ({"start": "2026-11-20", "end": "2026-11-19"}, "choose an earlier start or a later end"),
        ({"end": "2026-11-22"}, "2026-11-22T00:00:00Z is in the future .*type an earlier end, or now"),
        ({"resolution": "240"}, "'240' is not a resolution of Deribit: type one of 1, 3, 5"),
        ({"start": "2026-11-20T10:00"}, "has no time zone"),
        ({"direction": "sideways"}, "direction 'sideways' is not known: type 'newest first' or 'oldest first'"),
        ({"mode": "all"}, "mode 'all' is not known: type 'missing only' or 'full refresh'"),
    ],
)
def test_a_bad_request_says_what_to_type(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigInvalid, match=sentence):
        check(**changes)
