"""The same numbers in other words, as the venue writes them: 2200.0 is also 2200 and 2.2e3."""

from __future__ import annotations

import re
from typing import Final

from simulator.hashing import key_of

_FLOAT: Final = re.compile(rb"(?<=[\[,:])-?\d+\.\d+(?=[,\]}])")
_FORMS: Final = 3


def vary(body: bytes, seed: int, request: int) -> bytes:
    """Return the JSON with its decimal numbers written in several forms; every value stays the same double."""
    position = key_of(seed, "number forms", request)

    def write(match: re.Match[bytes]) -> bytes:
        nonlocal position
        position += 1
        text = match[0]
        if position % _FORMS == 0:
            return text
        if position % _FORMS == 1 and text.endswith(b".0"):
            return text[:-2]
        return _exponent(text)

    return _FLOAT.sub(write, body)


def _exponent(text: bytes) -> bytes:
    """Return a decimal number in exponent form, digit for digit: 87456.5 becomes 8.74565e4, 0.005 becomes 5e-3."""
    sign, text = (b"-", text[1:]) if text.startswith(b"-") else (b"", text)
    whole, _, fraction = text.partition(b".")
    digits = (whole + fraction).lstrip(b"0")
    if not digits:
        return sign + b"0e0"
    exponent = len(digits) - len(fraction) - 1
    digits = digits.rstrip(b"0")
    mantissa = digits[:1] + (b"." + digits[1:] if len(digits) > 1 else b"")
    return sign + mantissa + b"e" + str(exponent).encode()
