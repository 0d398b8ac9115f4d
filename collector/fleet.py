"""The fleet: all sessions of the process, and which instruments each of them follows."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from collector.subscriptions import Spread, instruments_per_connection
from tapekeeper.venues.deribit import channels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from collector.session import Session
    from collector.settings import CollectorSettings

log = logging.getLogger(__name__)


class Fleet:
    """Makes sessions as they are needed, and lets each follow its share."""

    def __init__(self, settings: CollectorSettings, make: Callable[[int], Session]) -> None:
        """`make` returns a new session with a number."""
        self._settings = settings
        self._make = make
        self._sessions: dict[int, Session] = {}
        self._spread = Spread(
            instruments_per_connection=instruments_per_connection(
                settings.channels_per_connection, len(settings.channels)
            ),
            connections_maximum=settings.connections_maximum,
        )

    @property
    def wanted(self) -> int:
        """How many connections there should be; this and the next three may be asked from any thread."""
        return len(self._spread.connections)

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return sum(session.connected for session in list(self._sessions.values()))

    @property
    def subscriptions(self) -> int:
        """How many channels the venue accepted."""
        return sum(len(session.keeper.active) for session in list(self._sessions.values()) if session.connected)

    @property
    def not_accepted(self) -> int:
        """How many channels the venue would not take, for now."""
        return sum(len(session.keeper.not_accepted) for session in list(self._sessions.values()) if session.connected)

    @property
    def session_ids(self) -> list[UUID]:
        """Of the connections as they are now."""
        return [session.session_id for session in self._sessions.values()]

    def follow(self, names: Sequence[str]) -> None:
        """Follow these instruments and no others; those that stay keep their connection."""
        for number in self._sessions:
            self._spread.works_again(number)
        if without := self._spread.change_to(names):
            log.error("%d instruments find no connection: raise TAPEKEEPER_COLLECTOR_CONNECTIONS_MAXIMUM", len(without))
        self._arrange()

    def give_away(self, session: Session) -> None:
        """Move the instruments of a connection that cannot be made, if another one works."""
        if any(other.is_alive for other in self._sessions.values()):
            stay = self._spread.give_away(session.number)
            log.warning("session %d: its instruments move to others; %d find no room", session.number, len(stay))
            self._arrange()

    async def stop(self) -> None:
        """End all connections for good."""
        await asyncio.gather(*(session.stop() for session in self._sessions.values()))

    def _arrange(self) -> None:
        for number in {*self._spread.connections, *self._sessions}:
            if number not in self._sessions:
                self._sessions[number] = self._make(number)
                self._sessions[number].start()
            self._sessions[number].want(self._channels(number))

    def _channels(self, number: int) -> list[str]:
        names = self._spread.names_on(number)
        wanted = [channel for name in names for channel in self._channels_of(name)]
        if names and number == self._spread.connections[0]:
            wanted += self._channels_of_all()
        return wanted

    def _channels_of(self, name: str) -> list[str]:
        """Return the channels of one instrument."""
        makers = {"book": channels.book_channel, "ticker": channels.ticker_channel}
        if self._settings.trades_channel == "instrument":
            makers["trades"] = channels.trades_channel
        return [make(name) for kind, make in makers.items() if kind in self._settings.channels]

    def _channels_of_all(self) -> list[str]:
        """Return the channels that concern all instruments, which only one connection needs."""
        kind, currency = self._settings.kind, self._settings.currency
        wanted = [
            channels.instrument_state_channel(kind, currency),
            channels.instrument_creation_channel(kind, currency),
            channels.PLATFORM_STATE,
        ]
        if "trades" in self._settings.channels and self._settings.trades_channel == "currency":
            wanted.append(channels.all_trades_channel(currency, kind))
        return wanted
