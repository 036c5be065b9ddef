"""What a venue trades, from its own list."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from ingestion import http, listings
from ingestion.rest.listing import ListingError

SHOWN = 20


class Command(BaseCommand):
    """Everything on the list, or the named symbols; running it again changes nothing."""

    help = (
        "Read a venue's list of instruments: names, status, tick and lot sizes. What is no longer listed is closed, "
        "never deleted. Imported instruments are followed once somebody wants them; those named with --symbols at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", required=True, choices=sorted(listings.READERS))
        parser.add_argument("--symbols", nargs="+", metavar="NAME", help="ours (BTC-USDT) or the venue's (BTCUSDT)")
        parser.add_argument("--known", action="store_true", help="only bring what is known up to date")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        only = _names(options["symbols"])
        try:
            found = listings.bring(
                options["provider"],
                listings.fetch(options["provider"]),
                only,
                new_instruments=not options["known"],
                dry_run=options["dry_run"],
            )
        except (http.OverBudget, http.Refused, http.Unreachable, ListingError, listings.Suspicious) as error:
            raise CommandError(f"The list could not be read: {error}") from error
        except DatabaseError as error:
            raise CommandError(f"The database failed; run the same again: {error}") from error
        self._report(found, options["dry_run"])
        if only is not None and any(reason == listings.NOT_LISTED for _, reason in found.skipped):
            raise CommandError("Not everything that was named is on the venue's list.")

    def _report(self, found: listings.Import, dry_run: bool) -> None:
        lines = [f"new instruments  {len(found.instruments)}", f"new names        {len(found.names)}"]
        lines += [f"changed          {len(found.updated)}", f"closed           {len(found.closed)}"]
        lines += [f"unchanged        {found.unchanged}", f"skipped          {len(found.skipped)}"]
        if dry_run:
            lines.append("nothing was written")
        self.stdout.write("\n".join(lines))
        details = [f"{c.symbol}: {c.what} {_plain(c.before)} → {_plain(c.after)}" for c in found.changes]
        details += [f"{row.symbol}: delisted" for row in found.closed]
        details += [f"{symbol}: {reason}" for symbol, reason in found.skipped]
        for line in details[:SHOWN]:
            self.stdout.write(f"  {line}")
        if len(details) > SHOWN:
            self.stdout.write(f"  … and {len(details) - SHOWN} more")


def _names(given: list[str] | None) -> list[str] | None:
    """Separated by blanks or commas."""
    return None if given is None else [name for part in given for name in part.split(",") if name]


def _plain(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)
