"""Stored ticks as CSV or Parquet."""

import contextlib
import datetime as dt
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from ingestion import export, symbols

PROGRESS_INTERVAL_S = 1.0


def _time(text: str) -> dt.datetime:
    """ISO 8601; without an offset it is UTC."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not an ISO 8601 time such as 2026-01-28T10:30:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


class Command(BaseCommand):
    """To a file, or to the standard output without `--output`; progress goes to the standard error."""

    help = "Write an instrument's stored trades or quotes as CSV or Parquet."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--symbol", required=True, help="any name of the instrument")
        parser.add_argument("--start", type=_time, help="the first instant, ISO 8601")
        parser.add_argument("--end", type=_time, help="the instant after the last, ISO 8601")
        parser.add_argument("--kind", choices=sorted(export.FIELDS), default="trades")
        parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
        parser.add_argument("--output", type=Path, help="a file; it appears when it is complete")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            instrument = symbols.resolve(options["symbol"])
        except symbols.UnknownSymbol as unknown:
            raise CommandError(str(unknown)) from unknown
        if options["start"] and options["end"] and options["start"] >= options["end"]:
            raise CommandError("--end must be later than --start.")
        if options["output"] is None and options["format"] == "parquet" and sys.stdout.isatty():
            raise CommandError("Parquet is not for a terminal: give --output, or pipe it.")
        chunks = export.rows(options["kind"], instrument.id, instrument.symbol, options["start"], options["end"])
        try:
            written = self._write(chunks, options["format"], options["kind"], options["output"])
        except (OSError, DatabaseError) as error:
            raise CommandError(f"The export failed: {error}") from error
        self.stderr.write(f"{written} {options['kind']} of {instrument.symbol} written")

    def _write(self, chunks: Iterator[list[export.Row]], format_: str, kind: str, output: Path | None) -> int:
        written, told_at = 0, time.monotonic()
        with self._sink(format_, kind, output) as sink:
            for chunk in chunks:
                sink.write(chunk)
                written += len(chunk)
                if time.monotonic() - told_at >= PROGRESS_INTERVAL_S:
                    told_at = time.monotonic()
                    self.stderr.write(f"{written:,} rows, up to {chunk[-1][0]:%Y-%m-%d %H:%M:%S}")
        return written

    @contextlib.contextmanager
    def _sink(self, format_: str, kind: str, output: Path | None) -> Iterator[export.Sink]:
        """A sink into a file beside `output`, which takes its place once it is complete."""
        fields = export.FIELDS[kind]
        if output is None:
            sink = self._standard_output(format_, fields)
            yield sink
            sink.close()
            return
        partial = output.with_name(output.name + ".part")
        try:
            with self._file_sink(format_, partial, fields) as sink:
                yield sink
            os.replace(partial, output)
        finally:
            partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _file_sink(self, format_: str, path: Path, fields: tuple[str, ...]) -> Iterator[export.Sink]:
        if format_ == "parquet":
            with path.open("wb") as binary:
                columns = export.Parquet(binary, fields)
                yield columns
                columns.close()
        else:
            with path.open("w", newline="") as text:
                yield export.Csv(text, fields)

    def _standard_output(self, format_: str, fields: tuple[str, ...]) -> export.Sink:
        if format_ == "parquet":
            return export.Parquet(sys.stdout.buffer, fields)
        return export.Csv(self.stdout, fields)
