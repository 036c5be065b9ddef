"""Ticks for tests, and what is on disk, told in the field's words."""

import datetime as dt

from django.db import connection

from ingestion import store
from ingestion.journal import Flush
from ingestion.ticks import BUY, Quote, Trade, pack_quotes, pack_trades

SIMULATED = 1
BTC, ETH = 11, 12
IDS = {"BTC": BTC, "ETH": ETH}
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
# 2024-08-08 00:00 UTC, a Thursday.
DAY_START = dt.datetime(2024, 8, 8, tzinfo=dt.UTC)
T0 = int(DAY_START.timestamp()) * SECOND_US

TABLES = {
    "trade": "instrument_id, source, trade_id, time",
    "quote": "instrument_id, source, quote_id, time",
    "candle_1m": "instrument_id, source, time",
}


def trade(trade_id, at_s=0.0, price=100.0, quantity=1.0, symbol="BTC", side=BUY, flags=0):
    time_us = T0 + round(at_s * SECOND_US)
    return Trade(symbol, time_us, time_us + 1_000, trade_id, price, quantity, side, flags)


def quote(quote_id, at_s=0.0, bid=99.0, ask=101.0, symbol="BTC"):
    time_us = T0 + round(at_s * SECOND_US)
    return Quote(symbol, time_us, time_us + 1_000, quote_id, bid, 1.0, ask, 2.0)


def packed(*trades, source=SIMULATED):
    return pack_trades(trades, IDS, source)


def flush(*ticks, now_us=T0, source=SIMULATED):
    """One flush of these trades and quotes, as a listener makes it."""
    trades = [t for t in ticks if isinstance(t, Trade)]
    quotes = [t for t in ticks if isinstance(t, Quote)]
    return Flush(pack_trades(trades, IDS, source), pack_quotes(quotes, IDS, source), len(ticks), {}, {}, None, now_us)


def stored(sql, *parameters):
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def trade_ids():
    return [i for (i,) in stored("SELECT trade_id FROM trade ORDER BY time, trade_id")]


def checksums():
    """One for each table, over every column of every row."""
    return {
        table: stored(f"SELECT count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY {key}), '')) FROM {table} t")
        for table, key in TABLES.items()
    }


ALL_TABLES = ("trade", "quote", "candle_1m", "venue_candle", "candle_stale", "journal_position")


def empty_tables():
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(ALL_TABLES)}")
    forget_hours()


def clear_tables():
    """As `empty_tables`, but without the locks and the files of a TRUNCATE."""
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"DELETE FROM {table}" for table in ALL_TABLES))
    forget_hours()


def forget_hours():
    """Where hours are a table of ours: as after a migration."""
    if store.storage_kind() == store.NATIVE:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM candle_hour; UPDATE candle_hour_until SET until = '-infinity'")


def forget_aggregates():
    """What continuous aggregates hold. (Not inside a test's transaction: there every day that is written is marked.)"""
    if store.storage_kind() == store.TIMESCALE:
        with connection.cursor() as cursor:
            for interval in store.ROLLED:
                cursor.execute(f"TRUNCATE candle_{interval}")
