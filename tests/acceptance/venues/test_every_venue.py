"""The numbered cases that hold for every dataset of every venue; `docs/add-a-venue.md` lists them.

1. Through a storm of errors, cut and malformed answers and answers about something else, everything that lands equals
   the truth row by row.
2. The same again, by full refresh, writes no row; without it nothing is asked for that was told.
3. Killed in the middle and started again, everything is there once.
4. What the venue lacks is found by the checks, asked for twice, and then explained; no day stays red. What it tells
   later after all is brought by a repair.
5. A ban, or a window of calls that is used up, stops every process, and none asks before it is over.
6. A wrong question is answered with what to type.
"""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tapekeeper.clock import MICROSECONDS_PER_SECOND, from_microseconds, now_microseconds
from tests.acceptance.venues.registry import SUBJECTS, UNKNOWN, VENUES
from tests.acceptance.venues.scene import PATIENT, Scene
from tests.support.command_line import run_tapekeeper, start_tapekeeper
from tests.support.processes import wait_for
from tests.support.truth import one_value, query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.acceptance.venues.subject import Refusal, Subject, Venue, WrongQuestion
    from tests.support.databases import Databases
    from tests.support.simulator import Simulator

NAMES: Final = [subject.dataset.name for _, subject in SUBJECTS]
DONE: Final = "SELECT count(*) FROM backfill_chunks WHERE state = 'done'"
STRICT: Final = [(venue, venue.refusal) for venue in VENUES if venue.refusal is not None]
QUESTIONS: Final = [(venue, question) for venue in VENUES for question in venue.wrong_questions]

of_every_dataset = pytest.mark.parametrize(("venue", "subject"), SUBJECTS, ids=NAMES)


def test_0_every_folder_tells_the_cases_what_they_have_to_know() -> None:
    assert not UNKNOWN, f"write tests/acceptance/venues/NAME.py with a VENUE for {', '.join(UNKNOWN)}"
    assert all(venue.subjects and venue.wrong_questions for venue in VENUES)


def fired(simulator: Simulator) -> Counter[str]:
    """Return how often each kind of fault has befallen somebody."""
    return Counter(simulator.state()["faults_fired"])


@pytest.fixture
def scene(venue: Venue, subject: Subject, simulator: Simulator, database_url: str) -> Scene:
    """A dataset of which nothing is held yet."""
    return Scene(venue, subject, simulator, database_url)


@pytest.fixture(scope="module", params=SUBJECTS, ids=NAMES)
def landed(request: pytest.FixtureRequest, simulator_process: Simulator, databases: Databases) -> Iterator[Scene]:
    """A dataset that has come through a storm."""
    venue, subject = request.param
    with databases.migrated() as url:
        scene = Scene(venue, subject, simulator_process, url)
        before, started_at = fired(simulator_process), now_microseconds()
        simulator_process.set_faults(subject.faults_of_storm())
        total = scene.backfill(subject.command)
        simulator_process.clear_faults()
        assert total["state"] == "done"
        assert set(fired(simulator_process) - before) == set(subject.storm), "the storm was felt"
        if subject.lag_seconds is not None:
            newest = started_at - subject.lag_seconds * MICROSECONDS_PER_SECOND
            assert all(each.window.end > newest for each in subject.followed(url))
        yield scene


def test_1_what_lands_through_a_storm_is_the_truth(landed: Scene) -> None:
    landed.assert_all_is_true()
    assert landed.red_days() == 0
    assert one_value(landed.url, "SELECT count(*) FROM data_gaps") == 0


def test_2_again_nothing_changes_and_what_was_told_is_not_asked_for(landed: Scene) -> None:
    before = landed.versions()
    refreshed = landed.backfill(landed.subject.command, *landed.subject.full_refresh)
    assert refreshed["updated"] == 0
    assert refreshed["unchanged"] >= refreshed["fetched"] - refreshed["inserted"] > 0
    assert before <= landed.versions(), "no row was written again"
    ends = {each.series_id: from_microseconds(each.window.end) for each in landed.subject.followed(landed.url)}
    again = landed.backfill(landed.subject.command)
    # Only what has happened meanwhile, if anything has.
    asked = query(
        landed.url,
        "SELECT series_id, window_start FROM api_requests WHERE run_id = %s AND window_start IS NOT NULL",
        again["run_id"],
    )
    assert [each for each in asked if each[1] < ends[each[0]]] == []
    landed.assert_all_is_true()


