"""A Grafana on the PATH is started with our settings; a program of that name records what it was started with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tapekeeper.local.credentials import Credentials
from tapekeeper.local.grafana import CLOSED
from tapekeeper.local.monitoring import LocalMonitoring
from tapekeeper.local.supervisor import Supervisor
from tests.support.simulator import PROJECT

# Writes down its arguments and environment, then answers as Grafana does where it is asked for its health.
RECORDER = """#!{python}
import http.server, json, os, sys
json.dump([sys.argv[1:], dict(os.environ)], open({record!r}, "w"))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
address = os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])
http.server.HTTPServer(address, Health).serve_forever()
"""


def test_it_is_found_started_with_our_settings_and_stopped(tmp_path: Path) -> None:
    home, record = tmp_path / "grafana-13", tmp_path / "record"
    (home / "bin").mkdir(parents=True)
    (home / "conf").mkdir()
    (home / "conf" / "defaults.ini").touch()
    recorder = home / "bin" / "grafana-server"
    recorder.write_text(RECORDER.format(python=sys.executable, record=str(record)))
    recorder.chmod(0o755)
    credentials = Credentials.load(tmp_path / "credentials.json")
    monitoring = LocalMonitoring.find(tmp_path / "monitoring", PROJECT, credentials, str(recorder.parent))
    [program] = monitoring.programs({}, "127.0.0.1:5432")
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    supervisor = Supervisor(tmp_path / "s", tmp_path / "c", [program], dict(os.environ), lock)
    try:
        supervisor.start()
        assert not monitoring.is_ready()
        supervisor.start_program(program.name)
        supervisor.wait_until([program.name], monitoring.is_ready, seconds=60)
    finally:
        supervisor.stop()
        os.close(lock)
    arguments, environment = json.loads(record.read_text())
    assert arguments == [f"--homepath={home}", f"--config={monitoring.folder}/grafana/grafana.ini"]
    assert environment.items() >= CLOSED.items()
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == credentials.grafana_password
    assert environment["GF_SERVER_ROOT_URL"] == f"http://127.0.0.1:{credentials.grafana_port}"
    assert not monitoring.is_ready()
