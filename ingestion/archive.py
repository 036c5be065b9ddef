"""Ticks as Parquet files: written before their range is dropped, and read back.

A file holds a range of one table, in its own columns, zstd-compressed; beside it lies its manifest, written last: a
file without one is not whole. Times are [start, end). The same rows always give the same bytes, so that writing a range
again finds the file that is there; a range whose rows have changed gets another file.
"""

import datetime as dt
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow
import pyarrow.parquet
from django.conf import settings
from django.db import OperationalError, transaction

from ingestion import store
from ingestion.models import Instrument
from ingestion.store import Range
from ingestion.ticks import POSTGRES_EPOCH_US, QUOTE_DTYPE, TRADE_DTYPE
from worker import metrics

logger = logging.getLogger(__name__)

FORMAT: Final = 1
SUFFIX: Final = ".parquet"
_DTYPES: Final = {"trade": TRADE_DTYPE, "quote": QUOTE_DTYPE}
_TIMES: Final = ("time", "received_at")
# What binary COPY puts before the rows, and after them.
_HEADER_BYTES: Final = 19
_TRAILER: Final = b"\xff\xff"


class Damaged(Exception):
    """A file is not what its manifest says."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path.name}: {self.why}"


class UnknownInstruments(Exception):
    """Ticks of instruments that are not there to be restored to."""

    def __init__(self, symbols: list[str]) -> None:
        super().__init__(symbols)
        self.symbols = symbols

    def __str__(self) -> str:
        return f"There is no instrument {', '.join(self.symbols)} here: add it first."


class Manifest(msgspec.Struct, frozen=True):
    """What a file holds. instruments: the symbol of each id in it, since ids are this installation's own."""

    file: str
    table: str
    start: dt.datetime
    end: dt.datetime
    rows: int
    bytes: int
    sha256: str
    instruments: dict[int, str]
    format: int = FORMAT


# --- Writing


def write(table: str, start: dt.datetime, end: dt.datetime) -> Manifest | None:
    """The ticks of [start, end) as a file; the one that is there already where it holds the same. None for no ticks."""
    folder = settings.ARCHIVE_DIR / table
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{start:%Y%m%dT%H%M%S}-{os.getpid()}.partial"
    try:
        rows, ids = _write_rows(partial, table, start, end)
        return _keep(partial, table, start, end, rows, ids) if rows else None
    finally:
        partial.unlink(missing_ok=True)


def _write_rows(path: Path, table: str, start: dt.datetime, end: dt.datetime) -> tuple[int, set[int]]:
    ids: set[int] = set()
    with pyarrow.parquet.ParquetWriter(path, _schema(table), compression="zstd") as writer:

        def keep(rows: np.ndarray) -> None:
            ids.update(np.unique(rows["instrument_id"]).tolist())
            writer.write_batch(_batch(table, rows))

        sink = _Rows(_DTYPES[table], keep)
        store.copy_out(table, start, end, sink)
        sink.end()
    return sink.count, ids


class _Rows:
    """What binary COPY writes to: hands the rows on, ARCHIVE_CHUNK_ROWS at a time."""

    def __init__(self, dtype: np.dtype, keep: Callable[[np.ndarray], None]) -> None:
        self._dtype, self._keep = dtype, keep
        self._held = bytearray()
        self._to_skip = _HEADER_BYTES
        self.count = 0

    def write(self, data: bytes) -> int:
        self._held += data
        if self._to_skip and len(self._held) >= self._to_skip:
            del self._held[: self._to_skip]
            self._to_skip = 0
        if len(self._held) >= settings.ARCHIVE_CHUNK_ROWS * self._dtype.itemsize + len(_TRAILER):
            self._hand_on(settings.ARCHIVE_CHUNK_ROWS)
        return len(data)

    def end(self) -> None:
        rows, rest = divmod(len(self._held), self._dtype.itemsize)
        assert rest == len(_TRAILER), "COPY ended within a row"
        if rows:
            self._hand_on(rows)

    def _hand_on(self, rows: int) -> None:
        size = rows * self._dtype.itemsize
        self._keep(np.frombuffer(bytes(self._held[:size]), self._dtype))
        del self._held[:size]
        self.count += rows


def _schema(table: str) -> pyarrow.Schema:
    return pyarrow.schema([(name, _type(table, name)) for name in store.COLUMNS[table]])


def _type(table: str, column: str) -> pyarrow.DataType:
    if column in _TIMES:
        return pyarrow.timestamp("us", tz="UTC")
    return pyarrow.from_numpy_dtype(_DTYPES[table][column].newbyteorder("="))


def _batch(table: str, rows: np.ndarray) -> pyarrow.RecordBatch:
    arrays = []
    for name in store.COLUMNS[table]:
        values = rows[name].astype(rows[name].dtype.newbyteorder("="))
        if name in _TIMES:
            values += POSTGRES_EPOCH_US
        arrays.append(pyarrow.array(values).cast(_type(table, name)))
    return pyarrow.record_batch(arrays, schema=_schema(table))


