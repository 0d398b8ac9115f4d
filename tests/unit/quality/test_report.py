"""What the reports say, and that nothing in them is rounded into being whole."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest

from tapekeeper.clock import parse_moment
from tapekeeper.model.quality import CheckResult, QualityRequest, QualitySummary, Severity
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.report.calendar import lay_out
from tapekeeper.quality.report.page import verdict
from tapekeeper.quality.report.tables import gap_report, row_counts, sanity_report
from tapekeeper.quality.report.trend import draw
from tapekeeper.quality.report.words import duration, percent, plain, ratio_percent
from tapekeeper.store.report_queries import DatasetDay, ReportedGap, SeriesAccount, SeriesDay

CANDLES = DERIBIT_PERPETUAL_CANDLES.name
FIRST = date(2024, 4, 29)
LAST = date(2024, 5, 3)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def result(check: str = "gap_detection", *, found: int = 0, severity: Severity = Severity.CRITICAL) -> CheckResult:
    sample = ({"instrument": "BTC-PERPETUAL", "missing": 3},) if found else ()
    return CheckResult(check, CANDLES, severity, 1_440, found, {"missing": 3 * found}, sample, 0.25)


def summary(*results: CheckResult) -> QualitySummary:
    window = Window(parse_moment("2024-05-01", now=0), parse_moment("2024-05-02T00:00:00.5Z", now=0))
    request = QualityRequest(
        (DERIBIT_PERPETUAL_CANDLES, DERIBIT_OPTION_QUOTES), tuple(one.check for one in results), window
    )
    completeness = {CANDLES: {"24h": 0.5, "7d": 1.0, "30d": None}}
    return QualitySummary(7, request, results, 1, 2, 3, completeness, 1.5)


def account(series_id: int, *, missing: int = 0, days_red: int = 0, dataset: str = CANDLES) -> SeriesAccount:
    return SeriesAccount(
        series_id, dataset, f"COIN-{series_id}", 60, 1_440, 1_440 - missing, 0, missing, days_red, NOON, NOON
    )


def gap(**changes: object) -> ReportedGap:
    values: dict[str, object] = dict.fromkeys(ReportedGap.__slots__)
    values |= {"gap_id": 1, "dataset": CANDLES, "instrument": "BTC-PERPETUAL", "missing": 2, "window_start": NOON}
    return ReportedGap(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (999_999, 1_000_000, "99.99 %"),
        (1_000_000, 1_000_000, "100 %"),
        (1_000_001, 1_000_000, "100 %"),
        (0, 3, "0.00 %"),
        (0, 0, "\N{EN DASH}"),
    ],
)
def test_a_share_is_rounded_down(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_a_ratio_is_rounded_down_too() -> None:
    assert [ratio_percent(ratio) for ratio in (None, 0.0, 0.999999, 1.0)] == [
        "\N{EN DASH}",
        "0.00 %",
        "99.99 %",
        "100 %",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (60, "60 s"),
        (300, "5 min"),
        (7_200, "2 h"),
        (12_000, "3 h 20 min"),
        (187_200, "2 days 4 h"),
        (86_400 * 1_234, "1,234 days"),
    ],
)
def test_a_length_of_time_is_told_as_a_person_says_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_values_of_a_sample_become_text() -> None:
    assert [plain(value) for value in (None, "a", 1.5, [1, None], NOON)] == [
        "\N{EN DASH}",
        "a",
        "1.5",
        "[1, null]",
        '"2024-05-01 12:00:00+00:00"',
    ]


def test_the_verdict_tells_what_is_red_first_and_warnings_apart() -> None:
    warning = result("price_jump", found=2, severity=Severity.WARNING)
    broken = CheckResult("refetch", CANDLES, Severity.CRITICAL, 0, 0, error="the venue is away")
    told = verdict(summary(warning, result(found=1), broken, result("duplicates")))
    assert told.state == "red"
    assert told.headline == "Somebody has to look: of 4 checks 1 red and 1 not done"
    assert told.reasons == (
        f"gap detection in {CANDLES}: 1 found in 1,440 looked at",
        f"refetch in {CANDLES}: could not be done: the venue is away",
        f"price jump in {CANDLES}: 2 found in 1,440 looked at",
    )
    assert verdict(summary(warning, result())).state == "warning"
    assert verdict(summary(result())).headline == "All is well: every check is green"


def test_a_summary_comes_back_out_of_its_json() -> None:
    whole = summary(result(found=1), result("duplicates"))
    assert QualitySummary.from_json(json.loads(json.dumps(whole.as_json()))) == whole


def test_every_day_of_the_calendar_has_its_state() -> None:
    days = [
        SeriesDay(1, FIRST, 1_000, 1_000, 0, "complete"),
        SeriesDay(1, date(2024, 4, 30), 1_000, 900, 100, "explained"),
        SeriesDay(1, date(2024, 5, 1), 1_000, 991, 0, "red"),
        SeriesDay(1, date(2024, 5, 2), 1_000, 800, 0, "red"),
        SeriesDay(1, LAST, 1_000, 10, 0, "running"),
    ]
    calendar = lay_out([account(1), account(2, days_red=1), account(3)], {1}, days, FIRST, LAST)
    [group] = calendar.groups
    [row] = group.rows
    assert [cell.state for cell in row.cells] == ["complete", "explained", "missing-little", "missing-much", "running"]
    assert row.cells[1].told == "2024-04-30: explained, 900 of 1,000, 100 explained"
    assert row.cells[2].told == "2024-05-01: 9 of 1,000 missing without an explanation"
    assert group.rest == "2 more series, 1 of them with red days"
    assert [(month.name, month.days) for month in calendar.months] == [("Apr 2024", 2), ("May 2024", 3)]


def test_a_day_on_which_nothing_is_expected_is_not_called_complete() -> None:
    calendar = lay_out([account(1)], {1}, [SeriesDay(1, FIRST, 0, 0, 0, "complete")], FIRST, FIRST)
    assert calendar.groups[0].rows[0].cells[0].state == "unfollowed"


def test_a_trend_is_interrupted_where_nothing_is_expected() -> None:
    days = {
        FIRST: DatasetDay(CANDLES, FIRST, 100, 100, 0),
        LAST: DatasetDay(CANDLES, LAST, 100, 80, 10),
    }
    drawn = draw(CANDLES, days, FIRST, LAST)
    assert (len(drawn.days), drawn.width, drawn.floor) == (5, 50, "75.00 %")
    assert drawn.lowest == "90.00 % on 2024-05-03"
    # From 75 % to 100 % in 60 steps: 90 % lies 24 below the top, 80 % lies 48 below.
    assert drawn.proven == ("0,0.0 10,0.0", "40,24.0 50,24.0")
    assert drawn.held == ("0,60 0,0.0 10,0.0 10,60", "40,60 40,48.0 50,48.0 50,60")


def test_a_trend_of_what_is_whole_lies_at_the_top_and_has_no_worst_day() -> None:
    drawn = draw(CANDLES, {FIRST: DatasetDay(CANDLES, FIRST, 5, 5, 0)}, FIRST, FIRST)
    assert (drawn.lowest, drawn.proven) == ("", ("0,0.0 10,0.0",))
    assert draw(CANDLES, {}, FIRST, FIRST).proven == ()


def test_the_gap_report_is_read_back_and_runs_nothing_in_a_spreadsheet() -> None:
    text = gap_report([gap(instrument='=HYPERLINK("x")', why='because, "so"\nit is', missing=-1), gap(gap_id=2)])
    first, second = csv.DictReader(io.StringIO(text))
    assert first["instrument"] == '\'=HYPERLINK("x")'
    assert (first["why"], first["missing"]) == ('because, "so"\nit is', "-1")
    assert (second["window_start"], second["closed_at"]) == ("2024-05-01T12:00:00Z", "")


def test_the_sanity_report_has_a_line_for_every_finding_and_every_check() -> None:
    lines = list(csv.DictReader(io.StringIO(sanity_report([result(found=1), result("duplicates")]))))
    assert [(line["check"], line["status"], line["sample_missing"]) for line in lines] == [
        ("gap_detection", "red", "3"),
        ("duplicates", "green", ""),
    ]


def test_row_counts_are_aligned() -> None:
    accounts = [account(1, missing=1_000, days_red=2), account(22), account(3, dataset=DERIBIT_OPTION_QUOTES.name)]
    text = row_counts(accounts, FIRST, FIRST + timedelta(days=1))
    assert text.startswith("Row counts from 2024-04-29 to 2024-04-30")
    candles = text.split("\n\n")[1].splitlines()
    assert candles[0] == CANDLES
    assert len({len(line) for line in candles[1:]}) == 1
    assert candles[2].split()[2:7] == ["1,440", "440", "0", "1,000", "30.55"]
    assert row_counts([], FIRST, FIRST).endswith("Nothing was followed on these days.\n")
