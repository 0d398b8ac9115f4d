"""What is sent is what the venue documents, and an acknowledgement is compared with what was asked."""

from __future__ import annotations

import orjson
import pytest

from tapekeeper.venues.deribit import calls
from tapekeeper.venues.deribit.calls import Acknowledged, Acknowledgements
from tapekeeper.venues.deribit.messages import Reply, VenueError

REFUSED = VenueError(13778, "raw_subscriptions_not_available_for_unauthorized")


@pytest.mark.parametrize(
    ("call", "method", "parameters"),
    [
        (calls.subscribe(7, ["a", "b"]), "public/subscribe", {"channels": ["a", "b"]}),
        (calls.unsubscribe(7, ["a"]), "public/unsubscribe", {"channels": ["a"]}),
        (calls.set_heartbeat(7, 10), "public/set_heartbeat", {"interval": 10}),
        (calls.test(7), "public/test", {}),
        (calls.hello(7, "1.2"), "public/hello", {"client_name": "tapekeeper", "client_version": "1.2"}),
    ],
)
def test_calls(call: bytes, method: str, parameters: dict[str, object]) -> None:
    assert orjson.loads(call) == {"jsonrpc": "2.0", "id": 7, "method": method, "params": parameters}


def test_what_the_venue_would_not_take_is_a_mistake_of_the_caller() -> None:
    channels = [str(number) for number in range(501)]
    assert calls.subscribe(1, channels[:500])
    with pytest.raises(ValueError, match="501 channels in one call: at most 500"):
        calls.subscribe(1, channels)
    with pytest.raises(ValueError, match="a heartbeat every 9 s: the venue allows 10 s at least"):
        calls.set_heartbeat(1, 9)


def test_what_the_venue_passes_over_is_missing() -> None:
    book = Acknowledgements()
    book.asked_to_subscribe(1, ["a", "b", "c", "d"])
    assert book.accept(Reply(1, ["d", "a"])) == Acknowledged(frozenset({"a", "d"}), ("b", "c"), None)
    assert book.active == {"a", "d"}
    assert book.missing(["c", "d", "a", "b"]) == ["c", "b"]


def test_a_second_try_adds_to_the_first() -> None:
    book = Acknowledgements()
    book.asked_to_subscribe(1, ["a", "b"])
    book.asked_to_subscribe(2, ["c"])
    book.accept(Reply(2, ["c"]))
    book.accept(Reply(1, []))
    assert book.active == {"c"}
    book.asked_to_subscribe(3, ["a", "b"])
    assert book.accept(Reply(3, ["b"])) == Acknowledged(frozenset({"b"}), ("a",), None)
    assert book.active == {"b", "c"}


@pytest.mark.parametrize("result", [None, "ok", {"channels": ["a"]}, [1, None]])
def test_a_call_that_is_refused_or_answered_strangely_subscribes_nothing(result: object) -> None:
    book = Acknowledgements()
    book.asked_to_subscribe(1, ["a"])
    error = REFUSED if result is None else None
    assert book.accept(Reply(1, result, error)) == Acknowledged(frozenset(), ("a",), error)
    assert book.active == frozenset()


def test_what_was_to_end_has_ended_even_if_the_venue_did_not_know_it() -> None:
    book = Acknowledgements()
    book.asked_to_subscribe(1, ["a", "b", "c"])
    book.accept(Reply(1, ["a", "b", "c"]))
    book.asked_to_unsubscribe(2, ["a", "b"])
    assert book.accept(Reply(2, ["b"])) == Acknowledged(frozenset({"b"}), ("a",), None)
    assert book.active == {"c"}


def test_a_refused_unsubscribe_ends_nothing() -> None:
    book = Acknowledgements()
    book.asked_to_subscribe(1, ["a"])
    book.accept(Reply(1, ["a"]))
    book.asked_to_unsubscribe(2, ["a"])
    assert book.accept(Reply(2, None, REFUSED)) == Acknowledged(frozenset(), ("a",), REFUSED)
    assert book.active == {"a"}


@pytest.mark.parametrize("request_id", [None, 2, "1"])
def test_replies_to_others(request_id: int | str | None) -> None:
    book = Acknowledgements()
    book.asked_to_subscribe(1, ["a"])
    assert book.accept(Reply(request_id, ["a"])) is None
    assert book.active == frozenset()
    assert book.accept(Reply(1, ["a"])) is not None
