"""History fetched in the foreground, with a bar that moves."""

import datetime as dt
import shutil
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.utils import timezone

from ingestion import backfill, plan, symbols
from ingestion.backfill_serializers import KINDS
from ingestion.models import Backfill
from worker.models import Job

LINE_INTERVAL_S = 5.0
LOOK_INTERVAL_S = 0.5
BAR_WIDTH = 30


def _time(text: str) -> dt.datetime:
    """ISO 8601; without an offset it is UTC."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not an ISO 8601 time such as 2026-01-28 or 2026-01-28T10:30Z") from error
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


class Command(BaseCommand):
    """The same chunks that workers do, done here; workers may help. Killed or interrupted, workers finish it."""

    help = "Fetch history that is lacking: candles, trades or exchange rates. Running it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--symbols", nargs="+", default=[], help="any names of instruments; commas will do as well")
        parser.add_argument("--interval", choices=KINDS, default="1d", help="a candle's length, trades or fx")
        parser.add_argument("--start", type=_time, required=True, help="the first instant, ISO 8601")
        parser.add_argument("--end", type=_time, help="the instant after the last; until now without it")
        parser.add_argument("--provider", default="", help="whose history; the best that has it without it")
        parser.add_argument("--dry-run", action="store_true", help="only say what it would take")
        parser.add_argument("--verify", action="store_true", help="compare what is stored, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._handle(options)
        except (backfill.Impossible, symbols.UnknownSymbol) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, redis.RedisError) as error:
            raise CommandError(f"A store failed; run the same again: {error}") from error

    def _handle(self, options: dict[str, Any]) -> None:
        names = [name for given in options["symbols"] for name in given.split(",") if name]
        if not names and options["interval"] != plan.FX:
            raise CommandError("Name at least one of --symbols.")
        wish = backfill.wish_of(
            options["provider"], options["interval"], backfill.instruments_called(names), options["start"],
            options["end"] or timezone.now(), options["verify"],
        )  # fmt: skip
        planned = backfill.planned(wish)
        self._tell_plan(wish, planned)
        if not options["dry_run"]:
            self._run(backfill.start(wish))

    def _tell_plan(self, wish: backfill.Wish, planned: backfill.Plan) -> None:
        estimate = planned.estimate
        for left_out in planned.left_out:
            self.stderr.write(f"left out: {left_out}")
        self.stdout.write(
            f"{wish.provider} {wish.kind}: {estimate.chunks} chunks, {estimate.calls} calls or more, weight "
            f"{estimate.weight}, {estimate.seconds:g} s of the budget"
        )

    def _run(self, row: Backfill) -> None:
        told_at = 0.0
        while not backfill.conclude(row):
            if (number := backfill.next_due(row)) is not None:
                backfill.work(row, number)
            else:
                time.sleep(LOOK_INTERVAL_S)  # for a budget, or for a worker that has the last chunks
            told_at = self._tell(row, told_at)
        self._tell(row, 0.0)
        if self.stdout.isatty():
            self.stdout.write("")
        self._report(row)

    def _tell(self, row: Backfill, told_at: float) -> float:
        """A bar in a terminal; in a log a line now and then. Returns when something was told last."""
        job, total = row.job, row.job.total or 0
        text = f"{job.done}/{total} chunks, {job.message}"
        if self.stdout.isatty():
            filled = BAR_WIDTH * job.done // total if total else BAR_WIDTH
            line = f"[{'█' * filled}{'·' * (BAR_WIDTH - filled)}] {text}"
            self.stdout.write(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", ending="")
            self.stdout.flush()
        elif time.monotonic() - told_at >= LINE_INTERVAL_S:
            self.stdout.write(text)
            self.stdout.flush()
            return time.monotonic()
        return told_at

    def _report(self, row: Backfill) -> None:
        for chunk in backfill.problems(row):
            self.stderr.write(f"{chunk.symbol} {chunk.start:%Y-%m-%d %H:%M}: {chunk.status}: {chunk.detail}")
        if row.job.status != Job.Status.DONE:
            raise CommandError(f"{row.job.status}: {row.job.message}")
        self.stdout.write(f"done: {row.job.message}")
