"""A stock's names over the years, so that history is asked for, and read, under the name of its time."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from ingestion import listings, renames, symbols
from ingestion.providers import SOURCES


class Command(BaseCommand):
    """Running it again changes nothing."""

    help = "Read a map file (lines of `date,ticker,exchange`): what a provider called a stock, and when."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--provider", required=True, choices=sorted(SOURCES))
        parser.add_argument("--file", required=True, type=Path, help="such as map_meta.csv")
        parser.add_argument("--symbol", help="the instrument; without it the file's last ticker")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            spells = renames.read(options["file"].read_text().splitlines())
            instrument = symbols.resolve(options["symbol"] or spells[-1].symbol)
            rows = listings.rename(options["provider"], instrument, spells)
        except (OSError, UnicodeDecodeError, renames.BadMap, symbols.UnknownSymbol) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        for row in rows:
            until = f"{row.valid_until:%Y-%m-%d}" if row.valid_until else "now"
            self.stdout.write(
                f"{row.provider}:{row.symbol} was {instrument} from {row.valid_from:%Y-%m-%d} until {until}"
            )
