"""The demo in containers: which Docker Compose it takes, and what it says when that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekeeper.errors import ConfigInvalid, Stop
from tapekeeper.local.compose import Stack, find_compose, main

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, *, exit_code: int = 0) -> str:
    """Write a program that says nothing and ends, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_plugin_of_docker_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = program(tmp_path / "docker")
    program(tmp_path / "docker-compose")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compose(tmp_path) == (docker, "compose")


def test_without_the_plugin_a_program_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "docker", exit_code=1)
    own = program(tmp_path / ".venv" / "bin" / "docker-compose")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compose(tmp_path) == (own,)
    installed = program(tmp_path / "docker-compose")
    assert find_compose(tmp_path) == (installed,)


def test_without_any_it_says_where_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigInvalid, match="Docker Compose is not installed: see https://"):
        find_compose(tmp_path)


def test_a_command_that_fails_names_the_next_one(tmp_path: Path) -> None:
    broken = Stack((program(tmp_path / "docker-compose", exit_code=1),))
    with pytest.raises(Stop, match=r"docker compose up failed: `.*docker-compose logs SERVICE` tells why"):
        broken.run("up")
    with pytest.raises(Stop, match=r"docker-compose.yml cannot be read"):
        broken.described()


def test_an_error_is_a_sentence_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(tmp_path / "docker-compose", exit_code=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["down"]) == 1
    assert capsys.readouterr().out.startswith("error: docker compose down failed")
