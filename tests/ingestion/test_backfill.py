"""The past brought in from venues on loopback: each row once, whatever happens in between."""

import datetime as dt
import gzip
import json
import threading
import time

import msgspec
import pytest
from django.db import connection, transaction
from django.utils import timezone

from ingestion import backfill, store
from ingestion.backfill import Impossible, Status, Wish
from ingestion.candles import INTERVALS, MINUTE_US
from ingestion.models import BackfillChunk, Coverage, FxRate, VenueSymbol
from ingestion.plan import Span
from ingestion.providers import SOURCES
from ingestion.store.times import to_datetime, to_us
from ingestion.ticks import BACKFILL, SUSPECT, Trade, VenueBar
from tests.ingestion.market import make_instrument
from tests.ingestion.recordings import recording
from tests.ingestion.rows import TABLES, stored
from tests.processes import wait_for
from tests.venues import faults, polled
from tests.venues.binance import BinanceVenue
from tests.venues.binance_history import BinanceHistory
from tests.venues.coinbase import CoinbaseVenue
from tests.venues.coinbase_history import CoinbaseHistory
from tests.venues.kraken import KrakenVenue
from tests.venues.kraken_history import KrakenHistory
from tests.venues.market import SentTrade
from worker.models import Job
from worker.redis import client, key

pytestmark = [pytest.mark.usefixtures("tick_tables", "own_prefix")]

BINANCE, KRAKEN, COINBASE = (SOURCES[name] for name in ("binance", "kraken", "coinbase"))
HOUR = dt.timedelta(hours=1)
SECOND_US = 1_000_000
ALL_TABLES = {**TABLES, "venue_candle": "instrument_id, source, interval, time"}


@pytest.fixture(autouse=True)
def _patience(settings):
    """Failures pass quickly; nothing is sent to workers that are not there."""
    settings.REST_RETRY_S = 0.01
    settings.BACKFILL_BUDGET_WAIT_S = 0.5
    settings.BACKFILL_RETRY_MIN_S = settings.BACKFILL_RETRY_MAX_S = 0.0
    settings.BACKFILL_LANES = 0
    settings.KRAKEN_REQUEST_SPACING_S = 0.01
    settings.CELERY_TASK_ALWAYS_EAGER = False


# 900 minutes after a page of a thousand began.
NOON = dt.datetime(2026, 1, 20, 13, tzinfo=dt.UTC)


def hours_ago(hours):
    """A time long past, the same in every run: pages begin at their own times."""
    return NOON - hours * HOUR


def lately(hours):
    """So many hours before the present one began."""
    return timezone.now().replace(minute=0, second=0, microsecond=0) - hours * HOUR


