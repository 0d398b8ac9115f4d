"""The status page inside a real api-server of Airflow, shown under a base path, beside a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests

from tapekeeper.local.airflow import ADMIN, VIEWER
from tapekeeper.local.ports import free_port
from tapekeeper.model.series import DATASETS
from tapekeeper.quality.report import FILES as REPORTS
from tapekeeper.settings import read_settings
from tapekeeper_status.application import create_application
from tests.support.api_server import ApiServer, running_api_server
from tests.support.tape import add_series, table_out_of_sight

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE_PATH = "/airflow"
PREFIX = "/api/data_status"
FILES = ["widget.css", "widget.js", "theme.js", "icon.svg"]
OPEN_PATHS = ["/intraday", "/", "/widget", *(f"/static/{name}" for name in FILES), "/reports/7/"]


def every_path() -> list[str]:
    """Return every path of the application, so that a new route is tested too."""
    rules = list(create_application(read_settings({})).url_map.iter_rules())
    assert {str(rule) for rule in rules if rule.arguments} == {
        "/static/<path:filename>",
        "/reports/<int:run_id>/",
        "/reports/<int:run_id>/<name>",
    }
    named = [str(rule) for rule in rules if not rule.arguments]
    reports = ["/reports/7", "/reports/7/", "/reports/8/", *(f"/reports/7/{name}" for name in REPORTS)]
    static = [f"/static/{name}" for name in FILES]
    return [*named, *static, *reports, "/nothing", "//intraday", "/static/../intraday"]


@pytest.fixture(scope="module")
def api_server(
    module_database_url: str, airflow_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    reports = tmp_path_factory.mktemp("reports")
    (reports / "7").mkdir()
    for name in REPORTS:
        (reports / "7" / name).write_text(f"this is {name}", encoding="utf-8")
    settings = {"TAPEKEEPER_DATABASE_URL": module_database_url, "TAPEKEEPER_QUALITY_REPORT_FOLDER": str(reports)}
    folder = tmp_path_factory.mktemp("api-server")
    with running_api_server(folder, airflow_tables, settings, base_path=BASE_PATH) as running:
        yield running


@pytest.fixture(scope="module")
def viewer(api_server: ApiServer) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {api_server.token(VIEWER)}"
        yield session


@pytest.mark.parametrize("path", every_path())
def test_no_path_is_open_to_strangers(api_server: ApiServer, path: str) -> None:
    address = f"{api_server.url}{PREFIX}{path}"
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert requests.request(method, address, timeout=30).status_code == 401
    forged = {"Authorization": "Bearer not.a.token"}
    assert requests.get(address, headers=forged, timeout=30).status_code == 403
    assert requests.get(address, cookies={"_token": "not.a.token"}, timeout=30).status_code in {401, 403}


@pytest.mark.parametrize("path", OPEN_PATHS)
@pytest.mark.parametrize("user", [VIEWER, ADMIN])
def test_every_path_is_open_to_every_user(api_server: ApiServer, user: str, path: str) -> None:
    token = api_server.token(user)
    address = f"{api_server.url}{PREFIX}{path}"
    by_header = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    by_cookie = requests.get(address, cookies={"_token": token}, timeout=30)
    assert (by_header.status_code, by_cookie.status_code) == (200, 200)
    assert by_header.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'self'" in by_header.headers["Content-Security-Policy"]


def test_a_user_may_only_read(api_server: ApiServer, viewer: requests.Session) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = viewer.request(method, f"{api_server.url}{PREFIX}/intraday", timeout=30)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_the_route_tells_the_numbers(api_server: ApiServer, viewer: requests.Session, module_database_url: str) -> None:
    last = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    add_series(module_database_url, "BTC-PERPETUAL", first=last - timedelta(minutes=1999), rows=2000)
    told = viewer.get(f"{api_server.url}{PREFIX}/intraday", timeout=30).json()
    assert list(told)[:4] == ["ok", "source", "backend", "rows_total"]
    assert (told["rows_total"], told["is_running"]) == (2000, True)
    assert datetime.fromisoformat(told["last_timestamp"]) == last
    listed = viewer.get(f"{api_server.url}{PREFIX}/", timeout=30).json()[0]
    assert {name: listed[name] for name in told} == told
    assert (listed["dataset"], listed["series_count"]) == ("deribit.perpetual_candles", 1)


def test_a_report_is_shown_under_the_base_path(api_server: ApiServer, viewer: requests.Session) -> None:
    answer = viewer.get(f"{api_server.url}{PREFIX}/reports/7", timeout=30)
    assert (answer.text, answer.url) == ("this is report.html", f"{api_server.url}{PREFIX}/reports/7/")
    assert answer.headers["Content-Security-Policy"].count("style-src 'unsafe-inline'") == 1
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert viewer.get(f"{answer.url}gap-report.csv", timeout=30).headers["Content-Type"].startswith("text/csv")
    assert viewer.get(f"{answer.url}..%2f..%2fcredentials.json", timeout=30).status_code == 404


def test_a_missing_schema_is_a_plain_sentence(
    api_server: ApiServer, viewer: requests.Session, module_database_url: str
) -> None:
    with table_out_of_sight(module_database_url, "series_totals"):
        for path in ("/intraday", "/"):
            answer = viewer.get(f"{api_server.url}{PREFIX}{path}", timeout=30)
            assert answer.status_code == 503
            told = answer.json()[0] if path == "/" else answer.json()
            assert told["ok"] is False
            assert told["error"] == "The database lacks a table of this version: run tapekeeper migrate."
            assert "Traceback" not in answer.text
    assert viewer.get(f"{api_server.url}{PREFIX}/intraday", timeout=30).status_code == 200


def test_a_database_that_is_away_is_a_plain_sentence() -> None:
    away = read_settings({"TAPEKEEPER_DATABASE_URL": f"postgresql://desk:secret@127.0.0.1:{free_port(None)}/nothing"})
    client = create_application(away).test_client()
    answer = client.get("/intraday")
    assert answer.status_code == 503
    told = answer.json or {}
    assert (len(told), told["ok"], told["source"]) == (11, False, "Deribit intraday")
    assert told["error"].startswith("The database cannot be reached")
    assert not any(hidden in answer.text for hidden in ("secret", "desk:", "Traceback", "127.0.0.1"))
    listed = client.get("/")
    assert (listed.status_code, [one["ok"] for one in listed.json or []]) == (503, [False] * len(DATASETS))


def test_an_unknown_dataset_is_not_found(api_server: ApiServer, viewer: requests.Session) -> None:
    answer = viewer.get(f"{api_server.url}{PREFIX}/intraday", params={"dataset": "nasdaq.shares"}, timeout=30)
    assert (answer.status_code, answer.json()["datasets"]) == (404, list(DATASETS))


def test_the_plugin_is_in_the_navigation(api_server: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {api_server.token(ADMIN)}"}
    plugins = requests.get(f"{api_server.url}/api/v2/plugins", headers=headers, timeout=30).json()["plugins"]
    (ours,) = [plugin for plugin in plugins if plugin["name"] == "tapekeeper_status"]
    (view,) = ours["external_views"]
    assert (view["name"], view["destination"]) == ("Data status", "nav")
    errors = requests.get(f"{api_server.url}/api/v2/plugins/importErrors", headers=headers, timeout=30).json()
    assert errors["import_errors"] == []


def test_bad_settings_do_not_keep_the_api_server_down(airflow_tables: Path, tmp_path: Path) -> None:
    misspelt = {"TAPEKEEPER_DATABASE_URI": "postgresql://a:secret@b/c"}
    with running_api_server(tmp_path, airflow_tables, misspelt) as running:
        headers = {"Authorization": f"Bearer {running.token(VIEWER)}"}
        answer = requests.get(f"{running.url}{PREFIX}/intraday", headers=headers, timeout=30)
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("TAPEKEEPER_DATABASE_URI is not a setting of tapekeeper")
        assert "secret" not in answer.text
