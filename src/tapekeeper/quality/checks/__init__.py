"""The checks, each a question about the rows or the account of one dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.quality.checks.anomaly import Anomaly
from tapekeeper.quality.checks.duplicates import Duplicates
from tapekeeper.quality.checks.exact_count import ExactCount
from tapekeeper.quality.checks.freshness import Freshness
from tapekeeper.quality.checks.funding_sanity import FundingSanity
from tapekeeper.quality.checks.gap_detection import GapDetection
from tapekeeper.quality.checks.long_gaps import LongGaps
from tapekeeper.quality.checks.ohlcv_sanity import OhlcvSanity
from tapekeeper.quality.checks.price_jump import PriceJump
from tapekeeper.quality.checks.refetch import Refetch
from tapekeeper.quality.checks.resolution_agreement import ResolutionAgreement
from tapekeeper.quality.checks.row_counts import RowCounts
from tapekeeper.quality.checks.tick_grid import TickGrid
from tapekeeper.quality.checks.trade_sequence import TradeSequence
from tapekeeper.quality.checks.untold import Untold
from tapekeeper.quality.checks.volume_agreement import VolumeAgreement

if TYPE_CHECKING:
    from tapekeeper.quality.checks.check import Check

_ALL: Final[tuple[Check, ...]] = (
    GapDetection(),
    LongGaps(),
    OhlcvSanity(),
    FundingSanity(),
    TickGrid(),
    PriceJump(),
    RowCounts(),
    Freshness(),
    TradeSequence(),
    Untold(),
    Duplicates(),
    Anomaly(),
    ResolutionAgreement(),
    VolumeAgreement(),
    Refetch(),
    ExactCount(),
)
CHECKS: Final[dict[str, Check]] = {check.name: check for check in _ALL}
"""By name, in the order in which they run."""
