"""What the exporter says when it cannot serve."""

from __future__ import annotations

import socket
import threading

import pytest

from collector.exporter.server import Exporter
from collector.settings import read_collector_settings
from tapekeeper.errors import ConfigInvalid
from tapekeeper.settings import Settings


def test_a_port_that_is_taken_is_told_with_the_setting_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        own = read_collector_settings({"TAPEKEEPER_COLLECTOR_EXPORTER_PORT": str(port)})
        with pytest.raises(ConfigInvalid, match=rf"{port} cannot be served .*TAPEKEEPER_COLLECTOR_EXPORTER_PORT"):
            Exporter(Settings(), own, threading.Event()).run()
