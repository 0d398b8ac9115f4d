"""Files of Binance's archive: what is loaded is the truth, and what is wrong with a file is told, healed and proven.

All windows lie in the past: nothing depends on the hour, or on whether the files of this month are there yet.
"""

from __future__ import annotations

import signal
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg2
import pytest

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import now_microseconds, parse_moment
from tapekeeper.model.backfill import BackfillRequest, Mode
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_CANDLES, BINANCE_UM_OPEN_INTEREST
from tapekeeper.model.window import Window
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import read_settings
from tapekeeper.store.database import Database
from tests.acceptance.venues import binance_um
from tests.acceptance.venues.scene import PATIENT, Scene
from tests.acceptance.venues.subject import Followed, milliseconds, rows_of
from tests.support.command_line import run_tapekeeper, start_tapekeeper
from tests.support.processes import wait_for
from tests.support.truth import Row, one_value, query

if TYPE_CHECKING:
    from tapekeeper.model.backfill import RunSummary
    from tapekeeper.model.series import Dataset
    from tests.support.simulator import Simulator

SUBJECTS: Final = {subject.dataset: subject for subject in binance_um.VENUE.subjects}
NAME: Final = "BTCUSDT"


@dataclass(frozen=True)
class Case:
    """Some files of the past, and how the simulator calls them."""

    dataset: Dataset
    start: str
    end: str
    resolution: Resolution
    files: str
    """As in the faults of the archive."""
    period: str
    is_told_by_rest: bool = False
    cause_of_holes: str = "archive_defect"
    """Of what a file leaves out whose checksum is right."""

    @property
    def window(self) -> Window:
        return Window(parse_moment(self.start, now=0), parse_moment(self.end, now=0))

    def fault(self, kind: str, **options: Any) -> dict[str, Any]:
        return {"kind": kind, "instrument": NAME, "dataset": self.files, **options}


FIVE_MINUTES: Final = Resolution(300)
TRADES: Final = Case(BINANCE_UM_AGG_TRADES, "2024-03-01", "2024-03-03", Resolution(0), "aggTrades", "daily")
# The venue itself leaves out periods without a trade, so that a file without them need not be wrong.
INTEREST: Final = Case(
    BINANCE_UM_OPEN_INTEREST, "2024-03-01", "2024-03-03", FIVE_MINUTES, "metrics", "daily", cause_of_holes="unknown"
)
CANDLES: Final = Case(
    BINANCE_UM_CANDLES, "2024-03-01", "2024-04-01", FIVE_MINUTES, "klines", "monthly", is_told_by_rest=True
)
# Files of klines and trades have no header before 2022.
OLD_TRADES: Final = Case(BINANCE_UM_AGG_TRADES, "2021-05-03", "2021-05-04", Resolution(0), "aggTrades", "daily")
OLD_CANDLES: Final = Case(
    BINANCE_UM_CANDLES, "2021-05-01", "2021-06-01", FIVE_MINUTES, "klines", "monthly", is_told_by_rest=True
)


def named(case: Case) -> str:
    return f"{case.dataset.name}-{case.start}"


of_each = pytest.mark.parametrize("case", [TRADES, INTEREST, CANDLES], ids=named)


class Archive(Scene):
    """A scene that is asked for windows of the past, in this process."""

    def fetch(self, case: Case, mode: Mode = Mode.MISSING_ONLY) -> RunSummary:
        request = BackfillRequest(case.dataset, (NAME,), case.window, case.resolution, mode=mode)
        with BackfillJob(self.read) as job:
            run_id = job.start(job.plan(request), f"test/{now_microseconds()}")
            job.work(run_id)
            return job.finish(run_id)

    def reload_replaced(self, case: Case) -> list[RunSummary]:
        """Look at the checksums at once, as the scheduled turn does from day to day."""
        with BackfillJob(self.read) as job:
            return job.reload_replaced(case.dataset, "test", str(now_microseconds()))

    @property
    def read(self) -> Any:
        return read_settings(self.settings)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "TAPEKEEPER_DATABASE_URL": self.url,
            **PATIENT,
            **binance_um.settings(self.simulator),
            "TAPEKEEPER_BINANCE_ARCHIVE_URL": self.simulator.base_url,
            "TAPEKEEPER_BINANCE_ARCHIVE_RECHECK_HOURS": "0",
        }

    def held(self) -> list[Row]:
        [followed] = self.subject.followed(self.url)
        return self.subject.held(self.url, followed)

    def true(self, case: Case) -> list[Row]:
        return truth_of(self.simulator, case)

    def assert_all_of(self, case: Case) -> None:
        """Everything of the window is held as the venue has it, and nobody misses anything."""
        assert self.held() == self.true(case)
        assert self.rows() == one_value(self.url, "SELECT sum(held) FROM coverage")
        assert self.red_days() == 0


def truth_of(simulator: Simulator, case: Case) -> list[Row]:
    if case.dataset == BINANCE_UM_CANDLES:
        told = simulator.truth("binance_um/klines", symbol=NAME, interval="5m", **milliseconds(case.window))
        return rows_of(told, ("open_time",), binance_um.CANDLE_VALUES)
    return SUBJECTS[case.dataset].truth(simulator, Followed(0, NAME, case.window))


