"""An exchange through ccxt: its dictionaries as values, and ccxt itself against a venue on loopback."""

import sys

import pytest

from ingestion import status, symbols
from ingestion.ccxt_feed import exchange_class
from ingestion.providers import SOURCE_NAMES, SOURCES, provider_of, use_ccxt
from ingestion.providers.ccxt_values import CCXT_SOURCES, book, quotes, tickers, trade_id, trades
from ingestion.ticks import BUY, SELL, UNKNOWN_SIDE, BookSnapshot, Quote, Ticker, Trade
from tests.ingestion.listening import entries, journalled, listening
from tests.ingestion.market import make_instrument
from tests.processes import wait_for
from tests.venues.binance import BinanceVenue

SHARD = "ccxt:binance:0"
NOW_US = 1_769_596_201_500_000
MS = 1_769_596_201_000
TRADE = {"id": "12345", "timestamp": MS, "symbol": "ETH/BTC", "side": "buy", "price": 0.069, "amount": 1.5, "info": {}}
TICKER = {
    "symbol": "ETH/BTC", "timestamp": MS, "last": 0.069, "open": 0.068, "high": 0.07, "low": 0.067, "baseVolume": 12.5,
    "quoteVolume": 0.8, "bid": 0.0689, "bidVolume": 5.0, "ask": 0.0691, "askVolume": 3.0,
}  # fmt: skip


@pytest.mark.parametrize(("side", "ours"), [("buy", BUY), ("sell", SELL), (None, UNKNOWN_SIDE)])
def test_a_trades_side_is_the_takers(side, ours):
    assert trades([TRADE | {"side": side}], NOW_US) == [Trade("ETH/BTC", MS * 1000, NOW_US, 12345, 0.069, 1.5, ours)]


@pytest.mark.parametrize("lacking", ["symbol", "timestamp", "price", "amount"])
@pytest.mark.parametrize("nothing", [None, "", float("nan")])
def test_a_trade_that_lacks_a_part_is_left_out(lacking, nothing):
    assert trades([TRADE | {lacking: nothing}, TRADE], NOW_US)[-1:] == trades([TRADE], NOW_US)
    assert len(trades([TRADE | {lacking: None}], NOW_US)) == 0


def test_a_trade_without_a_number_gets_the_same_one_again():
    ids = {
        trade_id(TRADE | change) for change in ({"id": "a-1"}, {"id": None}, {"id": None, "price": 1}, {"id": "9" * 30})
    }
    assert len(ids) == 4
    assert all(0 <= number < 2**63 for number in ids)
    assert trade_id({"id": "a-1"}) == trade_id({"id": "a-1", "amount": 5})


def test_one_answer_holds_a_ticker_and_a_quote():
    time_us = MS * 1000
    assert tickers([TICKER], NOW_US) == [Ticker("ETH/BTC", time_us, NOW_US, 0.069, 0.068, 0.07, 0.067, 12.5, 0.8)]
    assert quotes([TICKER], NOW_US) == [Quote("ETH/BTC", time_us, NOW_US, time_us, 0.0689, 5, 0.0691, 3)]
    bare = TICKER | {"open": None, "bidVolume": None, "timestamp": None}
    assert tickers([bare], NOW_US) == quotes([bare], NOW_US) == []


def test_a_book_is_shown_to_its_fiftieth_level():
    levels = [[100.0 - i, 1] for i in range(60)]
    shown = book({"symbol": "ETH/BTC", "bids": levels, "asks": [], "timestamp": None, "nonce": None}, NOW_US)
    assert shown == BookSnapshot("ETH/BTC", NOW_US, NOW_US, 0, tuple((p, 1.0) for p, _ in levels[:50]), ())
    assert book({"symbol": None, "bids": [], "asks": []}, NOW_US) is None


def test_an_exchanges_number_never_changes():
    assert (CCXT_SOURCES["ccxt:alpaca"], CCXT_SOURCES["ccxt:binance"]) == (100, 105)
    assert len(set(CCXT_SOURCES.values())) == len(CCXT_SOURCES)
    assert min(CCXT_SOURCES.values()) > max(number for name, number in SOURCES.items() if name not in CCXT_SOURCES)
    assert all(SOURCE_NAMES[number] == name for name, number in CCXT_SOURCES.items())
    assert max(map(len, CCXT_SOURCES)) <= 16
    assert provider_of(SHARD) == "ccxt:binance"


def test_without_ccxt_it_says_what_to_install(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "ccxt.pro", None)
    assert exchange_class("ccxt:binance") is None
    assert "pip install 'tapehouse[ccxt]'" in caplog.text


def test_an_exchange_that_ccxt_lacks_is_named(caplog):
    pytest.importorskip("ccxt.pro", reason="the extra `ccxt` is not installed")
    assert exchange_class("ccxt:nowhere") is None
    assert "nowhere" in caplog.text
    assert "bitstamp" in caplog.text


@pytest.fixture
def venue(settings, own_prefix, transactional_db, monkeypatch):
    pytest.importorskip("ccxt.pro", reason="the extra `ccxt` is not installed")
    settings.FEEDS, settings.SYMBOLS = ["ccxt:binance"], []
    monkeypatch.setitem(SOURCES, "ccxt:binance", CCXT_SOURCES["ccxt:binance"])
    with BinanceVenue() as made:
        settings.CCXT_URLS = {"binance": {"public": f"{made.rest_url}/api/v3", "ws": {"spot": f"{made.ws_url}/ws"}}}
        yield made


def test_only_exchanges_that_are_named_become_sources(monkeypatch):
    monkeypatch.delitem(SOURCES, "ccxt:bitstamp", raising=False)
    use_ccxt(["simulated", "ccxt:bitstamp", "ccxt:nowhere"])
    assert SOURCES.pop("ccxt:bitstamp") == CCXT_SOURCES["ccxt:bitstamp"]
    assert "ccxt:nowhere" not in SOURCES


@pytest.mark.django_db(transaction=True)
def test_ccxt_itself_reads_a_venue_into_the_journal(venue):
    btc, eth = make_instrument("BTC-USDT"), make_instrument("ETH-USDT")
    assert symbols.provider_map("ccxt:binance").keys() == {"BTC/USDT", "ETH/USDT"}
    with listening(SHARD):
        wait_for(lambda: venue.subscribed("btcusdt@trade") and venue.subscribed("ethusdt@trade"), 20, "subscriptions")
        venue.live(per_s=50)
        ids = {"BTCUSDT": btc.pk, "ETHUSDT": eth.pk}
        wait_for(lambda: len(journalled(SHARD)) >= 20, 20, "trades in the journal")
        venue.quiet()
        venue.settle()
        sent = {(ids[symbol], trade_id) for symbol, trade_id in venue.sent}
        wait_for(lambda: set(journalled(SHARD)) == sent, 10, "all that was sent")
        wait_for(lambda: any(entry.quote_rows for entry in entries(SHARD)), 10, "quotes")
        wait_for(lambda: status.feeds()[0].state == "live", 5, "the feed to be told live")
        (feed,) = status.feeds()
        assert (feed.provider, feed.refused, feed.venue_errors) == ("ccxt:binance", [], 0)
    assert len(journalled(SHARD)) == len(sent)
