"""What Prometheus would hold if our programs had run for weeks: what they tell now, told backwards, as blocks.

Nothing is told that a program does not tell, and where a series ends the live one goes on.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.observability.live.past import Past, told_before
from tests.observability.live.servers import instance, program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
DENSITY: Final = ((6 * HOUR, 30), (DAY, 60), (8 * DAY, 150), (40 * DAY, 600))
"""Up to how many seconds ago there is a sample every so many seconds. A range is drawn in some hundred points, and a
rate needs two samples between two of them."""
GAUGES_EVERY: Final = ((DAY, 120), (40 * DAY, 300))
"""The same of what is no counter: Prometheus looks back five minutes for it."""
LONGEST_BLOCK: Final = "1000h"


class Series(NamedTuple):
    """A series and its samples."""

    name: str
    labels: Mapping[str, str]
    values: Numbers
    """One for each moment; what is no number is no sample."""


class Part(NamedTuple):
    """A part of a history with samples at equal distances, on round times, in seconds since 1970."""

    first: int
    last: int
    step: int

    @property
    def times(self) -> Numbers:
        """The moments of the samples, ascending."""
        return np.arange(self.first, self.last + 1, self.step, dtype=np.float64)


def parts(end: float, days: float) -> list[Part]:
    """Return the parts of a history of so many days, oldest first: the older, the rarer."""
    found = []
    newer = 0
    for until, step in DENSITY:
        older = min(until, int(days * DAY))
        if older > newer:
            first, beyond = (-(int(end - ago) // -step) * step for ago in (older, newer))
            found.append(Part(first, beyond - step, step))
        newer = older
    return found[::-1]


def moments(of: list[Part]) -> Numbers:
    """Return the moments of all samples, ascending."""
    return np.concatenate([part.times for part in of])


def told_backwards(job: str, url: str, times: Numbers, *, counted_for: float) -> Iterator[Series]:
    """Yield the history of everything that a program tells at the moment, and of its being up.

    What it counts it has counted for so many seconds.
    """
    yield Series("up", {"job": job, "instance": instance(job)}, np.ones_like(times))
    past = Past(times)
    text = requests.get(f"{url}/metrics", timeout=30).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = {**sample.labels, "job": job, "instance": instance(job)}
                if family.type in ("counter", "histogram"):
                    values = told_before(sample, past, counted_for=counted_for)
                else:
                    values = np.where(_is_told(times), told_before(sample, past, counted_for=None), np.nan)
                yield Series(sample.name, labels, values)


def _is_told(times: Numbers) -> NDArray[np.bool_]:
    """Return which moments have a sample of a gauge."""
    (recent, often), (_, seldom) = GAUGES_EVERY
    told: NDArray[np.bool_] = (times % np.where(times[-1] - times < recent, often, seldom)) == 0
    told[-1] = True
    return told


def write_blocks(series: Iterable[Series], times: Numbers, folder: Path) -> Path:
    """Write series as blocks that Prometheus can begin with, and return their folder."""
    folder.mkdir(exist_ok=True)
    text, blocks = folder / "history.txt", folder / "blocks"
    with text.open("w", encoding="utf-8") as output:
        for name, labels, values in series:
            told = ",".join(f'{label}="{value}"' for label, value in labels.items())
            pairs = zip(values.tolist(), times.tolist(), strict=True)
            output.writelines(f"{name}{{{told}}} {value} {moment}\n" for value, moment in pairs if value == value)
        output.write("# EOF\n")
    command = [program("promtool"), "tsdb", "create-blocks-from", f"--max-block-duration={LONGEST_BLOCK}"]
    subprocess.run([*command, "openmetrics", text, blocks], check=True, capture_output=True)
    text.unlink()
    return blocks
