"""Passwords, keys and ports stay the same from start to start."""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import asdict
from typing import TYPE_CHECKING

from tapekeeper.local.credentials import Credentials

if TYPE_CHECKING:
    from pathlib import Path


def test_they_are_made_once_and_kept_privately(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = Credentials.load(file)
    assert Credentials.load(file) == first
    assert file.stat().st_mode & 0o777 == 0o600
    texts = [value for value in asdict(first).values() if isinstance(value, str)]
    assert len(set(texts)) == len(texts)
    assert min(map(len, texts)) >= 24
    assert len(base64.urlsafe_b64decode(first.fernet_key)) == 32


def test_a_port_that_is_taken_meanwhile_is_chosen_again_and_nothing_else_changes(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = Credentials.load(file)
    with socket.create_server(("127.0.0.1", first.api_server_port)):
        second = Credentials.load(file)
    assert second.api_server_port != first.api_server_port
    assert asdict(second) == asdict(first) | {"api_server_port": second.api_server_port}


def test_what_a_newer_version_needs_is_added(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    first = Credentials.load(file)
    kept = json.loads(file.read_text())
    del kept["jwt_secret"]
    file.write_text(json.dumps(kept))
    second = Credentials.load(file)
    assert second.jwt_secret != first.jwt_secret
    assert second.fernet_key == first.fernet_key
