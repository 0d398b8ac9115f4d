"""The reports of a quality run, written from a real database."""

from __future__ import annotations

import csv
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import psycopg2
import pytest

from tapekeeper.clock import to_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.quality import CheckResult, QualityRequest, QualitySummary, Severity
from tapekeeper.model.series import DATASETS
from tapekeeper.model.window import Window
from tapekeeper.quality.report import FILES, write_reports
from tapekeeper.store.report_queries import days_of_series, series_accounts
from tests.support.tape import PERPETUAL_CANDLES, add_days, add_gap, add_series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
HOSTILE = """<script>alert(1)</script>" onmouseover='alert(2)' {{ 7 * 7 }}"""


class Seen(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"

    def classes(self, tag: str) -> list[str | None]:
        return [attributes.get("class") for name, attributes in self.tags if name == tag]


@pytest.fixture
def cursor(database_url: str) -> Iterator[Cursor]:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        yield cursor


@pytest.fixture
def market(database_url: str) -> None:
    """Two good weeks of one instrument, a bad day of one with a hostile name."""
    add_series(database_url, "ETH-PERPETUAL", first=TODAY - timedelta(days=1), rows=3)
    add_days(database_url, "ETH-PERPETUAL", days=14)
    add_series(database_url, HOSTILE, first=TODAY - timedelta(days=1), rows=3)
    add_days(database_url, HOSTILE, days=14, lacking={3: 440, 5: 40}, explained={5: 40})
    add_gap(database_url, HOSTILE, days_ago=3, missing=440, state="open")
    add_gap(database_url, HOSTILE, days_ago=5, missing=40, state="permanent")


def summary() -> QualitySummary:
    sample = ({"instrument": HOSTILE, "missing": 440},)
    results = (
        CheckResult("gap_detection", PERPETUAL_CANDLES, Severity.CRITICAL, 28, 1, {"missing": 440}, sample, 0.1),
        CheckResult("row_counts", PERPETUAL_CANDLES, Severity.CRITICAL, 28, 0, {}, (), 0.1),
    )
    window = Window(to_microseconds(TODAY - timedelta(days=7)), to_microseconds(TODAY))
    request = QualityRequest(tuple(DATASETS.values()), ("gap_detection", "row_counts"), window)
    completeness = {PERPETUAL_CANDLES: {"24h": 1.0, "7d": 0.99, "30d": None}}
    return QualitySummary(3, request, results, 1, 0, 0, completeness, 1.0)


@pytest.mark.usefixtures("market")
def test_a_page_asks_for_nothing_and_runs_nothing(cursor: Cursor, tmp_path: Path) -> None:
    folder = write_reports(cursor, summary(), tmp_path)
    page = (folder / "report.html").read_text(encoding="utf-8")
    seen = Seen(page)
    assert not {tag for tag, _ in seen.tags} & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on") or name == "src"]
    links = [value for _, attributes in seen.tags for name, value in attributes.items() if name == "href"]
    assert set(links) == {"data:,", "gap-report.csv", "sanity-report.csv", "row-counts.txt"}
    assert "url(" not in page
    assert "@import" not in page
    # The name stands on the page as it came, as text alone.
    assert seen.text.count(HOSTILE) >= 3


@pytest.mark.usefixtures("market")
def test_a_page_tells_what_is_in_the_database(cursor: Cursor, tmp_path: Path) -> None:
    seen = Seen((write_reports(cursor, summary(), tmp_path) / "report.html").read_text(encoding="utf-8"))
    cells = seen.classes("td")
    counts = {state: cells.count(state) for state in ("complete", "explained", "missing-much", "running", "unfollowed")}
    assert counts == {"complete": 26, "explained": 1, "missing-much": 1, "running": 2, "unfollowed": 2 * 90 - 30}
    assert "Somebody has to look: of 2 checks 1 red" in seen.text
    assert "20 found, 20 missing, 2 requests" in seen.text
    assert "nobody has it" in seen.text
    for value in ("100 %", "99.00 %", "gap 1 · deribit.perpetual_candles"):
        assert value in seen.text


@pytest.mark.usefixtures("market")
def test_the_files_beside_it_tell_the_same(cursor: Cursor, tmp_path: Path) -> None:
    folder = write_reports(cursor, summary(), tmp_path)
    assert folder == tmp_path / "3"
    assert {file.name for file in folder.iterdir()} == set(FILES)
    with (folder / "gap-report.csv").open(encoding="utf-8", newline="") as file:
        gaps = list(csv.DictReader(file))
    assert [(gap["instrument"], gap["state"], gap["missing"], gap["rows_found"]) for gap in gaps] == [
        (HOSTILE, "open", "440", ""),
        (HOSTILE, "permanent", "40", "20"),
    ]
    counts = (folder / "row-counts.txt").read_text(encoding="utf-8")
    [good] = [line.split() for line in counts.splitlines() if "ETH-PERPETUAL" in line]
    assert good[2:8] == ["10,080", "10,080", "0", "0", "100", "%"]


@pytest.mark.usefixtures("market")
def test_the_same_run_again_replaces_its_reports(cursor: Cursor, tmp_path: Path) -> None:
    folder = write_reports(cursor, summary(), tmp_path)
    (folder / "report.html").write_text("old", encoding="utf-8")
    assert write_reports(cursor, summary(), tmp_path) == folder
    assert "Somebody has to look" in (folder / "report.html").read_text(encoding="utf-8")
    assert {file.name for file in folder.iterdir()} == set(FILES)


def test_the_worst_series_are_shown_and_the_rest_are_counted(cursor: Cursor, database_url: str, tmp_path: Path) -> None:
    for number in range(55):
        add_series(database_url, f"COIN-{number:02}", first=TODAY, rows=1)
        add_days(database_url, f"COIN-{number:02}", days=2, lacking={1: 10} if number >= 52 else {})
    page = (write_reports(cursor, summary(), tmp_path) / "report.html").read_text(encoding="utf-8")
    assert Seen(page).classes("td").count("missing-little") == 3
    assert page.count("COIN-") == 50
    assert "5 more series without a red day" in page


def test_an_empty_database_makes_an_empty_report(cursor: Cursor, tmp_path: Path) -> None:
    page = (write_reports(cursor, summary(), tmp_path) / "report.html").read_text(encoding="utf-8")
    for sentence in ("Nothing was followed in these days.", "No gap is open.", "No gap was closed."):
        assert sentence in page


def test_a_folder_that_cannot_be_written_is_told_with_its_setting(cursor: Cursor, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="TAPEKEEPER_QUALITY_REPORT_FOLDER"):
        write_reports(cursor, summary(), tmp_path / "taken")


def test_the_running_day_is_shown_and_not_judged(cursor: Cursor, database_url: str) -> None:
    add_series(database_url, "BTC-PERPETUAL", first=TODAY, rows=1)
    add_days(database_url, "BTC-PERPETUAL", days=1, lacking={0: 1_000, 1: 4})
    first, last = (TODAY - timedelta(days=5)).date(), TODAY.date()
    [account] = series_accounts(cursor, [PERPETUAL_CANDLES], first, last)
    assert (account.expected, account.missing, account.days_red) == (1_440, 4, 1)
    states = {day.day: day.state for day in days_of_series(cursor, [account.series_id], first, last)}
    assert states == {last: "running", last - timedelta(days=1): "red"}