def past(symbol, count, start, step_s=7.0, first_id=1_000, skip=()):
    """So many trades from `start` on; some minutes may stay without."""
    made, at_us = [], to_us(start)
    for i in range(count):
        at_us += round(step_s * SECOND_US)
        if (at_us // MINUTE_US) % 60 in skip:
            continue
        price = f"{100 + (i * 37 % 211) / 100:.2f}"
        made.append(SentTrade(symbol, first_id + len(made), price, f"{1 + i % 9}.5", at_us // 1000 * 1000, i % 3 == 0))
    return made


@pytest.fixture
def binance(settings):
    with BinanceVenue(("BTCUSDT", "ETHUSDT")) as venue:
        settings.BINANCE_REST_URL = venue.rest_url
        venue.history = BinanceHistory(venue)
        yield venue


@pytest.fixture
def btc():
    return make_instrument(binance="BTCUSDT", kraken="BTC/USD", coinbase="BTC-USD")


def run(row):
    """All chunks that may be done now, as a worker does them."""
    while (number := backfill.next_due(row)) is not None:
        backfill.work(row, number)
    row.job.refresh_from_db()
    return row.job


def bars(instrument, kind, source=BINANCE):
    return store.venue_bars(instrument.id, source, kind, store.BEGINNING, store.FOREVER)


def table_checksums():
    return {
        table: stored(f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY {order}), '')) FROM {table} t")
        for table, order in ALL_TABLES.items()
    }


# --- Candles


def test_candles_come_by_pages_and_twice_changes_nothing(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 2_000, lately(40), step_s=66)
    wish = Wish("binance", "1m", (btc,), lately(39), timezone.now() + HOUR)
    row = backfill.start(wish)
    job = run(row)

    assert (job.status, job.done, job.total) == (Job.Status.DONE, row.chunks.count(), row.chunks.count())
    found = bars(btc, "1m")
    times = [bar.time_us for bar in found]
    last_closed = to_us(timezone.now()) // MINUTE_US * MINUTE_US - MINUTE_US
    assert times[0] == to_us(lately(39))
    # Each minute once over all page boundaries, and not the one in progress.
    assert set(range(times[0], last_closed - MINUTE_US, MINUTE_US)) <= set(times)
    assert len(times) == len(set(times))
    assert times[-1] <= last_closed
    assert all(bar.final for bar in found)
    assert len(binance.history.calls) == row.chunks.count()
    assert not binance.violations

    before = table_checksums()
    again = backfill.start(Wish("binance", "1m", (btc,), lately(39), lately(1)))
    assert run(again).status == Job.Status.DONE
    assert again.chunks.count() == 0  # covered: nothing is even asked
    Coverage.objects.all().delete()
    forced = backfill.start(Wish("binance", "1m", (btc,), lately(39), lately(1)))
    assert run(forced).message.startswith("0 rows new")
    assert table_checksums() == before


def test_minutes_that_the_venue_does_not_have_are_not_asked_for_again(settings, btc):
    with CoinbaseVenue() as venue:
        settings.COINBASE_REST_URL = venue.rest_url
        history = CoinbaseHistory(venue)
        venue.market.trades["BTC-USD"] = past("BTC-USD", 500, hours_ago(8), step_s=40, skip=(10, 11, 12))
        wish = Wish("coinbase", "1m", (btc,), hours_ago(8), hours_ago(1))
        assert run(backfill.start(wish)).status == Job.Status.DONE
        assert not venue.violations
    times = {bar.time_us // MINUTE_US % 60 for bar in bars(btc, "1m", COINBASE)}
    assert times
    assert not times & {10, 11, 12}
    assert len(history.calls) in (2, 3)  # 420 minutes, 300 a page
    assert backfill.planned(wish).pieces == []
    assert backfill.covered(btc.id, "coinbase", "1m") == [Span(to_us(hours_ago(8)), to_us(hours_ago(1)))]


def test_a_name_that_was_anothers_before_is_asked_for_its_own_time_only(binance, btc):
    other = make_instrument("OLD-USDT")
    change = hours_ago(5)
    VenueSymbol.objects.filter(instrument=btc, provider="binance").update(valid_from=change)
    VenueSymbol.objects.create(instrument=other, provider="binance", symbol="BTCUSDT", valid_until=change)
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 600, hours_ago(10), step_s=60)
    run(backfill.start(Wish("binance", "1m", (btc, other), hours_ago(10), hours_ago(1))))
    assert min(bar.time_us for bar in bars(btc, "1m")) == to_us(change)
    assert max(bar.time_us for bar in bars(other, "1m")) == to_us(change) - MINUTE_US


def test_krakens_older_bars_are_made_of_its_trades(settings, btc):
    with KrakenVenue() as venue:
        settings.KRAKEN_REST_URL = venue.rest_url
        history = KrakenHistory(venue, spacing_s=0)
        # They end before the present hour: the venue has no bars of what is still to come.
        made = venue.market.trades["BTC/USD"] = past("BTC/USD", 2_160, lately(20), step_s=33)
        assert run(backfill.start(Wish("kraken", "1m", (btc,), lately(14), lately(1)))).status == Job.Status.DONE
        assert {call for call, _ in history.calls} == {"OHLC", "Trades"}
        assert not venue.violations
    end_us = to_us(lately(1))
    covered = {bar.time_us for bar in bars(btc, "1m", KRAKEN)}
    own = {bar.time_us: bar for bar in store.candles(btc.id, "1m", lately(20), lately(1), 5_000, KRAKEN)}
    expected = {t.time_us // MINUTE_US * MINUTE_US for t in made if to_us(lately(14)) <= t.time_us < end_us}
    assert expected <= covered | set(own)
    assert backfill.covered(btc.id, "kraken", "1m") == [Span(to_us(lately(14)), end_us)]


# --- Trades


def recorded_trades():
    """XRP/ETH: aggregate trades, served as the venue's trades."""
    with gzip.open(recording("freqtrade/XRP_OLD-trades.json.gz")) as file:
        rows = [row["info"] for row in json.load(file)]
    return [SentTrade("XRPETH", r["a"], r["p"], r["q"], r["T"] * 1000, r["m"]) for r in rows]


def test_recorded_trades_paged_by_id_make_the_exchanges_own_bars(binance, settings):
    feather = pytest.importorskip("pyarrow.feather")
    settings.BINANCE_WEIGHT_PER_MINUTE = 100_000
    binance.weight_per_min = 100_000
    xrp = make_instrument("XRP-ETH", binance="XRPETH")
    trades = binance.market.trades["XRPETH"] = recorded_trades()
    start, end = to_datetime(trades[0].time_us), to_datetime(trades[-1].time_us + 1)
    job = run(backfill.start(Wish("binance", "trades", (xrp,), start, end + dt.timedelta(minutes=1))))
    assert job.status == Job.Status.DONE
    assert stored("SELECT count(*), count(DISTINCT trade_id), min(flags), max(flags) FROM trade") == [
        (12_477, 12_477, BACKFILL, BACKFILL)
    ]
    for name in ("1m", "5m"):
        told = feather.read_table(recording(f"freqtrade/XRP_ETH-{name}.feather")).to_pylist()[1:-1]
        ours = {b.time_us: b for b in store.candles(xrp.id, name, start - HOUR, end + HOUR, 5_000, BINANCE)}
        for row in told:
            bar = ours[to_us(row["date"].to_pydatetime())]
            assert (bar.open, bar.high, bar.low, bar.close) == (row["open"], row["high"], row["low"], row["close"])
            assert bar.volume == pytest.approx(row["volume"])
            assert bar.final


def test_trades_leave_followers_alone_and_revise_candles(binance, btc):
    trades = binance.market.trades["BTCUSDT"] = past("BTCUSDT", 60, hours_ago(3), step_s=2)
    kept = [t for t in trades if t.trade_id % 4]
    backfill.store_trades(BINANCE, btc.id, [_trade(t) for t in kept], to_us(timezone.now()))
    (before,) = stored("SELECT sum(trades), max(rev), bool_and(final) FROM candle_1m")
    assert before == (len(kept), 0, True)
    run(backfill.start(Wish("binance", "trades", (btc,), hours_ago(3), hours_ago(2))))
    (after,) = stored("SELECT sum(trades), max(rev), bool_and(final) FROM candle_1m")
    assert after == (len(trades), 1, True)
    assert not list(client().scan_iter(key("changes", "*")))
    assert not list(client().scan_iter(key("latest", "*")))


def _trade(sent):
    side = -1 if sent.buyer_is_maker else 1
    return Trade("BTCUSDT", sent.time_us, sent.time_us, sent.trade_id, float(sent.price), float(sent.quantity), side)


def test_the_same_trade_told_a_microsecond_off_is_stored_once(btc):
    now_us = to_us(timezone.now())
    trade = Trade("BTC/USD", now_us - 10**10, now_us, 7, 100.0, 1.0)
    again = Trade("BTC/USD", now_us - 10**10 + 1, now_us, 7, 100.0, 1.0)
    assert backfill.store_trades(KRAKEN, btc.id, [trade], now_us).new == 1
    assert backfill.store_trades(KRAKEN, btc.id, [again], now_us).new == 0
    assert backfill.store_trades(KRAKEN, btc.id, [], now_us).new == 0
    assert stored("SELECT count(*) FROM trade") == [(1,)]


def test_a_bad_print_of_the_past_is_flagged_and_in_no_candle(btc):
    now_us = to_us(timezone.now())
    first_us = now_us - 10**10
    past_trades = [Trade("BTC/USD", first_us + i, now_us, 7 + i, 100.0, 1.0) for i in range(20)]
    assert backfill.store_trades(KRAKEN, btc.id, past_trades, now_us).new == 20
    bad = Trade("BTC/USD", first_us + 30, now_us, 99, 10_000.0, 1.0)
    impossible = Trade("BTC/USD", first_us + 31, now_us, 100, -1.0, 1.0)
    assert backfill.store_trades(KRAKEN, btc.id, [impossible, bad], now_us).new == 1
    assert stored("SELECT flags FROM trade WHERE trade_id = 99") == [(SUSPECT | BACKFILL,)]
    assert stored("SELECT sum(trades), max(high) FROM candle_1m") == [(20, 100.0)]


def test_trades_are_paged_at_every_boundary(binance, btc):
    for count in (0, 1, 999, 1000, 1001, 2000):
        Coverage.objects.all().delete()
        stored_before = stored("SELECT count(*) FROM trade")[0][0]
        first_id = 10_000 * (count + 1)
        binance.market.trades["BTCUSDT"] = past("BTCUSDT", count, hours_ago(6), step_s=1.5, first_id=first_id)
        assert run(backfill.start(Wish("binance", "trades", (btc,), hours_ago(6), hours_ago(5)))).status == "done"
        assert stored("SELECT count(*) FROM trade")[0][0] - stored_before == count


# --- What goes wrong


def test_failures_in_passing_are_tried_again(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 300, hours_ago(5), step_s=60)
    wish = Wish("binance", "1m", (btc,), hours_ago(5), hours_ago(1))
    binance.fail(faults.HTTP_500, 2)
    binance.fail(faults.HTTP_HTML, 2)
    row = backfill.start(wish)
    assert run(row).status == Job.Status.DONE
    assert row.chunks.get().attempts == 2  # of three tries each
    assert len(bars(btc, "1m")) == 239  # the first trade comes after a minute


def test_a_refusal_fails_the_chunk_and_says_why(binance, btc):
    del binance.market.trades["BTCUSDT"]
    job = run(backfill.start(Wish("binance", "1m", (btc,), hours_ago(5), hours_ago(1))))
    assert job.status == Job.Status.FAILED
    assert "Invalid symbol" in job.message


def test_a_used_up_budget_is_waited_for_and_no_limit_is_broken(binance, btc, settings):
    settings.BINANCE_WEIGHT_PER_MINUTE = 10
    settings.BACKFILL_BUDGET_WAIT_S = 0.0
    binance.weight_per_min = 10
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 7_000, hours_ago(120), step_s=60)
    row = backfill.start(Wish("binance", "1m", (btc,), hours_ago(119), hours_ago(1)))
    job = run(row)
    done = row.chunks.filter(status=Status.DONE).count()
    assert 0 < done < row.chunks.count()
    assert (job.status, job.done) == (Job.Status.RUNNING, done)
    waiting = row.chunks.filter(status=Status.WAITING).first()
    assert waiting.attempts == 0 or waiting.not_before > timezone.now()

    client().delete(*client().scan_iter(key("budget", "*")))  # a minute later
    binance._weights.clear()
    settings.BINANCE_WEIGHT_PER_MINUTE = binance.weight_per_min = 1_000
    row.chunks.update(not_before=None)
    assert run(row).status == Job.Status.DONE
    assert not binance.violations
    assert len(bars(btc, "1m")) == 118 * 60


def test_a_429_pauses_everybody(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 300, hours_ago(5), step_s=60)
    binance.weight_per_min = 0  # another program on this address has used it up
    row = backfill.start(Wish("binance", "1m", (btc,), hours_ago(5), hours_ago(1)))
    run(row)
    chunk = row.chunks.get()
    assert chunk.status == Status.WAITING
    assert chunk.not_before - timezone.now() > dt.timedelta(seconds=50)  # Retry-After: 60
    asked = len(binance.history.calls)
    row.chunks.update(not_before=None)
    run(row)
    assert len(binance.history.calls) == asked


def test_a_cancelled_backfill_stops(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 3_000, hours_ago(60), step_s=60)
    row = backfill.start(Wish("binance", "1m", (btc,), hours_ago(60), hours_ago(1)))
    backfill.work(row, 0)
    assert backfill.cancel(row, "alice") is True
    assert run(row).status == Job.Status.CANCELLED
    assert set(row.chunks.values_list("status", flat=True)) == {Status.DONE, Status.CANCELLED}
    assert backfill.cancel(row, "alice") is False


def test_what_a_killed_worker_left_is_taken_up_at_its_cursor(binance, btc, settings):
    settings.BACKFILL_SILENCE_S = 30
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 2_500, hours_ago(4), step_s=1.2)
    row = backfill.start(Wish("binance", "trades", (btc,), hours_ago(4), hours_ago(3)))
    chunk = backfill._claim(row, 0)
    pages = iter(range(2))

    class Killed(BaseException):
        pass

    kept = backfill._keep

    def killed_later(*arguments, **changes):
        kept(*arguments, **changes)
        if next(pages, None) is None:
            raise Killed

    backfill._keep = killed_later
    try:
        with pytest.raises(Killed):
            backfill._do(row, chunk)
    finally:
        backfill._keep = kept
    chunk = row.chunks.get(number=0)
    assert (chunk.status, chunk.rows) == (Status.RUNNING, 1_000)
    assert chunk.cursor.startswith("id:")

    assert backfill.resume_backfills() == 0
    row.chunks.update(alive_at=timezone.now() - dt.timedelta(seconds=31))
    backfill.resume_backfills()
    assert run(row).status == Job.Status.DONE
    trades = binance.market.trades["BTCUSDT"]
    assert stored("SELECT count(*) FROM trade") == [(len(trades),)]
    by_id = [call["fromId"] for name, call in binance.history.calls if name == "historicalTrades"]
    assert by_id.count(str(trades[0].trade_id)) == 1  # the first page was not asked for again


