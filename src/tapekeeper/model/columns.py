"""Rows that travel as columns: numpy arrays of equal length in the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """n rows; every field that is an array is a column of shape (n,), others speak of all rows."""

    def select(self, mask: npt.NDArray[np.bool_]) -> Self:
        """Return the rows where the mask, of shape (n,), is true."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[mask] for name, value in held.items() if isinstance(value, np.ndarray)})
