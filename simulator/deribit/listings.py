"""public/get_instruments, get_instrument, get_expirations, get_combos, get_currencies, get_contract_size."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from simulator.deribit.request import CURRENCIES, Request, chosen
from simulator.errors import VenueError
from simulator.expiries import expiry_code
from simulator.instruments import VenueInstrument

_NAMES_OF_CURRENCIES: Final = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "USDC": "USD Coin",
    "USDT": "Tether USD",
    "EURR": "StablR Euro",
}


def get_instruments(request: Request) -> object:
    """Answer with all instruments of a currency and kind: the living, or with expired=true the recently expired."""
    world, currency, kind = request.world, request.currency(may_be_any=True), request.kind()
    if request.params.flag("expired"):
        instruments = world.catalogue.expired(request.now)
    else:
        instruments = world.catalogue.live(request.now)
    return [instrument_row(instrument, request.now) for instrument in chosen(instruments, currency, kind)]


def get_instrument(request: Request) -> object:
    """Answer with one instrument; an unknown one is 13020 here, unlike elsewhere."""
    instrument = request.world.catalogue.find(request.params.text("instrument_name"), request.now)
    if instrument is None:
        raise VenueError(13020)
    return instrument_row(instrument, request.now)


def get_expirations(request: Request) -> object:
    """Answer with the days on which something expires, by kind; under the currency's name unless it is `any`."""
    currency = request.currency(may_be_any=True)
    kind = request.params.choice("kind", ("future", "option", "any"), default="any")
    kinds = ("future", "option") if kind == "any" else (kind,)
    live = request.world.catalogue.live(request.now)
    days: dict[str, list[str]] = {}
    for one in kinds:
        of_kind = chosen(live, currency, one)
        dated = sorted({instrument.expiry_day for instrument in of_kind if instrument.expiry_day is not None})
        lasting = ["PERPETUAL"] if any(instrument.is_perpetual for instrument in of_kind) else []
        days[one] = [expiry_code(day) for day in dated] + lasting
    return days if currency is None else {currency.lower(): days}


def get_combos(request: Request) -> object:
    """Answer with the combos of a currency and their legs."""
    combos = chosen(request.world.catalogue.live(request.now), request.currency(may_be_any=True), None)
    return [
        {
            "id": combo.name,
            "instrument_id": combo.instrument_id,
            "state": "active",
            "state_timestamp": combo.listed_at,
            "creation_timestamp": combo.listed_at,
            "legs": [asdict(leg) for leg in combo.legs],
        }
        for combo in combos
        if combo.legs
    ]


def get_currencies(_: Request) -> object:
    """Answer with the currencies that instruments settle in."""
    return [
        {
            "currency": currency,
            "currency_long": _NAMES_OF_CURRENCIES[currency],
            "coin_type": "BITCOIN" if currency == "BTC" else "ETHER" if currency == "ETH" else "ETH20",
            "fee_precision": 4,
            "in_cross_collateral_pool": currency != "EURR",
            "min_confirmations": 1,
            "min_withdrawal_fee": 0.0001,
            "withdrawal_fee": 0.0001,
            "withdrawal_priorities": [],
        }
        for currency in CURRENCIES
    ]


def get_contract_size(request: Request) -> object:
    """Answer with the contract size of an instrument."""
    return {"contract_size": request.instrument().contract_size}


def instrument_row(instrument: VenueInstrument, now: int) -> dict[str, object]:
    """Return an instrument as the venue describes it; there is no open interest and no price in it."""
    row: dict[str, object] = {
        "instrument_name": instrument.name,
        "instrument_id": instrument.instrument_id,
        "kind": instrument.kind,
        "state": instrument.state(now),
        "is_active": now < instrument.end,
        "creation_timestamp": instrument.listed_at,
        "expiration_timestamp": instrument.end,
        "price_index": instrument.price_index,
        "instrument_type": "linear" if instrument.is_linear else "reversed",
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "counter_currency": instrument.settlement if instrument.is_linear else "USD",
        "contract_size": instrument.contract_size,
        "min_trade_amount": instrument.min_trade_amount,
        "tick_size": instrument.tick_size,
        "tick_size_steps": [asdict(step) for step in instrument.tick_size_steps],
        "maker_commission": 0.0003 if instrument.kind == "option" else 0.0,
        "taker_commission": 0.0003 if instrument.kind == "option" else 0.0005,
        "block_trade_commission": 0.00025,
        "block_trade_min_trade_amount": 25 if instrument.kind == "option" else 200_000,
        "block_trade_tick_size": 0.0001 if instrument.kind == "option" else 0.01,
    }
    if instrument.kind != "spot":
        row["settlement_currency"] = instrument.settlement
        row["settlement_period"] = instrument.settlement_period
    if instrument.kind == "future":
        row |= {"max_leverage": 50, "max_liquidation_commission": 0.0075, "future_type": row["instrument_type"]}
    if instrument.kind == "option":
        row |= {"option_type": instrument.option_type, "strike": instrument.strike}
    return row
