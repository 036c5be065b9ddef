"""What Binance, Coinbase and Kraken say of one symbol when they are asked, for when no feed tells. Pure."""

import datetime as dt
from typing import Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.quoted import UNREADABLE, Quoted, Unreadable, number, signed

BINANCE: Final = "binance"
COINBASE: Final = "coinbase"
KRAKEN: Final = "kraken"


class _Binance(msgspec.Struct, rename="camel"):
    last_price: str
    close_time: int
    bid_price: str | None = None
    ask_price: str | None = None
    open_price: str | None = None
    high_price: str | None = None
    low_price: str | None = None
    volume: str | None = None


class _CoinbaseTrade(msgspec.Struct):
    price: str
    time: str


class _Coinbase(msgspec.Struct):
    trades: list[_CoinbaseTrade]
    best_bid: str | None = None
    best_ask: str | None = None


class _KrakenPair(msgspec.Struct):
    a: list[str]
    b: list[str]
    c: list[str]
    v: list[str]
    h: list[str]
    l: list[str]  # noqa: E741 - the venue's names


class _Kraken(msgspec.Struct):
    result: dict[str, _KrakenPair]


_binance: Final = msgspec.json.Decoder(_Binance)
_coinbase: Final = msgspec.json.Decoder(_Coinbase)
_kraken: Final = msgspec.json.Decoder(_Kraken)


def binance_call(symbol: str) -> Call:
    return Call(BINANCE, "/api/v3/ticker/24hr", {"symbol": symbol}, weight=2)


def read_binance(body: bytes, symbol: str, received_us: int) -> Quoted:
    """Raises Unreadable. https://developers.binance.com/docs/binance-spot-api-docs/rest-api#24hr-ticker"""
    try:
        said = _binance.decode(body)
    except UNREADABLE as error:
        raise Unreadable(BINANCE, body, str(error)) from None
    return Quoted(
        symbol=symbol,
        price=_price(BINANCE, body, said.last_price),
        received_us=received_us,
        time_us=said.close_time * 1000,
        bid=number(said.bid_price),
        ask=number(said.ask_price),
        open=number(said.open_price),
        high=number(said.high_price),
        low=number(said.low_price),
        volume=signed(said.volume),
    )


def coinbase_call(symbol: str) -> Call:
    # Answers may be kept for a second on the way.
    return Call(
        COINBASE, f"/api/v3/brokerage/market/products/{symbol}/ticker", {"limit": "1"}, {"Cache-Control": "no-cache"}
    )


def read_coinbase(body: bytes, symbol: str, received_us: int) -> Quoted:
    """The newest trade, with the best of the book. Raises Unreadable."""
    try:
        said = _coinbase.decode(body)
        time = dt.datetime.fromisoformat(said.trades[0].time)
    except (*UNREADABLE, IndexError, ValueError) as error:
        raise Unreadable(COINBASE, body, str(error)) from None
    if time.tzinfo is None:
        raise Unreadable(COINBASE, body, "a time without its zone")
    return Quoted(
        symbol=symbol,
        price=_price(COINBASE, body, said.trades[0].price),
        received_us=received_us,
        time_us=round(time.timestamp() * 1e6),
        bid=number(said.best_bid),
        ask=number(said.best_ask),
    )


def kraken_call(symbol: str) -> Call:
    return Call(KRAKEN, "/0/public/Ticker", {"pair": symbol})


def read_kraken(body: bytes, symbol: str, received_us: int) -> Quoted:
    """The last trade and the last 24 hours (the second of each pair of figures). No time. Raises Unreadable."""
    try:
        said = next(iter(_kraken.decode(body).result.values()))
        last = said.c[0]
        return Quoted(
            symbol=symbol,
            price=_price(KRAKEN, body, last),
            received_us=received_us,
            bid=number(said.b[0]),
            ask=number(said.a[0]),
            high=number(said.h[1]),
            low=number(said.l[1]),
            volume=signed(said.v[1]),
        )
    except (*UNREADABLE, StopIteration, IndexError) as error:
        raise Unreadable(KRAKEN, body, str(error)) from None


def _price(provider: str, body: bytes, text: str) -> float:
    price = number(text)
    if price is None:
        raise Unreadable(provider, body, "no last price")
    return price
