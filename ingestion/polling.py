"""Polling: what somebody watches, holds or has an alert on, from sources that have no socket or tell nothing there.

A round asks for a few instruments, the longest unasked first, within the source's budget and the round's time. What
a market that is closed said last it need not be asked again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import msgspec
import redis
from django.conf import settings
from django.db import close_old_connections

from ingestion import asking, demand, latest, markets, sessions, terms
from ingestion.asking import Name, NoPrice
from ingestion.calendar import Calendars
from ingestion.http import OverBudget, Refused, Unreachable
from ingestion.latest import Latest
from ingestion.rest.quoted import Unreadable
from ingestion.symbols import UnknownSymbol, resolve
from worker import lease, metrics
from worker.redis import client, key

logger = logging.getLogger(__name__)

ASKED_KEPT_S: Final = 7 * 24 * 3600
# One source at a time: who polls renews this with each instrument.
LEASE_TTL_S: Final = 120.0
# Between two rounds at the least.
PAUSE_S: Final = 1.0


class Round(msgspec.Struct):
    """What one round did. due: instruments that were to be asked. moved: prices that were news."""

    source: str
    due: int = 0
    asked: int = 0
    moved: int = 0
    failed: list[str] = []
    stopped: str = ""  # why it ended before its time: another round runs, or the budget


def poll(source: str, *, interval_s: float | None = None, batch: int | None = None) -> Round:
    """One round. Two at once are one: the second does nothing. Raises redis.RedisError."""
    done = Round(source)
    held = lease.acquire(f"poll:{source}", LEASE_TTL_S) if asking.usable(source) else None
    if held is None:
        done.stopped = "another round runs" if asking.usable(source) else "not configured"
        return done
    try:
        _ask_all(done, held, interval_s or settings.REALTIME_UPDATE_INTERVAL_S, batch or settings.REALTIME_BATCH_SIZE)
    finally:
        held.release()
    metrics.count(f"ingestion.polled.{source}", done.asked)
    return done


def keep_polling(
    source: str,
    ending: threading.Event,
    *,
    interval_s: float | None = None,
    batch: int | None = None,
    turns: AbstractContextManager[Any] | None = None,
    tell: Callable[[Round], None] | None = None,
) -> None:
    """One round after the other until `ending` is set, no more often than the interval; for a thread of its own.

    turns: entered for each round. tell: hears of each.
    """
    interval_s = interval_s or settings.REALTIME_UPDATE_INTERVAL_S
    while not ending.is_set():
        began = time.monotonic()
        with turns or nullcontext():
            if ending.is_set():
                return
            close_old_connections()
            try:
                done = poll(source, interval_s=interval_s, batch=batch)
                if tell is not None:
                    tell(done)
            except Exception:
                logger.exception("polling %s failed; the next round comes", source)
            finally:
                close_old_connections()
        ending.wait(max(PAUSE_S, interval_s - (time.monotonic() - began)))


def due(source: str, wanted: Iterable[int], now_us: int, interval_s: float) -> list[Name]:
    """What of `wanted` is to be asked for now, the longest unasked first."""
    ids = set(wanted)
    known = [name for name in asking.names(source) if name.instrument.id in ids]
    asked_at = _asked_at(source, known)
    best = latest.get([name.instrument.id for name in known], now_us)
    calendars = sessions.calendars()
    found = [
        name
        for name in known
        if _is_due(source, name, asked_at.get(name.instrument.id, 0), best.get(name.instrument.id), calendars, now_us)
        and now_us - asked_at.get(name.instrument.id, 0) >= interval_s * 1e6
    ]
    return sorted(found, key=lambda name: (asked_at.get(name.instrument.id, 0), name.instrument.id))


def wanted() -> set[int]:
    """What somebody watches, holds or has an alert on, and SYMBOLS."""
    ids = demand.wanted()
    for name in settings.SYMBOLS:
        try:
            ids.add(resolve(name).id)
        except UnknownSymbol:
            continue  # `symbols.unknown_settings` tells of it, once
    return ids


def _is_due(source: str, name: Name, asked_us: int, best: Latest | None, calendars: Calendars, now_us: int) -> bool:
    market = markets.of(name.instrument.id)
    told = best is not None and best.quality == latest.LIVE
    if told and best is not None and (source in settings.FEEDS or market.rank(best.source) < market.rank(source)):
        return False  # a feed tells it already
    last_close_us = calendars.last_close_us(market.calendar, now_us)
    after_us = int(settings.POLL_AFTER_CLOSE_S * 1e6)
    ends_the_day = (terms.of(source).delay_s or 0) >= latest.END_OF_DAY_S
    if calendars.is_open(market.calendar, now_us) and not ends_the_day:
        return True
    # Once more after the close; what tells of closes alone is asked only then.
    return last_close_us is None or asked_us < last_close_us + after_us <= now_us


def _ask_all(done: Round, held: lease.Lease, interval_s: float, batch: int) -> None:
    until = time.monotonic() + interval_s
    names = due(done.source, wanted(), asking.clock_us(), interval_s)
    done.due = len(names)
    for name in names[:batch]:
        left_s = until - time.monotonic()
        if left_s <= 0 or not held.renew():
            done.stopped = "the time is over"
            return
        try:
            _ask_one(done, name, left_s)
        except OverBudget as error:
            done.stopped = str(error)
            return


def _ask_one(done: Round, name: Name, left_s: float) -> None:
    now_us = asking.clock_us()
    try:
        found = asking.ask(done.source, name, left_s)
    except (Refused, Unreadable, NoPrice) as error:
        # Not again at once: it would be asked before all others for ever, being the longest without a price.
        _note(done.source, name, now_us + int(settings.POLL_FAILED_PAUSE_S * 1e6))
        done.failed.append(f"{name.symbol}: {error}")
        logger.warning("no price of %s: %s", name.symbol, error)
        return
    except Unreachable as error:
        _note(done.source, name, now_us)
        done.failed.append(f"{name.symbol}: {error}")
        return
    _note(done.source, name, now_us)
    done.asked += 1
    done.moved += asking.tell(done.source, {name.instrument.id: found})


# --- When each was last asked for -----------------------------------------------------------------------------


def _note(source: str, name: Name, at_us: int) -> None:
    try:
        with client().pipeline(transaction=False) as pipe:
            pipe.hset(_key(source), str(name.instrument.id), at_us)
            pipe.expire(_key(source), ASKED_KEPT_S)
            pipe.execute()
    except redis.RedisError as error:
        logger.warning("when %s was asked for %s is not kept: %s", source, name.symbol, error)


def _asked_at(source: str, names: list[Name]) -> dict[int, int]:
    if not names:
        return {}
    stored: Any = client().hmget(_key(source), [str(name.instrument.id) for name in names])
    return {name.instrument.id: int(at) for name, at in zip(names, stored, strict=True) if at is not None}


def _key(source: str) -> str:
    return key("polled", source)
