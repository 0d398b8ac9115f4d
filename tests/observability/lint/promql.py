"""What an expression of PromQL asks for, metric by metric."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import promql_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_INTERVAL: Final = 7919.0
"""Stands for Grafana's $__rate_interval where a window is told in seconds; nobody would write it."""
RANGE: Final = 7907.0
"""Stands for $__range likewise."""
COUNTS: Final = frozenset({"rate", "irate", "increase"})
"""Functions that make a number of a counter."""
ARITHMETIC: Final = frozenset("+-*/%^")
COMPARISONS: Final = frozenset({"==", "!=", "<", ">", "<=", ">="})
_OF_SETS: Final = frozenset({"and", "or", "unless"})
_KEEPS_THE_LEVEL: Final = frozenset(
    {"last_over_time", "max_over_time", "min_over_time", "avg_over_time", "sort", "sort_desc", "label_replace"}
)
_INSTEAD: Final = (
    (r"\$\{?__rate_interval\}?", f"{RATE_INTERVAL:.0f}s"),
    (r"\$\{?__range_s\}?", "3600"),
    (r"\$\{?__range\}?", f"{RANGE:.0f}s"),
    (r"\$\{?__interval_ms\}?", "60000"),
    (r"\$\{?__interval\}?", "1m"),
    (r"\$\{\w+(?::\w+)?\}|\$[A-Za-z_]\w*", "x"),
)


@dataclass(frozen=True, slots=True)
class Use:
    """One metric in an expression."""

    metric: str
    labels: frozenset[str] = frozenset()
    """That its selector asks for."""
    functions: tuple[str, ...] = ()
    """Around it, the outermost first."""
    window: float | None = None
    """Of its range, in seconds."""
    is_level: bool = True
    """Whether its values are shown as they are, or the greatest or latest of them: neither a change of them nor
    computed with another number."""

    @property
    def counted_by(self) -> str | None:
        """Give the function that makes a number of a counter, where there is one."""
        return next((name for name in self.functions if name in COUNTS), None)


def as_sent(expression: str) -> str:
    """Return an expression as Grafana would send it, with something in place of its variables."""
    for pattern, text in _INSTEAD:
        expression = re.sub(pattern, text, expression)
    return expression


def parse(expression: str) -> promql_parser.Expr:
    """Read an expression with variables in it.

    Raises:
        ValueError: Prometheus would refuse it; the message says where.
    """
    return promql_parser.parse(as_sent(expression))


def uses(node: promql_parser.Expr, around: Use = Use("")) -> Iterator[Use]:
    """Yield every metric below a node; `around` is what was seen above it."""
    if isinstance(node, promql_parser.VectorSelector):
        matchers = node.matchers.matchers
        name = node.name or next((matcher.value for matcher in matchers if matcher.name == "__name__"), "")
        yield replace(around, metric=name, labels=frozenset(matcher.name for matcher in matchers) - {"__name__"})
        return
    if isinstance(node, promql_parser.MatrixSelector):
        around = replace(around, window=node.range.total_seconds())
    elif isinstance(node, promql_parser.Call):
        name = node.func.name
        is_level = around.is_level and name in _KEEPS_THE_LEVEL
        around = replace(around, functions=(*around.functions, name), is_level=is_level)
    elif isinstance(node, promql_parser.BinaryExpr):
        around = replace(around, is_level=around.is_level and str(node.op) not in ARITHMETIC)
    for child in children(node):
        yield from uses(child, around)


def children(node: promql_parser.Expr) -> list[promql_parser.Expr]:
    """Return the nodes right below one."""
    below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    below += getattr(node, "args", [])
    return [child for child in below if isinstance(child, promql_parser.Expr)]


def comparisons(node: promql_parser.Expr, *, is_guard: bool = False) -> Iterator[tuple[promql_parser.BinaryExpr, bool]]:
    """Yield every comparison that decides about an alert, and whether it only says when to look.

    It decides when nothing is computed with it; it says when to look when it is on the right of an `and`.
    """
    if isinstance(node, promql_parser.ParenExpr):
        yield from comparisons(node.expr, is_guard=is_guard)
    elif isinstance(node, promql_parser.BinaryExpr) and str(node.op) in COMPARISONS:
        yield node, is_guard
    elif isinstance(node, promql_parser.BinaryExpr) and str(node.op) in _OF_SETS:
        yield from comparisons(node.lhs, is_guard=is_guard)
        yield from comparisons(node.rhs, is_guard=is_guard or str(node.op) == "and")
