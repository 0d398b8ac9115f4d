"""Prometheus and Alertmanager of a local installation: what is written for them, and how they are started."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]

from tapekeeper.local.credentials import Credentials
from tapekeeper.local.grafana import LocalGrafana
from tapekeeper.local.monitoring import ALERTMANAGER, PAGES, PROMETHEUS, RETENTION, LocalMonitoring

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE = Path(__file__).parents[3]
WATCHED = {"collector": "127.0.0.1:9101", "exporter": "127.0.0.1:9102"}
POSTGRESQL = "127.0.0.1:5432"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalMonitoring]:
    credentials = Credentials.load(tmp_path / "credentials.json")

    def monitoring(prometheus: str | None = "/x/prometheus", alertmanager: str | None = "/x/am") -> LocalMonitoring:
        folder = tmp_path / "monitoring"
        grafana = LocalGrafana(folder / "grafana", CLONE, credentials, None)
        return LocalMonitoring(folder, CLONE, credentials, prometheus, alertmanager, grafana)

    return monitoring


def targets(monitoring: LocalMonitoring) -> dict[str, Any]:
    """Return the addresses in the files that prometheus.yml names, by file, read from where it looks for them."""
    home = monitoring.folder / PROMETHEUS
    configuration = yaml.safe_load((home / "prometheus.yml").read_text())
    sources = [*configuration["scrape_configs"], *configuration["alerting"]["alertmanagers"]]
    files = {name for source in sources for each in source["file_sd_configs"] for name in each["files"]}
    assert all(name.startswith("targets/") for name in files)
    found = {name: yaml.safe_load((home / name).read_text()) for name in files}
    return {
        Path(name).stem: [address for group in read for address in group["targets"]] for name, read in found.items()
    }


def test_rules_and_scrapes_are_those_of_the_clone(make: Callable[..., LocalMonitoring]) -> None:
    monitoring = make()
    for _ in range(2):
        monitoring.programs(WATCHED, POSTGRESQL)
    home = monitoring.folder / PROMETHEUS
    assert (home / "prometheus.yml").resolve() == CLONE / "prometheus" / "prometheus.yml"
    assert sorted(file.name for file in (home / "rules").glob("*.yml")) == sorted(
        file.name for file in (CLONE / "prometheus" / "rules").glob("*.yml")
    )


def test_every_target_has_an_address_of_this_installation_or_none(make: Callable[..., LocalMonitoring]) -> None:
    monitoring = make()
    monitoring.programs(WATCHED, POSTGRESQL)
    assert targets(monitoring) == {
        "airflow": [],
        "alertmanager": [f"127.0.0.1:{monitoring.credentials.alertmanager_port}"],
        "collector": ["127.0.0.1:9101"],
        "exporter": ["127.0.0.1:9102"],
        "prometheus": [f"127.0.0.1:{monitoring.credentials.prometheus_port}"],
    }


def test_a_target_keeps_its_name_when_its_port_changes(make: Callable[..., LocalMonitoring]) -> None:
    monitoring = make()
    monitoring.programs(WATCHED, POSTGRESQL)
    [collector] = yaml.safe_load((monitoring.folder / PROMETHEUS / "targets" / "collector.yml").read_text())
    assert collector["labels"] == {"instance": "collector"}


def test_what_this_machine_lacks_is_neither_started_nor_watched(make: Callable[..., LocalMonitoring]) -> None:
    alone = make(alertmanager=None)
    assert [program.name for program in alone.programs(WATCHED, POSTGRESQL)] == alone.names == [PROMETHEUS]
    assert targets(alone)["alertmanager"] == []
    nothing = make(prometheus=None, alertmanager=None)
    assert nothing.programs(WATCHED, POSTGRESQL) == []
    assert nothing.names == []
    assert nothing.is_ready()


def test_everything_listens_on_loopback_alone(make: Callable[..., LocalMonitoring]) -> None:
    monitoring = make()
    programs = {program.name: shlex.join(program.command) for program in monitoring.programs(WATCHED, POSTGRESQL)}
    assert list(programs) == monitoring.names == [PAGES, ALERTMANAGER, PROMETHEUS]
    for name, port in ((PROMETHEUS, "prometheus_port"), (ALERTMANAGER, "alertmanager_port")):
        wanted = f"--web.listen-address=127.0.0.1:{getattr(monitoring.credentials, port)}"
        assert re.findall(r"--[\w.]*listen-address=\S+", programs[name]) == [wanted]
    # Without an address of its own Alertmanager's cluster would listen on 0.0.0.0:9094.
    assert "--cluster.listen-address=" in shlex.split(programs[ALERTMANAGER])


def test_data_lies_in_its_folder_and_outlasts_the_week_that_rules_look_back(
    make: Callable[..., LocalMonitoring],
) -> None:
    monitoring = make()
    programs = {program.name: program.command for program in monitoring.programs(WATCHED, POSTGRESQL)}
    assert f"--storage.tsdb.path={monitoring.folder}/prometheus/data" in programs[PROMETHEUS]
    assert f"--storage.path={monitoring.folder}/alertmanager/data" in programs[ALERTMANAGER]
    assert f"--storage.tsdb.retention.time={RETENTION}" in programs[PROMETHEUS]
    assert int(RETENTION.removesuffix("d")) >= 8


def test_whoever_would_be_called_is_a_log_on_this_machine(make: Callable[..., LocalMonitoring]) -> None:
    monitoring = make()
    pages = monitoring.programs(WATCHED, POSTGRESQL)[0]
    rendered = monitoring.folder / ALERTMANAGER / "alertmanager.yml"
    receivers = {receiver["name"]: receiver for receiver in yaml.safe_load(rendered.read_text())["receivers"]}
    called = {hook["url"] for receiver in receivers.values() for hook in receiver.get("webhook_configs", [])}
    assert called == {f"http://127.0.0.1:{pages.command[-1]}/"}
