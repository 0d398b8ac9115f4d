"""What docker-compose.yml has to be, as rules about the file that Compose itself has read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "docker-compose.yml"
COMPOSE = Path(sys.executable).with_name("docker-compose")
ONCE = "on-failure:3"
"""The restart policy of a service that does its work and ends."""
TASKS = {"scheduler", "celery"}
"""The commands of Airflow that run tasks, or may."""

Service = dict[str, Any]


def read(
    file: Path = FILE, profiles: Sequence[str] = (), environment_file: Path = Path("/dev/null")
) -> dict[str, Service]:
    """Return the services of a compose file, as Compose understands it without any variable of this machine."""
    services: dict[str, Service] = read_all(file, profiles, environment_file)["services"]
    return services


def read_all(
    file: Path = FILE, profiles: Sequence[str] = (), environment_file: Path = Path("/dev/null")
) -> dict[str, Any]:
    """Return a compose file, as Compose understands it without any variable of this machine."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    where = ["--project-directory", PROJECT, "--file", file, "--env-file", environment_file]
    command = [str(COMPOSE), *map(str, where), *chosen, "config", "--format", "json"]
    answer = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False, timeout=60)
    if answer.returncode:
        raise ValueError(answer.stderr.decode())
    whole: dict[str, Any] = json.loads(answer.stdout)
    return whole


def faults(services: dict[str, Service]) -> list[str]:
    """Return what is wrong, one line for each fault, beginning with the service."""
    return [f"{name}: {fault}" for name, service in services.items() for fault in _faults(service)]


def _faults(service: Service) -> Iterator[str]:
    yield from _open_to_others(service)
    yield from _unhealthy(service)
    yield from _unlimited(service)
    yield from _unhardened(service)
    yield from _untold_image(service)
    yield from _leaking(service)
    yield from _given_wrongly(service)
    yield from _losing(service)


def _open_to_others(service: Service) -> Iterator[str]:
    for port in service.get("ports", []):
        if port.get("host_ip") != "127.0.0.1":
            yield f"port {port['target']} is open to other machines"
    if service.get("network_mode"):
        yield "it has no network of its own"


def _unhealthy(service: Service) -> Iterator[str]:
    if service.get("restart") not in {"unless-stopped", ONCE}:
        yield "nothing starts it again"
    if service.get("restart") != ONCE and not service.get("healthcheck", {}).get("test"):
        yield "it has no health check"
    for name, wanted in service.get("depends_on", {}).items():
        if wanted["condition"] == "service_started":
            yield f"it does not wait until {name} is well"


def _unlimited(service: Service) -> Iterator[str]:
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    for kind in ("cpus", "memory", "pids"):
        if not limits.get(kind):
            yield f"no limit of {kind}"


def _unhardened(service: Service) -> Iterator[str]:
    if _user(service) in {"", "0", "root"}:
        yield "it runs as root"
    if not service.get("read_only"):
        yield "its root file system can be written"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
        yield "it keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it may gain privileges"
    if not service.get("init"):
        yield "nobody reaps its children"


def _user(service: Service) -> str:
    """Return the user that a service runs as: its own, or that of the image that is built here."""
    if "user" in service:
        return str(service["user"]).partition(":")[0]
    if "build" not in service:
        return ""
    lines = (PROJECT / service["build"]["dockerfile"]).read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    return users[-1].partition(":")[0] if users else ""


def _untold_image(service: Service) -> Iterator[str]:
    if not re.search(r":v?\d+\.\d+[\w.-]*$", service["image"]):
        yield f"{service['image']} is another image tomorrow"


def _leaking(service: Service) -> Iterator[str]:
    for name, value in service.get("environment", {}).items():
        secret = re.search(r"PASSWORD|SECRET|TOKEN|_KEY(_|$)", name) and not name.endswith("_FILE")
        if secret and value not in {"true", "false"}:
            yield f"{name} is a secret in the environment"
        if re.search(r"://[^/@\s]*:[^/@\s]+@", str(value)):
            yield f"{name} holds a password"


def _given_wrongly(service: Service) -> Iterator[str]:
    given = {secret["target"] for secret in service.get("secrets", [])}
    for name, value in service.get("environment", {}).items():
        if str(value).startswith("/run/secrets/") and value not in given:
            yield f"{name} names a secret that it is not given"
    for secret in given:
        if secret.endswith("_api_key") and (service.get("command") or [""])[0] not in TASKS:
            yield f"it runs no task and is given {secret}"


def _losing(service: Service) -> Iterator[str]:
    for mount in service.get("volumes", []):
        if mount["type"] == "volume" and not mount.get("source"):
            yield f"what is below {mount['target']} is lost with the container"
        if mount["type"] == "bind" and not mount.get("read_only"):
            yield f"it can change {mount['source']}"
