"""The checks, each a question about the rows or the account of one dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.quality.checks.gap_detection import GapDetection
from tapekeeper.quality.checks.row_counts import RowCounts

if TYPE_CHECKING:
    from tapekeeper.quality.checks.check import Check

_ALL: Final[tuple[Check, ...]] = (GapDetection(), RowCounts())
CHECKS: Final[dict[str, Check]] = {check.name: check for check in _ALL}
"""By name, in the order in which they run."""
