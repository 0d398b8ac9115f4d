"""Programs that may be on the PATH, under the names that packages give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapekeeper.local.monitoring_binaries import Grafana, MonitoringBinaries, find_monitoring


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def grafana_home(path: Path) -> Path:
    (path / "conf").mkdir(parents=True)
    (path / "conf" / "defaults.ini").touch()
    return path


def test_an_empty_path_has_nothing(tmp_path: Path) -> None:
    assert find_monitoring(str(tmp_path)) == MonitoringBinaries(None, None, None)


@pytest.mark.parametrize("name", ["alertmanager", "prometheus-alertmanager"])
def test_alertmanager_has_two_names(tmp_path: Path, name: str) -> None:
    found = find_monitoring(str(program(tmp_path / name).parent))
    assert found == MonitoringBinaries(None, str(tmp_path / name), None)


@pytest.mark.parametrize(("name", "words"), [("grafana", ["server"]), ("grafana-server", [])])
def test_grafana_is_started_with_the_folder_that_it_was_unpacked_to(
    tmp_path: Path, name: str, words: list[str]
) -> None:
    home = grafana_home(tmp_path / "grafana-13")
    binary = program(home / "bin" / name)
    linked = tmp_path / "links" / name
    linked.parent.mkdir()
    linked.symlink_to(binary)
    found = find_monitoring(str(linked.parent)).grafana
    assert found == Grafana([str(binary), *words, f"--homepath={home}"], home)


def test_grafana_may_keep_its_files_in_share(tmp_path: Path) -> None:
    binary = program(tmp_path / "bin" / "grafana")
    home = grafana_home(tmp_path / "share" / "grafana")
    assert find_monitoring(str(binary.parent)).grafana == Grafana([str(binary), "server", f"--homepath={home}"], home)


def test_something_else_of_that_name_is_not_started(tmp_path: Path) -> None:
    assert find_monitoring(str(program(tmp_path / "bin" / "grafana").parent)).grafana is None
