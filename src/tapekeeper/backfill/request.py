"""What a person typed, checked: every message says what to type instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekeeper.backfill.offers import offer_of
from tapekeeper.clock import format_moment, parse_moment
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.backfill import BackfillRequest, Direction, Mode
from tapekeeper.model.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum
    from typing import TypeVar

    from tapekeeper.model.series import Dataset

    Choice = TypeVar("Choice", bound=StrEnum)


def check_request(
    dataset: Dataset,
    *,
    instruments: Iterable[str],
    start: str,
    end: str,
    resolution: str,
    direction: str,
    mode: str,
    keep_fresh: bool,
    now: int,
) -> BackfillRequest:
    """Return the request that was typed; an empty end means now.

    Raises:
        ConfigInvalid: something cannot be; the message names it and says what to type.
    """
    offer = offer_of(dataset)
    names = tuple(dict.fromkeys(name.strip() for name in instruments if name.strip()))
    if not names:
        raise ConfigInvalid(f"no instrument is chosen: choose at least one, such as {offer.example}")
    for name in names:
        if not name.isprintable():
            raise ConfigInvalid(
                f"the instrument {name!a} holds characters that cannot be shown: type the name as the venue writes it,"
                f" such as {offer.example}"
            )
    window = Window(parse_moment(start, now=now), parse_moment(end or "now", now=now))
    if window.end > now:
        raise ConfigInvalid(
            f"the end {format_moment(window.end)} is in the future (it is {format_moment(now)}): "
            "type an earlier end, or now"
        )
    return BackfillRequest(
        dataset=dataset,
        instruments=names,
        window=window,
        resolution=offer.parse_resolution(resolution),
        direction=_choice(Direction, direction, "direction"),
        mode=_choice(Mode, mode, "mode"),
        keep_fresh=keep_fresh,
    )


def _choice(kind: type[Choice], text: str, what: str) -> Choice:
    """Return the choice that was typed, with - or _ for the blank if somebody prefers that."""
    try:
        return kind(text.strip().lower().replace("-", " ").replace("_", " "))
    except ValueError:
        allowed = " or ".join(repr(choice.value) for choice in kind)
        raise ConfigInvalid(f"{what} {text!r} is not known: type {allowed}") from None
