"""A small market for tests: instruments, a pipeline, Binance's frames."""

import json
import time

import numpy as np

from ingestion import store
from ingestion.board import Board
from ingestion.models import Instrument, VenueSymbol
from ingestion.pipeline import Pipeline
from ingestion.providers import PROVIDERS, SOURCES
from ingestion.quality import Judge
from ingestion.symbols import Known
from ingestion.ticks import pack_trades

NOW_US = 1_769_596_200_000_000  # 2026-01-28 10:30 UTC
SECOND_US = 1_000_000
BTC = Known(1, "BTC-USDT", "crypto")
ETH = Known(2, "ETH-USDT", "crypto")
KNOWN = {"BTCUSDT": BTC, "ETHUSDT": ETH}


def pipeline(known=None, board=None, decode=None, **others):
    return Pipeline(
        source="binance",
        number=SOURCES["binance"],
        decode=decode or PROVIDERS["binance"].decode,
        judge=Judge(0, 60 * SECOND_US),
        board=board or Board("binance"),
        known=KNOWN if known is None else known,
        fresh_us=60 * SECOND_US,
        **others,
    )


def trade_frame(trade_id, price="50000.50", quantity="0.5", at_us=NOW_US, symbol="BTCUSDT", maker=True):
    data = {
        "e": "trade", "E": at_us // 1000, "s": symbol, "t": trade_id, "p": price, "q": quantity, "T": at_us // 1000,
        "m": maker, "M": True,
    }  # fmt: skip
    return frame(f"{symbol.lower()}@trade", data)


def quote_frame(quote_id, bid="50000.00", ask="50001.00", symbol="BTCUSDT"):
    data = {"u": quote_id, "s": symbol, "b": bid, "B": "1.5", "a": ask, "A": "2.5"}
    return frame(f"{symbol.lower()}@bookTicker", data)


def ticker_frame(last="50000", opened="49000", at_us=NOW_US, symbol="BTCUSDT"):
    data = {
        "e": "24hrTicker", "E": at_us // 1000, "s": symbol, "c": last, "o": opened, "h": "51000", "l": "48000",
        "v": "1234.5", "q": "61000000",
    }  # fmt: skip
    return frame(f"{symbol.lower()}@ticker", data)


def frame(stream, data):
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def now_us():
    return time.time_ns() // 1000


def make_instrument(symbol="BTC-USDT", kind="crypto", currency="USDT", **venue_symbols):
    """An instrument, with what the venues call it: `binance="BTCUSDT"`."""
    instrument = Instrument.objects.create(symbol=symbol, name=symbol, kind=kind, currency=currency)
    for provider, name in venue_symbols.items():
        VenueSymbol.objects.create(instrument=instrument, provider=provider, symbol=name)
    return instrument


def store_trades(trades, ids, source):
    """The trades on disk, as a writer puts them there."""
    store.ensure_partitions("trade", np.array([trade.time_us for trade in trades]))
    store.insert_new("trade", pack_trades(trades, ids, source))
