"""A dataset of a venue with a simulator and a database of its own: what a person does with them, and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tapekeeper.clock import now_microseconds
from tapekeeper.quality.job import QualityJob
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import read_settings
from tests.support.command_line import json_of, run_tapekeeper
from tests.support.truth import Row, one_value, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.model.quality import QualitySummary
    from tests.acceptance.venues.subject import Subject, Venue
    from tests.support.simulator import Simulator

PATIENT: Final = {
    "TAPEKEEPER_HTTP_TIMEOUT_SECONDS": "5",
    "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.05",
    "TAPEKEEPER_HTTP_BACKOFF_LONGEST_SECONDS": "1",
    "TAPEKEEPER_HTTP_ATTEMPTS_MAXIMUM": "50",
    "TAPEKEEPER_BACKFILL_ATTEMPTS_PER_CHUNK": "50",
}
"""Tries enough for any storm."""


@dataclass(frozen=True)
class Scene:
    """One dataset, one simulator, one database."""

    venue: Venue
    subject: Subject
    simulator: Simulator
    url: str

    @property
    def settings(self) -> dict[str, str]:
        """All settings of a process; the venue's limits begin anew."""
        return {
            "TAPEKEEPER_DATABASE_URL": self.url,
            **PATIENT,
            **self.venue.settings(self.simulator),
            **self.subject.settings,
        }

    def backfill(self, command: tuple[str, ...], *more: str, changes: Mapping[str, str] | None = None) -> Any:
        """Run a command to its end and return what it tells of the dataset."""
        output, _ = run_tapekeeper([*command, *more], {**self.settings, **(changes or {})})
        return self.subject.total(json_of(output))

    def rows(self) -> int:
        """Return how many rows the tables of the dataset hold."""
        return int(one_value(self.url, f"SELECT count(*) FROM {self.subject.dataset.table}"))

    def versions(self) -> set[Row]:
        """Return which version of each row is held; a row that is written again has another one."""
        table = self.subject.dataset.table
        return set(query(self.url, f"SELECT tableoid, xmin::text, ctid::text FROM {table}"))

    def assert_all_is_true(self) -> None:
        """Everything that was asked for is held as the venue has it, nothing twice, and nothing beside it."""
        compared = 0
        for followed in self.subject.followed(self.url):
            held, truth = self.subject.held(self.url, followed), self.subject.truth(self.simulator, followed)
            assert held == truth, f"{followed.instrument_name} {followed.window}"
            assert held
            compared += len(held)
        assert compared == self.rows()
        assert compared == one_value(self.url, "SELECT sum(held) FROM coverage")
        assert compared == one_value(self.url, "SELECT sum(rows_held) FROM series_totals")

    def check(self) -> QualitySummary:
        """Ask all checks of all days."""
        with QualityJob(read_settings(self.settings)) as job:
            request = job.request([self.subject.dataset.name], "all", None)
            return job.run(request, f"test/{now_microseconds()}", by="test")

    def repair(self, *, permanent_after_hours: float) -> None:
        """Repair every gap that is not closed, whenever its turn would have been."""
        hours = {"TAPEKEEPER_REPAIR_PERMANENT_AFTER_HOURS": str(permanent_after_hours)}
        with RepairJob(read_settings({**self.settings, **hours})) as job:
            for (gap_id,) in query(self.url, "SELECT gap_id FROM data_gaps WHERE closed_at IS NULL ORDER BY gap_id"):
                assert job.repair(gap_id, by="test").troubles == ()

    def red_days(self) -> int:
        """Return how many days lack something that nobody explains."""
        return int(one_value(self.url, "SELECT count(*) FROM series_days WHERE state = 'red'"))
