"""The 1-minute candles: added to, made again from the trades on disk, and made final."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from django.db import connection

from ingestion.candles import MINUTE_US, TRADES, Bar
from ingestion.store import stale
from ingestion.store.times import array, timestamp, to_datetime, us
from ingestion.ticks import NOT_IN_CANDLES


class Key(NamedTuple):
    """A minute of one instrument by one source."""

    instrument_id: int
    source: int
    time_us: int


# Table `candle_1m`, and `Bar` without its interval.
_CANDLE_COLUMNS: Final = (
    "instrument_id", "source", "time", "open", "high", "low", "close", "volume", "quote_volume", "trades",
    "first_time", "first_id", "last_time", "last_id", "final", "rev",
)  # fmt: skip
_CANDLE_TYPES: Final = (
    "int4", "int2", "int8", "float8", "float8", "float8", "float8", "float8", "float8", "int4",
    "int8", "int8", "int8", "int8", "bool", "int4",
)  # fmt: skip
_TIMES: Final = ("time", "first_time", "last_time")


def _unnest(count: int) -> str:
    """SQL: the first `count` columns of candles, one array parameter each, as rows."""
    columns = _CANDLE_COLUMNS[:count]
    values = ", ".join(f"{timestamp(c)} AS {c}" if c in _TIMES else c for c in columns)
    arrays = ", ".join(f"%s::{t}[]" for t in _CANDLE_TYPES[:count])
    return f"SELECT {values} FROM unnest({arrays}) AS given ({', '.join(columns)})"


_KEYS_GIVEN: Final = _unnest(3)
_SUMS_GIVEN: Final = _unnest(14)
_CANDLES_GIVEN: Final = _unnest(16)
CANDLE: Final = ", ".join(us(f"c.{c}") if c in _TIMES else f"c.{c}" for c in _CANDLE_COLUMNS)

_MERGE: Final = f"""
WITH given AS ({_SUMS_GIVEN}),
merged AS (
    INSERT INTO candle_1m AS c SELECT *, false, 0 FROM given ORDER BY instrument_id, source, time
    ON CONFLICT (instrument_id, source, time) DO UPDATE SET
        open = CASE WHEN (excluded.first_time, excluded.first_id) < (c.first_time, c.first_id)
                    THEN excluded.open ELSE c.open END,
        first_id = CASE WHEN (excluded.first_time, excluded.first_id) < (c.first_time, c.first_id)
                        THEN excluded.first_id ELSE c.first_id END,
        first_time = least(c.first_time, excluded.first_time),
        close = CASE WHEN (excluded.last_time, excluded.last_id) > (c.last_time, c.last_id)
                     THEN excluded.close ELSE c.close END,
        last_id = CASE WHEN (excluded.last_time, excluded.last_id) > (c.last_time, c.last_id)
                       THEN excluded.last_id ELSE c.last_id END,
        last_time = greatest(c.last_time, excluded.last_time),
        high = greatest(c.high, excluded.high), low = least(c.low, excluded.low),
        volume = c.volume + excluded.volume, quote_volume = c.quote_volume + excluded.quote_volume,
        trades = c.trades + excluded.trades
    WHERE NOT c.final
    RETURNING instrument_id, source, time)
SELECT instrument_id, source, {us("time")}
FROM (SELECT instrument_id, source, time FROM given EXCEPT SELECT * FROM merged) AS kept
"""

# A row to lock for each minute, also for one that has none yet. Whatever another writer has not committed of the minute
# it still has to merge into the row that is locked here; what it has, the next statement sees.
_LOCK_OR_MAKE: Final = f"""
INSERT INTO candle_1m AS c
SELECT instrument_id, source, time, 0, 0, 0, 0, 0, 0, 0, time, 0, time, 0, false, 0
FROM ({_KEYS_GIVEN}) AS wanted ORDER BY instrument_id, source, time
ON CONFLICT (instrument_id, source, time) DO UPDATE SET rev = c.rev
"""

_LOCK: Final = f"""
SELECT FROM candle_1m AS c JOIN ({_KEYS_GIVEN}) AS wanted USING (instrument_id, source, time)
ORDER BY instrument_id, source, time FOR UPDATE OF c
"""

# The bounds over all wanted minutes let the planner leave out other partitions.
_OF_THE_MINUTE: Final = f"""
FROM trade AS t
WHERE t.instrument_id = wanted.instrument_id AND t.source = wanted.source AND t.flags & {NOT_IN_CANDLES} = 0
  AND t.time >= wanted.time AND t.time < wanted.time + INTERVAL '1 minute' AND t.time >= %s AND t.time < %s