@of_every_dataset
def test_3_killed_in_the_middle_and_started_again_everything_is_there_once(scene: Scene) -> None:
    where = {"service": scene.subject.service, "method": scene.subject.method}
    scene.simulator.set_faults([{"kind": "slow", "seconds": 0.4, **where}])
    process = start_tapekeeper([*scene.subject.command], scene.settings)
    wait_for(lambda: one_value(scene.url, DONE) >= 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    scene.simulator.clear_faults()
    assert one_value(scene.url, "SELECT count(*) FROM backfill_chunks WHERE state <> 'done'") > 0
    before, kept = scene.versions(), scene.rows()
    assert kept == one_value(scene.url, "SELECT coalesce(sum(held), 0) FROM coverage")
    told = query(scene.url, "SELECT series_id, window_start FROM backfill_chunks WHERE state = 'done'")
    # Of a window that moves on nobody else asks for the first minute, unless it is longer.
    total = scene.backfill(scene.subject.longer_command or scene.subject.command)
    assert total["inserted"] == scene.rows() - kept > 0
    assert before <= scene.versions()
    asked = query(scene.url, "SELECT series_id, window_start FROM api_requests WHERE run_id = %s", total["run_id"])
    assert not set(told) & set(asked)
    scene.assert_all_is_true()


@of_every_dataset
def test_4_what_the_venue_lacks_is_found_asked_for_twice_and_then_explained(scene: Scene) -> None:
    lack = scene.subject.lack(scene.simulator)
    scene.simulator.set_faults(lack.faults)
    assert scene.backfill(lack.command)["state"] == "done"
    assert scene.red_days() > 0
    scene.check()
    open_gaps = one_value(scene.url, "SELECT sum(missing) FROM data_gaps WHERE closed_at IS NULL")
    assert open_gaps >= lack.missing
    scene.repair(permanent_after_hours=0)
    lost = one_value(scene.url, "SELECT sum(missing) FROM data_gaps WHERE state = 'permanent'")
    assert lost == open_gaps == one_value(scene.url, "SELECT sum(explained) FROM coverage")
    evidence = query(scene.url, "SELECT evidence->'found_empty_at' FROM data_gap_events WHERE to_state = 'permanent'")
    assert {len(looks) for (looks,) in evidence} == {2}
    assert scene.red_days() == 0
    assert scene.check().is_green


@of_every_dataset
def test_4_what_the_venue_tells_later_after_all_is_brought_by_a_repair(scene: Scene) -> None:
    lack = scene.subject.lack(scene.simulator)
    scene.simulator.set_faults(lack.faults)
    scene.backfill(lack.command)
    scene.check()
    assert one_value(scene.url, "SELECT sum(missing) FROM data_gaps WHERE closed_at IS NULL") >= lack.missing
    scene.simulator.clear_faults()
    scene.repair(permanent_after_hours=24)
    assert one_value(scene.url, "SELECT count(*) FROM data_gaps WHERE state <> 'repaired'") == 0
    gaps, receipts = (one_value(scene.url, f"SELECT count(*) FROM {name}") for name in ("data_gaps", "repair_receipts"))
    assert receipts == gaps
    if lack.is_all_that_is_missing:
        scene.assert_all_is_true()
    assert scene.red_days() == 0


@contextmanager
def started(arguments: tuple[str, ...], settings: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the command, and end it if it has not ended by itself."""
    process = start_tapekeeper([*arguments], settings)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize(("venue", "refusal"), STRICT, ids=[venue.folder for venue, _ in STRICT])
def test_5_a_refusal_stops_every_process_until_it_is_over(
    venue: Venue, refusal: Refusal, simulator: Simulator, database_url: str
) -> None:
    settings = {"TAPEKEEPER_DATABASE_URL": database_url, **PATIENT, **venue.settings(simulator)}
    hasty = {**settings, "TAPEKEEPER_HTTP_INLINE_WAIT_LONGEST_SECONDS": "1"}
    try:
        with started(refusal.long_command, hasty) as process:
            wait_for(lambda: one_value(database_url, DONE) >= 3)
            refusal.inflict(simulator)
            assert process.stderr is not None
            # It was under way; all of its workers know by now.
            assert any(line.startswith("going on in ") for line in process.stderr)
            asked = simulator.state()["requests"]
            # Another one that begins now does not even ask.
            _, errors = run_tapekeeper([*refusal.other_command], hasty, exit_code=1)
            assert "for our own rate budget" in " ".join(errors.split())
            assert simulator.state()["requests"] == asked
    finally:
        refusal.recover(simulator)
    refused = one_value(database_url, f"SELECT count(*) FROM api_requests WHERE status = {refusal.status}")
    assert 1 <= refused <= 4, "one for each worker that was asking already"


@pytest.mark.parametrize(("venue", "question"), QUESTIONS)
def test_6_a_wrong_question_is_answered_with_what_to_type(
    venue: Venue, question: WrongQuestion, simulator: Simulator, database_url: str
) -> None:
    settings = {"TAPEKEEPER_DATABASE_URL": database_url, **venue.settings(simulator), **question.changes}
    _, errors = run_tapekeeper([*question.arguments], settings, exit_code=2)
    assert question.answer in " ".join(errors.split())
    assert "Traceback" not in errors
    assert one_value(database_url, "SELECT count(*) FROM backfill_runs") == 0
