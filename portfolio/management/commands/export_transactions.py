"""A ledger as a file, from the terminal."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portfolio import exports
from portfolio.models import Portfolio


class Command(BaseCommand):
    """To the standard output without `--output`."""

    help = "Write a portfolio's ledger as CSV or JSON, which import back, or as beancount."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--portfolio", required=True, type=int, help="its number")
        parser.add_argument("--format", choices=sorted(exports.FORMATS), default="csv")
        parser.add_argument("--output", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        portfolio = Portfolio.objects.filter(pk=options["portfolio"]).first()
        if portfolio is None:
            raise CommandError(f"There is no portfolio {options['portfolio']}.")
        write = exports.FORMATS[options["format"]][0]
        if options["output"] is None:
            for text in write(portfolio):
                self.stdout.write(text, ending="")
            return
        try:
            with options["output"].open("w", newline="", encoding="utf-8") as file:
                file.writelines(write(portfolio))
        except OSError as error:
            raise CommandError(str(error)) from error
