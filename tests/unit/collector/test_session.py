"""A session against a transport that is played by hand: what it sends, and what it makes of what comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.buffer import Buffer
from collector.counters import Counters, Ending
from collector.frames import MalformedFrames
from collector.pace import Pace
from collector.session import Session
from collector.settings import CollectorSettings
from collector.transport import TransportClosed
from tapekeeper.errors import NetworkFailure
from tapekeeper.venues.deribit.messages import MarketMessage, Message, TradesMessage
from tests.support.deribit_frames import notification, trade

CHANNELS = ["book.A.100ms", "ticker.A.100ms", "trades.A.100ms"]


class Venue:
    """Accepts what it knows, and plays the frames that the test wants."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.calls: list[dict[str, Any]] = []
        self.frames: asyncio.Queue[bytes | TransportClosed] = asyncio.Queue()
        self.answers = True

    def requests(self, method: str) -> list[list[str]]:
        return [call["params"]["channels"] for call in self.calls if call["method"] == f"public/{method}"]

    async def receive(self) -> list[bytes]:
        frame = await self.frames.get()
        if isinstance(frame, TransportClosed):
            raise frame
        return [frame]

    async def send(self, frame: bytes) -> None:
        call = orjson.loads(frame)
        self.calls.append(call)
        if self.answers and "channels" in call["params"]:
            taken = [name for name in reversed(call["params"]["channels"]) if name in self.known]
            self.frames.put_nowait(orjson.dumps({"jsonrpc": "2.0", "id": call["id"], "result": taken}))

    async def close(self) -> None:
        self.frames.put_nowait(TransportClosed(1006, ""))


class Listener:
    def __init__(self) -> None:
        self.happened: list[tuple[Any, ...]] = []
        self.messages: list[Message] = []

    def opened(self, session: Session) -> None:
        self.happened.append(("opened",))

    def subscribed(self, session: Session, channels: frozenset[str]) -> None:
        self.happened.append(("subscribed", sorted(channels)))

    def unsubscribed(self, session: Session, channels: frozenset[str]) -> None:
        self.happened.append(("unsubscribed", sorted(channels)))

    def accept(self, session: Session, messages: Sequence[MarketMessage], received_at: int, monotonic: float) -> None:
        self.messages.extend(messages)

    def hear(self, message: Message) -> None:
        self.messages.append(message)

    def closed(self, session: Session, ending: Ending, code: int, reason: str) -> None:
        self.happened.append(("closed", ending, code))

    def fails(self, session: Session) -> None:
        self.happened.append(("fails",))


class Stage:
    def __init__(self, tmp_path: Path, known: set[str], **settings: Any) -> None:
        self.venues = [Venue(known)]
        self.connections = 0
        self.refused = 0
        self.listener, self.counters, self.buffer = Listener(), Counters(), Buffer(10, 1)
        quick = {"reconnect_first_seconds": 0.01, "resubscribe_seconds": 1.0, **settings}
        self.session = Session(
            0,
            "ws://venue",
            CollectorSettings.model_validate(quick),
            self.listener,
            self.counters,
            self.buffer,
            Pace(per_second=1_000),
            MalformedFrames(tmp_path),
            connect=self.connect,
        )

    @property
    def venue(self) -> Venue:
        return self.venues[-1]

    async def connect(self, _: str) -> Venue:
        self.connections += 1
        if self.refused:
            self.refused -= 1
            raise NetworkFailure("nobody there", after_seconds=1)
        if self.connections > 1:
            self.venues.append(Venue(self.venue.known))
        return self.venue


def play(stage: Stage, scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage.session.want(CHANNELS)
        stage.session.start()
        async with asyncio.timeout(20):
            await scene(stage)
        await stage.session.stop()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, set(CHANNELS))


def test_it_says_hello_asks_for_heartbeats_and_subscribes(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: len(stage.listener.happened) == 2)
        assert [call["method"] for call in stage.venue.calls] == [
            "public/hello", "public/set_heartbeat", "public/subscribe",
        ]  # fmt: skip
        assert stage.venue.calls[1]["params"] == {"interval": 10}
        assert stage.listener.happened == [("opened",), ("subscribed", sorted(CHANNELS))]
        assert stage.session.keeper.active == set(CHANNELS)

    play(stage, scene)


def test_a_test_request_is_answered(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await stage.venue.frames.put(b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}')
        await until(lambda: any(call["method"] == "public/test" for call in stage.venue.calls))

    play(stage, scene)


def test_what_the_venue_passes_over_is_asked_for_once_more_and_later_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, set(CHANNELS[:2]))

    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.not_accepted == CHANNELS[2:])
        assert stage.venue.requests("subscribe") == [CHANNELS, CHANNELS[2:]]
        stage.venue.known.add(CHANNELS[2])
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        assert stage.venue.requests("subscribe") == [CHANNELS, CHANNELS[2:], CHANNELS[2:]]
        assert stage.session.keeper.not_accepted == []

    play(stage, scene)


