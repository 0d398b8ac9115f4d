"""What the recording rules would have recorded of the history, and which alerts would have fired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.observability.live.grafana_time import seconds_of
from tests.observability.live.history import Series, moments, write_blocks
from tests.observability.live.servers import running_prometheus
from tests.observability.rules import alerts, recorded, rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

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
    """Add to blocks what our rules make of them; alerts look at what was recorded, so they come last."""
    turns = list(in_turns([rule for rule in rules() if "record" in rule]))
    for number, turn in enumerate([*turns, alerts()]):
        with running_prometheus(folder / f"turn-{number}", {}, history=blocks) as prometheus:
            found = [series for rule in turn for series in _evaluated(prometheus, rule, of)]
        write_blocks(found, moments(of), folder)


def _evaluated(prometheus: Prometheus, rule: Rule, of: list[Part]) -> Iterator[Series]:
    """Yield what a rule gives: what it records, or when its alert fired."""
    times = moments(of)
    for told, values in _asked(prometheus, rule["expr"], of, times):
        labels = {**told, **rule.get("labels", {})}
        if "record" in rule:
            yield Series(rule["record"], labels, values)
        else:
            firing = np.where(held_for(times, values, seconds_of(rule.get("for", "0s"))), 1.0, np.nan)
            yield Series("ALERTS", {"alertname": rule["alert"], "alertstate": "firing", **labels}, firing)


def held_for(times: Numbers, values: Numbers, seconds: int) -> NDArray[np.bool_]:
    """Return when there had been a value without a pause for so long."""
    began = np.maximum.accumulate(np.where(np.isnan(values), times, -np.inf))
    held: NDArray[np.bool_] = ~np.isnan(values) & (times - began > seconds)
    return held


def _asked(
    prometheus: Prometheus, expression: str, of: list[Part], times: Numbers
) -> Iterable[tuple[Mapping[str, str], Numbers]]:
    found: dict[frozenset[tuple[str, str]], Numbers] = {}
    for part in of:
        asked = {"start": part.first, "end": part.last, "step": part.step}
        for one in prometheus.ask("query_range", query=expression, **asked)["result"]:
            labels = frozenset((name, value) for name, value in one["metric"].items() if name != "__name__")
            values = found.setdefault(labels, np.full_like(times, np.nan))
            moment, value = np.array(one["values"], dtype=np.float64).T
            values[np.searchsorted(times, moment)] = value
    return [(dict(sorted(labels)), values) for labels, values in found.items()]
