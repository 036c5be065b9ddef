"""Yahoo's chart, which no documentation promises: the last price, and daily bars. Pure.

Rows may have nulls; the last row of a day in progress is stamped with its last trade instead of its opening; some
exchanges quote in a hundredth of the currency (GBp, ZAc, ILA).
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.quoted import UNREADABLE, Quoted, Unreadable, currency_of, number, signed
from ingestion.ticks import VenueBar

NAME: Final = "yahoo"
CHART: Final = "/v8/finance/chart/"
DAY: Final = "1d"
DAY_US: Final = 86_400_000_000
EPOCH: Final = dt.date(1970, 1, 1)


class _Period(msgspec.Struct):
    start: int
    end: int


class _Periods(msgspec.Struct):
    regular: _Period | None = None


class _Meta(msgspec.Struct, rename="camel"):
    currency: str | None = None
    regular_market_price: float | None = None
    regular_market_time: int | None = None
    regular_market_day_high: float | None = None
    regular_market_day_low: float | None = None
    regular_market_volume: float | None = None
    previous_close: float | None = None
    chart_previous_close: float | None = None
    data_granularity: str | None = None
    exchange_timezone_name: str = "UTC"
    current_trading_period: _Periods | None = None


class _Rows(msgspec.Struct):
    open: list[float | None] = []
    high: list[float | None] = []
    low: list[float | None] = []
    close: list[float | None] = []
    volume: list[float | None] = []


class _Indicators(msgspec.Struct):
    quote: list[_Rows] = []


class _Result(msgspec.Struct):
    meta: _Meta
    indicators: _Indicators
    timestamp: list[int] = []


class _Error(msgspec.Struct):
    code: str = ""
    description: str = ""


class _Chart(msgspec.Struct):
    result: list[_Result] | None = None
    error: _Error | None = None


class _Answer(msgspec.Struct):
    chart: _Chart


_answer: Final = msgspec.json.Decoder(_Answer)


def quote_call(symbol: str) -> Call:
    """The chart of the day, whose head has the last price."""
    return Call(NAME, CHART + quote(symbol, safe=""), {"interval": DAY, "range": DAY})


def daily_call(symbol: str, from_us: int, until_us: int) -> Call:
    """The daily bars of [from, until)."""
    period = {"period1": str(from_us // 1_000_000), "period2": str(until_us // 1_000_000)}
    return Call(NAME, CHART + quote(symbol, safe=""), {"interval": DAY, **period})


def read_quote(body: bytes, symbol: str, received_us: int) -> Quoted | None:
    """The last price, as its head says; None for a symbol that is not known. Raises Unreadable."""
    result = _result(body)
    if result is None:
        return None
    meta = result.meta
    price = number(meta.regular_market_price)
    if price is None or not meta.regular_market_time:
        raise Unreadable(NAME, body, "a chart without a last price or its time")
    currency, minor_units = currency_of(meta.currency)
    # `chartPreviousClose` is the close before the chart begins: the same, where the chart is the day.
    previous = meta.previous_close if meta.previous_close is not None else meta.chart_previous_close
    return Quoted(
        symbol=symbol,
        price=price,
        received_us=received_us,
        time_us=meta.regular_market_time * 1_000_000,
        high=number(meta.regular_market_day_high),
        low=number(meta.regular_market_day_low),
        volume=signed(meta.regular_market_volume),
        previous_close=number(previous) if len(result.timestamp) <= 1 else None,
        currency=currency,
        minor_units=minor_units,
    )


def read_daily(body: bytes, symbol: str, received_us: int) -> tuple[list[VenueBar], str | None, int]:
    """The closed daily bars, oldest first, each at the midnight UTC of its exchange's day; the currency and its units.

    Rows with a null are left out, and so are the one in progress and any whose prices contradict each other. Prices
    are in the venue's units. Raises Unreadable.
    """
    result = _result(body)
    if result is None:
        return [], None, 1
    currency, minor_units = currency_of(result.meta.currency)
    return list(_closed(result, symbol, received_us, body)), currency, minor_units


def _closed(result: _Result, symbol: str, received_us: int, body: bytes) -> Iterator[VenueBar]:
    rows = result.indicators.quote[0] if result.indicators.quote else _Rows()
    count = len(result.timestamp)
    # A column may be left out: nothing is known then.
    columns = [column or [None] * count for column in (rows.open, rows.high, rows.low, rows.close, rows.volume)]
    if any(len(column) != count for column in columns):
        raise Unreadable(NAME, body, "columns of unequal length")
    zone = _zone(result.meta, body)
    for at_s, *values in zip(result.timestamp, *columns, strict=True):
        open_, high, low, close = (number(value) for value in values[:4])
        volume = signed(values[4])
        if open_ is None or high is None or low is None or close is None or volume is None or volume < 0:
            continue
        day = _day(at_s, zone)
        if low <= min(open_, close) <= max(open_, close) <= high and not _lasts(result.meta, day, zone, received_us):
            time_us = (day - EPOCH).days * DAY_US
            yield VenueBar(symbol, DAY, time_us, received_us, open_, high, low, close, volume, final=True)


def _lasts(meta: _Meta, day: dt.date, zone: ZoneInfo, now_us: int) -> bool:
    """Whether a row's day is the exchange's present one and its session is not over.

    Such a row may be stamped with its last trade. Where the answer does not say when the session ends, it ends with
    the day.
    """
    now_s = now_us // 1_000_000
    if day != _day(now_s, zone):
        return False
    period = meta.current_trading_period.regular if meta.current_trading_period else None
    return period is None or _day(period.end, zone) != day or now_s < period.end


def _day(at_s: int, zone: ZoneInfo) -> dt.date:
    return dt.datetime.fromtimestamp(at_s, zone).date()


def _zone(meta: _Meta, body: bytes) -> ZoneInfo:
    try:
        return ZoneInfo(meta.exchange_timezone_name)
    except (ZoneInfoNotFoundError, ValueError):
        raise Unreadable(NAME, body, f"no such zone: {meta.exchange_timezone_name}") from None


def _result(body: bytes) -> _Result | None:
    try:
        chart = _answer.decode(body).chart
    except UNREADABLE as error:
        raise Unreadable(NAME, body, str(error)) from None
    if chart.error is not None and chart.error.code != "Not Found":
        raise Unreadable(NAME, body, chart.error.description or chart.error.code)
    return chart.result[0] if chart.result else None
