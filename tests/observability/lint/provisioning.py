"""Rules about what Grafana finds at its start: the data sources that dashboards expect, and the dashboards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from tests.observability.rules import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.observability.lint.dashboard import Dashboard, Json

PROJECT: Final = Path(__file__).parents[3]
_INTERVAL_OF_GRAFANA: Final = "15s"
"""What Grafana takes where a data source tells none."""


@dataclass(frozen=True)
class Start:
    """What a Grafana of docker-compose.yml starts with."""

    sources: list[Json]
    """The data sources of grafana/provisioning."""
    providers: list[Json]
    """Where it looks for dashboards."""
    environment: dict[str, str]
    mounts: dict[PurePosixPath, Path]
    """Folders of the project by where the container sees them."""
    scrape_interval: str

    def seen(self, path: str) -> Path | None:
        """Return which file or folder of the project the container sees at a path."""
        for mount, folder in self.mounts.items():
            if PurePosixPath(path).is_relative_to(mount):
                return folder / PurePosixPath(path).relative_to(mount)
        return None


def start(project: Path = PROJECT) -> Start:
    """Read it."""
    service = load(project / "docker-compose.yml")["services"]["grafana"]
    folder = project / "grafana" / "provisioning"
    mounts = [volume.split(":") for volume in service["volumes"] if volume.startswith("./")]
    return Start(
        sources=[source for file in _files(folder / "datasources") for source in load(file)["datasources"]],
        providers=[provider for file in _files(folder / "dashboards") for provider in load(file)["providers"]],
        environment=service["environment"],
        mounts={PurePosixPath(inside): project / outside for outside, inside, *_ in mounts},
        scrape_interval=load(project / "prometheus" / "prometheus.yml")["global"]["scrape_interval"],
    )


def expected_sources_are_provided(start: Start, dashboards: Sequence[Dashboard]) -> Iterator[str]:
    """The variables of every dashboard begin with a uid that is provisioned, of the kind that they choose from."""
    provided = {source["uid"]: source["type"] for source in start.sources}
    for dashboard in dashboards:
        for variable in dashboard.variables:
            uid = variable.get("current", {}).get("value")
            if variable["type"] == "datasource" and provided.get(uid) != variable["query"]:
                yield f"{dashboard.name} begins with {uid!r}, and no {variable['query']} of that uid is provisioned"


def sources_are_of_one_piece(start: Start, _: Sequence[Dashboard]) -> Iterator[str]:
    """What leads from one data source to another exists; nobody changes one by hand; rates fit what is scraped."""
    provided = {source["uid"]: source["type"] for source in start.sources}
    for source in start.sources:
        told = source.get("jsonData", {})
        if source.get("editable") is not False:
            yield f"{source['name']} can be edited"
        if (other := told.get("alertmanagerUid")) and provided.get(other) != "alertmanager":
            yield f"{source['name']} sends alerts to {other!r}, which is not provisioned"
        interval = told.get("timeInterval", _INTERVAL_OF_GRAFANA)
        if source["type"] == "prometheus" and interval != start.scrape_interval:
            yield f"{source['name']} takes {interval} for the scrape interval, which is {start.scrape_interval}"


def dashboards_are_found(start: Start, _: Sequence[Dashboard]) -> Iterator[str]:
    """In the folder that the generator writes, and nobody changes one by hand."""
    folders = {start.seen(provider["options"]["path"]) for provider in start.providers}
    if folders != {PROJECT / "grafana" / "dashboards"}:
        yield f"dashboards are looked for in {sorted(map(str, folders))}"
    yield from (f"{told['name']} can be edited" for told in start.providers if told.get("allowUiUpdates") is not False)


def the_home_exists(start: Start, dashboards: Sequence[Dashboard]) -> Iterator[str]:
    """What a person sees first is one of the dashboards."""
    path = start.environment.get("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", "")
    file = start.seen(path)
    if file is None or file.suffix != ".json" or file.stem not in {dashboard.name for dashboard in dashboards}:
        yield f"the home {path!r} is none of the dashboards"


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])
