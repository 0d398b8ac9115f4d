"""What a local Alertmanager calls: a process that takes its webhooks and writes them down."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import requests

from tapekeeper.local.pages import LONGEST_BYTES
from tapekeeper.local.ports import free_port
from tests.support.processes import wait_for
from tests.unit.local.test_pages import call

if TYPE_CHECKING:
    from pathlib import Path


def test_what_it_is_called_with_is_printed_and_anything_else_refused(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tapekeeper.local.pages", str(port)], stdout=output, stderr=output
        )
    try:
        wait_for(lambda: process.poll() is not None or answers(url))
        assert [requests.post(url, data=wrong, timeout=10).status_code for wrong in (b"{", b"[]", b"{}")] == [400] * 3
        length = {"Content-Length": str(LONGEST_BYTES + 1)}
        assert requests.post(url, headers=length, timeout=10).status_code == 400
        assert requests.post(url, json=call("page", "TargetDown"), timeout=10).status_code == 204
        [line] = log.read_text().splitlines()
        assert line.endswith("Z page: TargetDown firing: It is so. https://example.com/TargetDown.md")
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).status_code == 501
    except requests.ConnectionError:
        return False
