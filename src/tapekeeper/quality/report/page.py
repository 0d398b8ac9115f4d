"""The page that an operator opens in the morning: one file that asks for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from tapekeeper.model.quality import CheckResult, CheckStatus, Severity
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.report import words
from tapekeeper.store.completeness import WINDOWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tapekeeper.model.quality import QualitySummary
    from tapekeeper.quality.report.calendar import Calendar
    from tapekeeper.quality.report.trend import Trend
    from tapekeeper.store.report_queries import ReportedGap, RunOrigin

SAMPLE_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page tells."""

    summary: QualitySummary
    origin: RunOrigin | None
    written_at: datetime
    trends: Sequence[Trend]
    calendar: Calendar
    open_gaps: Sequence[ReportedGap]
    open_gaps_in_all: int
    closed_gaps: Sequence[ReportedGap]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the run means, in plain words."""

    state: str
    """red, warning or green."""
    headline: str
    reasons: tuple[str, ...]
    """One sentence for each check that is not green, critical ones first."""


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One check of one dataset as the page shows it."""

    result: CheckResult
    state: str
    """green, warning, red or error."""
    word: str
    told: str


def render(page: Page) -> str:
    """Return the page as HTML; whatever comes from outside is escaped."""
    summary = page.summary
    by_dataset: dict[str, list[CheckLine]] = {dataset.name: [] for dataset in summary.request.datasets}
    for result in sorted(summary.results, key=_urgency):
        by_dataset.setdefault(result.dataset, []).append(_line(result))
    template = _templates().get_template("report.html")
    return template.render(
        page=page,
        summary=summary,
        verdict=verdict(summary),
        checks={dataset: lines for dataset, lines in by_dataset.items() if lines},
    )


def verdict(summary: QualitySummary) -> Verdict:
    """Return what a run means to somebody who has to decide whether to get up."""
    alarming = [result for result in summary.results if result.is_alarming]
    unusual = [result for result in summary.results if not _is_green(result) and not result.is_alarming]
    reasons = tuple(_reason(result) for result in (*alarming, *unusual))
    if alarming:
        not_done = sum(result.error is not None for result in alarming)
        red = len(alarming) - not_done
        told = [f"{red:,} red" if red else "", f"{not_done:,} not done" if not_done else ""]
        among = f"of {words.count(len(summary.results), 'check')} {' and '.join(word for word in told if word)}"
        return Verdict("red", f"Somebody has to look: {among}", reasons)
    if unusual:
        return Verdict("warning", f"No data are wrong or missing; {words.count(len(unusual), 'warning')}", reasons)
    return Verdict("green", "All is well: every check is green", ())


def _reason(result: CheckResult) -> str:
    return f"{result.check.replace('_', ' ')} in {result.dataset}: {_line(result).told}"


def _line(result: CheckResult) -> CheckLine:
    if result.error is not None:
        return CheckLine(result, "error", "NOT DONE", f"could not be done: {result.error}")
    told = f"{result.found:,} found in {result.checked:,} looked at"
    if _is_green(result):
        return CheckLine(result, "green", "OK", f"{result.checked:,} looked at")
    if result.severity is Severity.CRITICAL:
        return CheckLine(result, "red", "RED", told)
    return CheckLine(result, "warning", "WARNING", told)


def _urgency(result: CheckResult) -> tuple[bool, bool]:
    return (not result.is_alarming, _is_green(result))


def _is_green(result: CheckResult) -> bool:
    return result.status is CheckStatus.GREEN


@lru_cache(maxsize=1)
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("tapekeeper.quality.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "count": words.count,
        "duration": words.duration,
        "minute": words.minute,
        "moment": words.moment,
        "plain": words.plain,
        "ratio_percent": words.ratio_percent,
    }
    templates.globals |= {
        "series_name": words.series_name,
        "sample_shown": SAMPLE_SHOWN,
        "windows": tuple(WINDOWS.values()),
        "questions": {name: check.question for name, check in CHECKS.items()},
    }
    return templates
