"""Look at a strategy file as an installation would, and say what came of it."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from signals import strategy_files
from signals.sandbox import Misbehaved

BARS_MAX = 2_000


class Command(BaseCommand):
    """Exits non-zero where the file would be refused. Writes nothing."""

    help = (
        "Run a strategy file in its sandbox and check it, on stored bars where there are enough, else on made-up ones."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--simulated", action="store_true", help="on made-up bars: needs no database")
        parser.add_argument("--bars", type=int, default=500, help="how many, with --simulated")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["bars"] <= BARS_MAX:
            raise CommandError(f"--bars lies between 1 and {BARS_MAX}.")
        try:
            source = strategy_files.read(options["file"])
        except Misbehaved as error:
            raise CommandError(f"{options['file']}: {error}") from error
        market = strategy_files.simulated(options["bars"]) if options["simulated"] else None
        look = strategy_files.look_at(source, market)
        if not look.is_good:
            raise CommandError(f"{options['file']}: refused. {look.message}")
        for found in look.strategies:
            self.stdout.write(f"{found.name}: needs {found.warmup} bars. {found.summary}".rstrip())
            for name, parameter in found.parameters.items():
                kind = "whole number" if parameter.whole else "number"
                self.stdout.write(f"  {name} = {parameter.default:g} ({kind})")
        self.stdout.write(self.style.SUCCESS(look.message))
