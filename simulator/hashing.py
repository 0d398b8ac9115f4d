"""Random numbers without a state: a pure function of a key and an index, so that any day can be made first."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np

from tapekeeper.model.candle import Float64Column, Int64Column

_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST_FACTOR: Final = 0xBF58476D1CE4E5B9
_SECOND_FACTOR: Final = 0x94D049BB133111EB
_WORD: Final = 2**64 - 1
_TO_UNIT: Final = 2.0**-53


def key_of(*parts: object) -> int:
    """Return 64 bits that depend on every part and on their order."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def uniform(*parts: object) -> float:
    """Return one number in [0, 1) for these parts."""
    return (key_of(*parts) >> 11) * _TO_UNIT


def uniforms(key: int, indices: Int64Column) -> Float64Column:
    """Return numbers in [0, 1), shape of `indices`; each depends on the key and its own index alone (splitmix64)."""
    mixed = indices.astype(np.uint64)
    mixed *= np.uint64(_GOLDEN)
    mixed += np.uint64(key)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(_FIRST_FACTOR)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(_SECOND_FACTOR)
    mixed ^= mixed >> np.uint64(31)
    mixed >>= np.uint64(11)
    return mixed.astype(np.float64) * _TO_UNIT


def uniform_at(key: int, index: int) -> float:
    """Return what `uniforms` holds for one index, without the price of an array."""
    mixed = (index * _GOLDEN + key) & _WORD
    mixed = ((mixed ^ (mixed >> 30)) * _FIRST_FACTOR) & _WORD
    mixed = ((mixed ^ (mixed >> 27)) * _SECOND_FACTOR) & _WORD
    return ((mixed ^ (mixed >> 31)) >> 11) * _TO_UNIT
