"""`/data/futures/um`: files and their checksums, streamed."""

from __future__ import annotations

from typing import ClassVar, Final

from aiohttp import web

from simulator import faults as kinds
from simulator.binance_archive.files import ArchiveTerms, file_of
from simulator.binance_archive.shelf import Shelf
from simulator.binance_um.request import UmData, UmRequest
from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.fault_basics import Service
from simulator.fault_plan import FaultPlan
from simulator.service import HttpService, Question
from simulator.world import World

_NOT_THERE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>{}</Key></Error>"
)
_PIECE: Final = 256 * 1_024


class ArchiveApi(HttpService):
    """Answers requests for files as the bucket behind data.binance.vision does; it has no limits."""

    name: ClassVar[Service] = "binance_archive"

    def __init__(self, world: World, plan: FaultPlan, counters: Counters, data: UmData, terms: ArchiveTerms) -> None:
        super().__init__(world, plan, counters)
        self._data = data
        self._shelf = Shelf(terms)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve GET and HEAD on everything below /data/futures/um/."""
        router.add_get("/data/futures/um/{path:.+}", self.handle)

    def question(self, request: web.Request) -> Question:
        """Return archive/PERIOD/DATASET, with /checksum behind it for a checksum, and the symbol."""
        file = file_of(request.match_info["path"])
        if file is None:
            return Question("archive/unknown", None)
        ending = "/checksum" if file.is_checksum else ""
        return Question(f"archive/{file.period}/{file.dataset}{ending}", file.symbol)

    def admit(self, request: web.Request, question: Question) -> web.Response | None:  # noqa: ARG002
        """Refuse nobody."""
        return None

    def refuse(self, request: web.Request, question: Question, fault: kinds.TooManyRequests) -> web.Response:  # noqa: ARG002
        """Refuse with 429."""
        return web.Response(status=fault.status or 429, headers={"Retry-After": f"{max(1, round(fault.retry_after))}"})

    async def answer(self, request: web.Request, question: Question, conditions: Conditions) -> web.Response:  # noqa: ARG002
        """Answer with the file or its checksum, in the form of sha256sum."""
        path, now = request.match_info["path"], self._world.clock.now()
        file = file_of(path)
        asked = UmRequest(self._data, {}, now, conditions)
        packed = None if file is None else await self._shelf.find(file, asked)
        if file is None or packed is None:
            key = f"data/futures/um/{path}"
            return web.Response(status=404, text=_NOT_THERE.format(key), content_type="application/xml")
        if file.is_checksum:
            line = f"{packed.checksum}  {file.name}.zip\n"
            return web.Response(body=line.encode(), content_type="binary/octet-stream")
        return web.Response(body=packed.body, content_type="application/zip")

    async def deliver(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Write the body piece by piece, as fast as it is read."""
        if not isinstance(response, web.Response) or not isinstance(response.body, bytes) or response.prepared:
            return response
        if len(response.body) <= _PIECE or request.method == "HEAD":
            return response
        stream = web.StreamResponse(status=response.status, headers=response.headers)
        stream.content_length = len(response.body)
        await stream.prepare(request)
        body = memoryview(response.body)
        for begin in range(0, len(body), _PIECE):
            await stream.write(body[begin : begin + _PIECE])
        await stream.write_eof()
        return stream
