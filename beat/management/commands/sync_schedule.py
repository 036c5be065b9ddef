from typing import Any

from django.core.management.base import BaseCommand

from beat.schedule import entries
from beat.sync import sync


class Command(BaseCommand):
    help = "Bring beat/schedule.py into the table of periodic tasks, keeping what was edited there."

    def handle(self, *args: Any, **options: Any) -> None:
        done = sync(entries())
        for name, what in sorted(done.items()):
            self.stdout.write(f"{what}: {name}")
        self.stdout.write(f"{len(done)} of the schedule's entries changed or kept as edited")
