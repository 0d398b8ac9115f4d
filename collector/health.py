"""/metrics, /livez and /readyz on one port, from a thread of their own: they answer even when nothing else does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from tapekeeper.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client.registry import Collector as MetricSource

REQUEST_SECONDS: Final = 5.0
"""A client that says nothing for so long is hung up on."""


class HealthServer:
    """Serves until it is closed."""

    def __init__(
        self,
        host: str,
        port: int,
        metrics: MetricSource,
        live: Callable[[], Mapping[str, bool]],
        ready: Callable[[], Mapping[str, bool]],
        *,
        port_variable: str,
    ) -> None:
        """`live` and `ready` tell each of their conditions; all of them have to hold.

        `port_variable` names the setting of the port, for the sentence that says that it cannot be had.

        Raises:
            ConfigInvalid: the port cannot be had.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)

        class Handler(_Handler):
            routes = {  # noqa: RUF012 (one dictionary for all requests is what is meant)
                "/metrics": lambda: (200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)),
                "/livez": lambda: _conditions(live()),
                "/readyz": lambda: _conditions(ready()),
            }

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigInvalid(f"{host}:{port} cannot be served ({error}): choose another {port_variable}") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is served."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _conditions(conditions: Mapping[str, bool]) -> tuple[int, str, bytes]:
    return 200 if all(conditions.values()) else 503, "application/json", json.dumps(dict(conditions)).encode()


class _Handler(BaseHTTPRequestHandler):
    routes: Mapping[str, Callable[[], tuple[int, str, bytes]]]
    timeout = REQUEST_SECONDS
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        make = self.routes.get(self.path.partition("?")[0])
        status, content_type, body = make() if make else (404, "text/plain", b"/metrics, /livez, /readyz\n")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""
