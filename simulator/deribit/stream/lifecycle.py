"""Listings and endings, by the calendar or by hand, as the channels about instruments tell them."""

from __future__ import annotations

from itertools import product
from typing import Final

from simulator.deribit.listings import instrument_row
from simulator.deribit.stream.publisher import Publisher
from simulator.instruments import VenueInstrument
from simulator.moments import DAY, HOUR
from simulator.world import World

_DELIVERED_AFTER: Final = 48
_EXPIRY_HOUR: Final = 8 * HOUR


class Lifecycle:
    """Watches which instruments live; moments in milliseconds."""

    def __init__(self, world: World, publisher: Publisher, moment: int) -> None:
        self._world = world
        self._publisher = publisher
        self._living = self._alive(moment)
        self.next_at = self._next(moment)
        """When something begins or ends by the calendar."""

    def advance(self, moment: int) -> None:
        """Tell what has begun and what has ended since it was told last; streams take notice."""
        before, self._living = self._living, self._alive(moment)
        self.next_at = self._next(moment)
        ended = [one for key, one in before.items() if key not in self._living]
        begun = [one for key, one in self._living.items() if key not in before]
        for instrument in ended:
            last = self._world.catalogue.find(instrument.name, moment) or instrument
            self._tell_state(last, "settlement", last.end)
            self._tell_state(last, "delivered", last.end + _DELIVERED_AFTER)
        for instrument in begun:
            self._tell("creation", instrument, instrument_row(instrument, moment))
            self._tell_state(instrument, "open", instrument.listed_at)
        if ended or begun:
            self._publisher.reschedule()

    def _tell_state(self, instrument: VenueInstrument, state: str, moment: int) -> None:
        data = {"timestamp": moment, "state": state, "instrument_name": instrument.name}
        self._tell("state", instrument, data)

    def _tell(self, what: str, instrument: VenueInstrument, data: object) -> None:
        for kind, currency in product((instrument.kind, "any"), (instrument.settlement, "any")):
            self._publisher.say(f"instrument.{what}.{kind}.{currency}", data)

    def _alive(self, moment: int) -> dict[tuple[str, int], VenueInstrument]:
        return {(one.name, one.listed_at): one for one in self._world.catalogue.live(moment)}

    def _next(self, moment: int) -> int:
        """Return the next expiry, or the next 08:00 UTC, when instruments are listed."""
        listing = (moment - _EXPIRY_HOUR) // DAY * DAY + DAY + _EXPIRY_HOUR
        return min([listing, *(one.end for one in self._living.values())])
