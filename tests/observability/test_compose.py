"""The stack of containers: the file is one that Compose takes, hardened, and documented; no engine is needed."""

from __future__ import annotations

import copy
import itertools
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.settings import read_collector_settings
from simulator.cryptodatadownload.http import DEFAULT_KEY
from tapekeeper.local.compose import DEMO, address, pages
from tapekeeper.local.installation import SIMULATOR_KEY
from tapekeeper.settings import Settings, read_settings
from tests.observability.compose import FILE, PROJECT, Service, faults, read, read_all
from tests.observability.rules import load

if TYPE_CHECKING:
    from collections.abc import Callable

PROFILES = ("demo", "statsd", "celery")
COMBINATIONS = [chosen for size in range(4) for chosen in itertools.combinations(PROFILES, size)]
EXAMPLE = PROJECT / ".env.example"
PROVISIONING = PROJECT / "grafana" / "provisioning"
DATASOURCES = PROVISIONING / "datasources" / "tapekeeper.yml"
SECRETS = PROJECT / "docker" / "make-secrets.sh"
EMPTY = {"cryptodatadownload_api_key", "watchdog_url"}
"""Secrets that a person fills in, or not."""
KEY = {"source": "cryptodatadownload_api_key", "target": "/run/secrets/cryptodatadownload_api_key"}


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    """Every service of every profile."""
    return read(profiles=PROFILES)


@pytest.mark.parametrize("profiles", COMBINATIONS, ids="+".join)
def test_compose_takes_the_file_with_any_profiles(profiles: tuple[str, ...]) -> None:
    extra = {"demo": {"simulator"}, "statsd": {"statsd-exporter"}, "celery": {"redis", "airflow-worker"}}
    found = set(read(profiles=profiles))
    assert {"postgres", "collector", "exporter", "airflow-scheduler", "prometheus", "grafana"} < found
    for profile, names in extra.items():
        assert (names <= found) is (profile in profiles)


def test_a_file_that_compose_does_not_take_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text(encoding="utf-8").replace("healthcheck:", "healthchek:", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="healthchek"):
        read(broken)


def test_every_service_keeps_the_rules(services: dict[str, Service]) -> None:
    assert faults(services) == []


def without(*path: str | int) -> Callable[[Service], None]:
    def change(service: Service) -> None:
        inner: Any = service
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]

    return change


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("grafana", lambda service: service["ports"][0].update(host_ip="0.0.0.0"), "is open to other machines"),
        ("grafana", lambda service: service.update(network_mode="host"), "no network of its own"),
        ("collector", without("restart"), "nothing starts it again"),
        ("collector", without("healthcheck"), "no health check"),
        ("collector", lambda service: service["depends_on"]["migrate"].update(condition="service_started"), "not wait"),
        ("redis", without("deploy", "resources", "limits", "memory"), "no limit of memory"),
        ("redis", without("deploy", "resources", "limits", "cpus"), "no limit of cpus"),
        ("redis", without("deploy", "resources", "limits", "pids"), "no limit of pids"),
        ("postgres", without("user"), "runs as root"),
        ("simulator", lambda service: service.update(user="0:0"), "runs as root"),
        ("exporter", without("read_only"), "can be written"),
        ("exporter", without("cap_drop"), "keeps capabilities"),
        ("exporter", lambda service: service.update(cap_add=["NET_ADMIN"]), "keeps capabilities"),
        ("exporter", without("security_opt"), "may gain privileges"),
        ("exporter", without("init"), "reaps its children"),
        ("prometheus", lambda service: service.update(image="prom/prometheus:latest"), "another image tomorrow"),
        ("prometheus", lambda service: service.update(image="prom/prometheus"), "another image tomorrow"),
        ("grafana", lambda service: service["environment"].update(GF_SECURITY_SECRET_KEY="x"), "is a secret in the"),
        ("migrate", lambda service: service["environment"].update(A="postgresql://u:p@h/d"), "A holds a password"),
        ("airflow-worker", without("secrets", -1), "FILE names a secret that it is not given"),
        ("collector", lambda service: service["secrets"].append(KEY), "it runs no task and is given"),
        ("airflow-api-server", lambda service: service["secrets"].append(KEY), "it runs no task and is given"),
        ("postgres", lambda service: service["volumes"][0].pop("source"), "is lost with the container"),
        ("alertmanager", lambda service: service["volumes"][0].pop("read_only"), "it can change"),
    ],
)
def test_each_rule_can_fail(
    services: dict[str, Service], name: str, change: Callable[[Service], None], fault: str
) -> None:
    broken = copy.deepcopy(services)
    change(broken[name])
    found = faults(broken)
    assert len(found) == 1
    assert found[0].startswith(f"{name}: ")
    assert fault in found[0]