def test_only_one_of_two_workers_gets_a_chunk(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 300, hours_ago(5), step_s=60)
    row = backfill.start(Wish("binance", "1m", (btc,), hours_ago(5), hours_ago(1)))
    slow = backfill._claim(row, 0)
    assert backfill._claim(row, 0) is None
    # It was thought dead, and another took it up: the first one's mark is refused, and its rows with it.
    BackfillChunk.objects.filter(pk=slow.pk).update(status=Status.WAITING)
    time.sleep(0.001)
    assert backfill._claim(row, 0) is not None
    with pytest.raises(backfill.Lost):
        backfill._do(row, slow)
    assert bars(btc, "1m") == []


# --- Verifying, planning


def test_verifying_reports_and_changes_nothing(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 300, hours_ago(5), step_s=60)
    wish = Wish("binance", "1m", (btc,), hours_ago(5), hours_ago(1))
    run(backfill.start(wish))
    check = Wish(wish.provider, wish.kind, wish.instruments, wish.start, wish.end, verify=True)
    assert "0 differences" in run(backfill.start(check)).message

    stored("DELETE FROM venue_candle WHERE time = %s RETURNING 1", hours_ago(4))
    stored("UPDATE venue_candle SET close = close + 1 WHERE time = %s RETURNING 1", hours_ago(3))
    before = table_checksums()
    row = backfill.start(check)
    assert "2 differences" in run(row).message
    assert f"{hours_ago(4):%Y-%m-%d %H:%M}" in row.chunks.get().detail
    assert table_checksums() == before


