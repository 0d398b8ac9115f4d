"""What is answered to a method that is not there, or that needs more than HTTP."""

from __future__ import annotations

import pytest

from simulator.deribit.methods import call
from simulator.errors import VenueError
from simulator.world import World
from tests.unit.simulator.venue import NOW, Venue


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("public/get_weather", -32601),
        ("get_time", -32601),
        ("private/get_positions", 13009),
        ("public/set_heartbeat", 10030),
        ("public/subscribe", 10030),
        ("public/auth", 13004),
    ],
)
def test_a_method_that_cannot_be_called_so(world: World, method: str, code: int) -> None:
    with pytest.raises(VenueError) as caught:
        call(world, method, {}, NOW)
    assert (caught.value.code, caught.value.status) == (code, 400)


def test_small_talk(venue: Venue) -> None:
    assert venue.ask("status") == {"locked": "false"}
    assert venue.ask("hello", client_name="a test", client_version="1") == venue.ask("test")
    assert {"BTC", "ETH", "USDC"} <= {row["currency"] for row in venue.ask("get_currencies")}
    assert venue.ask("get_contract_size", instrument_name="BTC-PERPETUAL") == {"contract_size": 10.0}
    assert len(venue.ask("get_historical_volatility", currency="BTC")) == 15 * 24 + 1
