"""Ticks and candles on disk. The only package that knows their SQL, and whether TimescaleDB is beneath.

Times in and out are integers, microseconds since 1970, UTC (`…_us`), unless a caller's `datetime` is asked for.
Functions that write belong to one transaction of the caller's, except where they say so.
"""

from ingestion.store.at import Moment, Stood, prices_at
from ingestion.store.bars import ADJUSTED_SOURCES, best_source, by_sessions, candles, final_candles_since, rolled_up
from ingestion.store.closes import posted_closes, posted_lines, sources_with_minutes, venue_closes
from ingestion.store.faults import quarantine, record_gap, trim_quarantine
from ingestion.store.kind import NATIVE, TIMESCALE, storage_kind
from ingestion.store.life import (
    Policy,
    Range,
    Size,
    apply_policies,
    count_in_range,
    drop_range,
    policies,
    ranges,
    retention_days,
    sizes,
)
from ingestion.store.many import Span, last_bars, last_minutes, sources_with_bars
from ingestion.store.minutes import Key, copy_candles, finalise, merge_sums, newest_minutes, open_keys, recompute
from ingestion.store.positions import Position, advance, claim
from ingestion.store.quotes import Width, widths
from ingestion.store.stale import ROLLED, refresh
from ingestion.store.ticks import (
    COLUMNS,
    StoredTrade,
    copy_out,
    copy_rows,
    count_rows,
    ensure_partitions,
    export,
    insert_new,
    trades,
)
from ingestion.store.times import BEGINNING, FOREVER, to_datetime, to_us
from ingestion.store.venue import Polled, write_polled_prices, write_venue_bars
from ingestion.store.venue import bars as venue_bars

__all__ = [
    "ADJUSTED_SOURCES",
    "BEGINNING",
    "COLUMNS",
    "FOREVER",
    "NATIVE",
    "ROLLED",
    "TIMESCALE",
    "Key",
    "Moment",
    "Policy",
    "Polled",
    "Position",
    "Range",
    "Size",
    "Span",
    "Stood",
    "StoredTrade",
    "Width",
    "advance",
    "apply_policies",
    "best_source",
    "by_sessions",
    "candles",
    "claim",
    "copy_candles",
    "copy_out",
    "copy_rows",
    "count_in_range",
    "count_rows",
    "drop_range",
    "ensure_partitions",
    "export",
    "final_candles_since",
    "finalise",
    "insert_new",
    "last_bars",
    "last_minutes",
    "merge_sums",
    "newest_minutes",
    "open_keys",
    "policies",
    "posted_closes",
    "posted_lines",
    "prices_at",
    "quarantine",
    "ranges",
    "recompute",
    "record_gap",
    "refresh",
    "retention_days",
    "rolled_up",
    "sizes",
    "sources_with_bars",
    "sources_with_minutes",
    "storage_kind",
    "to_datetime",
    "to_us",
    "trades",
    "trim_quarantine",
    "venue_bars",
    "venue_closes",
    "widths",
    "write_polled_prices",
    "write_venue_bars",
]
