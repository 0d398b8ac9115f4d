"""`/truth/quotes`, and what `/control` does to streams."""

from __future__ import annotations

from typing import Final, get_args

from aiohttp import web

from simulator.back_door import answer, asked_object, asked_window, positive
from simulator.deribit.stream.hub import Hub
from simulator.deribit.stream.load import KINDS, LoadTerms
from simulator.errors import ControlError
from simulator.frame_faults import CutManner, VenueRestart

_MANNERS: Final = get_args(CutManner)


class StreamControl:
    """The back door of the WebSocket."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve /truth/quotes and the rest of /control."""
        router.add_get("/truth/quotes", self.quotes)
        router.add_post("/control/cut", self.cut)
        router.add_post("/control/restart", self.restart)
        router.add_post("/control/streams", self.set_streams)
        router.add_post("/control/load", self.load)
        router.add_post("/control/clock", self.clock)

    async def quotes(self, request: web.Request) -> web.Response:
        """Answer with every change of the top of the book in `[start, end)`, as columns; null for no quote."""
        world = self._hub.floor.world
        instrument, start, end = asked_window(world, request)
        books = world.quotes.books
        tops = books.changes(instrument, start, min(end, world.clock.now()))
        return answer(
            {
                "instrument_name": instrument.name,
                "timestamp": tops.time,
                "change_id": [books.change_id(instrument, time) for time in tops.time.tolist()],
                "bid_price": tops.bid_price,
                "bid_amount": tops.bid_amount,
                "ask_price": tops.ask_price,
                "ask_amount": tops.ask_amount,
            }
        )

    async def cut(self, request: web.Request) -> web.Response:
        """End connections now: {"how": "clean", "reset" or "half_open", "connections": [numbers] or none for all}."""
        body = await asked_object(request, ("how", "connections"))
        how, numbers = body.get("how", "clean"), body.get("connections")
        if how not in _MANNERS:
            raise ControlError(f"how is {how!r}: it has to be one of {', '.join(_MANNERS)}")
        if numbers is not None and not isinstance(numbers, list):
            raise ControlError(f"connections is {numbers!r}: it has to be a list of numbers")
        return answer({"cut": self._hub.cut(how, numbers)})  # type: ignore[arg-type]

    async def restart(self, request: web.Request) -> web.Response:
        """Restart the venue now: {"seconds": 3, "how": "clean" or "reset"}."""
        body = await asked_object(request, ("seconds", "how"))
        seconds, how = body.get("seconds", 3.0), body.get("how", "clean")
        if how not in ("clean", "reset"):
            raise ControlError(f"how is {how!r}: it has to be clean or reset")
        seconds = 0.0 if seconds == 0 else positive(seconds, "seconds")
        self._hub.restart(VenueRestart(kind="venue_restart", seconds=seconds, how=how))
        return answer({"seconds": seconds})

    async def clock(self, request: web.Request) -> web.Response:
        """Let the venue's clock jump: {"offset_seconds": how far it is ahead of this machine's from now on}.

        Forwards, everything that falls into the jump is told at once. Backwards, streams are silent until then.
        """
        offset = (await asked_object(request, ("offset_seconds",))).get("offset_seconds")
        if isinstance(offset, bool) or not isinstance(offset, int | float):
            raise ControlError(f"offset_seconds is {offset!r}: it has to be a number")
        clock = self._hub.floor.world.clock
        clock.offset = round(offset * 1_000)
        return answer({"now": clock.now()})

    async def load(self, request: web.Request) -> web.Response:
        """Send for load: {"frames_per_second": 25000, "options": 830, "currency": "ETH", "shares": {"book": 1, ...}}.

        All options of the currency are settled, and as many are listed as are wanted. Asked again, the pace changes.
        """
        body = await asked_object(request, ("frames_per_second", "options", "currency", "shares"))
        terms = LoadTerms()
        pace = body.get("frames_per_second", terms.frames_per_second)
        shares = body.get("shares", terms.shares)
        if not isinstance(shares, dict) or not shares or set(shares) - set(KINDS):
            raise ControlError(f"shares is {shares!r}: it has to be an object with some of {', '.join(KINDS)}")
        load = self._hub.begin_load(
            LoadTerms(
                options=round(positive(body.get("options", terms.options), "options")),
                frames_per_second=0.0 if pace == 0 else positive(pace, "frames_per_second"),
                currency=str(body.get("currency", terms.currency)),
                shares={kind: round(positive(share, kind)) for kind, share in shares.items()},
            )
        )
        return answer(load.as_json())

    async def set_streams(self, request: web.Request) -> web.Response:
        """Change how long the venue waits, and for whom: {"time_scale": 0.1, "slow_reader_bytes": 16000000}.

        {"refuse_connections": 3}: the next three get HTTP 503.
        """
        body = await asked_object(request, ("time_scale", "slow_reader_bytes", "refuse_connections"))
        floor, refused = self._hub.floor, body.get("refuse_connections", self._hub.refuse_connections)
        if isinstance(refused, bool) or not isinstance(refused, int) or refused < 0:
            raise ControlError(f"refuse_connections is {refused!r}: it has to be a whole number from 0 on")
        self._hub.refuse_connections = refused
        floor.patience.scale = positive(body.get("time_scale", floor.patience.scale), "time_scale")
        floor.slow_reader_bytes = int(
            positive(body.get("slow_reader_bytes", floor.slow_reader_bytes), "slow_reader_bytes")
        )
        return answer(self._hub.as_json())
