"""Alpha Vantage: the last price of a trading day, and series stamped by New York's wall clock. Pure.

https://www.alphavantage.co/documentation/. All numbers are text. What refuses with HTTP 200 never comes here
(`trouble.py`); a symbol that it does not know has an empty quote.
"""

import datetime as dt
import itertools
import json
from collections.abc import Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.quoted import UNREADABLE, Quoted, Unreadable, day_of, number, signed
from ingestion.ticks import VenueBar

NAME: Final = "alphavantage"
QUOTE: Final = "Global Quote"
# What its documentation calls New York, and what it did before.
_ZONES: Final = {"US/Eastern": "America/New_York", "UTC": "UTC"}
_INTERVALS: Final = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h"}


class _Quote(msgspec.Struct):
    quote: dict[str, str] = msgspec.field(name=QUOTE)


_quote: Final = msgspec.json.Decoder(_Quote)


def quote_call(symbol: str) -> Call:
    """Its last price; costs one of the day's few."""
    return Call(NAME, "/query", {"function": "GLOBAL_QUOTE", "symbol": symbol})


def read_quote(body: bytes, symbol: str, received_us: int) -> Quoted | None:
    """The price and the day it is of; None for a symbol that is not known. Raises Unreadable.

    {"Global Quote": {"01. symbol": "MSFT", "02. open": "112.6300", "03. high": "113.1700", "04. low": "110.6400",
     "05. price": "112.1300", "06. volume": "29062853", "07. latest trading day": "2018-10-05",
     "08. previous close": "112.7900", "09. change": "-0.6600", "10. change percent": "-0.5852%"}}
    """
    try:
        said = {name.partition(". ")[2]: value for name, value in _quote.decode(body).quote.items()}
    except UNREADABLE as error:
        raise Unreadable(NAME, body, str(error)) from None
    if not said:
        return None
    price, day = number(said.get("price")), day_of(said.get("latest trading day"))
    if price is None or day is None:
        raise Unreadable(NAME, body, "a quote without a price or its day")
    return Quoted(
        symbol=symbol,
        price=price,
        received_us=received_us,
        day=day.isoformat(),
        open=number(said.get("open")),
        high=number(said.get("high")),
        low=number(said.get("low")),
        volume=signed(said.get("volume")),
        previous_close=number(said.get("previous close")),
    )


def read_series(body: bytes, symbol: str, received_us: int) -> list[VenueBar]:
    """The bars of an intraday series, oldest first. Raises Unreadable.

    Stamps are a wall clock's without an offset, newest first; see `instants`. A bar of an hour that no clock shows, or
    whose prices are none, is left out.
    """
    try:
        said = json.loads(body, object_pairs_hook=_Pairs)
    except ValueError as error:
        raise Unreadable(NAME, body, str(error)) from None
    meta = _found(said, "Meta Data")
    series = next((value for name, value in said if "Time Series" in name), None) if isinstance(said, _Pairs) else None
    interval = _INTERVALS.get(str(_ending(meta, "Interval")))
    if not isinstance(series, _Pairs) or interval is None:
        raise Unreadable(NAME, body, "no series of an interval that we know")
    oldest_first = list(reversed(series))
    times = instants([stamp for stamp, _ in oldest_first], str(_ending(meta, "Time Zone")), body)
    bars = [
        _bar(symbol, interval, time_us, received_us, values)
        for time_us, (_, values) in zip(times, oldest_first, strict=True)
        if time_us is not None
    ]
    return [bar for bar in bars if bar is not None]


def instants(stamps: Sequence[str], zone_name: str, body: bytes = b"") -> list[int | None]:
    """What the stamps of a series mean, oldest first, in µs since 1970; None for a time that no clock showed.

    In autumn an hour comes twice, and the stamps do not say which it is: the first time until the clock runs
    backwards, the second from then on. Raises Unreadable.

    >>> [us // 60_000_000 for us in instants(["2018-11-04 01:30:00", "2018-11-04 01:45:00", "2018-11-04 01:30:00"],
    ...     "US/Eastern")]
    [25688490, 25688505, 25688550]
    """
    try:
        zone = ZoneInfo(_ZONES.get(zone_name, zone_name))
        clocks = [dt.datetime.fromisoformat(stamp) for stamp in stamps]
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise Unreadable(NAME, body, f"times that cannot be read: {error}") from None
    found: list[int | None] = []
    again = False
    for before, clock in itertools.zip_longest([None, *clocks], clocks):
        if clock is None:
            break
        again = (before is not None and clock <= before) or (again and _twice(clock, zone))
        found.append(_instant(clock.replace(fold=int(again), tzinfo=zone)))
    return found


def _twice(clock: dt.datetime, zone: ZoneInfo) -> bool:
    first, second = (clock.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first != second


def _instant(local: dt.datetime) -> int | None:
    instant = local.astimezone(dt.UTC)
    if instant.astimezone(local.tzinfo).replace(fold=0) != local.replace(fold=0):
        return None  # in the hour that spring leaves out
    return int(instant.timestamp()) * 1_000_000


def _bar(symbol: str, interval: str, time_us: int, received_us: int, values: Any) -> VenueBar | None:
    said = {str(name).partition(". ")[2]: value for name, value in values} if isinstance(values, _Pairs) else {}
    prices = [number(said.get(name)) for name in ("open", "high", "low", "close")]
    if None in prices:
        return None
    volume = signed(said.get("volume"))
    if volume is None or volume < 0:
        return None
    open_, high, low, close = (float(price or 0) for price in prices)
    if not low <= min(open_, close) <= max(open_, close) <= high:
        return None
    return VenueBar(symbol, interval, time_us, received_us, open_, high, low, close, volume, final=True)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object whose names may come twice, as the stamps of an hour that comes twice do."""


def _found(pairs: Any, name: str) -> Any:
    return next((value for key, value in pairs if key == name), None) if isinstance(pairs, _Pairs) else None


def _ending(pairs: Any, words: str) -> Any:
    """The value whose numbered name ends with `words`, such as `6. Time Zone`."""
    return next((v for key, v in pairs if key.endswith(words)), None) if isinstance(pairs, _Pairs) else None
