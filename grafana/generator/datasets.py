"""What is asked of every dataset: how old it is, and how old it may be."""

from __future__ import annotations

from typing import Final

from grafana.generator.panels import Steps, named
from tapekeeper.model.series import DATASETS
from tapekeeper.status import STALE_AFTER_INTERVALS

_NEWEST: Final = "tapekeeper_dataset_last_event_timestamp_seconds"
AGES: Final = f"time() - max by (dataset) ({_NEWEST})"
"""How many seconds ago the newest event of each dataset happened."""
INTERVAL_STEPS: Final[Steps] = ((None, "green"), (1, "orange"), (STALE_AFTER_INTERVALS, "red"))
"""Colours of an age in intervals: late when new rows are due, stale as on the status page."""
STATES: Final = named({0: ("fresh", "dark-green"), 1: ("late", "orange"), 2: ("stale", "red")})
"""Words and colours of what `states` gives."""


def ages_in_intervals() -> str:
    """Ask how many times the interval in which new rows are expected each dataset is old."""
    return " or ".join(
        f'(time() - max by (dataset) ({_NEWEST}{{dataset="{name}"}})) / {dataset.target_interval_seconds}'
        for name, dataset in DATASETS.items()
    )


def states() -> str:
    """Ask whether each dataset is fresh (0), late (1) or stale (2)."""
    return f"(({ages_in_intervals()}) > bool 1) + (({ages_in_intervals()}) > bool {STALE_AFTER_INTERVALS})"
