"""Alertmanager: who is called, and that one cause calls once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.observability.live.servers import running_alertmanager
from tests.observability.rules import PROMETHEUS, alerts
from tests.support.processes import wait_for

CONFIGURATION = PROMETHEUS / "alertmanager.yml"
RENDER = PROMETHEUS / "render-alertmanager.sh"
COLLECTOR = {"job": "collector", "instance": "collector:9101"}
DATASET = {"dataset": "deribit.option_trades"}
Labels = Mapping[str, str]


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run amtool; the test is skipped where there is none."""
    found = shutil.which("amtool")
    if found is None:
        pytest.skip("amtool is not installed: apt-get install prometheus-alertmanager")
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_alertmanager_takes_the_configuration() -> None:
    done = amtool("check-config", CONFIGURATION)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_takes_the_examples_too(tmp_path: Path) -> None:
    text = CONFIGURATION.read_text(encoding="utf-8")
    everything = tmp_path / "alertmanager.yml"
    everything.write_text(text.replace("#~ ", ""), encoding="utf-8")
    done = amtool("check-config", everything)
    assert done.returncode == 0, done.stdout + done.stderr
    for example in ("slack_configs", "email_configs", "pagerduty_configs"):
        assert f"#~ {example}:" in text


def test_a_mistake_in_the_configuration_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "alertmanager.yml"
    wrong.write_text(CONFIGURATION.read_text(encoding="utf-8").replace("receiver: page", "receiver: pages"))
    assert amtool("check-config", wrong).returncode == 1


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "page"), ("warning", "ticket"), ("none", "nobody")])
def test_the_severity_decides_who_is_called(severity: str, receiver: str) -> None:
    done = amtool(
        "config",
        "routes",
        "test",
        "--config.file",
        CONFIGURATION,
        "--verify.receivers",
        receiver,
        f"severity={severity}",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_watchdog_goes_to_the_dead_mans_service_and_to_nobody_else() -> None:
    for receiver, code in (("watchdog", 0), ("page", 1)):
        labels = ("alertname=Watchdog", "severity=none")
        done = amtool(
            "config", "routes", "test", "--config.file", CONFIGURATION, "--verify.receivers", receiver, *labels
        )
        assert done.returncode == code, done.stdout + done.stderr


def render(tmp_path: Path, webhook: str, watchdog: str | None = None) -> subprocess.CompletedProcess[str]:
    """Render the configuration to `rendered.yml` with these contents of the secret files."""
    (tmp_path / "webhook_url").write_text(webhook, encoding="utf-8")
    secrets = [tmp_path / "webhook_url"]
    if watchdog is not None:
        (tmp_path / "watchdog_url").write_text(watchdog, encoding="utf-8")
        secrets.append(tmp_path / "watchdog_url")
    command = ["sh", RENDER, CONFIGURATION, tmp_path / "rendered.yml", *secrets]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_the_addresses_come_from_secret_files(tmp_path: Path) -> None:
    webhook = "https://hooks.example.com/a?b=c&d=~e"
    assert render(tmp_path, f"{webhook}\n", "http://alive.example.com/1").returncode == 0
    rendered = tmp_path / "rendered.yml"
    text = rendered.read_text(encoding="utf-8")
    assert text.count(f"url: {webhook}\n") == 2
    assert text.count("url: http://alive.example.com/1\n") == 1
    assert ".invalid/" not in text
    assert rendered.stat().st_mode & 0o077 == 0
    assert amtool("check-config", rendered).returncode == 0


@pytest.mark.parametrize("watchdog", [None, ""])
def test_without_an_address_of_its_own_the_watchdog_goes_to_the_webhook(tmp_path: Path, watchdog: str | None) -> None:
    assert render(tmp_path, "http://hooks.example.com/", watchdog).returncode == 0
    assert (tmp_path / "rendered.yml").read_text(encoding="utf-8").count("url: http://hooks.example.com/\n") == 3


@pytest.mark.parametrize(
    "webhook", ["", "\n", "hooks.example.com", "ftp://hooks.example.com/", "http://a b", "http://a/\"'"]
)
def test_what_is_no_address_is_refused_without_being_told(tmp_path: Path, webhook: str) -> None:
    done = render(tmp_path, webhook)
    assert done.returncode == 1
    assert str(tmp_path / "webhook_url") in done.stderr
    assert "hooks.example.com" not in done.stderr
    assert not (tmp_path / "rendered.yml").exists()


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Alertmanager with our inhibitions, and receivers that call nobody."""
    quiet = tmp_path_factory.mktemp("alertmanager") / "quiet.yml"
    lines = CONFIGURATION.read_text(encoding="utf-8").splitlines()
    calling = ("webhook_configs:", "- url:", "send_resolved:")
    quiet.write_text("\n".join(line for line in lines if not line.lstrip().startswith(calling)), encoding="utf-8")
    with running_alertmanager(quiet) as address:
        yield f"http://{address}"


def labelled(name: str, more: Labels) -> dict[str, str]:
    """Return the labels that an alert of our rules carries, with those of its series."""
    rule = next(
        rule
        for rule in alerts()
        if rule["alert"] == name and more.get("speed", rule["labels"].get("speed")) == rule["labels"].get("speed")
    )
    return {**more, **rule["labels"], "alertname": name}


def tell(url: str, *told: Labels, resolved: bool = False) -> None:
    """Tell Alertmanager that alerts fire, or that they do not any more."""
    now = datetime.now(UTC)
    started = now - timedelta(minutes=1)
    ended = now - timedelta(seconds=1) if resolved else now + timedelta(hours=1)
    told_as = [{"labels": labels, "startsAt": started.isoformat(), "endsAt": ended.isoformat()} for labels in told]
    requests.post(f"{url}/api/v2/alerts", json=told_as, timeout=10).raise_for_status()


def states(url: str) -> dict[str, str]:
    """Return `active` or `suppressed` by name of the alert."""
    told = requests.get(f"{url}/api/v2/alerts", timeout=10).json()
    return {alert["labels"]["alertname"] + alert["labels"].get("speed", ""): alert["status"]["state"] for alert in told}


CALLS_ONCE = [
    pytest.param(
        ("TargetDown", COLLECTOR),
        [("TicksStale", COLLECTOR), ("TicksAbsent", {}), ("FreshnessBudgetBurn", {"speed": "fast"})],
        ("BackfillStalled", DATASET),
        id="the collector died",
    ),
    pytest.param(
        ("TargetDown", {"job": "exporter", "instance": "exporter:9102"}),
        [("QualityRunOverdue", DATASET), ("GapOpenMajor", DATASET), ("BackfillStalled", DATASET)],
        ("TicksStale", COLLECTOR),
        id="the exporter died",
    ),
    pytest.param(
        ("TargetDown", {"job": "collector", "instance": "another:9101"}),
        [("FreshnessBudgetBurn", {"speed": "fast"})],
        ("TicksStale", COLLECTOR),
        id="another collector died",
    ),
    pytest.param(
        ("FeedDisconnected", COLLECTOR),
        [("TicksStale", COLLECTOR), ("ReconnectStorm", COLLECTOR), ("MessageRateDrop", {"channel": "book"})],
        ("RowsDropped", COLLECTOR),
        id="the venue is away",
    ),
    pytest.param(
        ("GapOpenMajor", DATASET),
        [
            ("CompletenessBudgetBurn", {**DATASET, "speed": "fast"}),
            ("QualityCheckFailed", {**DATASET, "check": "gap_detection"}),
        ],
        ("BackfillFailedChunks", DATASET),
        id="a large hole",
    ),
    pytest.param(
        ("FreshnessBudgetBurn", {"speed": "fast"}),
        [("FreshnessBudgetBurn", {"speed": "medium"}), ("FreshnessBudgetBurn", {"speed": "slow"})],
        ("CompletenessBudgetBurn", {**DATASET, "speed": "slow"}),
        id="a budget burns",
    ),
    pytest.param(
        ("SchedulerHeartbeatMissing", {}),
        [("QualityRunOverdue", DATASET), ("BackfillStalled", DATASET)],
        ("QualityCheckFailed", {**DATASET, "check": "price_jump"}),
        id="no scheduler",
    ),
]


@pytest.mark.parametrize(("cause", "effects", "other"), CALLS_ONCE)
def test_one_cause_calls_once(
    alertmanager: str, cause: tuple[str, Labels], effects: list[tuple[str, Labels]], other: tuple[str, Labels]
) -> None:
    firing = [labelled(*alert) for alert in (cause, *effects, other)]
    wanted = {name + more.get("speed", ""): "suppressed" for name, more in effects}
    wanted |= {name + more.get("speed", ""): "active" for name, more in (cause, other)}
    tell(alertmanager, *firing)
    try:
        wait_for(lambda: states(alertmanager) == wanted, seconds=30)
    finally:
        tell(alertmanager, *firing, resolved=True)
        wait_for(lambda: not states(alertmanager), seconds=30)
