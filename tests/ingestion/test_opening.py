"""A listener goes on where the one before it stopped."""

import msgspec
import pytest

from ingestion import markets, opening, store
from ingestion.candles import Bar
from ingestion.journal import Flush, Journal
from ingestion.latest import Latest, encode
from ingestion.models import Instrument
from ingestion.symbols import Known, provider_map
from tests.ingestion.market import NOW_US, SECOND_US, make_instrument, trade_frame

MINUTE_US = 60 * SECOND_US

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


@pytest.fixture
def btc():
    row = make_instrument("BTC-USDT", binance="BTCUSDT")
    return Known(row.pk, row.symbol, row.kind)


def bar(known, minutes_ago, price, trades=1):
    at = (NOW_US // MINUTE_US - minutes_ago) * MINUTE_US
    return Bar(known.id, 2, at, price, price, price, price, 1.0, price, trades, at, 1, at, 1, "1m")


def opened():
    return opening.live("binance", provider_map("binance"), NOW_US)


def flushed(frame):
    pipeline = opened()
    pipeline.receive(frame, NOW_US)
    return pipeline.take(NOW_US).flush


def test_the_day_so_far_is_known(btc):
    store.copy_candles([bar(btc, 1500, 80.0), bar(btc, 60, 120.0), bar(btc, 1, 90.0)])
    newest = msgspec.json.decode(flushed(trade_frame(9, "100")).latest[btc.id], type=Latest)
    assert (newest.change, newest.high, newest.low) == (20.0, 120.0, 90.0)
    assert newest.volume == pytest.approx(2.5)


def test_bars_in_progress_go_on(btc):
    store.copy_candles([bar(btc, 20, 80.0), bar(btc, 0, 90.0)])
    bars = flushed(trade_frame(9, "100")).bars
    hour, minute = (msgspec.json.decode(bars[f"{btc.id}:{i}"], type=Bar) for i in ("1h", "1m"))
    assert (hour.open, hour.close, hour.trades) == (80.0, 100.0, 3)
    assert (minute.open, minute.close, minute.trades) == (90.0, 100.0, 2)


@pytest.mark.parametrize(("hours_ago", "told"), [(0, True), (5, False)])
def test_the_day_in_progress_of_an_equity_is_its_session(hours_ago, told):
    """Nairobi trades from 6 to 12, UTC; it is half past ten."""
    row = make_instrument("SCOM", kind="equity", currency="KES", binance="BTCUSDT")
    Instrument.objects.filter(pk=row.pk).update(exchange="NAIROBI")
    markets.forget()
    bars = flushed(trade_frame(9, "100", at_us=NOW_US - hours_ago * 3600 * SECOND_US)).bars
    assert f"{row.pk}:1h" in bars
    assert (f"{row.pk}:1d" in bars) is told


def test_of_two_accounts_of_a_bar_the_fuller_counts(btc):
    store.copy_candles([bar(btc, 0, 90.0)])
    told = {f"{btc.id}:1m": msgspec.json.encode(bar(btc, 0, 70.0, trades=5))}
    Journal("binance:0", 1).append(Flush(b"", b"", 0, {}, told, None, NOW_US))
    minute = msgspec.json.decode(flushed(trade_frame(9, "100")).bars[f"{btc.id}:1m"], type=Bar)
    assert (minute.open, minute.trades) == (70.0, 6)


def test_a_stored_price_is_not_moved_back(btc):
    stored = {btc.id: encode(Latest("binance", 200.0, time_us=NOW_US + 1, trade_id=5000))}
    Journal("binance:0", 1).append(Flush(b"", b"", 0, stored, {}, None, NOW_US))
    newest = msgspec.json.decode(flushed(trade_frame(1, "100")).latest[btc.id], type=Latest)
    assert newest.price == 200.0
