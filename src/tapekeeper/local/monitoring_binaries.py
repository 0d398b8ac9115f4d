"""Finds Prometheus, Alertmanager and Grafana, which this machine may have."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALERTMANAGER: Final = ("prometheus-alertmanager", "alertmanager")
"""Debian's name, and its makers'."""
_GRAFANA: Final = ("grafana", "grafana-server")
"""The name since version 10, and the one before it."""


@dataclass(frozen=True, slots=True)
class Grafana:
    """A Grafana server."""

    command: Sequence[str]
    """Starts it, with the folder of its own files named."""
    home: Path
    """Holds `conf/defaults.ini` and `public/`."""


@dataclass(frozen=True, slots=True)
class MonitoringBinaries:
    """What was found; None for what was not."""

    prometheus: str | None
    alertmanager: str | None
    grafana: Grafana | None


def find_monitoring(search_path: str | None = None) -> MonitoringBinaries:
    """Return what is on a PATH, by default that of this process."""
    return MonitoringBinaries(
        prometheus=shutil.which("prometheus", path=search_path),
        alertmanager=_first(_ALERTMANAGER, search_path),
        grafana=_find_grafana(search_path),
    )


def _first(names: Sequence[str], search_path: str | None) -> str | None:
    return next((found for name in names if (found := shutil.which(name, path=search_path))), None)


def _find_grafana(search_path: str | None) -> Grafana | None:
    on_path = _first(_GRAFANA, search_path)
    if on_path is None:
        return None
    above = Path(on_path).resolve().parents[1]
    for home in (above, above / "share" / "grafana"):
        if (home / "conf" / "defaults.ini").is_file():
            # What packages put on the PATH is a script with settings of the whole machine.
            program = _first(_GRAFANA, str(home / "bin")) or on_path
            server = ["server"] if Path(program).name == _GRAFANA[0] else []
            return Grafana([program, *server, f"--homepath={home}"], home)
    return None
