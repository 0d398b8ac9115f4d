"""Quality: a question about data, and what a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tapekeeper.model.series import Dataset
from tapekeeper.model.window import Window


class Severity(StrEnum):
    """What a finding means."""

    CRITICAL = "critical"
    """Data are missing or wrong: the run is red, and somebody has to look."""
    WARNING = "warning"
    """Something is unusual; it may be the market."""


class CheckStatus(StrEnum):
    """How a check ended."""

    GREEN = "green"
    RED = "red"
    ERROR = "error"
    """The check itself could not be done; nothing is known."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Missing rows between two held ones, or before the first, or after the last."""

    series_id: int
    window: Window
    missing: int
    """Grid points, or sequence numbers."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found in one dataset."""

    check: str
    dataset: str
    severity: Severity
    checked: int
    """How many rows, days or windows were looked at."""
    found: int
    """How many of them are not as they should be."""
    figures: Mapping[str, object] = field(default_factory=dict)
    """Numbers that describe the whole, ready for JSON."""
    sample: tuple[Mapping[str, object], ...] = ()
    """Some of what was found, worst first, ready for JSON."""
    seconds: float = 0.0
    error: str | None = None
    """Why the check could not be done."""

    @property
    def status(self) -> CheckStatus:
        """How the check ended."""
        if self.error is not None:
            return CheckStatus.ERROR
        return CheckStatus.RED if self.found else CheckStatus.GREEN

    @property
    def is_alarming(self) -> bool:
        """It makes the whole run red: critical, and not green."""
        return self.severity is Severity.CRITICAL and self.status is not CheckStatus.GREEN

    def as_json(self) -> dict[str, object]:
        """Return it as one flat object."""
        return {
            "check": self.check,
            "dataset": self.dataset,
            "severity": self.severity.value,
            "status": self.status.value,
            "checked": self.checked,
            "found": self.found,
            "figures": dict(self.figures),
            "sample": [dict(one) for one in self.sample],
            "seconds": round(self.seconds, 4),
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class QualityRequest:
    """What somebody wants to know."""

    datasets: tuple[Dataset, ...]
    checks: tuple[str, ...]
    """Names of checks."""
    window: Window
    is_everything: bool = False
    """The window begins with the first row; samples are taken in full."""


@dataclass(frozen=True, slots=True)
class QualitySummary:
    """What a quality run found."""

    run_id: int
    request: QualityRequest
    results: tuple[CheckResult, ...]
    gaps_opened: int
    gaps_closed: int
    rows_quarantined: int
    completeness: Mapping[str, Mapping[str, float | None]]
    """By dataset, then by `24h`, `7d`, `30d`: from 0 to 1; None where nothing is expected."""
    seconds: float

    @property
    def is_green(self) -> bool:
        """No critical check is red or could not be done."""
        return not any(result.is_alarming for result in self.results)

    def as_json(self) -> dict[str, object]:
        """Return it as an object for a log line, XCom or standard output."""
        return {
            "run_id": self.run_id,
            "state": "green" if self.is_green else "red",
            "window_start": None if self.request.is_everything else str(self.request.window.as_datetimes()[0]),
            "window_end": str(self.request.window.as_datetimes()[1]),
            "gaps_opened": self.gaps_opened,
            "gaps_closed": self.gaps_closed,
            "rows_quarantined": self.rows_quarantined,
            "completeness": {dataset: dict(windows) for dataset, windows in self.completeness.items()},
            "checks": [result.as_json() for result in self.results],
            "seconds": round(self.seconds, 3),
        }
