"""Bars that we did not make of trades: the venues' own, and those of prices that were polled now and then.

They lie beside ours, never mixed with them; `Bar.made_by` says which is which. A volume nobody told is None.
"""

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from django.db import connection, transaction
from psycopg2.errors import UniqueViolation

from ingestion.candles import INTERVALS, MINUTE_US, TICKER, VENUE, Bar
from ingestion.providers import SOURCES
from ingestion.store.ticks import copy_rows
from ingestion.store.times import MICROSECOND, array, timestamp, to_datetime, us
from ingestion.ticks import POSTGRES_EPOCH_US, VenueBar

# These never say that a bar is closed: it is when the next one has begun. A snapshot after a reconnect corrects it.
SILENT_ON_CLOSE: Final = frozenset({SOURCES["kraken"]})

_COLUMNS: Final = (
    "instrument_id", "source", "interval", "time", "open", "high", "low", "close", "volume", "quote_volume", "trades",
    "final", "received_at",
)  # fmt: skip
_TYPES: Final = (
    "int4", "int2", "text", "int8", "float8", "float8", "float8", "float8", "float8", "float8", "int4",
    "bool", "int8",
)  # fmt: skip


_VALUES: Final = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "final")
# Final beats open, then later beats earlier; what says the same changes nothing.
_WRITE: Final = f"""
INSERT INTO venue_candle AS c ({", ".join(_COLUMNS)}) {{given}} ORDER BY instrument_id, source, interval, time
ON CONFLICT (instrument_id, source, interval, time) DO UPDATE SET
    {", ".join(f"{c} = excluded.{c}" for c in (*_VALUES, "received_at"))}, made_by = '{VENUE}'
WHERE (excluded.final, excluded.received_at) > (c.final, c.received_at)
  AND ({", ".join(f"excluded.{c}" for c in _VALUES)}) IS DISTINCT FROM ({", ".join(f"c.{c}" for c in _VALUES)})
"""
_CLOSE: Final = f"""
UPDATE venue_candle AS c SET final = true
FROM (SELECT instrument_id, source, interval, {timestamp("time")} AS time
      FROM unnest(%s::int4[], %s::int2[], %s::text[], %s::int8[]) AS given (instrument_id, source, interval, time)) AS n
WHERE c.instrument_id = n.instrument_id AND c.source = n.source AND c.interval = n.interval AND c.time < n.time
  AND NOT c.final
"""


_Row = tuple[Any, ...]
_Columns = Mapping[str, Sequence[Any]]
# A page of history; fewer bars are what a feed tells of the present.
_PAGE_MIN: Final = 100
# The table's columns in their order, as numpy has their types in the order of the network.
_PACKED: Final = {
    "instrument_id": ">i4", "source": ">i2", "interval": "S", "time": ">i8", "open": ">f8", "high": ">f8", "low": ">f8",
    "close": ">f8", "volume": ">f8", "quote_volume": ">f8", "trades": ">i4", "made_by": f"S{len(VENUE)}", "final": "?",
    "received_at": ">i8",
}  # fmt: skip
_OF_A_PAGE: Final = ("instrument_id", "source", "interval")
_OPTIONAL: Final = ("volume", "quote_volume", "trades")
_STORED: Final = """
SELECT EXISTS (SELECT FROM venue_candle WHERE instrument_id = %s AND source = %s AND interval = %s
               AND time BETWEEN %s AND %s)
"""


def write_venue_bars(source: int, bars: Iterable[VenueBar], ids: Mapping[str, int]) -> int:
    """Keep the bars as the venue made them; those of symbols that `ids` does not know are left out.

    A final bar is not opened again by an older frame; writing the same again changes nothing. Returns how many rows
    are new or changed. The caller's transaction, or one of its own.
    """
    best: dict[tuple[int, str, int], VenueBar] = {}
    for bar in bars:
        if bar.symbol in ids and bar.interval in INTERVALS:
            place = ids[bar.symbol], bar.interval, bar.time_us
            if place not in best or _rank(bar) >= _rank(best[place]):
                best[place] = bar
    if not best:
        return 0
    rows = (_row(instrument_id, source, bar) for (instrument_id, _, _), bar in sorted(best.items(), key=_place))
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    count = len(best) if _is_new_page(columns) and _copy(columns) else _merge(columns)
    if source in SILENT_ON_CLOSE:
        with connection.cursor() as cursor:
            cursor.execute(_CLOSE, [list(column) for column in zip(*_newest(source, best), strict=True)])
    return count


def _merge(columns: _Columns) -> int:
    given, parameters = _given(list(columns.values()))
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(given=given), parameters)
        return int(cursor.rowcount)


