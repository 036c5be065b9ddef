"""The listeners, and on request the pollers, in the foreground: what a systemd unit runs."""

import logging
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError

from ingestion import control, polling, status, tasks
from worker.resident import drain_all, registry
from worker.tasks import ask

logger = logging.getLogger(__name__)

ASKED = ("binance", "simulated", "finnhub", "coinbase", "kraken")
RETRY_S = 1.0
WORKERS = 2
RESIDENTS = (tasks.listen, tasks.persist)


# A thread's name, what it does, and with what.
_Work = tuple[str, Callable[..., None], tuple[Any, ...]]


class Command(BaseCommand):
    """A listener and a writer for each feed, under the same leases as the workers' own: who comes second waits."""

    help = "Listen to the feeds (all that should run when none is named) until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        for provider in ASKED:
            parser.add_argument(f"--{provider}", action="store_true", help=f"listen to {provider}")
        parser.add_argument("--call-planner", action="store_true", help="also run the pollers")
        parser.add_argument(
            "--workers", type=int, metavar="N", help=f"how many pollers at a time, with --call-planner ({WORKERS})"
        )
        parser.add_argument("--detach", action="store_true", help="ask the workers to do it, and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] is not None and not options["call_planner"]:
            raise CommandError("--workers says how many pollers run at a time: it goes with --call-planner.")
        if options["workers"] is not None and options["workers"] < 1:
            raise CommandError("--workers needs at least one.")
        shards = [status.shard_of(provider) for provider in _providers(options)]
        sources = list(settings.POLLERS) if options["call_planner"] else []
        if options["detach"]:
            self._detach(shards, sources)
        else:
            self._stay(shards, sources, options["workers"] or WORKERS)

    def _detach(self, shards: list[str], sources: list[str]) -> None:
        try:
            for shard in shards:
                for name in ("ingestion.listen", "ingestion.persist"):
                    ask(registry[name], shard)
                self.stdout.write(f"asked the workers to listen to {shard}")
            for source in sources:
                tasks.poll_quotes.apply_async((source,), expires=settings.REALTIME_UPDATE_INTERVAL_S)
                self.stdout.write(f"asked the workers to poll {source}")
        except (OperationalError, redis.RedisError) as error:
            raise CommandError(f"The broker cannot be reached: {error}") from error

    def _stay(self, shards: list[str], sources: list[str], workers: int) -> None:
        ending = threading.Event()

        def end(*_: object) -> None:
            ending.set()
            drain_all()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        turns = threading.Semaphore(workers)
        works: list[_Work] = [
            (f"{task.name} {shard}", _keep, (task, shard, ending)) for shard in shards for task in RESIDENTS
        ]
        polls: list[_Work] = [
            (f"poll {source}", partial(polling.keep_polling, turns=turns), (source, ending)) for source in sources
        ]
        threads = [threading.Thread(target=work, args=given, name=name) for name, work, given in [*works, *polls]]
        for thread in threads:
            thread.start()
        self.stdout.write(f"listening to {', '.join(shards)}; SIGTERM or Ctrl-C ends it")
        if sources:
            self.stdout.write(f"polling {', '.join(sources)}, {workers} at a time")
        self.stdout.flush()
        for thread in threads:
            thread.join()
        self.stdout.write("stopped")


def _providers(options: dict[str, Any]) -> list[str]:
    """Those named, whatever staff say: their listeners look. Else those that should run."""
    named = [provider for provider in ASKED if options[provider]]
    missing = [provider for provider in named or control.configured() if provider not in control.available()]
    if missing:
        raise CommandError(f"Not available: {', '.join(missing)}. There are {', '.join(control.available())}.")
    if not named and not control.configured():
        raise CommandError("FEEDS is empty, and no feed is named.")
    running = named or control.running()
    if not running:
        raise CommandError("Staff stopped or paused every feed, and none is named.")
    return running


def _keep(task: Callable[[str], None], shard: str, ending: threading.Event) -> None:
    """Run the resident; again when it failed, or when whoever held its lease may have ended."""
    while not ending.is_set():
        try:
            task(shard)
        except Exception:
            logger.exception("%s failed; starting again", threading.current_thread().name)
        ending.wait(RETRY_S)
