"""The pollers in the foreground: what a systemd unit runs."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from kombu.exceptions import OperationalError

from ingestion import polling, tasks
from ingestion.polling import Round


class Command(BaseCommand):
    """Each of POLLERS in a thread of its own, under the same lease as the workers' rounds: two at once are one."""

    help = "Poll the sources that have no socket (POLLERS) for what is watched, held or alerted, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        interval_s = settings.REALTIME_UPDATE_INTERVAL_S
        parser.add_argument(
            "--interval", type=float, metavar="S", default=interval_s, help="seconds between two rounds"
        )
        parser.add_argument(
            "--batch-size", type=int, metavar="N", default=settings.REALTIME_BATCH_SIZE, help="instruments a round"
        )
        parser.add_argument("--verbose", action="store_true", help="tell of each round")
        parser.add_argument("--detach", action="store_true", help="ask the workers for a round of each, and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["interval"] <= 0 or options["batch_size"] <= 0:
            raise CommandError("--interval and --batch-size are above zero.")
        if not settings.POLLERS:
            self.stderr.write(
                "Nothing can be polled: set FINNHUB_API_KEY or ALPHAVANTAGE_API_KEY, or YAHOO_ENABLED=true."
            )
        if options["detach"]:
            self._detach()
        else:
            self._stay(options)

    def _detach(self) -> None:
        try:
            for source in settings.POLLERS:
                tasks.poll_quotes.apply_async((source,), expires=settings.REALTIME_UPDATE_INTERVAL_S)
                self.stdout.write(f"asked the workers to poll {source}")
        except OperationalError as error:
            raise CommandError(f"The broker cannot be reached: {error}") from error

    def _stay(self, options: dict[str, Any]) -> None:
        ending = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
        arguments = {"interval_s": options["interval"], "batch": options["batch_size"]}
        if options["verbose"]:
            arguments["tell"] = self._tell
        threads = [
            threading.Thread(
                target=polling.keep_polling, args=(source, ending), kwargs=arguments, name=f"poll {source}"
            )
            for source in settings.POLLERS
        ]
        for thread in threads:
            thread.start()
        self.stdout.write(f"polling {', '.join(settings.POLLERS) or 'nothing'}; SIGTERM or Ctrl-C ends it")
        self.stdout.flush()
        ending.wait()
        for thread in threads:
            thread.join()
        self.stdout.write("stopped")

    def _tell(self, done: Round) -> None:
        said = f"{done.source}: {done.due} due, {done.asked} asked, {done.moved} news"
        if done.failed:
            said += f", {len(done.failed)} failed"
        self.stdout.write(said + (f"; {done.stopped}" if done.stopped else ""))
        for failure in done.failed:
            self.stderr.write(f"  {failure}")
        self.stdout.flush()