def _is_new_page(columns: _Columns) -> bool:
    """Whether these are a page of one instrument's history, of a time of which nothing is stored. What is unknown of
    one of its bars is unknown of all."""
    times = columns["time"]
    one_of_all = [columns[name].count(columns[name][0]) == len(times) for name in _OF_A_PAGE]
    unknown = [columns[name].count(None) for name in _OPTIONAL]
    if len(times) < _PAGE_MIN or not all(one_of_all) or not {0, len(times)}.issuperset(unknown):
        return False
    page = [*(columns[name][0] for name in _OF_A_PAGE), to_datetime(times[0]), to_datetime(times[-1])]
    with connection.cursor() as cursor:
        cursor.execute(_STORED, page)
        return not cursor.fetchone()[0]


def _copy(columns: _Columns) -> bool:
    """COPY them in, at half of what merging costs. False when another has written one meanwhile: none is in then."""
    try:
        with transaction.atomic():
            copy_rows("venue_candle", _packed(columns))
    except UniqueViolation:
        return False
    return True


def _packed(columns: _Columns) -> bytes:
    """As binary COPY takes the rows of one page: before each value its length, −1 where it is unknown."""
    values = {
        **columns,
        "interval": columns["interval"][0].encode(),
        "time": np.array(columns["time"]) - POSTGRES_EPOCH_US,
        "made_by": VENUE.encode(),
        "received_at": np.array(columns["received_at"]) - POSTGRES_EPOCH_US,
    }
    unknown = tuple(name for name in _OPTIONAL if columns[name][0] is None)
    packed = np.zeros(len(columns["time"]), _layout(len(values["interval"]), unknown))
    packed["columns"] = len(_PACKED)
    for name in _PACKED:
        packed[f"{name} size"] = -1 if name in unknown else packed.dtype[name].itemsize
        if name not in unknown:
            packed[name] = values[name]
    return packed.tobytes()


@functools.cache
def _layout(interval_bytes: int, unknown: tuple[str, ...]) -> np.dtype:
    types = _PACKED | {"interval": f"S{interval_bytes}"}
    fields = [("columns", ">i2")]
    for name, of_type in types.items():
        fields += [(f"{name} size", ">i4"), *([] if name in unknown else [(name, of_type)])]
    return np.dtype(fields)


