"""Connections whose secret is a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_a_connection_comes_from_the_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tapekeeper_airflow.connection_files import ConnectionFiles

    file = tmp_path / "url"
    file.write_text("postgresql://desk:x%2Fy@h:5432/d\n", encoding="utf-8")
    monkeypatch.setenv("AIRFLOW_CONN_TAPEKEEPER_FILE", str(file))
    found = ConnectionFiles().get_connection("tapekeeper")
    assert found is not None
    assert (found.login, found.password, found.port) == ("desk", "x/y", 5432)
    assert ConnectionFiles().get_connection("another") is None


def test_a_file_that_is_named_and_not_there_is_no_silent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from tapekeeper_airflow.connection_files import ConnectionFiles

    monkeypatch.setenv("AIRFLOW_CONN_TAPEKEEPER_FILE", "/nowhere/url")
    with pytest.raises(FileNotFoundError):
        ConnectionFiles().get_connection("tapekeeper")
