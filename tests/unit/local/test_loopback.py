"""Programs of this machine are asked directly, though the environment names a proxy."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tapekeeper.local.loopback import ask, without_proxy


class Answering(BaseHTTPRequestHandler):
    """Answers with nothing, and gladly."""

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        assert ask(f"http://127.0.0.1:{server.server_port}/", seconds=60).status_code == 204
        thread.join()


@pytest.mark.parametrize(
    ("environment", "hosts"),
    [
        ({}, "127.0.0.1"),
        ({"NO_PROXY": "a.example"}, "a.example,127.0.0.1"),
        ({"no_proxy": "b.example", "NO_PROXY": "a.example"}, "b.example,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_programs_are_told_to_reach_each_other_directly(environment: dict[str, str], hosts: str) -> None:
    assert without_proxy({"A": "b", **environment}) == {"A": "b", "NO_PROXY": hosts, "no_proxy": hosts}
