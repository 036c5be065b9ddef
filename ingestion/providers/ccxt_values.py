"""Exchanges through ccxt: their numbers as sources, and ccxt's dictionaries as values. Pure.

https://docs.ccxt.com/#/?id=public-trades and the sections beside it. Its numbers are floats, its times milliseconds;
what an exchange does not tell is None there, and what lacks a part that a value must have is left out.
"""

import hashlib
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final

from ingestion.providers.wire import LARGEST_ID
from ingestion.ticks import BUY, SELL, UNKNOWN_SIDE, BookSnapshot, Quote, Ticker, Trade

PREFIX: Final = "ccxt:"

# Spot exchanges with sockets in ccxt. Each one's place is its number, from 100 on, in each stored row: only append, and
# no name of more than 11 letters, for which the tables have no room.
EXCHANGES: Final = (
    "alpaca", "apex", "ascendex", "backpack", "bequant", "binance", "binanceus", "bingx", "bitfinex", "bitget",
    "bithumb", "bitmart", "bitmex", "bitopro", "bitrue", "bitstamp", "bittrade", "bitvavo", "blofin", "bullish",
    "bybit", "bydfi", "cex", "coinbase", "coincatch", "coincheck", "coinex", "coinone", "cryptocom", "deepcoin",
    "derive", "dydx", "exmo", "gate", "gemini", "hashkey", "hitbtc", "hollaex", "htx", "hyperliquid", "kraken",
    "kucoin", "lbank", "luno", "mexc", "modetrade", "myokx", "ndax", "okx", "okxus", "onetrading", "oxfun", "p2b",
    "paradex", "phemex", "poloniex", "toobit", "upbit", "whitebit", "woo", "woofipro", "xt",
)  # fmt: skip
FIRST_NUMBER: Final = 100
CCXT_SOURCES: Final = {f"{PREFIX}{name}": number for number, name in enumerate(EXCHANGES, FIRST_NUMBER)}

BOOK_LEVELS: Final = 50
SIDES: Final = {"buy": BUY, "sell": SELL}


def trades(given: Iterable[Mapping[str, Any]], received_us: int) -> list[Trade]:
    """{"id":"12345","timestamp":1502962946216,"symbol":"ETH/BTC","side":"buy","price":0.06917684,"amount":1.5, …}:
    the taker's side."""
    return [read for t in given if (read := _trade(t, received_us)) is not None]


def _trade(t: Mapping[str, Any], received_us: int) -> Trade | None:
    figures = [t.get(name) for name in ("timestamp", "price", "amount")]
    if not _tells(t.get("symbol"), *figures):
        return None
    time_ms, price, amount = map(float, figures)  # type: ignore[arg-type]
    side = SIDES.get(str(t.get("side")), UNKNOWN_SIDE)
    return Trade(t["symbol"], int(time_ms) * 1000, received_us, trade_id(t), price, amount, side)


def trade_id(t: Mapping[str, Any]) -> int:
    """The exchange's own where it is a number, else a digest of what the exchange calls it, or of all that it says.

    >>> trade_id({"id": "12345"}), trade_id({"id": "a-1"}) == trade_id({"id": "a-1", "price": 5})
    (12345, True)
    """
    text = t.get("id")
    if isinstance(text, str) and text.isascii() and text.isdigit() and int(text) <= LARGEST_ID:
        return int(text)
    told = text or repr([t.get(name) for name in ("timestamp", "price", "amount", "side")])
    return int.from_bytes(hashlib.blake2b(str(told).encode(), digest_size=8).digest()) >> 1


def quotes(given: Iterable[Mapping[str, Any]], received_us: int) -> list[Quote]:
    """{"symbol":"ETH/BTC","timestamp":1502962946216,"bid":0.0691,"bidVolume":5.0,"ask":0.0692,"askVolume":3.0, …}

    The time in microseconds is its id: exchanges number their quotes each in its own way, or not at all.
    """
    found = []
    for t in given:
        sides = [t.get(name) for name in ("bid", "bidVolume", "ask", "askVolume")]
        if _tells(t.get("symbol"), *sides):
            time_us = _time_us(t, received_us)
            bid, bid_quantity, ask, ask_quantity = map(float, sides)  # type: ignore[arg-type]
            found.append(Quote(t["symbol"], time_us, received_us, time_us, bid, bid_quantity, ask, ask_quantity))
    return found


def tickers(given: Iterable[Mapping[str, Any]], received_us: int) -> list[Ticker]:
    """{"symbol":"ETH/BTC","last":0.0692,"open":0.068,"high":0.07,"low":0.067,"baseVolume":1234.5,
    "quoteVolume":84.1, …}"""
    found = []
    for t in given:
        figures = [t.get(name) for name in ("last", "open", "high", "low", "baseVolume")]
        if _tells(t.get("symbol"), *figures):
            last, opened, high, low, volume = map(float, figures)  # type: ignore[arg-type]
            money = t.get("quoteVolume")
            quote_volume = float(money) if money is not None and isfinite(money) else None
            time_us = _time_us(t, received_us)
            found.append(Ticker(t["symbol"], time_us, received_us, last, opened, high, low, volume, quote_volume))
    return found


def book(b: Mapping[str, Any], received_us: int) -> BookSnapshot | None:
    """{"symbol":"ETH/BTC","bids":[[0.0691,5.0],…],"asks":[[0.0692,3.0],…],"timestamp":1502962946216,"nonce":1499}:
    the whole book as ccxt keeps it, best first; None for one that names no market."""
    if not _tells(b.get("symbol")):
        return None
    bids, asks = (
        tuple((float(level[0]), float(level[1])) for level in list(b[side])[:BOOK_LEVELS]) for side in ("bids", "asks")
    )
    return BookSnapshot(b["symbol"], _time_us(b, received_us), received_us, int(b.get("nonce") or 0), bids, asks)


def _time_us(t: Mapping[str, Any], received_us: int) -> int:
    """Ours where the exchange gives none."""
    time_ms = t.get("timestamp")
    return received_us if time_ms is None else int(time_ms) * 1000


def _tells(symbol: Any, *numbers: Any) -> bool:
    """Whether it is of a market, and all these are numbers."""
    return bool(symbol) and all(isinstance(number, int | float) and isfinite(number) for number in numbers)
