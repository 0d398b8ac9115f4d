"""Writes down whom Alertmanager would have called, since a local installation calls nobody.

`python -m tapekeeper.local.pages 9999` takes Alertmanager's webhooks on that port of the loopback interface and prints
a line for each alert; the supervisor keeps them as a log.
"""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, format_moment, now_microseconds
from tapekeeper.local.ports import LOOPBACK

LONGEST_BYTES: Final = 1_000_000
WATCHDOG: Final = "Watchdog"


class Pages:
    """What has been told so far, as far as the next line depends on it."""

    def __init__(self) -> None:
        self._watched = False

    def lines(self, call: dict[str, Any]) -> list[str]:
        """Return a line for each alert of a call; Watchdog comes every minute, so it is told once.

        Args:
            call: the body of a webhook, version 4 of Alertmanager's format.

        Raises:
            KeyError: it is none.
        """
        told = []
        for alert in call["alerts"]:
            name = alert["labels"]["alertname"]
            if name == WATCHDOG and self._watched:
                continue
            self._watched |= name == WATCHDOG
            told.append(
                f"{call['receiver']}: {name} {alert['status']}: {alert['annotations']['summary']}"
                f" {alert['annotations']['runbook_url']}"
            )
        return [_printable(line) for line in told]


def _printable(text: str) -> str:
    """Return the text on one line and without control characters, whoever has sent it."""
    return "".join(character if character.isprintable() else " " for character in text)


class PageHandler(BaseHTTPRequestHandler):
    """Answers one webhook."""

    timeout = 10
    pages: Final = Pages()

    def do_POST(self) -> None:
        """Print what is told, and say that it was taken."""
        try:
            length = int(self.headers.get("Content-Length", ""))
            if not 0 <= length <= LONGEST_BYTES:
                raise ValueError
            lines = self.pages.lines(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError):
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        moment = format_moment(now_microseconds() // MICROSECONDS_PER_SECOND * MICROSECONDS_PER_SECOND)
        for line in lines:
            print(moment, line, flush=True)  # noqa: T201 - the log of the program
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing of requests: the lines are the log."""


if __name__ == "__main__":
    ThreadingHTTPServer((LOOPBACK, int(sys.argv[1])), PageHandler).serve_forever()
