"""What is asked of every dataset: how old it is, and how old it may be."""

from __future__ import annotations

from itertools import cycle
from typing import Final

from grafana.generator.panels import Steps, coloured, named
from tapekeeper.model.series import DATASETS
from tapekeeper.status import STALE_AFTER_INTERVALS

_NEWEST: Final = "tapekeeper_dataset_last_event_timestamp_seconds"
AGES: Final = f"time() - max by (dataset) ({_NEWEST})"
"""How many seconds ago the newest event of each dataset happened."""
LATE_AFTER_INTERVALS: Final = 1.5
"""Once an interval new rows come, and the newest candle is then as old as it is long, and what fetching it took."""
INTERVAL_STEPS: Final[Steps] = ((None, "green"), (LATE_AFTER_INTERVALS, "orange"), (STALE_AFTER_INTERVALS, "red"))
"""Colours of an age in intervals; stale as on the status page."""
STATES: Final = named({0: ("fresh", "dark-green"), 1: ("late", "orange"), 2: ("stale", "red")})
"""Words and colours of what `states` gives."""

_HUES: Final = ("blue", "purple", "green", "yellow", "light-blue", "light-purple", "light-green", "light-yellow")
COLOURS: Final = coloured(dict(zip(DATASETS, cycle(_HUES), strict=False)))
"""Each dataset has its own in every graph, and none has that of an alert."""


def ages_in_intervals() -> str:
    """Ask how many times the interval in which new rows are expected each dataset is old."""
    return " or ".join(
        f'(time() - max by (dataset) ({_NEWEST}{{dataset="{name}"}})) / {dataset.target_interval_seconds}'
        for name, dataset in DATASETS.items()
    )


def states() -> str:
    """Ask whether each dataset is fresh (0), late (1) or stale (2)."""
    limits = (LATE_AFTER_INTERVALS, STALE_AFTER_INTERVALS)
    return " + ".join(f"(({ages_in_intervals()}) > bool {limit})" for limit in limits)
