"""What the programs of a local installation answer over HTTP: asked directly, whatever proxy the environment names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import requests

from tapekeeper.local.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVERY_HOST: Final = "*"


def direct_session() -> requests.Session:
    """Return a session that asks no proxy."""
    session = requests.Session()
    session.trust_env = False
    return session


def ask(url: str, *, seconds: float, parameters: Mapping[str, str | int] | None = None) -> requests.Response:
    """Return an answer, or raise requests.RequestException where there is none in time."""
    with direct_session() as session:
        return session.get(url, params=parameters, timeout=seconds)


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose programs reach each other directly too."""
    hosts = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if hosts != _EVERY_HOST:
        hosts = f"{hosts},{LOOPBACK}".removeprefix(",")
    return {**environment, "no_proxy": hosts, "NO_PROXY": hosts}
