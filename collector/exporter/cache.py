"""What was read last, family by family: a scrape asks nothing, so it is quick whatever the database does."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector as MetricSource

from collector.exporter.families import PREFIX
from tapekeeper.errors import TapekeeperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.core import Metric

    from collector.exporter.families import Family
    from tapekeeper.store.reader import Reader

REFRESH_SECONDS: Final = 15.0
"""How often each family is read."""
STALE_SECONDS: Final = 90.0
"""What was read longer ago is told no more; a round in which every question runs into its timeout is shorter."""

log = logging.getLogger("collector.exporter")


@dataclass(frozen=True, slots=True)
class _Answer:
    metrics: Sequence[Metric]
    read_at: float
    error: str = ""


class FamilyCache(MetricSource):
    """Publishes the families as they were read last, and which of them could be read.

    A family that could not be read is absent, rather than as it once was: its series end at once, and the rules that
    look at it tell absence from a good value.
    """

    def __init__(self, families: Sequence[Family], reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._families = tuple(families)
        self._reader = reader
        self._clock = clock
        self._answers: dict[str, _Answer] = {}

    def refresh(self, family: Family) -> None:
        """Read a family; the cause of a failure is logged once, until the family can be read again."""
        before = self._answers.get(family.name)
        try:
            answer = _Answer(self._reader.run(family.read), self._clock())
        except TapekeeperError as error:
            answer = _Answer((), self._clock(), str(error))
            if before is None or before.error != answer.error:
                log.warning("%s cannot be read: %s", family.name, error)
        else:
            if before is not None and before.error:
                log.info("%s can be read again", family.name)
        self._answers[family.name] = answer

    def readable(self) -> dict[str, bool]:
        """Return of each family whether it was read lately."""
        return {family.name: self._is_good(family) for family in self._families}

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that is known, and the success of each family."""
        success = GaugeMetricFamily(
            f"{PREFIX}status_query_success", "1 where the family was read, 0 where it could not be.", labels=["family"]
        )
        for name, is_good in self.readable().items():
            success.add_metric([name], float(is_good))
            if is_good:
                yield from self._answers[name].metrics
        yield success

    def _is_good(self, family: Family) -> bool:
        answer = self._answers.get(family.name)
        return answer is not None and not answer.error and self._clock() - answer.read_at < STALE_SECONDS
