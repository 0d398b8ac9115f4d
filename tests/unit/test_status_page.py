"""The Flask application by itself: its answers without usable settings, and a page that needs nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import tapekeeper_status
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.series import DATASETS
from tapekeeper.quality.report import FILES as FILES_OF_A_REPORT
from tapekeeper.settings import read_settings
from tapekeeper_status.application import create_application

SENTENCE = "TAPEKEEPER_DATABASE_URI is not a setting of tapekeeper: did you mean TAPEKEEPER_DATABASE_URL?"
FOLDER = Path(tapekeeper_status.__file__).parent
FILES = sorted(path for path in FOLDER.rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"})
IDS = [
    "intraday-scraper-panel",
    "scraper-source",
    "scraper-backend",
    "scraper-rows",
    "scraper-days",
    "scraper-range",
    "scraper-size",
    "scraper-interval",
    "scraper-running",
    "refresh-scraper-status-btn",
    "scraper-status-message",
]


ELSEWHERE = [
    "8/",
    "7/notes",
    "7/../report.html",
    "7/%2e%2e/%2e%2e/report.html",
    "7/..%2f..%2freport.html",
    "7/%2fetc%2fpasswd",
    "7/7/report.html",
    "7/.",
    "7.0/",
    "-7/",
    "../report.html",
    "..%2freport.html",
    "%2e%2e/report.html",
]


@pytest.fixture
def client() -> FlaskClient:
    return create_application(ConfigInvalid(SENTENCE)).test_client()


def test_bad_settings_are_told_by_every_number(client: FlaskClient) -> None:
    answer = client.get("/intraday")
    assert answer.status_code == 503
    assert answer.json is not None
    assert (answer.json["ok"], answer.json["error"]) == (False, SENTENCE)
    every = client.get("/")
    assert every.status_code == 503
    assert [(told["ok"], told["error"]) for told in every.json or []] == [(False, SENTENCE)] * len(DATASETS)


def test_an_unknown_dataset_is_answered_with_the_known_ones(client: FlaskClient) -> None:
    answer = client.get("/intraday?dataset=nasdaq.shares")
    assert answer.status_code == 404
    assert answer.json == {
        "ok": False,
        "error": f"there is no dataset 'nasdaq.shares': choose one of {', '.join(DATASETS)}",
        "datasets": list(DATASETS),
    }


def test_an_unknown_path_is_answered_in_json(client: FlaskClient) -> None:
    answer = client.get("/nothing")
    assert (answer.status_code, (answer.json or {})["ok"]) == (404, False)


def test_the_page_has_its_title_and_its_ids_once(client: FlaskClient) -> None:
    page = client.get("/widget").text
    assert "Intraday Data &amp; Scraper Status (Deribit)" in page
    assert [page.count(f'id="{name}"') for name in IDS] == [1] * len(IDS)
    message = re.search(r'<p id="scraper-status-message"[^>]*>', page)
    assert message is not None
    assert 'aria-live="polite"' in message[0]


def test_the_page_runs_under_its_content_security_policy(client: FlaskClient) -> None:
    page = client.get("/widget").text
    assert not re.search(r"<style|style=|<script>|\son\w+=", page)
    assert all(script in page for script in ('src="static/theme.js"', 'src="static/widget.js"'))


def test_there_are_files_to_look_at() -> None:
    assert {path.name for path in FILES} == {"widget.html", "widget.css", "widget.js", "theme.js", "icon.svg"}


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_outside_or_from_the_root(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"(^|\s)//.*", "", text)
    assert not re.search(r"""(?:src|href)=["']/|ask\([`"']/""", text)


@pytest.fixture
def reports(tmp_path: Path) -> FlaskClient:
    folder = tmp_path / "reports"
    (folder / "7").mkdir(parents=True)
    for name in FILES_OF_A_REPORT:
        (folder / "7" / name).write_text(f"this is {name}", encoding="utf-8")
    (folder / "7" / "notes").write_text("not for everybody", encoding="utf-8")
    (tmp_path / "report.html").write_text("not for everybody", encoding="utf-8")
    return create_application(read_settings({"TAPEKEEPER_QUALITY_REPORT_FOLDER": str(folder)})).test_client()


def test_a_report_and_its_files_are_served_with_a_policy_of_their_own(reports: FlaskClient) -> None:
    assert reports.get("/reports/7/").text == "this is report.html"
    types = {}
    for name in FILES_OF_A_REPORT:
        answer = reports.get(f"/reports/7/{name}")
        assert (answer.status_code, answer.text) == (200, f"this is {name}")
        types[name] = answer.content_type
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert types["report.html"] == "text/html; charset=utf-8"
    assert types["gap-report.csv"] == "text/csv; charset=utf-8"
    assert types["row-counts.txt"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    ELSEWHERE,
)
def test_nothing_else_of_the_disk_can_be_asked_for(reports: FlaskClient, path: str) -> None:
    answer = reports.get(f"/reports/{path}")
    assert (answer.status_code, (answer.json or {})["ok"]) == (404, False)
    assert "everybody" not in answer.text


def test_a_report_that_is_not_there_says_which_setting_to_look_at(reports: FlaskClient, client: FlaskClient) -> None:
    assert "TAPEKEEPER_QUALITY_REPORT_FOLDER" in (reports.get("/reports/8/").json or {})["error"]
    assert client.get("/reports/7/").json == {"ok": False, "error": SENTENCE}
