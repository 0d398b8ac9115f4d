"""What looks after the rules notices a rule, a case, a metric or a runbook that does not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.observability import rule_checks
from tests.observability.rules import PROMETHEUS, load

Change = Callable[[Path], object]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The folder of the rules, to be broken."""
    return Path(shutil.copytree(PROMETHEUS, tmp_path / "prometheus"))


def written(file: str, old: str, new: str) -> Change:
    """Write a part of a file in another way."""

    def change(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")

    return change


def without_looks(file: str, alert: str, *, firing: bool) -> Change:
    """Leave out what a file of tests expects of an alert."""

    def leave(check: dict[str, Any]) -> bool:
        return alert in check["expr"] and bool(check["exp_samples"]) is firing

    def change(folder: Path) -> None:
        told = load(folder / file)
        for case in told["tests"]:
            case["promql_expr_test"] = [check for check in case["promql_expr_test"] if not leave(check)]
        (folder / file).write_text(yaml.safe_dump(told), encoding="utf-8")

    return change


def without_deaths(file: str) -> Change:
    return written(file, "died", "went on")


def without_runbook(name: str) -> Change:
    return lambda folder: (folder / "runbooks" / f"{name}.md").unlink()


def with_runbook(name: str) -> Change:
    return lambda folder: (folder / "runbooks" / f"{name}.md").write_text(f"# {name}\n", encoding="utf-8")


CASES = "tests/gaps.yml"
RULES = "rules/gaps.yml"
BROKEN = [
    ("unproven_alerts", without_looks(CASES, "GapsGrowing", firing=True), "GapsGrowing is never seen firing"),
    ("unproven_alerts", without_looks(CASES, "GapsGrowing", firing=False), "GapsGrowing is never seen silent"),
    (
        "unproven_alerts",
        without_looks("tests/budgets.yml", 'FreshnessBudgetBurn", alertstate="firing", speed="slow"', firing=True),
        "FreshnessBudgetBurn slow is never seen firing",
    ),
    (
        "unproven_alerts",
        without_looks("tests/monitoring.yml", "Watchdog", firing=True),
        "Watchdog is never seen firing",
    ),
    (
        "ages_without_a_death",
        without_deaths(CASES),
        "GapNotRepairedIn24h is never seen firing after its process died",
    ),
    (
        "ages_without_a_death",
        without_deaths("tests/collector.yml"),
        "TicksStale is never seen firing after its process died",
    ),
    (
        "ages_without_a_death",
        written("tests/quality.yml", "stale", "_"),
        "QualityRunOverdue is never seen firing after its process died",
    ),
    (
        "ages_that_can_end",
        written(
            RULES,
            "max by (dataset) (last_over_time(tapekeeper_gap_oldest_open_timestamp_seconds[1h]))",
            "max by (dataset) (tapekeeper_gap_oldest_open_timestamp_seconds)",
        ),
        "dataset:tapekeeper_gap_oldest_open_age:seconds ends with the process that tells it",
    ),
    (
        "unknown_metrics",
        written(RULES, "tapekeeper_gap_longest_open_seconds", "tapekeeper_gap_longest_seconds"),
        "gaps.yml asks for tapekeeper_gap_longest_seconds",
    ),
    (
        "unknown_metrics",
        written("rules/quality.yml", 'status{severity="critical"', 'status{level="critical"'),
        "quality.yml asks tapekeeper_quality_check_status for ['level']",
    ),
    (
        "unknown_metrics",
        written("tests/collector.yml", "tapekeeper_collector_connected{", 'tapekeeper_collector_connected{venue="x", '),
        "collector.yml invents tapekeeper_collector_connected{venue=",
    ),
    ("strayed_runbooks", without_runbook("RowsDropped"), "RowsDropped has no runbook"),
    ("strayed_runbooks", with_runbook("RowsLost"), "no alert leads to RowsLost.md"),
    (
        "strayed_runbooks",
        written("rules/collector.yml", "runbooks/RowsDropped.md", "runbooks/DecodeErrors.md"),
        "RowsDropped leads to ",
    ),
]


@pytest.mark.parametrize(
    ("check", "change", "told"), BROKEN, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(BROKEN)]
)
def test_what_does_not_fit_is_noticed(copied: Path, check: str, change: Change, told: str) -> None:
    change(copied)
    assert [sentence for sentence in getattr(rule_checks, check)(copied) if sentence.startswith(told)]
