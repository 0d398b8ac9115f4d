"""Hands frames to cryptofeed's own handler; runs in its virtual environment: `python peer_cryptofeed.py FILE TIMES`.

Prints `{"cpu_seconds": median}` as its last line. Nothing of the project can be imported here.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from cryptofeed.defines import L2_BOOK, TICKER, TRADES  # type: ignore[import-not-found]
from cryptofeed.exchanges import Deribit  # type: ignore[import-not-found]
from cryptofeed.symbols import Symbols  # type: ignore[import-not-found]

_EXPIRES_AT = 1_893_484_800_000


def main() -> None:
    """Run with the arguments of the command line."""
    frames = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    names = sorted({json.loads(frame)["params"]["channel"].split(".")[1] for frame in frames})
    Symbols.set(Deribit.id, *Deribit._parse_symbol_data([{"result": [_listing(name) for name in names]}]))  # noqa: SLF001
    seconds = statistics.median(asyncio.run(_handle(frames)) for _ in range(int(sys.argv[2])))
    print(json.dumps({"cpu_seconds": seconds}))


async def _handle(frames: list[str]) -> float:
    heard: dict[str, int] = dict.fromkeys((L2_BOOK, TICKER, TRADES), 0)

    def count(channel: str) -> Any:
        async def callback(_: object, __: float) -> None:
            heard[channel] += 1

        return callback

    feed = Deribit(
        symbols=list(Symbols.get(Deribit.id)[0])[:1],
        channels=list(heard),
        callbacks={channel: count(channel) for channel in heard},
    )
    feed._Deribit__reset()  # noqa: SLF001 (subscribing does it)
    started = time.process_time()
    for frame in frames:
        await feed.message_handler(frame, None, time.time())
    spent = time.process_time() - started
    if sum(heard.values()) != len(frames):
        raise AssertionError(f"{len(frames)} frames became {heard}")
    return spent


def _listing(name: str) -> dict[str, Any]:
    currency, _, strike, option_type = name.split("-")
    return {
        "instrument_name": name, "base_currency": currency, "quote_currency": currency, "settlement_period": "month",
        "kind": "option", "option_type": "call" if option_type == "C" else "put", "strike": float(strike),
        "expiration_timestamp": _EXPIRES_AT, "tick_size": 0.0001,
    }  # fmt: skip


if __name__ == "__main__":
    main()
