"""Recordings of the real venues, played on loopback through the product: the end state is that of EXPECTED.json."""

import json
import os
from decimal import Decimal

import pytest

from ingestion.providers import PROVIDERS, SOURCES
from ingestion.store import to_us
from tests.ingestion.listening import feed
from tests.ingestion.recordings import expected, recording
from tests.ingestion.rows import stored
from tests.ingestion.through import KINDS, floats, following, on_disk
from tests.processes import wait_for
from tests.venues import recordings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_prefix", "tick_tables")]

FIRST_FILE = "hftbacktest/spot/btcusdt_20240808.gz"
COINBASE_FILE = "cryptofeed/v3/COINBASE_seq0-299.jsonl.zst"


@pytest.fixture
def played(settings):
    """Plays frames through the product; once at rest, the venue and the product as they are then."""
    running = []

    def play(provider, frames, symbols, **traits):
        venue = KINDS[provider].venue(symbols, made_up=False)
        for name, value in traits.items():
            setattr(venue, name, value)
        running.append(venue.__enter__())
        context = following(provider, venue, settings)
        running.append(context)
        follow = context.__enter__()
        streams = PROVIDERS[provider].streams(symbols)
        wait_for(lambda: all(venue.subscribed(stream) for stream in streams), 15, "everything subscribed")
        venue.play(frames)
        wait_for(lambda: on_disk(provider) == {follow.row(t) for t in venue.sent.values()}, 20, "the trades on disk")
        assert venue.violations == []
        return follow

    yield play
    for context in reversed(running):
        context.__exit__(None, None, None)


def shown(follow, symbol, count):
    """The best levels that the product shows."""

    def view():
        book = follow.book_shown(symbol)
        return book if book is not None and book.bids else None

    book = wait_for(view, 10, f"the book of {symbol}")
    return [list(book.bids[:count]), list(book.asks[:count])]


def best(truth):
    return [floats(truth["top_bids"]), floats(truth["top_asks"])]


def same(follow, symbol, truth):
    levels = len(truth["top_bids"])
    wait_for(lambda: shown(follow, symbol, levels) == best(truth), 10, f"the book of {symbol} as expected")


def test_binance_trades_bars_and_book(played):
    truth = expected()["hftbacktest_spot"]["btcusdt_20240808"]
    frames = recordings.binance(recording(FIRST_FILE))
    if not os.environ.get("TAPEHOUSE_LONG"):
        # Two thirds of it are quotes, of which EXPECTED.json knows nothing.
        frames = (frame for frame in frames if "bookTicker" not in frame.stream)
    follow = played("binance", frames, ["BTCUSDT"])
    assert len(on_disk("binance")) == truth["trades"]
    same(follow, "BTCUSDT", truth)
    sql = "SELECT time, open, high, low, close, volume, trades FROM candle_1m WHERE source = %s"
    bars = {str(to_us(time) // 10**6): row for time, *row in stored(sql, SOURCES["binance"])}
    assert bars == {
        start: [*(pytest.approx(float(number), rel=1e-12) for number in numbers), trades]
        for start, (*numbers, trades) in truth["minute_bars_by_T"].items()
    }


def test_binance_books_of_thin_markets(played):
    truth = expected()["cryptofeed_binance"]["main_20211012_BINANCE"]
    frames = recordings.cryptofeed_binance(
        recording("cryptofeed/main/BINANCE.http.0.0.gz"), recording("cryptofeed/main/BINANCE.ws.1.0.gz")
    )
    follow = played("binance", frames, list(truth["books"]))
    for symbol, book in truth["books"].items():
        same(follow, symbol, book)


def test_coinbase_trades_and_books_with_the_snapshot_of_5_mb(played):
    truth = expected()["coinbase_advanced_20260809_seq0-299"]
    frames = list(recordings.coinbase(recording(COINBASE_FILE)))
    assert max(len(frame.text) for frame in frames) > 5_000_000
    follow = played("coinbase", frames, list(truth["books"]))
    for product, (count, volume) in truth["update_trades"].items():
        ids = _updated(frames, product)
        rows = [row for row in on_disk("coinbase") if row[0] == follow.ids[product] and row[1] in ids]
        assert len(rows) == count
        assert sum(Decimal(repr(quantity)) for _, _, _, quantity, _ in rows) == Decimal(volume)
        same(follow, product, truth["books"][product])


def _updated(frames, product):
    """The ids of the trades that did not come in a snapshot."""
    told = [json.loads(f.text)["events"] for f in frames if f.stream == f"market_trades:{product}"]
    return {int(t["trade_id"]) for events in told for e in events if e["type"] == "update" for t in e["trades"]}


def book_requests(venue):
    return [said for client in venue.clients for said in client.said if '"book"' in str(said)]


def kraken_agrees(follow):
    """No checksum was ever wrong: a book that is, is asked for anew."""
    wait_for(follow.books_agree, 15, "the books as the venue has them")
    assert len(book_requests(follow.venue)) == 1
    wait_for(lambda: sum(feed().books.values()) == len(follow.ids), 5, "the feed's word on its books")
    assert feed().books.keys() <= {"live", "stale"}


def test_kraken_every_checksum_of_its_second_protocol(played):
    frames = recordings.kraken(recording("python-kraken-sdk/orderbook-v2.json"))
    follow = played("kraken", frames, ["BTC/USD"], recorded_depth=10)
    kraken_agrees(follow)
    (bid, _), *_ = follow.book_shown("BTC/USD").bids
    (ask, _), *_ = follow.book_shown("BTC/USD").asks
    assert (bid, ask) == (29430.4, 29430.5)


def test_kraken_every_checksum_of_its_first_protocol_in_the_second_ones_envelope(played):
    frames = list(
        recordings.kraken_v1(
            recording("cryptofeed/main/KRAKEN.ws.50.0.gz"), recording("cryptofeed/main/KRAKEN.ws.48.0.gz")
        )
    )
    pairs = sorted({frame.stream.partition(":")[2] for frame in frames})
    kraken_agrees(played("kraken", frames, pairs))
