"""Many lines of text at once: numbers become digits column by column, so that a million lines take a second."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tapekeeper.model.candle import Int64Column

Bytes = npt.NDArray[np.uint8]
_NOTHING: Final = 0
_ZERO: Final = ord("0")
_POINT: Final = ord(".")


class Lines:
    """n lines that are written from left to right, each column for all of them; 0 stands for no character."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._columns: list[Bytes] = []

    def put(self, text: bytes) -> Lines:
        """Write the same text into every line."""
        written = np.frombuffer(text, dtype=np.uint8)
        self._columns.append(np.broadcast_to(written[:, None], (len(text), self._count)))
        return self

    def number(self, values: Int64Column, decimals: int = 0, *, trimmed: bool = False) -> Lines:
        """Write numbers, 0 or above, as whole numbers of their last decimal, shape (n,).

        `trimmed` leaves out zeros at the end of the decimals, and the point when none is left.
        """
        width = max(len(str(int(values.max(initial=0)))), decimals + 1)
        digits, rest = np.empty((width, self._count), dtype=np.uint8), values
        for place in range(width - 1, -1, -1):
            higher = rest // 10
            digits[place] = rest - higher * 10
            rest = higher
        digits += _ZERO
        for place in range(width - decimals - 1):
            digits[place][values < 10 ** (width - 1 - place)] = _NOTHING
        self._columns.append(digits[: width - decimals])
        if decimals:
            self._fraction(digits[width - decimals :], trimmed=trimmed)
        return self

    def choice(self, chosen: npt.NDArray[np.bool_], yes: bytes, no: bytes) -> Lines:
        """Write one of two texts into each line."""
        width = max(len(yes), len(no))
        written = [np.frombuffer(text.ljust(width, b"\0"), dtype=np.uint8)[:, None] for text in (yes, no)]
        self._columns.append(np.where(chosen, written[0], written[1]))
        return self

    def texts(self, values: list[bytes]) -> Lines:
        """Write a text of its own into each line."""
        width = max(map(len, values), default=0)
        written = b"".join(text.ljust(width, b"\0") for text in values)
        self._columns.append(np.frombuffer(written, dtype=np.uint8).reshape(self._count, width).T)
        return self

    def join(self) -> bytes:
        """Return all lines as one text."""
        if not self._count:
            return b""
        text = np.concatenate(self._columns).T.ravel()
        joined: bytes = text[text != _NOTHING].tobytes()
        return joined

    def _fraction(self, digits: Bytes, *, trimmed: bool) -> None:
        point = np.full(self._count, _POINT, dtype=np.uint8)
        if trimmed:
            empty = np.ones(self._count, dtype=np.bool_)
            for place in range(len(digits) - 1, -1, -1):
                empty &= digits[place] == _ZERO
                digits[place][empty] = _NOTHING
            point[empty] = _NOTHING
        self._columns += [point[None, :], digits]
