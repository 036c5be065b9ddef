"""Events marked as tests, to see whether browsers get what is published."""

import time
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from ingestion import latest, payloads, symbols
from ingestion.models import Instrument
from streaming import events
from streaming.protocol import Message, timestamp
from streaming.publish import publish

COUNT_MAX = 10_000


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= COUNT_MAX:
        raise ArgumentTypeError(f"between 1 and {COUNT_MAX}")
    return count


def _delay(text: str) -> float:
    delay_s = float(text)
    if not 0 <= delay_s <= 60:
        raise ArgumentTypeError("between 0 and 60 seconds")
    return delay_s


class Command(BaseCommand):
    """Publishes to the topics alone: no tick, signal, notification or alert is made of it. Each says `"test": true`."""

    help = "Publish events marked as tests: prices, signals and notifications."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--type", choices=["market", "signals", "notifications"], help="all without it")
        parser.add_argument("--count", type=_count, default=1, help="of each type")
        parser.add_argument("--delay", type=_delay, default=1.0, help="seconds between two")
        parser.add_argument("--user", help="whose notifications; every active user's without it")

    def handle(self, *args: Any, **options: Any) -> None:
        makers: dict[str, Callable[[], Callable[[int], int]]] = {
            "market": lambda: _Market(_instrument()).send,
            "signals": lambda: _Signals(_instrument()).send,
            "notifications": lambda: _Notifications(_user_ids(options["user"])).send,
        }
        chosen = {type_: make() for type_, make in makers.items() if options["type"] in (None, type_)}
        for number in range(1, options["count"] + 1):
            if number > 1:
                time.sleep(options["delay"])
            for type_, send in chosen.items():
                self._send(type_, send, number)

    def _send(self, type_: str, send: Callable[[int], int], number: int) -> None:
        try:
            sent = send(number)
        except redis.RedisError as error:
            raise CommandError(f"Redis cannot be reached: {error}") from error
        if not sent:
            raise CommandError(f"The {type_} event {number} was not handed over: is Redis there, and anybody to tell?")
        self.stdout.write(f"{type_} {number}")


class _Market:
    """The price stays what it is, where it is known: nobody is to be frightened."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument

    def send(self, number: int) -> int:
        now_us = _now_us()
        known = latest.get([self.instrument.pk]).get(self.instrument.pk)
        told = known or latest.Latest("test", 100.0, time_us=now_us, received_us=now_us)
        data = payloads.price(self.instrument.symbol, told) | {"test": True}
        return publish([Message(f"price:{self.instrument.symbol}", "asset_update", data, now_us)])


class _Signals:
    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument

    def send(self, number: int) -> int:
        now_us = _now_us()
        data = {
            "signal_id": f"test-{uuid.uuid4()}",
            "symbol": self.instrument.symbol,
            "instrument": self.instrument.symbol,
            "signal_type": "HOLD",
            "strength": "WEAK",
            "confidence_score": 0,
            "strategy": "test",
            "entry_price": None,
            "target_price": None,
            "stop_loss": None,
            "expires_at": timestamp(now_us),
            "status": "test",
            "test": True,
        }
        topics = ("signals", f"signals:{self.instrument.symbol}")
        return _append([Message(topic, "signal", data, now_us) for topic in topics])


class _Notifications:
    def __init__(self, user_ids: Sequence[int]) -> None:
        self.user_ids = user_ids

    def send(self, number: int) -> int:
        now_us = _now_us()
        data = {
            "notification_id": f"test-{uuid.uuid4()}",
            "title": "Test",
            "message": f"Test message {number}.",
            "notification_type": "test",
            "priority": "low",
            "data": {},
            "read": False,
            "created_at": timestamp(now_us),
            "test": True,
        }
        return _append([Message(f"notifications:{i}", "notification", data, now_us) for i in self.user_ids])


def _append(messages: list[Message]) -> int:
    with transaction.atomic():
        return len(events.append(messages))


def _instrument() -> Instrument:
    """The first of SYMBOLS, else the first there is."""
    for name in settings.SYMBOLS:
        try:
            return symbols.resolve(name)
        except symbols.UnknownSymbol:
            continue
    first = Instrument.objects.first()
    if first is None:
        raise CommandError("There is no instrument yet.")
    return first


def _user_ids(username: str | None) -> list[int]:
    users = get_user_model().objects.filter(is_active=True)
    if username is not None:
        users = users.filter(username=username)
        if not users:
            raise CommandError(f"There is no active user {username}.")
    return list(users.values_list("pk", flat=True))


def _now_us() -> int:
    return time.time_ns() // 1000
