"""The commands about completeness, as a person types them: what they say, in words and in JSON, and how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tapekeeper.cli import main
from tapekeeper.clock import parse_moment
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import read_settings
from tests.support.truth import one_value

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulator import Simulator

DAY = "2024-03-05/2024-03-06"
HOLE = [parse_moment(f"2024-03-05T10:0{minute}Z", now=0) // 1_000 for minute in range(3)]


class Shell:
    """Types commands with the settings of one test."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.settings = settings

    def __call__(self, *arguments: str, exit_code: int = 0) -> str:
        """Return what a command says, on standard output or, if it ends badly, on standard error."""
        result = CliRunner().invoke(main, list(arguments), env=self.settings)
        assert result.exit_code == exit_code, result.output
        assert "Traceback" not in result.output
        return result.stdout if exit_code != 2 else " ".join(result.stderr.split())

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        """Return the object that a command prints."""
        return json.loads(self(*arguments, "--json", exit_code=exit_code).splitlines()[-1])


@pytest.fixture
def shell(database_url: str, simulator: Simulator) -> Shell:
    return Shell(
        {
            "TAPEKEEPER_DATABASE_URL": database_url,
            "TAPEKEEPER_DERIBIT_REST_URL": simulator.base_url,
            "TAPEKEEPER_REPAIR_PERMANENT_AFTER_HOURS": "0",
            "TAPEKEEPER_HTTP_ATTEMPTS_MAXIMUM": "2",
            "TAPEKEEPER_HTTP_BACKOFF_FIRST_SECONDS": "0.01",
        }
    )


def fetch_with(shell: Shell, simulator: Simulator, kind: str) -> None:
    """Fetch a day while the venue has, or tells, three minutes less."""
    simulator.set_faults([{"kind": kind, "instrument": "BTC-PERPETUAL", "open_times": HOLE}])
    window = ["--start", "2024-03-05", "--end", "2024-03-06"]
    assert shell.json("backfill", "perpetuals", "--instruments", "BTC-PERPETUAL", *window)["inserted"] == 1_437


def test_a_hole_is_found_explained_repaired_and_proven(shell: Shell, simulator: Simulator) -> None:
    fetch_with(shell, simulator, "left_out_candles")
    assert "It is expected and not held, and no gap is recorded yet" in shell(
        "explain", "BTC-PERPETUAL", "2024-03-05T10:01Z"
    )
    found = shell("check", "--window", DAY, exit_code=1)
    assert "RED: gap_detection, row_counts." in found
    assert "Gaps opened: 1;" in found
    assert '"missing": 3' in found
    (gap,) = shell.json("gaps", "list")["gaps"]
    assert (gap["instrument"], gap["missing"], gap["cause"], gap["state"]) == ("BTC-PERPETUAL", 3, "unknown", "open")
    assert (gap["window_start"], gap["window_end"]) == ("2024-03-05T10:00:00Z", "2024-03-05T10:03:00Z")
    assert "BTC-PERPETUAL 1m" in shell("gaps", "list")
    unrepaired = shell("explain", "BTC-PERPETUAL", "2024-03-05T10:01Z")
    assert f"Gap {gap['gap_id']} [2024-03-05T10:00:00Z, 2024-03-05T10:03:00Z): 3 missing" in unrepaired
    assert "The answer to run 1 lacked it:" in unrepaired
    simulator.clear_faults()
    assert shell.json("repair")["repaired"] == 1
    assert "repaired" in shell("repair"), "nothing is left to do, and that is all right"
    repaired = shell("explain", "BTC-PERPETUAL", "2024-03-05T10:01Z")
    for words in (
        "opens at 2024-03-05T10:01:00Z: held",
        "now repaired",
        "requests, 3 rows found, 0 still missing",
        "It came with a repair.",
        "Before it was found to be missing there was run 1:",
        "1,440 held and 0 explained of 1,440 expected, complete.",
    ):
        assert words in repaired
    assert "GREEN: no critical check found anything." in shell("check", "--window", DAY)
    assert shell("gaps", "list").strip() == "There is no such gap."
    assert "repaired" in shell("gaps", "list", "--state", "repaired")
    assert shell.json("gaps", "list", "--all")["more"] is False


def test_what_the_venue_lacks_twice_is_permanent_and_explained(shell: Shell, simulator: Simulator) -> None:
    fetch_with(shell, simulator, "missing_minutes")
    shell("check", "--window", DAY, "--checks", "gap_detection", exit_code=1)
    told = shell("repair", "1")
    assert "permanent" in told
    story = shell.json("gaps", "show", "1")
    assert (story["state"], story["receipt"]["rows_missing"], story["receipt"]["rows_found"]) == ("permanent", 3, 0)
    assert [event["to_state"] for event in story["events"]][-1] == "permanent"
    assert "still missing; digest" in shell("gaps", "show", "1")
    assert shell.json("check", "--window", DAY, "--checks", "gap_detection,row_counts")["state"] == "green"
    (series,) = shell.json("explain", "BTC-PERPETUAL", "2024-03-05T10:01Z")["series"]
    assert (series["verdict"], series["day"]["state"]) == ("gap", "explained")
    assert len(series["requests"]) == 2, "the two looks of the repair"
    assert "is permanent already" in shell("repair", "1", exit_code=2)


