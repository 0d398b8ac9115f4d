"""Load: many options that tick at a given rate, for benchmarks; what it sends is no part of the truth."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import Final

from simulator.deribit.stream.channels import Channel
from simulator.deribit.stream.floor import Floor
from simulator.deribit.stream.load_frames import (
    FIRST_CHANGE_ID,
    FIRST_TRADE_NUMBER,
    BookFrames,
    LoadFrames,
    TickerFrames,
    TradeFrames,
)
from simulator.deribit.stream.source import Silent
from simulator.errors import ControlError
from simulator.expiries import expiry_code
from simulator.instruments import VenueInstrument
from simulator.moments import day_of

KINDS: Final = ("book", "ticker", "trades")
_LONGEST_LAG: Final = 1.0
_YEARS_AHEAD: Final = 3


@dataclass(frozen=True, slots=True)
class LoadTerms:
    """How many options tick, and how fast."""

    options: int = 830
    frames_per_second: float = 25_000.0
    """All channels together, as far as somebody listens to them."""
    currency: str = "ETH"
    shares: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 1))
    """How many frames of each kind come in turn."""


class Load:
    """Sends frames that were encoded ahead; at most a second of them is made up for when it comes late."""

    def __init__(self, floor: Floor, terms: LoadTerms) -> None:
        self.terms = terms
        self._floor = floor
        self._frames = self._encode(_options(floor, terms))
        self._pattern = [kind for kind in KINDS for _ in range(terms.shares.get(kind, 0))]
        random.Random(floor.world.seed).shuffle(self._pattern)
        self._turns: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._skipped = 0
        self._begin()

    def change_pace(self, frames_per_second: float) -> None:
        """Go on at another rate; 0 is a pause."""
        self.terms = LoadTerms(self.terms.options, frames_per_second, self.terms.currency, self.terms.shares)
        self._begin()

    def as_json(self) -> dict[str, object]:
        """Return what was sent since the start, and the share of a CPU it took since the rate was set."""
        seconds = max(time.monotonic() - self._began_at, 1e-9)
        return {
            "options": self.terms.options,
            "currency": self.terms.currency,
            "frames_per_second": self.terms.frames_per_second,
            "frames": dict(self._sent),
            "frames_skipped": self._skipped,
            "sender_cpu_share": round(self.spent / seconds, 4),
            "process_cpu_share": round((time.process_time() - self._process_began) / seconds, 4),
        }

    def _begin(self) -> None:
        self._began_at = time.monotonic()
        self._process_began = time.process_time()
        self.spent = 0.0
        """Seconds of CPU that the hub spent on sending since the rate was set."""
        self._due = 0

    def send_due(self) -> None:
        """Hand to the connections what is due by now."""
        elapsed, rate = time.monotonic() - self._began_at, self.terms.frames_per_second
        due = int(elapsed * rate) - self._due
        late = max(due - int(_LONGEST_LAG * rate), 0)
        self._skipped += late
        now = self._floor.world.clock.now()
        for position in range(self._due + late, self._due + due):
            kind = self._pattern[position % len(self._pattern)]
            turn = self._turns[kind]
            self._turns[kind] = (turn + 1) % self.terms.options
            self._send(kind, self._frames[kind][turn], now)
        self._due += due

    def _send(self, kind: str, frames: LoadFrames, now: int) -> None:
        listeners = [self._floor.publisher.listeners(channel) for channel in frames.channels]
        if not any(listeners):
            return
        for told, frame in zip(listeners, frames.make(now), strict=True):
            for listener in told:
                listener.deliver_ready(frame)
                self._sent[kind] += 1

    def _encode(self, options: list[VenueInstrument]) -> dict[str, list[LoadFrames]]:
        """Encode the frames of all options, and put their channels in the place of those of the world."""
        world, now = self._floor.world, self._floor.world.clock.now()
        ids, numbers = count(FIRST_CHANGE_ID), count(FIRST_TRADE_NUMBER)
        frames: dict[str, list[LoadFrames]] = {kind: [] for kind in KINDS}
        for option in options:
            mark = world.quotes.values(option, now).mark
            frames["book"].append(BookFrames(option, mark, ids))
            frames["ticker"].append(TickerFrames(world, option, now))
            frames["trades"].append(TradeFrames(option, mark, numbers))
        publisher = self._floor.publisher
        for one in (one for of_kind in frames.values() for one in of_kind):
            instrument_channel, *wide = one.channels
            instrument = instrument_channel.split(".")[1]
            publisher.special[instrument_channel] = Channel(instrument_channel, instrument, one.stream())
            publisher.special |= {channel: Channel(channel, None, Silent()) for channel in wide}
        publisher.reschedule()
        return frames


def option_names(terms: LoadTerms, now: int) -> list[str]:
    """Return the options of a load that begins at a moment in milliseconds."""
    code = expiry_code(date(day_of(now).year + _YEARS_AHEAD, 12, 27))
    return [f"{terms.currency}-{code}-{1_000 + 10 * (turn // 2)}-{'CP'[turn % 2]}" for turn in range(terms.options)]


def _options(floor: Floor, terms: LoadTerms) -> list[VenueInstrument]:
    """Settle all options of the currency, and list as many as are wanted; these have no tape of their own."""
    world, now = floor.world, floor.world.clock.now()
    floor.catch_up(now)
    for instrument in world.catalogue.live(now):
        if instrument.settlement == terms.currency and instrument.kind in ("option", "option_combo"):
            world.catalogue.settle(instrument, now)
    names = option_names(terms, now)
    listed = [world.catalogue.list_by_hand(name, now, None, 0.0) for name in names]
    floor.lifecycle.advance(now)
    options = [option for option in listed if option is not None]
    if len(options) < len(names):
        raise ControlError(f"{terms.currency} has no options: take BTC or ETH")
    return options