def test_every_variable_is_documented_with_the_default_that_the_file_has(services: dict[str, Service]) -> None:
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text(encoding="utf-8")))
    documented = set(re.findall(r"^#?(\w+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(used) > 20
    assert used <= documented
    assert read(profiles=PROFILES, environment_file=EXAMPLE) == services


def test_the_programs_take_what_the_example_says_and_the_rest_is_pointed_to() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert "README.md lists all other settings of tapekeeper" in text
    assert "collector/README.md lists all other settings" in text
    lines = text.splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert read_settings(environment) == Settings()
    assert read_collector_settings(environment) == read_collector_settings({})


def ports(services: dict[str, Service]) -> set[str]:
    return {port["published"] for service in services.values() for port in service.get("ports", [])}


def test_the_demo_asks_the_simulator_and_runs_beside_a_real_one(services: dict[str, Service]) -> None:
    demo = read(environment_file=PROJECT / DEMO)
    for name in ("collector", "airflow-scheduler", "airflow-api-server", "airflow-dag-processor"):
        environment = demo[name]["environment"]
        assert environment["TAPEKEEPER_DERIBIT_WEBSOCKET_URL"] == "ws://simulator:8810/ws/api/v2"
        for venue in ("DERIBIT_REST", "BINANCE_UM_REST", "BINANCE_ARCHIVE", "CRYPTODATADOWNLOAD"):
            assert environment[f"TAPEKEEPER_{venue}_URL"] == "http://simulator:8810"
    assert demo["collector"]["depends_on"]["simulator"]["condition"] == "service_healthy"
    assert "COMPOSE_PROJECT_NAME=tapekeeper-demo\n" in (PROJECT / DEMO).read_text(encoding="utf-8")
    assert len(ports(demo)) == len(ports(services)) == 8
    assert not ports(demo) & ports(services)
    port = demo["airflow-api-server"]["ports"][0]["published"]
    assert demo["airflow-scheduler"]["environment"]["AIRFLOW__API__BASE_URL"] == f"http://127.0.0.1:{port}"


def test_only_where_tasks_run_a_key_of_a_venue_is_read(services: dict[str, Service]) -> None:
    variable = "TAPEKEEPER_CRYPTODATADOWNLOAD_API_KEY_FILE"
    reading = {name: service["environment"][variable] for name, service in services.items() if told(service, variable)}
    assert reading == dict.fromkeys(("airflow-scheduler", "airflow-worker"), KEY["target"])


def told(service: Service, variable: str) -> bool:
    return variable in service.get("environment", {})


def test_the_key_of_the_demo_is_the_simulators_and_that_of_a_real_stack_is_beside_its_secrets(tmp_path: Path) -> None:
    def key(environment_file: Path) -> Path:
        return Path(read_all(environment_file=environment_file)["secrets"][KEY["source"]]["file"])

    assert key(PROJECT / DEMO).read_text(encoding="utf-8").strip() == DEFAULT_KEY == SIMULATOR_KEY
    assert key(EXAMPLE) == PROJECT / "secrets" / "cryptodatadownload_api_key"
    elsewhere = tmp_path / ".env"
    elsewhere.write_text("SECRETS_FOLDER=/srv/secrets\n", encoding="utf-8")
    assert key(elsewhere) == Path("/srv/secrets/cryptodatadownload_api_key")


def test_our_images_carry_the_version_of_the_package(services: dict[str, Service]) -> None:
    version = re.search(r'^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version
    own = {service["image"] for service in services.values() if "build" in service}
    assert own == {f"tapekeeper-{name}:{version[1]}" for name in ("airflow", "collector", "simulator")}


def test_secrets_are_made_once_and_no_other_user_of_the_machine_gets_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    def made() -> dict[str, str]:
        subprocess.run(["sh", SECRETS, folder], check=True, capture_output=True)
        return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}

    first = made()
    assert set(first) == set(load(FILE)["secrets"])
    assert {name for name, text in first.items() if not text} == EMPTY
    random = [text for name, text in first.items() if name not in {"webhook_url", *EMPTY}]
    assert len(set(random)) == len(random)
    assert min(map(len, random)) >= 44
    assert folder.stat().st_mode & 0o777 == 0o700
    # The users of containers, whoever they are, read the files that they are given.
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}
    mine = {"postgres_password", "cryptodatadownload_api_key"}
    for name in mine:
        (folder / name).write_text("mine", encoding="utf-8")
    (folder / "airflow_jwt_secret").unlink()
    second = made()
    assert {second[name] for name in mine} == {"mine"}
    assert second["airflow_jwt_secret"] != first["airflow_jwt_secret"]
    assert {name for name in first if first[name] != second[name]} == {*mine, "airflow_jwt_secret"}


def test_every_login_of_a_secret_is_made_and_grafana_may_only_read(services: dict[str, Service]) -> None:
    words = services["logins"]["command"]
    roles = {words[index + 1]: words[index + 2] for index, word in enumerate(words) if word == "--login"}
    script = SECRETS.read_text(encoding="utf-8")
    assert set(re.findall(r"^url \w+ \S+ (\w+)", script, re.MULTILINE)) == set(roles) - {"tapekeeper_grafana"}
    datasources = load(DATASOURCES)
    postgresql = next(source for source in datasources["datasources"] if "postgresql" in source["type"])
    assert roles[postgresql["user"]] == "dashboard"


def test_grafana_reaches_its_sources_and_is_given_its_secrets(services: dict[str, Service]) -> None:
    grafana = services["grafana"]
    sources = {source["uid"]: source for source in load(DATASOURCES)["datasources"]}
    assert set(sources) == {"tapekeeper-prometheus", "tapekeeper-postgresql", "tapekeeper-alertmanager"}
    for source in sources.values():
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert host in services
    given = {secret["target"] for secret in grafana["secrets"]}
    assert set(re.findall(r"\$__file\{(.+)\}", DATASOURCES.read_text(encoding="utf-8"))) <= given
    assert {value for name, value in grafana["environment"].items() if name.endswith("__FILE")} <= given


def test_prometheus_scrapes_the_containers(services: dict[str, Service]) -> None:
    targets = [
        target
        for file in (PROJECT / "prometheus" / "targets").glob("*.yml")
        for group in load(file)
        for target in group["targets"]
    ]
    assert {target.partition(":")[0] for target in targets} <= set(services)
    assert {"collector:9101", "exporter:9102", "statsd-exporter:9102"} < set(targets)


def test_pages_are_told_with_their_logins(services: dict[str, Service], tmp_path: Path) -> None:
    for name in ("airflow_admin_password", "grafana_admin_password"):
        (tmp_path / name).write_text(f"{name} of mine\n", encoding="utf-8")
    secrets = {name: {"file": str(tmp_path / name)} for name in ("airflow_admin_password", "grafana_admin_password")}
    described = {"services": services, "secrets": secrets}
    assert address(described, "airflow-api-server") == "http://127.0.0.1:8080"
    told = "\n".join(pages(described))
    assert "http://127.0.0.1:3000  login admin  password grafana_admin_password of mine" in told
    assert "http://127.0.0.1:9101/readyz" in told
    assert [line.split()[0] for line in pages(described, ["postgres", "grafana"])] == ["Grafana"]
