"""docs/operations.md: the table of alerts is the one of the rules, and its commands exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.observability.compose import COMPOSE
from tests.observability.rules import RUNBOOKS, alerts
from tests.observability.test_runbooks import commands, parse

OPERATIONS: Final = Path(__file__).parents[2] / "docs" / "operations.md"
_MEANING: Final = re.compile(r"^## What it means\n(.+?\.)(?:\s|$)", re.MULTILINE | re.DOTALL)
_TABLE: Final = re.compile(r"^<!-- alerts -->\n(.*?)^<!-- end of alerts -->$", re.MULTILINE | re.DOTALL)


def table(rules: list[dict[str, Any]]) -> str:
    """Return the table of alerts: what each means is the first sentence of its runbook."""
    severities: dict[str, list[str]] = {}
    for rule in rules:
        labels = rule["labels"]
        told = f"{labels['severity']} ({labels['speed']})" if "speed" in labels else labels["severity"]
        severities.setdefault(rule["alert"], []).append(told)
    lines = ["| alert | severity | what it means |", "|---|---|---|"]
    for name, told in severities.items():
        meaning = _MEANING.search((RUNBOOKS / f"{name}.md").read_text(encoding="utf-8"))
        assert meaning is not None, name
        lines.append(f"| [{name}](../prometheus/runbooks/{name}.md) | {', '.join(told)} | {meaning[1]} |")
    return "\n".join([*lines, ""])


def test_every_alert_is_told_with_its_severity_and_what_it_means() -> None:
    found = _TABLE.search(OPERATIONS.read_text(encoding="utf-8"))
    assert found is not None
    # Differs: what is told here goes between the two marks.
    assert found[1] == table(alerts())


def test_an_alert_that_is_not_told_or_has_another_severity_is_noticed() -> None:
    rules = alerts()
    changed = [{**rules[0], "labels": {**rules[0]["labels"], "severity": "none"}}, *rules[1:]]
    assert len({table(rules), table(rules[1:]), table(changed)}) == 3


def test_compose_takes_the_documented_second_collector(tmp_path: Path) -> None:
    [override] = re.findall(r"^```yaml\n(services:\n.*?)^```", OPERATIONS.read_text(encoding="utf-8"), re.M | re.S)
    (tmp_path / "docker-compose.override.yml").write_text(override, encoding="utf-8")
    shutil.copy(OPERATIONS.parents[1] / "docker-compose.yml", tmp_path)
    done = subprocess.run([COMPOSE, "config", "--format=json"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    collectors = [services[name] for name in ("collector", "collector-2")]
    assert [collector["environment"]["SHARD"] for collector in collectors] == ["1/2", "2/2"]
    # What must not be shared.
    for one, other in zip(*((mounted(collector), published(collector)) for collector in collectors), strict=True):
        assert len(one | other) == 2


def mounted(service: dict[str, Any]) -> set[str]:
    return {volume["source"] for volume in service["volumes"]}


def published(service: dict[str, Any]) -> set[str]:
    return {port["published"] for port in service["ports"]}


def test_the_commands_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = commands(OPERATIONS)
    assert len(found) > 5
    for words in found:
        for file in [word for word in words if word.endswith("_password")]:
            Path(file).touch()
        parse(words)
