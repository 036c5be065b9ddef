"""Prices, once: now, or of the last days."""

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ingestion import asking, force, fx, polling
from ingestion.models import Instrument, PriceUpdate

DAYS = 30


class Command(BaseCommand):
    """Asks as a forced update does, here and now; its rows are the same audit."""

    help = "Ask for the prices of instruments now, or with --historical for their daily bars."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--symbols",
            nargs="+",
            default=[],
            help="any names; without them what is watched, held or alerted",
        )
        parser.add_argument("--historical", action="store_true", help="daily bars and exchange rates, not prices")
        parser.add_argument("--days", type=int, metavar="N", help=f"how far back, with --historical ({DAYS})")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be asked")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] is not None and not options["historical"]:
            raise CommandError("--days goes with --historical.")
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days needs at least one.")
        instruments = _instruments(options["symbols"])
        if not instruments:
            raise CommandError("There are no instruments to ask for.")
        try:
            if options["historical"]:
                self._historical(instruments, options["days"] or DAYS, options["dry_run"])
            elif options["dry_run"]:
                self._plan(instruments)
            else:
                self._update(instruments)
        except redis.RedisError as error:
            raise CommandError(f"Redis cannot be reached: {error}") from error

    def _plan(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            sources = [source for source, _ in force.sources(instrument)]
            self.stdout.write(f"{instrument.symbol}: {', '.join(sources) or 'nobody can be asked'}")

    def _update(self, instruments: Sequence[Instrument]) -> None:
        job = force.request(instruments, None, hand_out=False)
        count = 0

        def tell(row: PriceUpdate) -> None:
            nonlocal count
            count += 1
            outcome = f"{row.price} from {row.source}" if row.price is not None else f"failed: {row.detail}"
            self.stdout.write(f"[{count}/{len(instruments)}] {row.instrument.symbol}: {outcome}")
            self.stdout.flush()

        force.run(job.pk, tell)
        job.refresh_from_db()
        self.stdout.write(job.message)
        if job.status != job.Status.DONE:
            raise CommandError(f"{job.status}: {job.message}")

    def _historical(self, instruments: Sequence[Instrument], days: int, dry_run: bool) -> None:
        now = timezone.now()
        failed = []
        for number, instrument in enumerate(instruments, 1):
            self.stdout.write(f"[{number}/{len(instruments)}] {instrument.symbol}")
            self.stdout.flush()
            try:
                self._history_of(instrument, now - dt.timedelta(days=days), now, dry_run)
            except (CommandError, *asking.FAILURES) as error:
                failed.append(instrument.symbol)
                self.stderr.write(f"  {error}")
        self.stdout.write(f"{len(instruments) - len(failed)} of {len(instruments)} done")
        if len(failed) == len(instruments):
            raise CommandError("There is no history of any of them.")

    def _history_of(self, instrument: Instrument, start: dt.datetime, end: dt.datetime, dry_run: bool) -> None:
        if instrument.kind != Instrument.Kind.FX:
            call_command(
                "backfill", symbols=[instrument.symbol], interval="1d", start=start, end=end, dry_run=dry_run,
                stdout=self.stdout, stderr=self.stderr,
            )  # fmt: skip
        elif dry_run:
            self.stdout.write(f"the ECB's rates from {start:%Y-%m-%d} to {end:%Y-%m-%d}")
        else:
            done = fx.update(start.date(), end.date())
            self.stdout.write(f"{done.rates} rates of the ECB, {done.new} new")


def _instruments(names: Iterable[str]) -> list[Instrument]:
    """Those named; else what somebody wants, or if nobody wants anything what is followed."""
    given = [name for text in names for name in text.split(",") if name]
    if given:
        try:
            return force.resolve(given)
        except force.UnknownSymbols as error:
            raise CommandError(str(error)) from error
    wanted = Instrument.objects.filter(pk__in=polling.wanted())
    return list(wanted) or list(Instrument.objects.filter(followed=True))
