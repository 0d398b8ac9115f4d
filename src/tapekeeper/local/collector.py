"""The live collector of a local installation, and the exporter that tells what stands in its database."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import requests

from tapekeeper.local.loopback import ask
from tapekeeper.local.ports import LOOPBACK
from tapekeeper.local.private_files import private_folder, write_private
from tapekeeper.local.supervisor import Program
from tapekeeper.settings import COLLECTOR_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekeeper.local.credentials import Credentials

COLLECTOR: Final = "collector"
EXPORTER: Final = "exporter"
STREAMS: Final = (COLLECTOR, EXPORTER)
_ANSWER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class LocalCollector:
    """One collector and one exporter, each a process of its own."""

    folder: Path
    """Of the installation: holds the spool, and the environment of the two."""
    clone: Path
    credentials: Credentials

    @property
    def address(self) -> str:
        """Host and port of the collector's metrics and health."""
        return f"{LOOPBACK}:{self.credentials.collector_port}"

    @property
    def exporter_address(self) -> str:
        """Host and port of the exporter's metrics and health."""
        return f"{LOOPBACK}:{self.credentials.exporter_port}"

    def programs(self, more: Mapping[str, str]) -> list[Program]:
        """Write the file that the two need, and return them.

        Args:
            more: further environment variables: the settings of tapekeeper.
        """
        environment_file = self.folder / "collector.json"
        named = {
            f"{COLLECTOR_PREFIX}METRICS_PORT": str(self.credentials.collector_port),
            f"{COLLECTOR_PREFIX}EXPORTER_PORT": str(self.credentials.exporter_port),
            f"{COLLECTOR_PREFIX}SPOOL_DIRECTORY": str(private_folder(self.folder / "spool")),
        }
        write_private(environment_file, json.dumps(dict(more) | named))

        def program(name: str, command: str) -> Program:
            words = [sys.executable, "-m", "collector", command]
            return Program(name, words, self.clone, group=COLLECTOR, environment_file=environment_file)

        return [program(COLLECTOR, "stream"), program(EXPORTER, "metrics")]

    def is_alive(self) -> bool:
        """Tell whether both answer and go on."""
        try:
            return all(
                ask(f"http://{address}/livez", seconds=_ANSWER_SECONDS).ok
                for address in (self.address, self.exporter_address)
            )
        except requests.RequestException:
            return False
