"""Stored ticks into a file: streamed, so that a year costs no more memory than a minute.

Floats are written as the shortest text that reads back as the same number.
"""

import csv
import datetime as dt
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final, Protocol

import pyarrow
import pyarrow.parquet

from ingestion import store
from ingestion.providers import SOURCE_NAMES
from ingestion.ticks import QUOTE_COLUMNS, SIDE_NAMES, TRADE_COLUMNS

Row = tuple[Any, ...]

TRADE_FIELDS: Final = ("time", "symbol", "price", "quantity", "side", "trade_id", "source", "received_at")
QUOTE_FIELDS: Final = (
    "time", "symbol", "bid", "bid_quantity", "ask", "ask_quantity", "quote_id", "source", "received_at",
)  # fmt: skip
FIELDS: Final = {"trades": TRADE_FIELDS, "quotes": QUOTE_FIELDS}
_TABLES: Final = {"trades": ("trade", TRADE_COLUMNS), "quotes": ("quote", QUOTE_COLUMNS)}
_TYPES: Final = {
    "time": pyarrow.timestamp("us", tz="UTC"), "received_at": pyarrow.timestamp("us", tz="UTC"),
    "symbol": pyarrow.string(), "side": pyarrow.string(), "source": pyarrow.string(),
    "trade_id": pyarrow.int64(), "quote_id": pyarrow.int64(),
}  # fmt: skip


class Text(Protocol):
    """What text is written to."""

    def write(self, text: str, /) -> Any: ...


class Sink(Protocol):
    """A file being written."""

    def write(self, rows: list[Row]) -> None: ...

    def close(self) -> None: ...


def rows(
    kind: str, instrument_id: int, symbol: str, start: dt.datetime | None, end: dt.datetime | None
) -> Iterator[list[Row]]:
    """The ticks of [start, end) by time, in chunks, in the columns of FIELDS; times as aware datetimes."""
    table, columns = _TABLES[kind]
    at = {name: i for i, name in enumerate(columns)}
    for chunk in store.export(table, instrument_id, start, end):
        yield [_row(FIELDS[kind], symbol, stored, at) for stored in chunk]


def _row(fields: Iterable[str], symbol: str, stored: Row, at: dict[str, int]) -> Row:
    values: list[Any] = []
    for field in fields:
        if field == "symbol":
            values.append(symbol)
        elif field == "source":
            values.append(SOURCE_NAMES[stored[at["source"]]])
        elif field == "side":
            values.append(SIDE_NAMES[stored[at["side"]]])
        else:
            values.append(stored[at[field]])
    return tuple(values)


class Csv:
    """Text with a header. Times are ISO 8601 UTC with all six digits; an unknown side is empty."""

    def __init__(self, file: Text, fields: Iterable[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(fields)

    def write(self, rows: list[Row]) -> None:
        self._writer.writerows([_text(value) for value in row] for row in rows)

    def close(self) -> None:
        """The file is the caller's."""


class Parquet:
    """Columns, compressed with zstd; a row group a chunk."""

    def __init__(self, file: IO[bytes], fields: Iterable[str]) -> None:
        self._schema = pyarrow.schema([(name, _TYPES.get(name, pyarrow.float64())) for name in fields])
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: list[Row]) -> None:
        columns = list(zip(*rows, strict=True))
        arrays = [pyarrow.array(c, field.type) for c, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _text(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return repr(value) if isinstance(value, float) else value
