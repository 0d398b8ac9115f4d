"""Prometheus' rules: they load, they do what their tests say, and every alert says what to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.observability import rule_checks
from tests.observability.rules import (
    PROMETHEUS,
    alerts,
    case_files,
    load,
    metrics,
    recorded,
    rule_files,
    rules,
)

SERVICES = {"monitoring", "collector", "freshness", "completeness", "gaps", "backfill", "quality", "airflow"}
# Not in Prometheus 2.42: durations as numbers, groups with labels or an offset, later functions.
TOO_NEW = re.compile(
    r"\b(mad_over_time|limitk|limit_ratio|sort_by_label|first_over_time|info|fill|double_exponential_smoothing)\("
)
GONE = re.compile(r"\bholt_winters\(")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; the test is skipped where there is none."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)


def passes(*arguments: str | Path) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration() -> None:
    passes("check", "config", PROMETHEUS / "prometheus.yml")


def test_every_job_has_limits_and_finds_its_targets_in_files() -> None:
    for job in load(PROMETHEUS / "prometheus.yml")["scrape_configs"]:
        assert job["sample_limit"] <= 5000
        assert job["label_limit"] <= 20
        (found,) = job["file_sd_configs"]
        assert all((PROMETHEUS / file).is_file() for file in found["files"])
        assert "static_configs" not in job


def test_prometheus_finds_nothing_to_improve_in_the_rules() -> None:
    passes("check", "rules", "--lint=all", "--lint-fatal", *rule_files())


@pytest.mark.parametrize("file", case_files(), ids=lambda file: file.stem)
def test_rules_do_what_their_tests_say(file: Path) -> None:
    passes("test", "rules", file)


def test_a_rule_that_does_something_else_is_noticed(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(PROMETHEUS, tmp_path / "prometheus"))
    changed = copied / "rules" / "monitoring.yml"
    changed.write_text(changed.read_text(encoding="utf-8").replace("up == 0", "up == 2"), encoding="utf-8")
    done = promtool("test", "rules", copied / "tests" / "monitoring.yml")
    assert done.returncode == 1
    assert "TargetDown" in done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, dict[str, str]]) -> None:
    labels, annotations = alert["labels"], alert["annotations"]
    assert labels["severity"] in {"critical", "warning", "none"}
    assert labels["service"] in SERVICES
    assert "$value" in annotations["summary"]
    assert annotations["description"].endswith(".")
    assert "{{" not in annotations["runbook_url"]


def test_all_runbooks_have_one_base() -> None:
    assert len({alert["annotations"]["runbook_url"].rsplit("/", 1)[0] for alert in alerts()}) == 1


@pytest.mark.parametrize(
    "check",
    [
        rule_checks.unproven_alerts,
        rule_checks.ages_without_a_death,
        rule_checks.ages_that_can_end,
        rule_checks.unknown_metrics,
        rule_checks.strayed_runbooks,
    ],
    ids=lambda check: str(check.__name__),
)
def test_what_belongs_to_the_rules_fits_them(check: Callable[[], Iterator[str]]) -> None:
    assert list(check()) == []


def test_ages_are_known_as_such() -> None:
    known = {"TicksStale", "BackfillStalled", "QualityRunOverdue", "GapNotRepairedIn24h", "SchedulerHeartbeatMissing"}
    assert known <= rule_checks.ages()


def test_every_recorded_name_that_is_used_exists_and_has_three_parts() -> None:
    records = {rule["record"] for rule in rules() if "record" in rule}
    used = set().union(*(recorded(rule["expr"]) for rule in rules()))
    assert used - records == set()
    assert all(re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", record) for record in records)
    assert {name for name in records if name.endswith((":threshold", ":objective"))} - used == set()


def test_every_threshold_is_in_the_file_of_thresholds() -> None:
    for rule in alerts():
        compared = re.findall(r"(?:[<>]=?|==) *([0-9.e]+)", rule["expr"])
        assert set(compared) <= {"0", "1"}, f"{rule['alert']} compares with a number of its own: {compared}"


def test_rules_use_what_both_old_and_new_prometheus_have() -> None:
    for file in rule_files():
        text = file.read_text(encoding="utf-8")
        assert not TOO_NEW.search(text)
        assert not GONE.search(text)
        assert not re.search(r"\ble(!?=|=~)", text), "3.x writes bounds of buckets in another way"
        for group in load(file)["groups"]:
            assert set(group) <= {"name", "interval", "limit", "rules"}
    assert metrics("a:tapekeeper_b:c + tapekeeper_d_total") == {"tapekeeper_d_total"}
