"""A file into a ledger, from the terminal."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from portfolio import import_rows, imports
from portfolio.import_formats import FORMATS
from portfolio.import_formats.postings import Fault
from portfolio.models import ImportBatch, Portfolio

ERRORS_SHOWN = 20


def pair(text: str) -> tuple[str, str]:
    """`theirs=ours`."""
    one, sign, other = text.partition("=")
    if not sign:
        raise ValueError(text)
    return one, other


class Command(BaseCommand):
    """Importing the same file again adds nothing. Errors go to the standard error, by row and column."""

    help = "Import a file of transactions into a portfolio: all of its rows, or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--portfolio", required=True, type=int, help="its number")
        parser.add_argument("--file", required=True, type=Path)
        parser.add_argument("--preset", choices=sorted(FORMATS), help="found out where it isn't said")
        parser.add_argument("--map", action="append", type=pair, default=[], help="our field=their column")
        parser.add_argument("--symbol", action="append", type=pair, default=[], help="their symbol=ours")
        parser.add_argument("--type", action="append", type=pair, default=[], help="their type=ours")
        for name in ("date-format", "timezone", "decimal", "delimiter", "encoding", "currency", "account"):
            parser.add_argument(f"--{name}")
        parser.add_argument("--skip-errors", action="store_true", help="post the good rows")
        parser.add_argument("--dry-run", action="store_true", help="say what would be posted")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            portfolio = Portfolio.objects.get(pk=options["portfolio"])
            content = options["file"].read_bytes()
            report = self._done(portfolio, content, options)
        except Portfolio.DoesNotExist as error:
            raise CommandError(f"There is no portfolio {options['portfolio']}.") from error
        except (OSError, Fault) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        self._tell(report, options)

    def _done(self, portfolio: Portfolio, content: bytes, options: dict[str, Any]) -> imports.Report:
        wish, now = _wish(options), timezone.now()
        if options["dry_run"]:
            return imports.preview(portfolio, content, wish, now)
        batch = imports.begin(portfolio, portfolio.owner, content, options["file"].name, wish, at_once=True)
        report = imports.commit(batch, content, wish, now)
        if batch.status == ImportBatch.Status.FAILED:
            self._tell(report, options)
            raise CommandError("Nothing was posted.")
        return report

    def _tell(self, report: imports.Report, options: dict[str, Any]) -> None:
        errors = report.errors()
        for error in errors[:ERRORS_SHOWN]:
            self.stderr.write(f"row {error['row']}, column {error['column']}: {error['message']}")
        if len(errors) > ERRORS_SHOWN:
            self.stderr.write(f"… and {len(errors) - ERRORS_SHOWN} more errors")
        what = "would be added" if options["dry_run"] else "new"
        self.stdout.write(
            f"{report.preset}: {report.count(import_rows.NEW)} rows {what},"
            f" {report.count(import_rows.EXISTS)} there already, {report.failed} with errors"
        )


def _wish(options: dict[str, Any]) -> imports.Wish:
    named = (
        "preset",
        "date_format",
        "timezone",
        "decimal",
        "delimiter",
        "encoding",
        "currency",
        "account",
        "skip_errors",
    )
    maps = {"mapping": "map", "symbols": "symbol", "types": "type"}
    given: dict[str, Any] = {name: options[name] for name in named}
    given |= {name: dict(options[flag]) for name, flag in maps.items()}
    return imports.Wish(**given)