def _given(columns: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A SELECT of these rows, and its parameters. What is the same in each row is sent once: a page of history is of
    one instrument and one interval, and received at one moment."""
    values, arrays, names, once, many = [], [], [], [], []
    for name, of_type, column in zip(_COLUMNS, _TYPES, columns, strict=True):
        if name != "time" and column.count(column[0]) == len(column):
            value = f"%s::{of_type}"
            once.append(column[0])
        else:
            value = name
            names.append(name)
            arrays.append(f"%s::{of_type}[]")
            many.append(_array(column))
        values.append(f"{timestamp(value)} AS {name}" if name in ("time", "received_at") else f"{value} AS {name}")
    given = f"unnest({', '.join(arrays)}) AS given ({', '.join(names)})"
    return f"SELECT {', '.join(values)} FROM {given}", [*once, *many]


def _array(values: Sequence[Any]) -> str:
    """As `times.array`; these may be unknown, or an interval's name."""
    if isinstance(values[0], int | float) and None not in values:
        return array(values)
    return "{" + ",".join("NULL" if v is None else v if isinstance(v, str) else repr(v) for v in values) + "}"


def _place(item: tuple[tuple[int, str, int], VenueBar]) -> tuple[int, str, int]:
    return item[0]


def _rank(bar: VenueBar) -> tuple[bool, int]:
    return bar.final, bar.received_us


def _row(instrument_id: int, source: int, bar: VenueBar) -> _Row:
    return (
        instrument_id, source, bar.interval, bar.time_us, bar.open, bar.high, bar.low, bar.close, bar.volume,
        bar.quote_volume, bar.trades, bar.final, bar.received_us,
    )  # fmt: skip


def _newest(source: int, places: Iterable[tuple[int, str, int]]) -> list[tuple[int, int, str, int]]:
    newest: dict[tuple[int, str], int] = {}
    for instrument_id, interval, time_us in places:
        newest[instrument_id, interval] = max(time_us, newest.get((instrument_id, interval), time_us))
    return [(i, source, interval, time_us) for (i, interval), time_us in newest.items()]


# --- Prices that were polled


class Polled(NamedTuple):
    """A price as a source gave it when it was asked."""

    instrument_id: int
    time_us: int  # the source's
    price: float


# Between two polls the price went where it went: high and low are of what was seen, and no volume is known.
_SEE: Final = f"""
INSERT INTO venue_candle AS c
    (instrument_id, source, interval, time, open, high, low, close, made_by, final, received_at)
SELECT instrument_id, source, '1m', {timestamp("minute")}, price, price, price, price, '{TICKER}', false,
       {timestamp("seen")}
FROM unnest(%s::int4[], %s::int2[], %s::int8[], %s::int8[], %s::float8[])
     AS given (instrument_id, source, minute, seen, price)
ON CONFLICT (instrument_id, source, interval, time) DO UPDATE SET
    high = greatest(c.high, excluded.high), low = least(c.low, excluded.low),
    close = CASE WHEN excluded.received_at >= c.received_at THEN excluded.close ELSE c.close END,
    received_at = greatest(c.received_at, excluded.received_at)
WHERE c.made_by = '{TICKER}'
"""


def write_polled_prices(source: int, prices: Iterable[Polled]) -> None:
    """Make 1-minute bars of prices that a source without trades was asked for; the same again changes nothing."""
    for instrument_id, time_us, price in sorted(prices):
        row = (instrument_id, source, time_us - time_us % MINUTE_US, time_us, price)
        with connection.cursor() as cursor:
            cursor.execute(_SEE, [[value] for value in row])


# --- Reading

_RANGE: Final = "instrument_id = %(instrument)s AND source = %(source)s AND time >= %(start)s AND time < %(end)s"
COLUMNS: Final = "open, high, low, close, volume, quote_volume, trades, final, made_by"
_BUCKET: Final = "date_bin(%(step)s, time, TIMESTAMPTZ '2000-01-03 00:00:00+00')"


def told(where: str) -> str:
    """SQL: the bars of %(interval)s as the venue made them."""
    return f"""
SELECT time, {COLUMNS} FROM venue_candle WHERE {where} AND interval = %(interval)s AND made_by = '{VENUE}'
"""


def made_of_minutes(where: str) -> str:
    """SQL: the same made of the minutes here; what one of them does not tell, the sum does not."""
    return f"""
SELECT {_BUCKET} AS time,
       (array_agg(open ORDER BY time))[1] AS open, max(high) AS high, min(low) AS low,
       (array_agg(close ORDER BY time DESC))[1] AS close,
       CASE WHEN count(*) = count(volume) THEN sum(volume) END AS volume,
       CASE WHEN count(*) = count(quote_volume) THEN sum(quote_volume) END AS quote_volume,
       CASE WHEN count(*) = count(trades) THEN sum(trades)::int4 END AS trades,
       bool_and(final OR made_by = '{TICKER}') AND {_BUCKET} + %(step)s <= now() AS final,
       min(made_by) AS made_by
FROM venue_candle WHERE {where} AND interval = '1m' GROUP BY 1
"""


def bars(
    instrument_id: int,
    source: int,
    interval: str,
    start: dt.datetime,
    end: dt.datetime,
    limit: int | None = None,
    newest_first: bool = False,
) -> list[Bar]:
    """The first (or newest) `limit` bars as the venue made them that begin in [start, end)."""
    return _read(told(_RANGE), instrument_id, source, interval, start, end, limit, newest_first)


def rolled_up(
    instrument_id: int,
    source: int,
    interval: str,
    start: dt.datetime,
    end: dt.datetime,
    limit: int | None = None,
    newest_first: bool = False,
) -> list[Bar]:
    """The same, made of the minutes here, the venue's or polled ones; "ticker" as soon as one was polled."""
    return _read(made_of_minutes(_RANGE), instrument_id, source, interval, start, end, limit, newest_first)


def _read(
    rows: str,
    instrument_id: int,
    source: int,
    interval: str,
    start: dt.datetime,
    end: dt.datetime,
    limit: int | None,
    newest_first: bool,
) -> list[Bar]:
    order = "DESC" if newest_first else "ASC"
    parameters: dict[str, Any] = {
        "instrument": instrument_id, "source": source, "start": start, "end": end, "limit": limit,
        "step": INTERVALS[interval] * MICROSECOND, "interval": interval,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {us("time")}, {COLUMNS}
                FROM ({rows}) AS b ORDER BY b.time {order} LIMIT %(limit)s""",
            parameters,
        )
        return [bar_of(instrument_id, source, interval, row) for row in cursor.fetchall()]


def bar_of(instrument_id: int, source: int, interval: str, row: Sequence[Any]) -> Bar:
    time_us, open_, high, low, close, volume, quote_volume, trades, final, made_by = row
    return Bar(
        instrument_id, source, time_us, open_, high, low, close, volume, quote_volume, trades, time_us, 0, time_us, 0,
        interval=interval, final=final, made_by=made_by,
    )  # fmt: skip