@pytest.fixture
def archive(case: Case, simulator: Simulator, database_url: str) -> Archive:
    return Archive(binance_um.VENUE, SUBJECTS[case.dataset], simulator, database_url)


def gaps(url: str) -> list[Row]:
    return query(url, "SELECT state, cause, missing, evidence FROM data_gaps ORDER BY gap_id")


@pytest.mark.parametrize("case", [TRADES, INTEREST, CANDLES, OLD_TRADES, OLD_CANDLES], ids=named)
def test_what_is_loaded_through_a_storm_is_the_truth_and_again_nothing_changes(case: Case, archive: Archive) -> None:
    where = {"service": "binance_archive", "method": f"archive/{case.period}/{case.files}"}
    kinds: list[dict[str, Any]] = [
        {"kind": "server_error"},
        {"kind": "cut"},
        {"kind": "cut", "where": "middle"},
        {"kind": "too_many_requests", "retry_after": 1},
    ]
    archive.simulator.set_faults(
        [{**kind, **where, "from_request": nth, "to_request": nth} for nth, kind in enumerate(kinds, start=1)]
    )
    summary = archive.fetch(case)
    assert (summary.state, summary.rows.rejected) == ("done", 0)
    assert set(query(archive.url, "SELECT source FROM backfill_chunks")) == {("archive",)}
    archive.assert_all_of(case)
    assert gaps(archive.url) == []
    files = query(archive.url, "SELECT name, length(sha256), rows_told FROM archive_files ORDER BY name")
    assert len(files) == summary.chunks_done
    assert sum(rows for *_, rows in files) == archive.rows()
    before = archive.versions()
    assert archive.fetch(case).requests == 0
    again = archive.fetch(case, Mode.FULL_REFRESH)
    assert (again.rows.inserted, again.rows.updated, again.rows.unchanged) == (0, 0, len(before))
    assert archive.versions() == before, "no row was written again"


@of_each
def test_what_a_file_leaves_out_is_filled_over_rest_or_told_as_its_defect(case: Case, archive: Archive) -> None:
    archive.simulator.set_faults([case.fault("archive_left_out_rows", fraction=0.02)])
    assert archive.fetch(case).state == "done"
    if case.is_told_by_rest:
        archive.assert_all_of(case)
        assert gaps(archive.url) == []
        return
    truth = archive.true(case)
    lost = len(truth) - archive.rows()
    assert lost > 0
    assert set(archive.held()) < set(truth)
    told = gaps(archive.url)
    assert sum(missing for _, _, missing, _ in told) == lost
    assert {cause for _, cause, *_ in told} == {case.cause_of_holes}
    known: dict[str, str] = dict(query(archive.url, "SELECT name, sha256 FROM archive_files"))
    assert all(known[evidence["file"]] == evidence["sha256"] for *_, evidence in told)
    archive.simulator.clear_faults()
    archive.repair(permanent_after_hours=24)
    archive.assert_all_of(case)
    assert {state for state, *_ in gaps(archive.url)} == {"repaired"}
    assert one_value(archive.url, "SELECT sum(rows_found) FROM repair_receipts") == lost


def assert_healed(archive: Archive, case: Case, gaps_before: list[Row]) -> None:
    """Once the file is what it should be, repairs bring what it has, and keep a receipt of it."""
    archive.simulator.clear_faults()
    archive.repair(permanent_after_hours=24)
    archive.assert_all_of(case)
    assert {state for state, *_ in gaps(archive.url)} <= {"repaired"}
    assert one_value(archive.url, "SELECT count(*) FROM repair_receipts") == len(gaps_before)


@of_each
def test_a_wrong_checksum_never_reaches_the_tables_and_is_a_gap_with_evidence(case: Case, archive: Archive) -> None:
    archive.simulator.set_faults([case.fault("archive_wrong_checksum")])
    summary = archive.fetch(case)
    assert summary.state == "done"
    assert one_value(archive.url, "SELECT count(*) FROM archive_files") == 0
    told = gaps(archive.url)
    assert {cause for _, cause, *_ in told} == {"archive_defect"}
    for *_, evidence in told:
        assert evidence["file"].startswith(f"data/futures/um/{case.period}/{case.files}/{NAME}/")
        published, received = evidence["sha256_published"], evidence["sha256_received"]
        assert len(published) == len(received) == 64
        assert published != received
    if case.is_told_by_rest:
        # What REST tells is no matter of trust in files, and the evidence stays.
        assert {state for state, *_ in told} == {"repaired"}
    else:
        assert (archive.rows(), {state for state, *_ in told}) == (0, {"classified"})
        assert archive.red_days() > 0
    assert_healed(archive, case, told)


@of_each
def test_a_file_that_is_not_there_is_a_gap_unless_rest_tells_the_same(case: Case, archive: Archive) -> None:
    archive.simulator.set_faults([case.fault("archive_missing_file")])
    assert archive.fetch(case).state == "done"
    told = gaps(archive.url)
    if case.is_told_by_rest:
        archive.assert_all_of(case)
        assert told == []
        return
    assert {(state, cause) for state, cause, *_ in told} == {("classified", "archive_defect")}
    assert {evidence["status"] for *_, evidence in told} == {404}
    assert archive.rows() == 0
    assert_healed(archive, case, told)


