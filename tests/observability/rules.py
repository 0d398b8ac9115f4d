"""The rules of prometheus/ as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

PROMETHEUS: Final = Path(__file__).parents[2] / "prometheus"
RUNBOOKS: Final = PROMETHEUS / "runbooks"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe one, of C where there is one: the cases of budgets are long."""
_METRIC: Final = re.compile(r"(?<![\w:])tapekeeper_\w+(?![\w:])")
_FIRING: Final = re.compile(r'count\(ALERTS\{alertname="(\w+)", alertstate="firing"(.*)\}\)')


def load(file: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)


@dataclass(frozen=True)
class Seen:
    """One look of a test at an alert."""

    alert: str
    selector: str
    """Further labels that were asked for, as they are written."""
    firing: bool


def rule_files(folder: Path = PROMETHEUS) -> list[Path]:
    """Return the files of rules of a folder that is laid out as prometheus/."""
    return sorted((folder / "rules").glob("*.yml"))


def case_files(folder: Path = PROMETHEUS) -> list[Path]:
    """Return the files with the rules' tests."""
    return sorted((folder / "tests").glob("*.yml"))


def rules(folder: Path = PROMETHEUS) -> list[dict[str, Any]]:
    """Return every rule, recording ones and alerts."""
    return [rule for file in rule_files(folder) for group in load(file)["groups"] for rule in group["rules"]]


def alerts(folder: Path = PROMETHEUS) -> list[dict[str, Any]]:
    """Return every alert; some come more than once, with other labels."""
    return [rule for rule in rules(folder) if "alert" in rule]


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
