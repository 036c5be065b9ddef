"""An independent client against the venues on loopback: that it understands them proves that they speak as they should.

ccxt brings its own protocol code and its own checks: update ids at Binance, checksums at Kraken.
"""

import asyncio
import contextlib

import pytest

from tests.venues.binance import BinanceVenue
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.kraken import DECIMALS, KrakenVenue
from tests.venues.talk import order

TRADES = 40
PRICES_ABOVE = 50  # and quantities below, in a made-up market


def binance(ccxt, venue):
    client = ccxt.binance({"options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}})
    client.urls["api"] |= {"public": f"{venue.rest_url}/api/v3", "ws": {"spot": f"{venue.ws_url}/ws"}}
    return client


def coinbase(ccxt, venue):
    client = ccxt.coinbase({"options": {"fetchCurrencies": False}})
    client.has["fetchCurrencies"] = False
    client.urls["api"] = {"rest": venue.rest_url, "ws": venue.ws_url}
    return client


def kraken(ccxt, venue):
    class Checked(ccxt.kraken):
        """With the checksum on. As published it splits a float's text, which raises; the digits are the pair's."""

        def format_number(self, number):
            price, quantity = DECIMALS["BTC/USD"]
            return f"{number:.{price if number > PRICES_ABOVE else quantity}f}".replace(".", "").lstrip("0")

    client = Checked({"options": {"watchOrderBook": {"checksum": True}}})
    client.urls["api"]["public"] = venue.rest_url
    client.urls["api"]["ws"] |= {"publicV2": venue.ws_url, "public": venue.ws_url}
    return client


CLIENTS = {
    "binance": (BinanceVenue, binance, "BTCUSDT", "BTC/USDT"),
    "coinbase": (CoinbaseVenue, coinbase, "BTC-USD", "BTC/USD"),
    "kraken": (KrakenVenue, kraken, "BTC/USD", "BTC/USD"),
}


@pytest.fixture(params=CLIENTS)
async def talk(request):
    """(venue, ccxt's client of it, the symbol of the venue, that of ccxt); the market lives."""
    # Here, since it takes seconds to import.
    ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed: no independent client to ask with")
    kind, make, symbol, name = CLIENTS[request.param]
    with kind([symbol]) as venue:
        client = make(ccxt, venue)
        client.newUpdates = True
        try:
            await client.load_markets()
            await order(venue.live, 100)
            yield venue, client, symbol, name
        finally:
            await client.close()


async def test_ccxt_sees_the_trades_that_were_sent(talk):
    venue, client, _, name = talk
    seen = {}
    async with asyncio.timeout(10):
        while len(seen) < TRADES:
            for trade in await client.watch_trades(name):
                seen[int(trade["id"])] = (trade["price"], trade["amount"], trade["side"])
    made = {i: (float(t.price), float(t.quantity), side(venue, t)) for (_, i), t in venue.made().items()}
    assert seen.items() <= made.items()
    assert sorted(seen) == list(range(min(seen), max(seen) + 1))
    assert not venue.violations


async def test_ccxt_keeps_the_book_that_the_venue_has(talk):
    venue, client, symbol, name = talk
    for _ in range(30):
        book = await asyncio.wait_for(client.watch_order_book(name), 10)
    await order(venue.quiet)
    truth = venue.market.books[symbol]
    wanted = (
        [[float(p), float(q)] for p, q in truth.bids.best(10)],
        [[float(p), float(q)] for p, q in truth.asks.best(10)],
    )
    with contextlib.suppress(TimeoutError):
        while told(book) != wanted:
            book = await asyncio.wait_for(client.watch_order_book(name), 1)
    assert told(book) == wanted
    assert not venue.violations


def told(book):
    return tuple([list(level[:2]) for level in book[side][:10]] for side in ("bids", "asks"))


def side(venue, trade):
    """ccxt gives the side that Coinbase names, which is the maker's."""
    if isinstance(venue, CoinbaseVenue):
        return "buy" if trade.buyer_is_maker else "sell"
    return trade.taker
