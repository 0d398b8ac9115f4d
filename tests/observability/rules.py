"""The rules of prometheus/ as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

PROMETHEUS: Final = Path(__file__).parents[2] / "prometheus"
RUNBOOKS: Final = PROMETHEUS / "runbooks"
RULE_FILES: Final = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES: Final = sorted((PROMETHEUS / "tests").glob("*.yml"))
_METRIC: Final = re.compile(r"(?<![\w:])tapekeeper_\w+(?![\w:])")
_FIRING: Final = re.compile(r'count\(ALERTS\{alertname="(\w+)", alertstate="firing"(.*)\}\)')


def load(file: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Seen:
    """One look of a test at an alert."""

    alert: str
    selector: str
    """Further labels that were asked for, as they are written."""
    firing: bool


def rules() -> list[dict[str, Any]]:
    """Return every rule, recording ones and alerts."""
    return [rule for file in RULE_FILES for group in load(file)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Return every alert; some come more than once, with other labels."""
    return [rule for rule in rules() if "alert" in rule]


def metrics(expression: str) -> set[str]:
    """Return the names of this project's metrics in an expression, those of recording rules left out."""
    return set(_METRIC.findall(expression))


def recorded(expression: str) -> set[str]:
    """Return the names of recording rules in an expression."""
    return set(re.findall(r"\b\w+:\w+:\w+\b", expression))


def looks(file: Path) -> list[Seen]:
    """Return every look at an alert in a file of tests."""
    seen = []
    for case in load(file)["tests"]:
        for check in case["promql_expr_test"]:
            matched = _FIRING.fullmatch(check["expr"])
            assert matched is not None, f"{file.name}: not a look at one alert: {check['expr']}"
            seen.append(Seen(matched[1], matched[2], bool(check["exp_samples"])))
    return seen
