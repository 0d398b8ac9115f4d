"""Airflow's configuration, and where its secrets are."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from tapekeeper.local.airflow import API_SERVER, COMPONENTS, MIGRATE, LocalAirflow
from tapekeeper.local.credentials import Credentials

if TYPE_CHECKING:
    from pathlib import Path

    from tapekeeper.local.supervisor import Program

METADATA_URL = "postgresql://airflow:hidden1@127.0.0.1:5432/airflow"
TAPEKEEPER_URL = "postgresql://writer:hidden2@127.0.0.1:5432/tapekeeper"


@pytest.fixture
def airflow(tmp_path: Path) -> LocalAirflow:
    return LocalAirflow(tmp_path / "airflow", tmp_path / "clone", Credentials.load(tmp_path / "credentials.json"))


@pytest.fixture
def programs(airflow: LocalAirflow) -> list[Program]:
    return airflow.programs(metadata_url=METADATA_URL, tapekeeper_url=TAPEKEEPER_URL, more={"TAPEKEEPER_X": "y"})


def environment(programs: list[Program]) -> dict[str, str]:
    [file] = {program.environment_file for program in programs}
    assert file is not None
    found = json.loads(file.read_text())
    assert isinstance(found, dict)
    return found


def test_the_migration_ends_by_itself_and_goes_first(programs: list[Program]) -> None:
    assert [program.name for program in programs] == [MIGRATE, *COMPONENTS]
    assert [program.once for program in programs] == [True, False, False, False]
    # Tasks report to the api-server until they are stopped.
    assert next(program.group for program in programs if program.name == API_SERVER) == programs[0].group
    assert programs[0].group != programs[-1].group


def test_no_secret_is_in_a_command_line_and_each_file_is_private(
    airflow: LocalAirflow, programs: list[Program]
) -> None:
    commands = " ".join(shlex.join(program.command) for program in programs)
    credentials = airflow.credentials
    secrets = [credentials.jwt_secret, credentials.api_secret_key, credentials.fernet_key, "hidden1", "hidden2"]
    secrets.append(credentials.admin_login_password)
    assert not [secret for secret in secrets if secret in commands]
    for name in ("environment.json", "passwords.json"):
        assert (airflow.folder / name).stat().st_mode & 0o777 == 0o600


def test_every_component_gets_the_same_keys_and_listens_on_loopback(
    airflow: LocalAirflow, programs: list[Program]
) -> None:
    found = environment(programs)
    assert found["AIRFLOW__API__SECRET_KEY"] == airflow.credentials.api_secret_key
    assert found["AIRFLOW__API_AUTH__JWT_SECRET"] == airflow.credentials.jwt_secret
    assert found["AIRFLOW__CORE__FERNET_KEY"] == airflow.credentials.fernet_key
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert found["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == METADATA_URL.replace("postgresql:", "postgresql+psycopg2:")
    assert found["AIRFLOW_CONN_TAPEKEEPER"] == TAPEKEEPER_URL
    assert found["TAPEKEEPER_X"] == "y"
    assert "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS" not in found


def test_the_dags_come_as_a_bundle(airflow: LocalAirflow, programs: list[Program]) -> None:
    [bundle] = json.loads(environment(programs)["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["classpath"].endswith(".LocalDagBundle")
    assert bundle["kwargs"]["path"] == str(airflow.clone / "dags")
