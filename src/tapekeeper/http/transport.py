"""One HTTP request: it comes back whole, or with the reason why not."""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import requests
import requests.adapters
import urllib3.exceptions

from tapekeeper.errors import ConfigInvalid, StorageFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

CONNECTION_LIFETIME_SECONDS: Final = 600.0
"""Connections are renewed after this; Deribit ends them after 15 minutes (connection management, best practices)."""
BODY_BYTES_MAXIMUM: Final = 64 * 1024 * 1024
"""The longest answer known is Deribit's list of all instruments, 5.1 MB."""
PART_BYTES: Final = 256 * 1024
SLOWEST_BYTES_PER_SECOND: Final = 64 * 1024
"""A download that is slower over all of its time is broken off; 1 GB then takes four and a half hours."""
ReceivedT = TypeVar("ReceivedT")
USER_AGENT: Final = f"tapekeeper/{importlib.metadata.version('tapekeeper')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, of any status; redirects are answers and are not followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A whole body that went to a file."""

    sha256: str
    """64 hexadecimal digits."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer, or only a part of one."""

    reason: str
    """In words, without the address."""


class Transport:
    """A kept-alive HTTP connection to one host, for one thread.

    It ignores proxies and credentials that the environment names: where requests go is decided by settings alone.

    Args:
        base_url: scheme and host, without a slash at the end.
        timeout_seconds: longest wait for the connection and for each part of the answer; the whole answer gets twice
            that.
        connection_lifetime_seconds: after this a connection is replaced.
    """

    def __init__(
        self, base_url: str, timeout_seconds: float, connection_lifetime_seconds: float = CONNECTION_LIFETIME_SECONDS
    ) -> None:
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._connection_lifetime_seconds = connection_lifetime_seconds
        self._session = _new_session()
        self._opened_at = time.monotonic()

    def get(
        self, path: str, parameters: Mapping[str, str | int], headers: Mapping[str, str] | None = None
    ) -> Answer | NoAnswer:
        """Send one GET request.

        Args:
            path: of the address, with a slash at its start.
            parameters: of the query.
            headers: further ones, such as a key; nothing of them is told anywhere.

        Raises:
            ConfigInvalid: the base URL cannot be an address.
        """
        return self._send(path, parameters, headers, self._answer)

    def download(
        self, path: str, target: BinaryIO, on_part: Callable[[], None], bytes_maximum: int
    ) -> Downloaded | Answer | NoAnswer:
        """Send one GET request, and write the body to a file, byte for byte, if its status is 200.

        Only the parts have a timeout; the whole has to keep the pace of `SLOWEST_BYTES_PER_SECOND`.

        Args:
            path: of the address, with a slash at its start.
            target: is emptied first; half a body may be left in it.
            on_part: called after each part; what it raises ends the request.
            bytes_maximum: a longer body is none.

        Returns:
            `Answer` where the status is another than 200.

        Raises:
            ConfigInvalid: the base URL cannot be an address.
            StorageFull: the file cannot be written.
        """

        def receive(response: requests.Response, started: float) -> Downloaded | Answer:
            if response.status_code != requests.codes.ok:
                return self._answer(response, started)
            return self._write(response, started, target, on_part, bytes_maximum)

        # A file's bytes are what its checksum is of.
        return self._send(path, {}, {"Accept": "*/*", "Accept-Encoding": "identity"}, receive)

    def _send(
        self,
        path: str,
        parameters: Mapping[str, str | int],
        headers: Mapping[str, str] | None,
        receive: Callable[[requests.Response, float], ReceivedT],
    ) -> ReceivedT | NoAnswer:
        """Send a request, and return what `receive` makes of the answer and of when it was asked for."""
        self._renew_connections()
        started = time.monotonic()
        try:
            with self._session.get(
                self._base_url + path,
                params=dict(parameters),
                headers=headers,
                timeout=self._timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as response:
                return receive(response, started)
        except requests.exceptions.InvalidURL:
            raise ConfigInvalid(f"{self._base_url!r} cannot be an address: type one like https://host:port") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, _BodyError) as error:
            return NoAnswer(_in_words(error, self._timeout_seconds))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _renew_connections(self) -> None:
        if time.monotonic() - self._opened_at >= self._connection_lifetime_seconds:
            self._session.close()
            self._session = _new_session()
            self._opened_at = time.monotonic()

    def _answer(self, response: requests.Response, started: float) -> Answer:
        body = self._read(response, started + 2 * self._timeout_seconds)
        return Answer(response.status_code, response.headers, body)

    def _write(
        self,
        response: requests.Response,
        started: float,
        target: BinaryIO,
        on_part: Callable[[], None],
        bytes_maximum: int,
    ) -> Downloaded:
        checksum, size = hashlib.sha256(), 0
        _write_to(target, None)
        while part := response.raw.read1(PART_BYTES, decode_content=False):
            checksum.update(part)
            size += len(part)
            if size > bytes_maximum:
                raise _BodyError(f"the file is longer than {bytes_maximum:,} bytes")
            seconds = time.monotonic() - started
            if seconds > 2 * self._timeout_seconds + size / SLOWEST_BYTES_PER_SECOND:
                raise _BodyError(f"only {size:,} bytes of the file came within {seconds:.0f} s")
            _write_to(target, part)
            on_part()
        return Downloaded(checksum.hexdigest(), size)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Read part by part: a host that drips a byte now and then would never run into the timeout of a part."""
        body = bytearray()
        while part := response.raw.read1(PART_BYTES, decode_content=True):
            body += part
            if len(body) > BODY_BYTES_MAXIMUM:
                raise _BodyError(f"the answer is longer than {BODY_BYTES_MAXIMUM:,} bytes")
            if time.monotonic() > deadline:
                raise _BodyError(f"the answer was not complete within {2 * self._timeout_seconds:g} s")
        return bytes(body)


def _write_to(target: BinaryIO, part: bytes | None) -> None:
    """Write a part of a file, or begin it anew.

    Raises:
        StorageFull: it cannot be written; the libraries would take that for an error of the network.
    """
    try:
        if part is None:
            target.seek(0)
            target.truncate()
        else:
            target.write(part)
    except OSError as error:
        raise StorageFull(
            f"a fetched file cannot be written ({error.strerror}): make room in the folder for temporary files"
        ) from None


class _BodyError(Exception):
    """A body that is too long or too slow."""


class _ClosingAdapter(requests.adapters.HTTPAdapter):
    """Closes its connections when it is told to; urllib3 leaves that to the garbage collector."""

    def close(self) -> None:
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 - it has no iterator
            pools[key].close()
        super().close()


def _new_session() -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _ClosingAdapter())
    session.trust_env = False
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept"] = "application/json"
    return session


def _in_words(error: BaseException, timeout_seconds: float) -> str:
    """Return what a person should read; the libraries' own texts nest, and show the whole address."""
    words = {
        _BodyError: str(error),
        ConnectionRefusedError: "the connection was refused",
        # A kind of ConnectionResetError, so it comes first.
        http.client.RemoteDisconnected: "the connection was closed without an answer",
        ConnectionResetError: "the connection was reset",
        socket.gaierror: "the host name cannot be resolved",
        urllib3.exceptions.ConnectTimeoutError: f"no connection within {timeout_seconds:g} s",
        TimeoutError: f"no answer within {timeout_seconds:g} s",
        urllib3.exceptions.ReadTimeoutError: f"no answer within {timeout_seconds:g} s",
        urllib3.exceptions.DecodeError: "the answer cannot be decompressed",
    }
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, urllib3.exceptions.IncompleteRead) and cause.expected is not None:
            return f"the answer ended {cause.expected:,} bytes early"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or cause}"
    for kind, text in words.items():
        if any(isinstance(cause, kind) for cause in causes):
            return text
    return f"the connection was closed before the answer was complete ({type(causes[-1]).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what lies behind it; the libraries hide causes in arguments and in `reason`."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        behind = [*current.args, current.__cause__, current.__context__, getattr(current, "reason", None)]
        waiting += [cause for cause in behind if isinstance(cause, BaseException)]