def test_trades_are_verified_too(binance, btc):
    binance.market.trades["BTCUSDT"] = past("BTCUSDT", 100, hours_ago(5), step_s=20)
    wish = Wish("binance", "trades", (btc,), hours_ago(5), hours_ago(4))
    run(backfill.start(wish))
    stored("DELETE FROM trade WHERE trade_id IN (1010, 1011) RETURNING 1")
    check = Wish(wish.provider, wish.kind, wish.instruments, wish.start, wish.end, verify=True)
    assert "2 differences" in run(backfill.start(check)).message
    assert stored("SELECT count(*) FROM trade") == [(98,)]


def test_a_plan_says_what_it_takes_and_asks_nothing(binance, btc, settings):
    settings.BINANCE_WEIGHT_PER_MINUTE, settings.REST_BACKGROUND_SHARE = 5_400, 1.0
    nobody = make_instrument("NOBODY")
    plan = backfill.planned(Wish("binance", "1m", (btc, nobody), hours_ago(24 * 365), hours_ago(1)))
    assert plan.estimate.calls == len(plan.pieces) in (526, 527)
    assert plan.estimate.seconds == pytest.approx(11.7, abs=0.1)
    assert plan.left_out == ["NOBODY: binance does not have it"]
    assert binance.history.calls == []