@of_each
def test_a_file_that_was_replaced_is_loaded_again_and_every_change_is_kept(case: Case, archive: Archive) -> None:
    archive.simulator.set_faults([case.fault("archive_altered_rows", fraction=0.01)])
    assert archive.fetch(case).state == "done"
    truth, altered = archive.true(case), archive.held()
    changed = {now[0] for was, now in zip(altered, truth, strict=True) if was != now}
    differing = sum(was != now for was, now in zip(altered, truth, strict=True))
    assert differing > 0
    before: dict[str, str] = dict(query(archive.url, "SELECT name, sha256 FROM archive_files"))
    assert archive.reload_replaced(case) == [], "nothing was replaced yet"
    archive.simulator.clear_faults()
    summaries = archive.reload_replaced(case)
    assert sum(summary.rows.updated for summary in summaries) == differing
    archive.assert_all_of(case)
    after: dict[str, str] = dict(query(archive.url, "SELECT name, sha256 FROM archive_files"))
    replaced = {name: sha256 for name, sha256 in after.items() if before[name] != sha256}
    assert len(replaced) == len(summaries) > 0
    corrections = query(archive.url, "SELECT event_time, before, after, source FROM corrections")
    assert len(corrections) == differing
    assert {event_time for event_time, *_ in corrections} == changed
    assert all(was != now for _, was, now, _ in corrections)
    assert {source for *_, source in corrections} <= {f"{name} {sha256}" for name, sha256 in replaced.items()}
    assert archive.reload_replaced(case) == [], "it is loaded once"


@pytest.mark.parametrize("case", [TRADES, INTEREST], ids=named)
def test_a_repair_that_finds_a_file_replaced_takes_all_of_it_anew(case: Case, archive: Archive) -> None:
    wrong = [case.fault("archive_left_out_rows", fraction=0.01), case.fault("archive_altered_rows", fraction=0.01)]
    archive.simulator.set_faults(wrong)
    assert archive.fetch(case).state == "done"
    altered = set(archive.held()) - set(archive.true(case))
    assert altered
    archive.simulator.clear_faults()
    archive.repair(permanent_after_hours=24)
    archive.assert_all_of(case)
    assert one_value(archive.url, "SELECT count(*) FROM corrections") == len(altered)


@pytest.mark.parametrize("case", [TRADES], ids=named)
def test_a_trade_at_the_moment_of_the_next_one_is_found_in_a_file_that_was_never_loaded(
    case: Case, archive: Archive
) -> None:
    archive.simulator.set_faults([case.fault("archive_left_out_rows", fraction=0.02)])
    assert archive.fetch(case).state == "done"
    archive.simulator.clear_faults()
    time_of = {row[1]: row[0] for row in archive.true(case)}
    found = query(archive.url, "SELECT gap_id, first_sequence, last_sequence, window_end FROM data_gaps ORDER BY 1")
    shared = [gap_id for gap_id, first, last, end in found if first == last and time_of[first] == end]
    assert shared
    # As if the hole had been seen over REST, and repaired when that told it no more.
    with closing(Database(archive.url)) as database:
        database.run(lambda cursor: cursor.execute("DELETE FROM archive_files"))
    with RepairJob(archive.read) as job:
        assert sum(job.repair(gap_id, by="test").repaired for gap_id in shared) == len(shared)


@pytest.mark.parametrize("case", [TRADES], ids=named)
def test_killed_while_a_file_is_loaded_nothing_of_it_stays(case: Case, archive: Archive) -> None:
    command = binance_um.command(BINANCE_UM_AGG_TRADES, NAME, 4)
    started_at = now_microseconds()
    # What REST tells no more comes from files, at whichever hour it is.
    old = "event_time < now() - interval '49 hours'"
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'archive_files'"
    with closing(psycopg2.connect(archive.url)) as connection, connection.cursor() as cursor:
        # The last thing that a load writes has to wait, so it can be killed when all rows are written.
        cursor.execute("LOCK TABLE archive_files IN EXCLUSIVE MODE")
        process = start_tapekeeper([*command], archive.settings)
        wait_for(lambda: one_value(archive.url, waiting) >= 1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        connection.rollback()
    backends = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tapekeeper backfill'"
    wait_for(lambda: one_value(archive.url, backends) == 0)
    assert one_value(archive.url, f"SELECT count(*) FROM agg_trades WHERE {old}") == 0
    assert one_value(archive.url, "SELECT count(*) FROM archive_files") == 0
    assert (
        one_value(archive.url, "SELECT count(*) FROM told_windows WHERE window_end < now() - interval '49 hours'") == 0
    )
    run_tapekeeper([*command], archive.settings)
    assert one_value(archive.url, "SELECT count(*) FROM archive_files") >= 2
    assert one_value(archive.url, "SELECT min(window_start) FROM followed").timestamp() * 1_000_000 <= started_at
    archive.assert_all_is_true()
