"""Grafana of a local installation: closed to all but its admin, and reading from this installation alone."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tapekeeper.local.credentials import Credentials
from tapekeeper.local.grafana import CLOSED, LocalGrafana
from tapekeeper.local.monitoring_binaries import Grafana
from tapekeeper.local.supervisor import Program

CLONE = Path(__file__).parents[3]
PLACES = {
    "prometheus": "http://127.0.0.1:19090",
    "alertmanager": "http://127.0.0.1:19093",
    "postgresql": "127.0.0.1:15432",
}


@pytest.fixture
def grafana(tmp_path: Path) -> LocalGrafana:
    binary = Grafana(["/g/bin/grafana", "server", "--homepath=/g"], Path("/g"))
    return LocalGrafana(tmp_path / "grafana", CLONE, Credentials.load(tmp_path / "credentials.json"), binary)


@pytest.fixture
def program(grafana: LocalGrafana) -> Program:
    [program] = grafana.programs(PLACES, "monitoring")
    return program


def environment(program: Program) -> dict[str, str]:
    assert program.environment_file is not None
    found = json.loads(program.environment_file.read_text())
    assert isinstance(found, dict)
    return found


def of_compose() -> dict[str, str]:
    compose: dict[str, Any] = yaml.safe_load((CLONE / "docker-compose.yml").read_text())
    return dict(compose["services"]["grafana"]["environment"])


def test_it_is_as_closed_as_the_one_of_compose(program: Program) -> None:
    found = environment(program)
    wanted = {name: value for name, value in of_compose().items() if value in {"true", "false"}}
    assert wanted
    assert {name: found.get(name) for name in wanted} == wanted == CLOSED
    assert found["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_it_writes_into_its_folder_alone(grafana: LocalGrafana, program: Program) -> None:
    paths = {name: value for name, value in environment(program).items() if name.startswith("GF_PATHS_")}
    assert len(paths) == 4
    assert all(Path(path).parent == grafana.folder for path in paths.values())
    assert f"--config={grafana.folder / 'grafana.ini'}" in program.command
    assert program.directory == grafana.folder


def test_no_secret_is_in_its_command_line_and_each_file_is_private(grafana: LocalGrafana, program: Program) -> None:
    credentials = grafana.credentials
    secrets = [credentials.grafana_password, credentials.grafana_database_password, credentials.grafana_secret_key]
    assert not [secret for secret in secrets if secret in shlex.join(program.command)]
    files = [file for file in grafana.folder.rglob("*") if file.is_file()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    holders = {file.name for file in files if any(secret in file.read_text() for secret in secrets)}
    assert holders == {"environment.json", "database_password"}


def test_what_is_provisioned_is_that_of_the_clone_with_the_places_of_this_installation(
    grafana: LocalGrafana, program: Program
) -> None:
    written = Path(environment(program)["GF_PATHS_PROVISIONING"])
    files = {str(file.relative_to(written)) for file in written.rglob("*.yml")}
    of_clone = CLONE / "grafana" / "provisioning"
    assert files == {str(file.relative_to(of_clone)) for file in of_clone.rglob("*.yml")} != set()
    text = "".join((written / file).read_text() for file in files)
    places = {*PLACES.values(), str(CLONE / "grafana" / "dashboards"), str(grafana.folder / "database_password")}
    assert [place for place in places if place not in text] == []
    assert re.findall(r"//(?!127\.0\.0\.1)[\w.-]+|/etc/\S+|/run/\S+|\bpostgres:\d+", text) == []


def test_its_home_is_a_dashboard_of_the_clone(program: Program) -> None:
    assert Path(environment(program)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).is_file()


def test_without_a_grafana_nothing_is_started_or_waited_for(tmp_path: Path) -> None:
    missing = LocalGrafana(tmp_path / "grafana", CLONE, Credentials.load(tmp_path / "credentials.json"), None)
    assert missing.programs(PLACES, "monitoring") == []
    assert missing.names == []
    assert missing.is_ready()
    assert not missing.folder.exists()