@pytest.mark.parametrize(
    ("provider", "kind", "hours", "field"),
    [("finnhub", "1m", 2, "provider"), ("coinbase", "4h", 2, "interval"), ("binance", "1m", -2, "end")],
)
def test_what_cannot_be_is_refused(btc, provider, kind, hours, field):
    with pytest.raises(Impossible) as refused:
        backfill.start(Wish(provider, kind, (btc,), hours_ago(hours), hours_ago(0)))
    assert refused.value.field == field


def test_too_many_chunks_are_refused(btc, settings):
    settings.BACKFILL_MAX_CHUNKS = 10
    with pytest.raises(Impossible, match="chunks"):
        backfill.planned(Wish("binance", "1m", (btc,), hours_ago(24 * 30), hours_ago(0)))


def test_coverage_joins_what_touches(btc):
    minute = INTERVALS["1m"]
    for a, b in ((0, 2), (5, 7), (2, 3), (3, 5), (10, 11)):
        with transaction.atomic():
            backfill.cover(btc.id, "binance", "1m", Span(a * minute, b * minute))
    assert backfill.covered(btc.id, "binance", "1m") == [Span(0, 7 * minute), Span(10 * minute, 11 * minute)]


# --- Days: stocks and exchange rates


def chart(days, close=100.0, currency="USD"):
    """Yahoo's chart of New York sessions, which open at 14:30 UTC; one row has nulls."""
    rows = [None if i == 1 else close + i for i in range(len(days))]
    stamps = [int(dt.datetime.combine(day, dt.time(14, 30), tzinfo=dt.UTC).timestamp()) for day in days]
    quote = {name: rows for name in ("open", "high", "low", "close")} | {
        "volume": [None if r is None else 10 for r in rows]
    }
    meta = {"currency": currency, "exchangeTimezoneName": "America/New_York"}
    return {"chart": {"result": [{"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote]}}], "error": None}}


@pytest.fixture
def yahoo(settings):
    settings.YAHOO_ENABLED, settings.YAHOO_REQUEST_SPACING_S = True, 0.01
    days = [dt.date(2026, 1, d) for d in (5, 6, 7, 8, 9)]
    with polled.Yahoo({"AAPL": chart(days), "VOD.L": chart(days, 7_000.0, "GBp")}) as venue:
        settings.YAHOO_URL, venue.PER_S = venue.url, 1_000.0
        yield venue


def test_daily_bars_of_stocks_come_without_nulls_and_in_the_currency(yahoo):
    aapl, vod = make_instrument("AAPL", "equity", "USD"), make_instrument("VOD", "equity", "GBP", yahoo="VOD.L")
    start, end = dt.datetime(2026, 1, 5, tzinfo=dt.UTC), dt.datetime(2026, 1, 9, tzinfo=dt.UTC)
    row = backfill.start(backfill.wish_of("", "1d", [aapl, vod], start, end))
    assert row.provider == "yahoo"
    assert run(row).status == Job.Status.DONE
    yahoo_bars = [(to_datetime(b.time_us).day, b.close) for b in bars(aapl, "1d", SOURCES["yahoo"])]
    assert yahoo_bars == [(5, 100.0), (7, 102.0), (8, 103.0)]  # the 6th has nulls; the 9th was not asked for
    assert bars(vod, "1d", SOURCES["yahoo"])[0].close == 70.0
    assert backfill.planned(backfill.wish_of("", "1d", [aapl], start, end)).pieces == []


def test_yahoo_is_asked_only_where_it_is_switched_on(settings, db):
    settings.YAHOO_ENABLED = False
    with pytest.raises(Impossible) as refused:
        backfill.wish_of("", "1d", [make_instrument("AAPL", "equity", "USD")], hours_ago(48), hours_ago(0))
    assert refused.value.field == "provider"


def test_exchange_rates_come_by_the_day(settings, db):
    settings.FX_REQUEST_SPACING_S, settings.FX_CURRENCIES = 0.01, []
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=i) for i in range(40)]
    rates = [(day.isoformat(), "USD", "1.1") for day in days if day.weekday() < 5]
    start, end = dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.datetime(2026, 2, 2, tzinfo=dt.UTC)
    wish = backfill.wish_of("", "fx", [], start, end)
    with polled.Rates(rates) as venue:
        settings.FX_URL = settings.ECB_URL = venue.url
        assert run(backfill.start(wish)).status == Job.Status.DONE
    working_days = sum(start.date() <= day < end.date() and day.weekday() < 5 for day in days)
    assert FxRate.objects.count() == working_days
    assert backfill.planned(wish).pieces == []
    settings.BACKFILL_MAX_ATTEMPTS = 1
    with polled.Rates([]) as venue:  # an empty answer is no holiday of a month
        settings.FX_URL = settings.ECB_URL = venue.url
        job = run(backfill.start(backfill.wish_of("", "fx", [], start, end + dt.timedelta(days=30))))
    assert job.status == Job.Status.FAILED
    assert "no holiday explains" in job.message


def test_a_page_of_which_another_writes_a_bar_meanwhile_loses_none():
    instrument = make_instrument("RACE-USDT")
    ids, start_us = {"RACE": instrument.id}, to_us(NOON)
    page = [
        VenueBar("RACE", "1m", start_us + i * MINUTE_US, start_us, 1.0, 2.0, 0.5, 1.5, 7.0, final=True)
        for i in range(120)
    ]
    written, may_commit = threading.Event(), threading.Event()

    def one():
        with transaction.atomic():
            store.write_venue_bars(BINANCE, [msgspec.structs.replace(page[50], close=9.0, final=False)], ids)
            written.set()
            may_commit.wait(10)
        connection.close()

    counts = []

    def all_of_them():
        counts.append(store.write_venue_bars(BINANCE, page, ids))
        connection.close()

    threads = [threading.Thread(target=one), threading.Thread(target=all_of_them)]
    threads[0].start()
    assert written.wait(10)
    threads[1].start()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    wait_for(lambda: stored(waiting) != [(0,)], what="the page to wait for the bar")
    may_commit.set()
    for thread in threads:
        thread.join()
    assert counts == [120]
    assert stored("SELECT count(*), min(close), bool_and(final) FROM venue_candle") == [(120, 1.5, True)]
