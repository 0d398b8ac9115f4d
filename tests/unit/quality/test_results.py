"""What a check and a run say about themselves."""

from __future__ import annotations

import json

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, parse_moment
from tapekeeper.model.quality import CheckResult, CheckStatus, QualityRequest, QualitySummary, Severity
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import Scope
from tapekeeper.settings import Settings

MIDNIGHT = parse_moment("2024-11-21", now=0)
NOON = MIDNIGHT + MICROSECONDS_PER_DAY // 2


def result(severity: Severity = Severity.CRITICAL, *, found: int = 0, error: str | None = None) -> CheckResult:
    return CheckResult(
        check="gap_detection",
        dataset=DERIBIT_PERPETUAL_CANDLES.name,
        severity=severity,
        checked=7,
        found=found,
        figures={"missing": found},
        sample=tuple({"missing": number} for number in range(found)),
        seconds=0.123456,
        error=error,
    )


@pytest.mark.parametrize(
    ("told", "status", "alarms"),
    [
        (result(), CheckStatus.GREEN, False),
        (result(found=2), CheckStatus.RED, True),
        (result(error="no answer"), CheckStatus.ERROR, True),
        (result(Severity.WARNING, found=2), CheckStatus.RED, False),
        (result(Severity.WARNING, error="no answer"), CheckStatus.ERROR, False),
    ],
)
def test_a_result_alarms_when_it_is_critical_and_not_green(
    told: CheckResult, status: CheckStatus, alarms: bool
) -> None:
    assert (told.status, told.is_alarming) == (status, alarms)
    request = QualityRequest((DERIBIT_PERPETUAL_CANDLES,), ("gap_detection",), Window(MIDNIGHT, NOON))
    summary = QualitySummary(1, request, (result(), told), 0, 0, 0, {}, 1.0)
    assert summary.is_green != alarms


def test_a_summary_is_json() -> None:
    request = QualityRequest((DERIBIT_PERPETUAL_CANDLES,), ("gap_detection",), Window(MIDNIGHT, NOON))
    completeness = {DERIBIT_PERPETUAL_CANDLES.name: {"24h": 0.5, "7d": None}}
    summary = QualitySummary(3, request, (result(found=1),), 1, 2, 4, completeness, 1.23456)
    assert json.loads(json.dumps(summary.as_json())) == {
        "run_id": 3,
        "datasets": [DERIBIT_PERPETUAL_CANDLES.name],
        "is_everything": False,
        "state": "red",
        "window_start": "2024-11-21T00:00:00Z",
        "window_end": "2024-11-21T12:00:00Z",
        "gaps_opened": 1,
        "gaps_closed": 2,
        "rows_quarantined": 4,
        "completeness": completeness,
        "checks": [
            {
                "check": "gap_detection",
                "dataset": "deribit.perpetual_candles",
                "severity": "critical",
                "status": "red",
                "checked": 7,
                "found": 1,
                "figures": {"missing": 1},
                "sample": [{"missing": 0}],
                "seconds": 0.1235,
                "error": None,
            }
        ],
        "seconds": 1.235,
    }


@pytest.mark.parametrize(
    ("window", "now", "days"),
    [
        (Window(MIDNIGHT - 1, NOON), NOON, Window(MIDNIGHT - MICROSECONDS_PER_DAY, MIDNIGHT)),
        (Window(MIDNIGHT, NOON), NOON, None),
        (
            Window(MIDNIGHT, MIDNIGHT + 1),
            NOON + MICROSECONDS_PER_DAY,
            Window(MIDNIGHT, MIDNIGHT + MICROSECONDS_PER_DAY),
        ),
        (Window(NOON, NOON + MICROSECONDS_PER_DAY), MIDNIGHT, None),
    ],
)
def test_days_are_judged_whole_and_when_they_are_over(window: Window, now: int, days: Window | None) -> None:
    scope = Scope(DERIBIT_PERPETUAL_CANDLES, window, now, Settings())
    assert scope.closed_days == days
    assert scope.first_day == day_of(window.start)