def _keep(partial: Path, table: str, start: dt.datetime, end: dt.datetime, rows: int, ids: set[int]) -> Manifest:
    """Give the file its name, unless one like it has it."""
    checksum = _checksum(partial)
    same = next((known for known in manifests(table) if known.sha256 == checksum), None)
    if same is not None and path_of(same).exists():
        return same
    path = _free_name(partial.parent, f"{table}_{start:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}")
    symbols = dict(Instrument.objects.filter(pk__in=ids).values_list("pk", "symbol"))
    manifest = Manifest(path.name, table, start, end, rows, partial.stat().st_size, checksum, symbols)
    _settle(partial)
    partial.rename(path)
    told = _manifest_of(path).with_suffix(".new")
    told.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _settle(told)
    told.rename(_manifest_of(path))
    _settle(path.parent)
    return manifest


def _free_name(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}{SUFFIX}", 1
    while _manifest_of(path).exists():
        number += 1
        path = folder / f"{stem}_{number}{SUFFIX}"
    return path


def _manifest_of(path: Path) -> Path:
    return path.with_suffix(".json")


def _settle(path: Path) -> None:
    """Have it on the disk before anything is dropped."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- Listing and reading


def manifests(table: str = "*") -> list[Manifest]:
    """Of all whole files, by table and time."""
    found = sorted(settings.ARCHIVE_DIR.glob(f"{table}/*.json"))
    return [msgspec.json.decode(path.read_bytes(), type=Manifest) for path in found]


def path_of(manifest: Manifest) -> Path:
    return Path(settings.ARCHIVE_DIR) / manifest.table / manifest.file


def verify(manifest: Manifest) -> None:
    """Raises Damaged where the file is missing or is not the one that was written."""
    path = path_of(manifest)
    if not path.exists():
        raise Damaged(path, "the file is missing")
    if manifest.format != FORMAT:
        raise Damaged(path, f"format {manifest.format} is not known")
    if _checksum(path) != manifest.sha256:
        raise Damaged(path, "the checksum differs from the manifest's")


def read(manifest: Manifest) -> Iterator[pyarrow.RecordBatch]:
    """Its rows, in batches, as `store.COLUMNS` names the columns. Raises Damaged before the first."""
    verify(manifest)
    with pyarrow.parquet.ParquetFile(path_of(manifest)) as file:
        yield from file.iter_batches(settings.ARCHIVE_CHUNK_ROWS)


def restore(manifest: Manifest) -> int:
    """Put its rows back, those that are not there. Returns how many that were; doing it again changes nothing.

    Candles are made of them where there are none. Raises Damaged, UnknownInstruments.
    """
    ids = _ids_here(manifest)
    held = Range(manifest.table, manifest.table, manifest.start, manifest.end)
    before = store.count_in_range(held)
    for batch in read(manifest):
        rows = _packed(manifest.table, batch, ids)
        store.ensure_partitions(manifest.table, rows["time"].astype(np.int64) + POSTGRES_EPOCH_US)
        with transaction.atomic():
            minutes = store.insert_new(manifest.table, rows.tobytes())
            if manifest.table == "trade":
                store.recompute(minutes)
                store.finalise(minutes)
    return store.count_in_range(held) - before


def _ids_here(manifest: Manifest) -> dict[int, int]:
    """The file's ids, and those that the same symbols have here."""
    here = dict(Instrument.objects.filter(symbol__in=manifest.instruments.values()).values_list("symbol", "pk"))
    missing = sorted(set(manifest.instruments.values()) - here.keys())
    if missing:
        raise UnknownInstruments(missing)
    return {theirs: here[symbol] for theirs, symbol in manifest.instruments.items()}


def _packed(table: str, batch: pyarrow.RecordBatch, ids: dict[int, int]) -> np.ndarray:
    dtype = _DTYPES[table]
    rows = np.zeros(batch.num_rows, dtype)
    columns = store.COLUMNS[table]
    rows["_fields"] = len(columns)
    for name in columns:
        values: Any = batch.column(name)
        if name in _TIMES:
            rows[name] = values.cast(pyarrow.int64()).to_numpy() - POSTGRES_EPOCH_US
        else:
            rows[name] = values.to_numpy()
        rows[f"_len_{name}"] = dtype[name].itemsize
    given = rows["instrument_id"].copy()
    for theirs, ours in ids.items():
        rows["instrument_id"][given == theirs] = ours
    return rows


# --- Retention


def retain(now: dt.datetime) -> int:
    """Drop the ticks that are older than the settings want them, archived first. Returns how many ranges went.

    A range goes as a whole, once its newest tick may be too old. One that gains rows meanwhile waits for the next run.
    """
    return sum(_retain(table, now) for table in store.COLUMNS)


def _retain(table: str, now: dt.datetime) -> int:
    days = store.retention_days(table)
    if not days:
        return 0
    old = [part for part in store.ranges(table) if part.end <= now - dt.timedelta(days=days)]
    return sum(_drop(part) for part in old)


def _drop(part: Range) -> bool:
    rows = store.count_in_range(part)
    if rows and settings.ARCHIVE_DROPPED:
        written = write(part.table, part.start, part.end)
        rows = written.rows if written else 0
    try:
        dropped = store.drop_range(part, rows)
    except OperationalError as error:
        logger.warning("%s is left to the next run: %s", part.relation, str(error).strip())
        return False
    if dropped:
        metrics.count("ingestion.ranges_dropped")
        logger.info("dropped %s, %d rows until %s", part.relation, rows, part.end)
    return dropped
