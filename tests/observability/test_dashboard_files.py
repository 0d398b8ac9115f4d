"""The dashboards' files are what the generator makes, and Grafana is provisioned with what they expect."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grafana.generator.__main__ import differences
from tests.observability.lint import provisioning
from tests.observability.lint.dashboard import FOLDER, Dashboard, load
from tests.observability.lint.provisioning import Start, start

RULES = (
    provisioning.expected_sources_are_provided,
    provisioning.sources_are_of_one_piece,
    provisioning.dashboards_are_found,
    provisioning.the_home_exists,
)


def test_the_files_are_what_the_generator_makes() -> None:
    assert differences(FOLDER) == []


def test_a_file_that_was_changed_is_added_or_is_missing_is_noticed(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(FOLDER, tmp_path / "dashboards"))
    assert differences(copied) == []
    home = copied / "overview.json"
    home.write_text(home.read_text(encoding="utf-8").replace('"editable": false', '"editable": true'), encoding="utf-8")
    (copied / "collector.json").unlink()
    (copied / "mine.json").write_text("{}", encoding="utf-8")
    command = [sys.executable, "-m", "grafana.generator", "--check", "--folder", str(copied)]
    done = subprocess.run(command, cwd=FOLDER.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for name in ("overview.json differs", "collector.json is missing", "mine.json is made by no module"):
        assert name in done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_grafana_is_provisioned_with_what_dashboards_expect(
    rule: Callable[[Start, list[Dashboard]], Iterator[str]],
) -> None:
    assert list(rule(start(), load())) == []


def source(found: Start, kind: str) -> dict[str, object]:
    return next(told for told in found.sources if told["type"] == kind)


FAULTS: list[tuple[str, Callable[[Start], object]]] = [
    ("expected_sources_are_provided", lambda it: source(it, "prometheus").update(uid="prometheus")),
    ("expected_sources_are_provided", lambda it: source(it, "grafana-postgresql-datasource").update(type="postgres")),
    ("sources_are_of_one_piece", lambda it: source(it, "grafana-postgresql-datasource").update(editable=True)),
    ("sources_are_of_one_piece", lambda it: source(it, "alertmanager").update(uid="alerts")),
    ("sources_are_of_one_piece", lambda it: source(it, "prometheus").update(jsonData={"timeInterval": "60s"})),
    ("dashboards_are_found", lambda it: it.providers[0]["options"].update(path="/var/lib/grafana/dashboards")),
    ("dashboards_are_found", lambda it: it.providers[0].update(allowUiUpdates=True)),
    ("the_home_exists", lambda it: it.environment.pop("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")),
    (
        "the_home_exists",
        lambda it: it.environment.update(GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH="/etc/grafana/dashboards/main.json"),
    ),
    ("the_home_exists", lambda it: it.mounts.clear()),
]


@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(FAULTS)])
def test_a_planted_fault_is_found_by_its_rule(rule: str, fault: Callable[[Start], object]) -> None:
    broken = start()
    fault(broken)
    assert rule in {check.__name__ for check in RULES if list(check(broken, load()))}
