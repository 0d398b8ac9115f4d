"""What the recording rules would have recorded of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.observability.live.history import Series, moments, write_blocks
from tests.observability.live.servers import running_prometheus
from tests.observability.rules import recorded, rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.observability.live.history import Numbers, Part
    from tests.observability.live.servers import Prometheus

Rule = dict[str, Any]


def in_turns(waiting: list[Rule]) -> Iterator[list[Rule]]:
    """Yield recording rules so that what a rule looks at was yielded before."""
    while waiting:
        names = {rule["record"] for rule in waiting}
        turn = [rule for rule in waiting if not recorded(rule["expr"]) & names]
        assert turn, f"these rules look at each other: {sorted(names)}"
        yield turn
        waiting = [rule for rule in waiting if rule not in turn]


def record(blocks: Path, of: list[Part], folder: Path) -> None:
    """Add to blocks what our rules make of them."""
    for number, turn in enumerate(in_turns([rule for rule in rules() if "record" in rule])):
        with running_prometheus(folder / f"turn-{number}", {}, history=blocks) as prometheus:
            found = [series for rule in turn for series in _evaluated(prometheus, rule, of)]
        write_blocks(found, moments(of), folder)


def _evaluated(prometheus: Prometheus, rule: Rule, of: list[Part]) -> list[Series]:
    times = moments(of)
    found: dict[tuple[tuple[str, str], ...], Numbers] = {}
    for part in of:
        asked = {"query": rule["expr"], "start": part.first, "end": part.last, "step": part.step}
        for one in prometheus.ask("query_range", **asked)["result"]:
            labels = {**one["metric"], **rule.get("labels", {})}
            labels.pop("__name__", None)
            values = found.setdefault(tuple(sorted(labels.items())), np.full_like(times, np.nan))
            moment, value = np.array(one["values"], dtype=np.float64).T
            values[np.searchsorted(times, moment)] = value
    return [Series(rule["record"], dict(labels), values) for labels, values in found.items()]
