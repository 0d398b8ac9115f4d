"""Faults of streams: what befalls frames on their way to a client, and the connections themselves."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from simulator.fault_basics import ChanceFault, Fault, Seconds

CutManner: TypeAlias = Literal["clean", "reset", "half_open"]
"""With a close frame, by a TCP reset, or so that the socket stays and nothing comes any more."""


class FrameFault(ChanceFault):
    """Befalls frames of subscriptions: some or all of them."""

    channel: str | None = None
    """Only this channel, or only those whose name begins with this word, such as `book`."""
    connection: Annotated[int, Field(ge=1)] | None = None
    """Only this connection, counted from 1 since the start."""
    from_frame: Annotated[int, Field(ge=1)] = 1
    to_frame: Annotated[int, Field(ge=1)] | None = None
    """Included."""
    every_seconds: Seconds | None = None
    """After it fired, it rests for so long, for each connection."""

    def counts(self) -> tuple[int, int | None]:
        """Return the first and the last frame that it can befall."""
        return self.from_frame, self.to_frame

    def concerns(self, channel: str, instrument: str | None, connection: int) -> bool:
        """Return whether a frame of this channel to this connection is meant."""
        channel_matches = self.channel in (None, channel, channel.split(".")[0])
        return channel_matches and self.connection in (None, connection) and self.instrument in (None, instrument)


class WsCut(FrameFault):
    """The connection ends, after the frame."""

    kind: Literal["ws_cut"]
    how: CutManner = "clean"


class WsStall(FrameFault):
    """The connection is silent for a while; then everything comes, in order."""

    kind: Literal["ws_stall"]
    seconds: Seconds = 5.0


class WsDrop(FrameFault):
    """The frame never comes."""

    kind: Literal["ws_drop"]


class WsDuplicate(FrameFault):
    """The frame comes twice."""

    kind: Literal["ws_duplicate"]


class WsReorder(FrameFault):
    """The frame comes after the next one of its connection."""

    kind: Literal["ws_reorder"]


class WsDelay(FrameFault):
    """The frame comes late; others overtake it."""

    kind: Literal["ws_delay"]
    seconds: Seconds = 1.0


class WsMalformed(FrameFault):
    """Half of the frame's JSON."""

    kind: Literal["ws_malformed"]


class WsHuge(FrameFault):
    """The frame with padding of so many megabytes in a field that nobody knows."""

    kind: Literal["ws_huge"]
    megabytes: Annotated[float, Field(gt=0, le=64)] = 5.0


class WsSequenceBreak(FrameFault):
    """The frame of a book says that it follows a change that nobody has seen; other frames stay as they are."""

    kind: Literal["ws_sequence_break"]


class VenueRestart(Fault):
    """Once: every connection ends, new ones and requests are refused for a while, change ids start anew."""

    kind: Literal["venue_restart"]
    seconds: Seconds = 3.0
    from_second: Seconds = 0.0
    how: Literal["clean", "reset"] = "clean"
