"""Settings are checked at the start, and a mistake is told with the variable and what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekeeper.errors import ConfigInvalid
from tapekeeper.settings import Settings, read_settings, variables

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_set_gives_the_defaults_and_ignores_other_programs() -> None:
    assert read_settings({"PATH": "/bin", "AIRFLOW_HOME": "/x"}) == Settings()


def test_values_reach_their_fields() -> None:
    settings = read_settings(
        {"TAPEKEEPER_DERIBIT_REST_URL": "http://127.0.0.1:8810/", "TAPEKEEPER_BACKFILL_WORKERS": "2"}
    )
    assert settings.deribit.rest_url == "http://127.0.0.1:8810"
    assert settings.backfill.workers == 2


def test_a_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigInvalid, match=r"TAPEKEEPER_DERIBIT_RESTURL is not a setting.*mean TAPEKEEPER_DERIBIT_REST_URL"
    ):
        read_settings({"TAPEKEEPER_DERIBIT_RESTURL": "http://127.0.0.1"})


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TAPEKEEPER_BACKFILL_WORKERS", "0", "TAPEKEEPER_BACKFILL_WORKERS='0': .*greater than or equal to 1"),
        ("TAPEKEEPER_HTTP_TIMEOUT_SECONDS", "soon", "TAPEKEEPER_HTTP_TIMEOUT_SECONDS='soon': .*valid number"),
        ("TAPEKEEPER_DERIBIT_REST_URL", "deribit.com", "must look like https://host"),
        ("TAPEKEEPER_DATABASE_URL", "mysql://x", "must look like postgresql://"),
        ("TAPEKEEPER_BACKFILL_ROWS_PER_CHUNK", "5001", "less than or equal to 5000"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(variable: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"{variable}.*" if not sentence.startswith(variable) else sentence) as told:
        read_settings({variable: value})
    assert variable in str(told.value)


def test_a_secret_is_in_no_text() -> None:
    settings = read_settings({"TAPEKEEPER_DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in repr(settings) + str(settings)
    with pytest.raises(ConfigInvalid) as told:
        read_settings({"TAPEKEEPER_DATABASE_URL": "mysql://u:hunter2@h/d"})
    assert "hunter2" not in str(told.value)


def test_a_password_that_breaks_the_url_is_in_no_text() -> None:
    with pytest.raises(ConfigInvalid, match="write special characters of the password as %2F") as told:
        read_settings({"TAPEKEEPER_DATABASE_URL": "postgresql://u:hunter2%zz@h/d"})
    assert "hunter2" not in str(told.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:p@h/d\n", encoding="utf-8")
    settings = read_settings({"TAPEKEEPER_DATABASE_URL_FILE": str(file)})
    assert settings.database.url.get_secret_value() == "postgresql://u:p@h/d"


def test_a_key_that_nobody_has_written_is_none(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for text in ("", "\n", " \n"):
        file.write_text(text, encoding="utf-8")
        assert read_settings({"TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY_FILE": str(file)}) == Settings()
        assert read_settings({"TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY": text}) == Settings()
    file.write_text("hunter2\n", encoding="utf-8")
    key = read_settings({"TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY_FILE": str(file)}).cryptodatadownload.api_key
    assert key is not None
    assert key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(key)


def test_a_missing_file_and_two_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"TAPEKEEPER_DATABASE_URL_FILE=.*cannot be read \(No such file"):
        read_settings({"TAPEKEEPER_DATABASE_URL_FILE": str(tmp_path / "none")})
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match=r"TAPEKEEPER_DATABASE_URL_FILE=.*the file is no text in UTF-8"):
        read_settings({"TAPEKEEPER_DATABASE_URL_FILE": str(binary)})
    file = tmp_path / "url"
    file.write_text("postgresql://h/d", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="are both set: keep one"):
        read_settings({"TAPEKEEPER_DATABASE_URL": "postgresql://h/d", "TAPEKEEPER_DATABASE_URL_FILE": str(file)})


def test_every_field_explains_itself_and_no_two_share_a_variable() -> None:
    names = [variable.name for variable in variables()]
    assert len(set(names)) == len(names)
    assert all(variable.meaning for variable in variables())


def test_no_default_holds_a_password() -> None:
    assert not [variable for variable in variables() if ":" in variable.default.partition("://")[2].partition("@")[0]]
