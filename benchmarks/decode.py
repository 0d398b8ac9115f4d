"""The case `decode`: the CPU that a frame costs from its bytes to a value that a program works with."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ccxt.pro  # type: ignore[import-untyped]
import orjson
from deribit.ws import DeribitWS  # type: ignore[import-untyped]

from benchmarks.frames import OPTIONS, record
from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.server import CLONE
from tapekeeper.venues.deribit.book import Book
from tapekeeper.venues.deribit.messages import BookMessage, TradesMessage, decode
from tapekeeper.venues.deribit.trade_chain import TradeChain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

FASTER_THAN_CRYPTOFEED: Final = 2.0
OURS: Final = "tapekeeper: typed, books and both sequences checked"
CRYPTOFEED: Final = "cryptofeed"
_CRYPTOFEED_VERSION: Final = "3.0.1"
_CRYPTOFEED_PYTHON: Final = "python3.13"
"""It needs this one or a newer one, so it lives in a virtual environment of its own."""
_INSTALL_SECONDS: Final = 300.0
_RUN_SECONDS: Final = 300.0


class PeerMissing(Exception):
    """A peer cannot be measured here; the message tells why."""


def measure_decode(*, frames: int, repetitions: int, seed: int, say: Say) -> Report:
    """Return the CPU per frame of all ways, over the same frames without a network."""
    say(f"decode: recording {thousands(frames)} frames")
    recording = record(frames, seed)
    ways: dict[str, Callable[[], float]] = {
        OURS: lambda: _ours(recording.frames),
        "json, a dict per tick": lambda: _dicts(recording.frames),
        "orjson alone, nothing checked": lambda: _orjson(recording.frames),
        f"deribit-py {version('deribit-py')}": lambda: _deribit_py(recording.frames, recording.names),
        f"ccxt.pro {version('ccxt')}": lambda: _ccxt(recording.frames, recording.names),
    }
    found: dict[str, float] = {}
    for name, way in ways.items():
        say(f"decode: {name}")
        found[name] = statistics.median(way() for _ in range(repetitions))
    missing = None
    say(f"decode: {CRYPTOFEED} {_CRYPTOFEED_VERSION}")
    try:
        found[CRYPTOFEED] = _cryptofeed(recording.frames, repetitions)
    except PeerMissing as error:
        missing = str(error)
    return _report(found, len(recording.frames), missing)


def _ours(frames: Iterable[bytes]) -> float:
    books: dict[str, Book] = {}
    chains: dict[str, TradeChain] = {}
    received_at = time.time_ns() // 1_000
    started = time.process_time()
    for frame in frames:
        message = decode(frame)
        if type(message) is BookMessage:
            book = books.get(message.instrument_name)
            if book is None:
                book = books[message.instrument_name] = Book()
            book.apply(message, received_at)
        elif type(message) is TradesMessage:
            for trade in message.trades:
                chain = chains.get(trade.instrument_name)
                if chain is None:
                    chain = chains[trade.instrument_name] = TradeChain(None)
                chain.accept(trade.trade_seq)
    return time.process_time() - started


def _dicts(frames: Iterable[bytes]) -> float:
    last: dict[str, dict[str, Any]] = {}
    started = time.process_time()
    for frame in frames:
        params = json.loads(frame)["params"]
        data = params["data"]
        for row in data if isinstance(data, list) else [data]:
            last[params["channel"]] = {"channel": params["channel"], "received_at": time.time(), **row}
    return time.process_time() - started


def _orjson(frames: Iterable[bytes]) -> float:
    started = time.process_time()
    for frame in frames:
        orjson.loads(frame)
    return time.process_time() - started


def _deribit_py(frames: list[bytes], names: Iterable[str]) -> float:
    """Let its own loop read from a list instead of a socket."""
    heard = 0

    def count(_: object) -> None:
        nonlocal heard
        heard += 1

    client = DeribitWS()
    client.subscriptions = {f"{kind}.{name}.100ms": count for name in names for kind in ("book", "ticker", "trades")}
    client.ws = _texts(frames)
    started = time.process_time()
    asyncio.run(client._listen())  # noqa: SLF001 (its only way in)
    spent = time.process_time() - started
    if heard != len(frames):
        raise AssertionError(f"deribit-py handed on {heard} of {len(frames)} frames")
    return spent


async def _texts(frames: Iterable[bytes]) -> AsyncIterator[str]:
    for frame in frames:
        yield frame.decode()


def _ccxt(frames: Iterable[bytes], names: Iterable[str]) -> float:
    """Give its handler what its client would: documents that orjson has read."""

    async def run() -> float:
        exchange = ccxt.pro.deribit({"newUpdates": True})
        exchange.set_markets([exchange.safe_market_structure(_market(name)) for name in names])
        client = exchange.client(exchange.urls["api"]["ws"])
        started = time.process_time()
        for frame in frames:
            exchange.handle_message(client, orjson.loads(frame))
        spent = time.process_time() - started
        await exchange.close()
        return spent

    return asyncio.run(run())


def _market(name: str) -> dict[str, Any]:
    base, _, strike, option_type = name.split("-")
    return {
        "id": name, "symbol": f"{base}/USD:{base}-291227-{strike}-{option_type}", "base": base, "quote": "USD",
        "settle": base, "baseId": base, "quoteId": "USD", "settleId": base, "type": "option", "option": True,
        "contract": True, "contractSize": 1.0, "active": True, "precision": {"amount": 1.0, "price": 0.0001},
    }  # fmt: skip


def _cryptofeed(frames: list[bytes], repetitions: int) -> float:
    python = _cryptofeed_python()
    script = Path(__file__).with_name("peer_cryptofeed.py")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frames.jsonl"
        file.write_bytes(b"\n".join(frames))
        done = subprocess.run(
            [python, str(script), str(file), str(repetitions)],
            cwd=folder,  # it writes a log where it runs
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_SECONDS,
        )
    if done.returncode != 0:
        raise PeerMissing(f"it ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_seconds"])


def _cryptofeed_python() -> Path:
    """Return the Python of a virtual environment that holds it, made once."""
    folder = CLONE / ".tapekeeper" / "peers" / f"cryptofeed-{_CRYPTOFEED_VERSION}"
    python = folder / "bin" / "python"
    if _has_cryptofeed(python):
        return python
    base = _newer_python()
    steps: tuple[list[str | Path], ...] = (
        [base, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "-q", _REQUIREMENT],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise PeerMissing(f"installing it took longer than {_INSTALL_SECONDS:.0f} s") from None
        if done.returncode != 0:
            raise PeerMissing(f"it cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return python


_REQUIREMENT: Final = f"cryptofeed=={_CRYPTOFEED_VERSION}"


def _has_cryptofeed(python: Path) -> bool:
    return python.exists() and subprocess.run([python, "-c", "import cryptofeed"], check=False).returncode == 0


def _newer_python() -> str:
    """Return a Python that can hold it: on the path, this one, or one of pyenv."""
    if sys.version_info >= (3, 13):
        return sys.executable
    of_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for candidate in (shutil.which(_CRYPTOFEED_PYTHON), *sorted(of_pyenv.glob("3.13.*/bin/python"))):
        if candidate and subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    raise PeerMissing(f"it needs {_CRYPTOFEED_PYTHON}, which is not installed")


def _report(found: dict[str, float], frames: int, missing: str | None) -> Report:
    report = Report(
        "decode",
        f"{thousands(frames)} frames of {OPTIONS} options (49 % tickers, 47 % changes of books, 4 % trades), each way "
        "from the bytes to what it hands on, in one process without a network. CPU, the median.",
        ("way", "us per frame", "frames/s on one core", "tapekeeper is"),
    )
    for name, seconds in found.items():
        each = seconds / frames * 1_000_000
        ratio = "" if name == OURS else f"{seconds / found[OURS]:.1f}x"
        report.lines.append((name, f"{each:.2f}", thousands(frames / seconds), ratio))
        report.figures[name] = {"microseconds_per_frame": round(each, 3)}
    if missing is None:
        faster = found[CRYPTOFEED] / found[OURS]
        report.bounds.append(
            Bound("decode: CPU of cryptofeed, of ours", faster, FASTER_THAN_CRYPTOFEED, at_least=True, unit="x")
        )
    else:
        report.lines.append((CRYPTOFEED, "not measured", "", ""))
        report.notes.append(f"cryptofeed {_CRYPTOFEED_VERSION} is not measured: {missing}")
    report.notes.append("nautilus_trader and tardis-dev parse behind their own sockets: nothing can be handed to them")
    return report