def test_a_repair_tells_how_far_it_is(shell: Shell, simulator: Simulator) -> None:
    fetch_with(shell, simulator, "left_out_candles")
    shell("check", "--window", DAY, exit_code=1)
    simulator.clear_faults()
    heard: list[tuple[int, int]] = []
    with RepairJob(read_settings(shell.settings), on_progress=lambda *progress: heard.append(progress)) as job:
        job.repair_open(by="test")
        job.repair_open(by="test")
    assert heard == [(0, 1), (1, 1), (0, 0)]


def test_a_person_may_accept_a_gap_with_a_name_and_a_note_and_not_without(
    shell: Shell, simulator: Simulator, database_url: str
) -> None:
    fetch_with(shell, simulator, "missing_minutes")
    shell("check", "--window", DAY, exit_code=1)
    for refused in (
        [],
        ["--by", "Ada"],
        ["--note", "gone"],
        ["--by", " ", "--note", "gone"],
        ["--by", "Ada", "--note", ""],
    ):
        shell("gaps", "accept", "1", *refused, exit_code=2)
    state = "SELECT string_agg(DISTINCT state, ',') FROM series_days"
    assert one_value(database_url, state) == "red"
    accepted = shell("gaps", "accept", "1", "--by", "Ada", "--note", "the venue answered: [they] are gone")
    assert "now accepted" in accepted
    assert "by Ada: the venue answered: [they] are gone" in accepted
    assert one_value(database_url, state) == "explained"
    assert "there is no gap 99" in shell("gaps", "accept", "99", "--by", "Ada", "--note", "gone", exit_code=2)


def test_an_outage_tells_why_a_gap_is_there(shell: Shell, simulator: Simulator) -> None:
    fetch_with(shell, simulator, "missing_minutes")
    shell("check", "--window", DAY, exit_code=1)
    window = ["2024-03-05T09:59Z", "2024-03-05T11:00Z"]
    added = shell.json("outages", "add", "deribit", *window, "--source", "their status page", "--by", "Ada")
    assert (added["window_start"], added["kind"]) == ("2024-03-05T09:59:00Z", "venue_outage")
    assert added in shell.json("outages", "list", "--venue", "deribit")["outages"]
    assert "their status page" in shell("outages", "list")
    shell("check", "--window", DAY, exit_code=1)
    story = shell.json("gaps", "show", "1")
    assert (story["cause"], story["state"]) == ("venue_outage", "classified")


def test_reports_are_written_where_they_are_asked_for(shell: Shell, simulator: Simulator, tmp_path: Path) -> None:
    fetch_with(shell, simulator, "missing_minutes")
    summary = shell.json("check", "--window", DAY, "--report", str(tmp_path / "reports"), exit_code=1)
    folder = tmp_path / "reports" / str(summary["run_id"])
    assert summary["report"] == str(folder)
    assert (folder / "report.html").stat().st_size > 0
    assert f"Reports: {tmp_path}" in shell("check", "--window", DAY, "--report", str(tmp_path), exit_code=1)


def test_a_window_in_which_nothing_is_held_is_not_called_good_without_saying_so(shell: Shell) -> None:
    assert "GREEN, but there was nothing to look at" in shell("check")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "--window", "yesterday"], "'yesterday' is not a window: type 24h"),
        (["check", "--checks", "everything"], "there is no check 'everything': choose one of"),
        (["gaps", "show", "7"], "there is no gap 7"),
        (["repair", "7"], "there is no gap 7"),
        (["explain", "BTC-PERPETUAL", "2024-03-05T10:00"], "has no time zone"),
        (["explain", "BTC-PERPETUAL", "now"], "nobody ever asked to hold anything of 'BTC-PERPETUAL'"),
        (
            ["outages", "add", "deribit", "2024-03-06", "2024-03-05", "--source", "s", "--by", "b"],
            "is not before the end",
        ),
        (["outages", "add", "deribit", "2999-01-01", "2999-01-02", "--source", "s", "--by", "b"], "has not begun"),
        (
            ["outages", "add", "deribit", "2024-01-01", "2024-01-02", "--source", " ", "--by", "b"],
            "where it is known from",
        ),
    ],
)
def test_bad_input_says_what_to_type(arguments: list[str], sentence: str, shell: Shell) -> None:
    assert sentence in shell(*arguments, exit_code=2)


@pytest.mark.parametrize("command", ["check", "repair", "gaps list", "gaps show 1", "outages list", "explain X now"])
def test_a_database_that_is_away_is_told_without_its_password(command: str) -> None:
    away = {"TAPEKEEPER_DATABASE_URL": "postgresql://postgres:secret@127.0.0.1:1/none"}
    result = CliRunner().invoke(main, command.split(), env=away)
    assert result.exit_code == 1
    assert "PostgreSQL cannot be reached" in " ".join(result.stderr.split())
    assert "secret" not in result.output
