"""What is asked of every dataset: how old it may be, and how it stands."""

from __future__ import annotations

from typing import Final

from grafana.generator.panels import Steps, named
from tapekeeper.model.series import DATASETS, Dataset
from tapekeeper.status import STALE_AFTER_INTERVALS

STATES: Final = named({0: ("fresh", "dark-green"), 1: ("late", "orange"), 2: ("stale", "red")})
"""Words and colours of what `state` gives."""


def age(dataset: Dataset) -> str:
    """Ask how many seconds ago the newest event of a dataset happened."""
    return f'time() - max by (dataset) (tapekeeper_dataset_last_event_timestamp_seconds{{dataset="{dataset.name}"}})'


def state(dataset: Dataset) -> str:
    """Ask whether a dataset is fresh (0), older than new rows are expected (1), or stale (2)."""
    late, stale = (value for value, _ in age_steps(dataset)[1:])
    return f"(({age(dataset)}) > bool {late:g}) + (({age(dataset)}) > bool {stale:g})"


def states() -> str:
    """Ask for the state of every dataset at once."""
    return " or ".join(state(dataset) for dataset in DATASETS.values())


def age_steps(dataset: Dataset) -> Steps:
    """Give the colours of an age: late when new rows are overdue, stale as on the status page."""
    interval = dataset.target_interval_seconds
    return ((None, "green"), (interval, "orange"), (STALE_AFTER_INTERVALS * interval, "red"))