"""

# Sums in numeric are exact, so that they do not depend on the order in which the rows came.
_FROM_ROWS: Final = f"""
WITH wanted AS ({_KEYS_GIVEN}),
exact AS (
    SELECT *
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT max(price) AS high, min(price) AS low, sum(quantity::numeric)::float8 AS volume,
               sum(price::numeric * quantity::numeric)::float8 AS quote_volume, count(*)::int4 AS trades
        {_OF_THE_MINUTE}) AS sums
    CROSS JOIN LATERAL (
        SELECT price AS open, t.time AS first_time, trade_id AS first_id
        {_OF_THE_MINUTE} ORDER BY t.time, trade_id LIMIT 1) AS opening
    CROSS JOIN LATERAL (
        SELECT price AS close, t.time AS last_time, trade_id AS last_id
        {_OF_THE_MINUTE} ORDER BY t.time DESC, trade_id DESC LIMIT 1) AS closing)
UPDATE candle_1m AS c SET
    open = e.open, high = e.high, low = e.low, close = e.close, volume = e.volume, quote_volume = e.quote_volume,
    trades = e.trades, first_time = e.first_time, first_id = e.first_id, last_time = e.last_time, last_id = e.last_id,
"""
_OF_CANDLE: Final = (
    "FROM exact AS e WHERE c.instrument_id = e.instrument_id AND c.source = e.source AND c.time = e.time"
)
_SAID: Final = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "first_id", "last_id")
_DIFFERS: Final = f"({', '.join(f'c.{c}' for c in _SAID)}) IS DISTINCT FROM ({', '.join(f'e.{c}' for c in _SAID)})"
# Never of fewer trades than it counted: then some were dropped by retention, or never were on this disk.
_TRUER: Final = f"{_OF_CANDLE} AND e.trades >= c.trades AND {_DIFFERS}"
_RECOMPUTE: Final = f"{_FROM_ROWS} rev = c.rev + c.final::int4 {_TRUER} RETURNING {CANDLE}"
_FINALISE: Final = f"{_FROM_ROWS} final = true {_OF_CANDLE} AND NOT c.final RETURNING {CANDLE}"


def merge_sums(sums: np.ndarray) -> list[Key]:
    """Add what `candles.fold` made of new trades to their candles.

    Returns the minutes that are final already, left as they were: `recompute` them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MERGE, [array(sums[name].tolist()) for name in sums.dtype.names or ()])
        finished = [Key(*row) for row in cursor.fetchall()]
    stale.mark(sums[["instrument_id", "source", "time_us"]].tolist())
    return finished


def recompute(keys: Iterable[Key]) -> list[Bar]:
    """Make these minutes' candles anew from the trades on disk; a final one's `rev` grows. Returns those that
    changed, for the caller to publish. One that counted more trades than the disk still has stays as it is.

    Each minute has a trade that is neither suspect nor irregular.
    """
    return _from_rows(keys, _LOCK_OR_MAKE, _RECOMPUTE)


def finalise(keys: Iterable[Key]) -> list[Bar]:
    """Make these minutes' candles from the trades on disk, exactly, and final. Returns those that were not yet."""
    return _from_rows(keys, _LOCK, _FINALISE)


def _from_rows(keys: Iterable[Key], lock: str, update: str) -> list[Bar]:
    ordered = sorted(set(keys))
    if not ordered:
        return []
    columns = [array(column) for column in zip(*ordered, strict=True)]
    minutes = [minute.time_us for minute in ordered]
    bounds = [to_datetime(min(minutes)), to_datetime(max(minutes) + MINUTE_US)]
    with connection.cursor() as cursor:
        cursor.execute(lock, columns)
        cursor.execute(update, [*columns, *bounds * 3])
        made = [bar_of(row, "1m") for row in cursor.fetchall()]
    stale.mark(ordered)
    return made


def open_keys(source: int) -> list[Key]:
    """The minutes of this source that are not final yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT instrument_id, source, {us('time')} FROM candle_1m WHERE NOT final AND source = %s", [source]
        )
        return [Key(*row) for row in cursor.fetchall()]


def newest_minutes(source: int, since: dt.datetime) -> list[Key]:
    """Each instrument's newest final minute of this source, of those that began at `since` or later."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT instrument_id, source, {us("max(time)")} FROM candle_1m
                WHERE final AND time >= %s AND source = %s GROUP BY instrument_id, source""",
            [since, source],
        )
        return [Key(*row) for row in cursor.fetchall()]


def copy_candles(bars: Iterable[Bar]) -> int:
    """1-minute bars made elsewhere (history), in bulk; those that exist stay as they are. Returns how many were new."""
    given = list(bars)
    if not given:
        return 0
    assert all(bar.interval == "1m" and bar.made_by == TRADES for bar in given)
    rows = [(*msgspec.structs.astuple(bar)[: len(_CANDLE_COLUMNS) - 2], bar.final, bar.rev) for bar in given]
    arrays = [array(column) for column in zip(*rows, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO candle_1m {_CANDLES_GIVEN} ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING", arrays)
        count = int(cursor.rowcount)
    stale.mark((bar.instrument_id, bar.source, bar.time_us) for bar in given)
    return count


def bar_of(row: Sequence[Any], interval: str) -> Bar:
    values = [*row[:-2], interval, *row[-2:]]
    return Bar(*values)
