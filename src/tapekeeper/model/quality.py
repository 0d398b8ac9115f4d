"""Quality: a question about data, and what a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tapekeeper.clock import format_moment, parse_moment
from tapekeeper.model.gap import Sequences
from tapekeeper.model.series import Dataset, dataset_named
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
    sequences: Sequences | None = None
    """Which numbers, where the venue counts; the window then reaches from the event before them to the one after."""


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

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> CheckResult:
        """Return what `as_json` has written."""
        kept = {name: told[name] for name in ("check", "dataset", "checked", "found", "figures", "seconds", "error")}
        return cls(**kept, severity=Severity(told["severity"]), sample=tuple(told["sample"]))

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

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> QualitySummary:
        """Return what `as_json` has written, as it comes out of an XCom."""
        results = tuple(CheckResult.from_json(result) for result in told["checks"])
        start, end = (parse_moment(told[name], now=0) for name in ("window_start", "window_end"))
        request = QualityRequest(
            datasets=tuple(dataset_named(name) for name in told["datasets"]),
            checks=tuple(dict.fromkeys(result.check for result in results)),
            window=Window(start, end),
            is_everything=told["is_everything"],
        )
        kept = ("run_id", "gaps_opened", "gaps_closed", "rows_quarantined", "completeness", "seconds")
        return cls(**{name: told[name] for name in kept}, request=request, results=results)

    @property
    def is_green(self) -> bool:
        """No critical check is red or could not be done."""
        return not any(result.is_alarming for result in self.results)

    def as_json(self) -> dict[str, object]:
        """Return it as an object for a log line, XCom or standard output."""
        return {
            "run_id": self.run_id,
            "state": "green" if self.is_green else "red",
            "datasets": [dataset.name for dataset in self.request.datasets],
            "window_start": format_moment(self.request.window.start),
            "window_end": format_moment(self.request.window.end),
            "is_everything": self.request.is_everything,
            "gaps_opened": self.gaps_opened,
            "gaps_closed": self.gaps_closed,
            "rows_quarantined": self.rows_quarantined,
            "completeness": {dataset: dict(windows) for dataset, windows in self.completeness.items()},
            "checks": [result.as_json() for result in self.results],
            "seconds": round(self.seconds, 3),
        }
