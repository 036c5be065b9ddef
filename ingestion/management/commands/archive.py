"""`manage.py archive list|write|read`: what was written before ticks were dropped."""

import csv
import datetime as dt
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime

from ingestion import archive, store
from ingestion.archive import Damaged, Manifest, UnknownInstruments


class Command(BaseCommand):
    help = "Lists, writes, checks, prints and restores archived ticks."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the files, each checked against its manifest")
        listing.add_argument("--unchecked", action="store_true", help="do not read the files themselves")
        writing = actions.add_parser("write", help="write a range; nothing is dropped")
        writing.add_argument("--table", choices=list(store.COLUMNS), default="trade")
        writing.add_argument("--start", required=True, help="a date or an ISO 8601 time, UTC unless it says otherwise")
        writing.add_argument("--end", required=True)
        reading = actions.add_parser("read", help="print a file's rows as CSV, or put them back")
        reading.add_argument("files", nargs="+", metavar="FILE", help="as `list` names them")
        reading.add_argument(
            "--restore", action="store_true", help="insert those that are missing, instead of printing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except (Damaged, UnknownInstruments, OSError) as error:
            raise CommandError(str(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        damaged = 0
        for manifest in archive.manifests():
            state = "" if options["unchecked"] else _state(manifest)
            damaged += state not in ("", "whole")
            span = f"{manifest.start:%Y-%m-%d %H:%M} – {manifest.end:%Y-%m-%d %H:%M}"
            size_mb = manifest.bytes / 1e6
            self.stdout.write(f"{manifest.file}  {span}  {manifest.rows:,} rows  {size_mb:,.1f} MB  {state}".rstrip())
        if damaged:
            raise CommandError(f"{damaged} files are damaged")

    def _write(self, options: dict[str, Any]) -> None:
        start, end = _time(options["start"]), _time(options["end"])
        if start >= end:
            raise CommandError("--end must be later than --start")
        written = archive.write(options["table"], start, end)
        if written is None:
            self.stdout.write("no rows there")
        else:
            self.stdout.write(f"{written.file}: {written.rows:,} rows, {written.bytes / 1e6:,.1f} MB")

    def _read(self, options: dict[str, Any]) -> None:
        known = {manifest.file: manifest for manifest in archive.manifests()}
        missing = [name for name in options["files"] if name not in known]
        if missing:
            raise CommandError(f"not in the archive: {', '.join(missing)}")
        for name in options["files"]:
            if options["restore"]:
                count = archive.restore(known[name])
                self.stdout.write(f"{name}: {count:,} of {known[name].rows:,} rows were missing and are back")
            else:
                self._print(known[name])

    def _print(self, manifest: Manifest) -> None:
        lines = csv.writer(self.stdout, lineterminator="\n")
        lines.writerow(["symbol", *store.COLUMNS[manifest.table]])
        for batch in archive.read(manifest):
            for row in batch.to_pylist():
                symbol = manifest.instruments.get(row["instrument_id"], "")
                lines.writerow([symbol, *(_text(value) for value in row.values())])
        sys.stdout.flush()


def _state(manifest: Manifest) -> str:
    try:
        archive.verify(manifest)
    except Damaged as damaged:
        return f"DAMAGED: {damaged.why}"
    return "whole"


def _text(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, dt.datetime) else value


def _time(text: str) -> dt.datetime:
    found = parse_datetime(text) if "T" in text or " " in text else None
    day = parse_date(text) if found is None else None
    if day is not None:
        found = dt.datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made UTC below
    if found is None:
        raise CommandError(f"{text!r} is no time: write 2026-01-28 or 2026-01-28T10:30:00")
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
