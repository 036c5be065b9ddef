"""Recorded frames through the production path."""

import time
import zlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import redis
import zstandard
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from ingestion.journal import Fenced
from ingestion.providers import PROVIDERS
from ingestion.replay import Busy, LeaseLost, Replay, Stored

PROGRESS_INTERVAL_S = 2.0


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise ValueError(text)
    return speed


class Command(BaseCommand):
    """Plain, `.gz` or `.zst` lines of `<nanoseconds> <json>`, `<epoch>: <json>` or bare JSON."""

    help = (
        "Send recorded frames through the production path, and say what was stored. Running it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", required=True, choices=sorted(PROVIDERS))
        parser.add_argument("--file", required=True, type=Path, help="plain, .gz or .zst")
        parser.add_argument("--speed", type=_speed, help="times as fast as recorded; as fast as possible without it")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        replay = Replay(options["provider"], options["speed"])
        began = time.monotonic()
        try:
            self._run(replay, path)
        except Busy as busy:
            raise CommandError(f"Another replay of {options['provider']} is running.") from busy
        except (LeaseLost, Fenced) as error:
            raise CommandError("Another replay has taken over.") from error
        except (EOFError, zlib.error, zstandard.ZstdError, OSError) as error:
            raise CommandError(f"{path} cannot be read to its end: {error}") from error
        except (DatabaseError, redis.RedisError) as error:
            raise CommandError(f"A store failed; run the same again: {error}") from error
        self._report(replay.stored(time.monotonic() - began))

    def _run(self, replay: Replay, path: Path) -> None:
        told_at = time.monotonic()
        for lines in replay.run(path):
            if time.monotonic() - told_at >= PROGRESS_INTERVAL_S:
                told_at = time.monotonic()
                self.stderr.write(f"{lines:,} lines, {replay.pipeline.counts.ticks:,} ticks")

    def _report(self, stored: Stored) -> None:
        rate = (stored.trades + stored.quotes) / max(stored.seconds, 1e-3)
        self.stdout.write(
            f"{stored.lines} lines read in {stored.seconds:.1f} s, {rate:.0f} ticks/s\n"
            f"trades       {stored.trades} ({stored.trades_on_disk} on disk in this span)\n"
            f"quotes       {stored.quotes} ({stored.quotes_on_disk} on disk in this span)\n"
            f"candles      {stored.candles_on_disk}\n"
            f"venue's own  {stored.venue_candles} candles new or changed\n"
            f"malformed    {stored.malformed}\n"
            f"quarantined  {stored.quarantined}\n"
            f"suspect      {stored.suspect}\n"
            f"duplicates   {stored.duplicates}\n"
            f"other frames {stored.unknown}"
        )
