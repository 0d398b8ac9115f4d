"""The datasets that the reader of a dashboard chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.queries import sql

if TYPE_CHECKING:
    from grafana.generator.dashboard import Dashboard

CHOSEN: Final = 'dataset=~"${dataset:regex}"'
"""A matcher of PromQL.

In SQL it is `dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])`: before the first series there is nothing to choose,
and `IN ()` would be no SQL.
"""


def with_datasets(dashboard: Dashboard) -> Dashboard:
    """Let the reader choose datasets, all of them at first."""
    return dashboard.variable(
        "dataset", "Dataset", sql("SELECT DISTINCT dataset FROM series ORDER BY dataset LIMIT 100")
    )
