"""What the alerting rules say, so that a dashboard draws the line of an alert and leads to its runbook."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

_RULES: Final = Path(__file__).parents[2] / "prometheus" / "rules"


@cache
def _rules() -> list[dict[str, Any]]:
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(_RULES.glob("*.yml"))]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def threshold(name: str) -> float:
    """Give the number of `tapekeeper:NAME:threshold` or `:objective` in prometheus/rules/thresholds.yml.

    Raises:
        KeyError: no such threshold.
    """
    records = (f"tapekeeper:{name}:threshold", f"tapekeeper:{name}:objective")
    for rule in _rules():
        if rule.get("record") in records:
            return float(rule["expr"].removeprefix("vector(").removesuffix(")"))
    raise KeyError(f"prometheus/rules/thresholds.yml has no {' and no '.join(records)}")


def runbook(alert: str) -> str:
    """Give the address of an alert's runbook.

    Raises:
        KeyError: no such alert.
    """
    for rule in _rules():
        if rule.get("alert") == alert:
            return str(rule["annotations"]["runbook_url"])
    raise KeyError(f"prometheus/rules has no alert {alert}")
