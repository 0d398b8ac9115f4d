"""What a person wants to be checked, as typed: every message says what to type instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, format_moment, parse_moment
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.quality import QualityRequest
from tapekeeper.model.series import DATASETS, dataset_named
from tapekeeper.model.window import Window
from tapekeeper.quality.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_WINDOW: Final = "24h"
EVERYTHING: Final = "all"
_LAST: Final = re.compile(r"([1-9]\d{0,4})([hd])", re.IGNORECASE)
_UNIT: Final = {"h": 3_600 * MICROSECONDS_PER_SECOND, "d": 86_400 * MICROSECONDS_PER_SECOND}
_HOW_TO_TYPE_A_WINDOW: Final = (
    "type 24h, 7d, 30d, all, or START/END as UTC times such as 2024-05-01/2024-05-02T12:30Z or 2024-05-01/now"
)


def check_request(
    datasets: Sequence[str] | None,
    window: str | None,
    checks: Sequence[str] | None,
    *,
    now: int,
    beginning: Callable[[], int],
) -> QualityRequest:
    """Return the request that was typed; what is left out means all datasets, the last 24 hours, all checks.

    Args:
        datasets: their names.
        window: the last hours or days, `all`, or `START/END`.
        checks: their names.
        now: in microseconds since 1970.
        beginning: returns the first moment that anything is known of, in microseconds since 1970; asked for `all`.

    Raises:
        ConfigInvalid: something cannot be; the message names it and says what to type.
    """
    text = (window or "").strip() or DEFAULT_WINDOW
    is_everything = text.lower() == EVERYTHING
    return QualityRequest(
        datasets=tuple(dataset_named(name) for name in _names(datasets) or DATASETS),
        checks=tuple(_known_check(name) for name in _names(checks) or CHECKS),
        window=Window(min(beginning(), now - 1), now) if is_everything else _window(text, now),
        is_everything=is_everything,
    )


def _names(typed: Sequence[str] | None) -> list[str]:
    """Return what was typed without blanks and repetitions."""
    return list(dict.fromkeys(name.strip() for name in typed or () if name.strip()))


def _known_check(name: str) -> str:
    if name not in CHECKS:
        raise ConfigInvalid(f"there is no check {name!r}: choose one of {', '.join(CHECKS)}")
    return name


def _window(text: str, now: int) -> Window:
    last = _LAST.fullmatch(text)
    if last is not None:
        return Window(now - int(last[1]) * _UNIT[last[2].lower()], now)
    start, slash, end = text.partition("/")
    if not slash:
        raise ConfigInvalid(f"{text!r} is not a window: {_HOW_TO_TYPE_A_WINDOW}")
    window = Window(parse_moment(start, now=now), parse_moment(end, now=now))
    if window.end > now:
        raise ConfigInvalid(
            f"the end {format_moment(window.end)} is in the future (it is {format_moment(now)}): "
            "type an earlier end, or now"
        )
    return window