def test_subscriptions_change_by_difference(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        stage.venue.known.add("book.B.100ms")
        stage.session.want([*CHANNELS[1:], "book.B.100ms"])
        await until(lambda: stage.session.keeper.active == {*CHANNELS[1:], "book.B.100ms"})
        assert stage.venue.requests("unsubscribe") == [CHANNELS[:1]]
        assert stage.venue.requests("subscribe")[1:] == [["book.B.100ms"]]

    play(stage, scene)


def test_a_broken_book_is_unsubscribed_and_after_its_acknowledgement_subscribed_anew(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        stage.venue.answers = False
        stage.session.keeper.renew(CHANNELS[0])
        await until(lambda: stage.venue.requests("unsubscribe") == [CHANNELS[:1]])
        await asyncio.sleep(0.02)
        assert len(stage.venue.requests("subscribe")) == 1
        stage.venue.answers = True
        reply = {"jsonrpc": "2.0", "id": stage.venue.calls[-1]["id"], "result": CHANNELS[:1]}
        await stage.venue.frames.put(orjson.dumps(reply))
        await until(lambda: stage.venue.requests("subscribe")[1:] == [CHANNELS[:1]])
        await until(lambda: len(stage.listener.happened) == 4)
        assert stage.listener.happened[2:] == [("unsubscribed", CHANNELS[:1]), ("subscribed", CHANNELS[:1])]

    play(stage, scene)


def test_a_snapshot_that_is_under_way_is_not_asked_for_again(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        stage.venue.answers = False
        stage.session.keeper.renew(CHANNELS[0])
        await until(lambda: stage.venue.requests("unsubscribe") == [CHANNELS[:1]])
        stage.session.keeper.renew(CHANNELS[0])
        stage.venue.answers = True
        reply = {"jsonrpc": "2.0", "id": stage.venue.calls[-1]["id"], "result": CHANNELS[:1]}
        await stage.venue.frames.put(orjson.dumps(reply))
        await until(lambda: stage.venue.requests("subscribe")[1:] == [CHANNELS[:1]])
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        stage.session.want(CHANNELS[:2])
        await until(lambda: stage.session.keeper.active == set(CHANNELS[:2]))
        assert stage.venue.requests("unsubscribe") == [CHANNELS[:1], CHANNELS[2:]]

    play(stage, scene)


def test_many_channels_go_in_calls_of_five_hundred(tmp_path: Path) -> None:
    names = [f"book.{number}.100ms" for number in range(1_200)]
    stage = Stage(tmp_path, set(names))

    async def scene(stage: Stage) -> None:
        stage.session.want(names)
        await until(lambda: stage.session.keeper.active == set(names))
        assert [len(asked) for asked in stage.venue.requests("subscribe")] == [500, 500, 200]

    play(stage, scene)


@pytest.mark.parametrize(
    ("code", "ending"),
    [(1000, Ending.CLOSED), (4000, Ending.CLOSED), (1006, Ending.RESET), (1009, Ending.OVERSIZED)],
)
def test_a_connection_that_ends_is_made_again(code: int, ending: Ending, stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        first = stage.session.session_id
        await stage.venue.frames.put(TransportClosed(code, ""))
        await until(lambda: len(stage.venues) == 2 and stage.session.keeper.active == set(CHANNELS))
        assert ("closed", ending, code) in stage.listener.happened
        assert stage.counters.reconnects[ending] == 1
        assert stage.session.session_id != first

    play(stage, scene)


def test_silence_ends_a_connection(tmp_path: Path) -> None:
    stage = Stage(tmp_path, set(CHANNELS), silence_close_seconds=0.3)

    async def scene(stage: Stage) -> None:
        await until(lambda: stage.counters.reconnects[Ending.SILENCE] == 1)

    play(stage, scene)


def test_it_knows_when_the_last_frame_came(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        before = time.monotonic()
        await stage.venue.frames.put(notification(CHANNELS[2], [trade()]))
        await until(lambda: len(stage.listener.messages) == 1)
        assert before <= stage.session.last_frame_at <= time.monotonic()

    play(stage, scene)


def test_three_failed_tries_in_a_row_are_told(stage: Stage) -> None:
    stage.refused = 4

    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        assert stage.listener.happened[:2] == [("fails",), ("opened",)]
        assert stage.counters.reconnects[Ending.REFUSED] == 4

    play(stage, scene)


def test_nothing_is_read_while_trades_find_no_room(stage: Stage) -> None:
    async def scene(stage: Stage) -> None:
        await until(lambda: stage.session.keeper.active == set(CHANNELS))
        stage.buffer.add_trades([object()])  # type: ignore[list-item]
        for number in range(3):
            await stage.venue.frames.put(notification(CHANNELS[2], [trade(trade_seq=number + 1)]))
        await asyncio.sleep(0.1)
        # One frame was waited for already when the room ended.
        assert len(stage.listener.messages) <= 1
        stage.buffer.take(10)
        await until(lambda: len(stage.listener.messages) == 3)
        assert all(isinstance(message, TradesMessage) for message in stage.listener.messages)

    play(stage, scene)


def test_a_malformed_frame_is_counted_and_kept_and_costs_nothing_else(stage: Stage, tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.venue.frames.put(b'{"method":"subscription","params":{"channel":"book.A.100ms","data":{')
        await stage.venue.frames.put(notification(CHANNELS[2], [trade()]))
        await until(lambda: len(stage.listener.messages) == 1)
        assert stage.counters.decode_errors["book"] == 1
        assert len(list(tmp_path.iterdir())) == 1

    play(stage, scene)


def test_the_pace_lets_three_calls_through_each_second() -> None:
    async def run() -> float:
        pace, loop = Pace(per_second=100), asyncio.get_running_loop()
        began = loop.time()
        for _ in range(11):
            await pace.wait()
        return loop.time() - began

    assert asyncio.run(run()) >= 0.099
