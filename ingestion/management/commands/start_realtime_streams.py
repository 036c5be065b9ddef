"""The listeners, in the foreground: what a systemd unit runs."""

import logging
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError

from ingestion import tasks
from ingestion.providers import SOURCES
from worker.resident import drain_all, registry
from worker.tasks import ask

logger = logging.getLogger(__name__)

ASKED = ("binance", "simulated", "finnhub", "coinbase", "kraken")
RETRY_S = 1.0


class Command(BaseCommand):
    """A listener and a writer for each feed, under the same leases as the workers' own: who comes second waits."""

    help = "Listen to the feeds (all of FEEDS when none is named) until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        for provider in ASKED:
            parser.add_argument(f"--{provider}", action="store_true", help=f"listen to {provider}")
        parser.add_argument("--call-planner", action="store_true", help="also run the pollers")
        parser.add_argument("--workers", type=int, metavar="N", help="how many pollers at a time, with --call-planner")
        parser.add_argument("--detach", action="store_true", help="ask the workers to do it, and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["call_planner"] or options["workers"] is not None:
            raise CommandError("There are no pollers in this version: --call-planner and --workers are of no use yet.")
        shards = [f"{provider}:0" for provider in _providers(options)]
        if options["detach"]:
            self._detach(shards)
        else:
            self._stay(shards)

    def _detach(self, shards: list[str]) -> None:
        for shard in shards:
            try:
                for name in ("ingestion.listen", "ingestion.persist"):
                    ask(registry[name], shard)
            except (OperationalError, redis.RedisError) as error:
                raise CommandError(f"The broker cannot be reached: {error}") from error
            self.stdout.write(f"asked the workers to listen to {shard}")

    def _stay(self, shards: list[str]) -> None:
        ending = threading.Event()

        def end(*_: object) -> None:
            ending.set()
            drain_all()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        works = [(task, shard) for shard in shards for task in (tasks.listen, tasks.persist)]
        threads = [
            threading.Thread(target=_keep, args=(task, shard, ending), name=f"{task.name} {shard}")
            for task, shard in works
        ]
        for thread in threads:
            thread.start()
        self.stdout.write(f"listening to {', '.join(shards)}; SIGTERM or Ctrl-C ends it")
        self.stdout.flush()
        for thread in threads:
            thread.join()
        self.stdout.write("stopped")


def _providers(options: dict[str, Any]) -> list[str]:
    named = [provider for provider in ASKED if options[provider]] or list(settings.FEEDS)
    missing = [provider for provider in named if provider not in SOURCES]
    if missing:
        raise CommandError(f"Not available in this version: {', '.join(missing)}. There are {', '.join(SOURCES)}.")
    if not named:
        raise CommandError("FEEDS is empty, and no feed is named.")
    return named


def _keep(task: Callable[[str], None], shard: str, ending: threading.Event) -> None:
    """Run the resident; again when it failed, or when whoever held its lease may have ended."""
    while not ending.is_set():
        try:
            task(shard)
        except Exception:
            logger.exception("%s failed; starting again", threading.current_thread().name)
        ending.wait(RETRY_S)
