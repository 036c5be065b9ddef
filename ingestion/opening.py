"""What a listener starts from: the pipeline of a shard, loaded with what is stored. Blocking: it asks the database."""

import datetime as dt
import functools
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion import latest, markets, sessions, store
from ingestion.board import Board, Past
from ingestion.books import Books
from ingestion.calendar import Session, day_of
from ingestion.candles import INTERVALS, MINUTE_US, Bar, bucket_us, merge
from ingestion.pipeline import Decode, Pipeline
from ingestion.providers import PROVIDERS, SOURCES, MalformedFrame
from ingestion.quality import Judge
from ingestion.rolling import MINUTES, Minute
from ingestion.symbols import Known
from worker.redis import client, key

_decode_bar: Final = msgspec.json.Decoder(Bar).decode


def judge() -> Judge:
    """As the settings want it."""
    earliest = dt.datetime.fromisoformat(settings.TICK_EARLIEST)
    return Judge(store.to_us(earliest), int(settings.TICK_MAX_FUTURE_S * 1e6))


def decoder(provider: str) -> Decode:
    """The provider's; a simulated market sends no frames."""
    found = PROVIDERS.get(provider)
    return found.decode if found is not None else _no_frames


def _no_frames(frame: bytes | str, received_us: int) -> list[Any]:
    raise MalformedFrame(frame, "this provider sends no frames")


def live(provider: str, known: dict[str, Known], now_us: int) -> Pipeline:
    """A listener's, which goes on where the one before it stopped."""
    venue = PROVIDERS.get(provider)
    pipeline = Pipeline(
        source=provider,
        number=SOURCES[provider],
        decode=decoder(provider),
        judge=judge(),
        board=Board(provider, latest.load(provider)),
        known=known,
        fresh_us=int(settings.PRICE_FRESH_S * 1e6),
        counts_trades=venue is not None and venue.counts_trades,
        books=Books(provider, venue.book if venue is not None else None),
    )
    pipeline.remember(remembered(provider, known.values(), now_us), _told_bars(provider))
    return pipeline


def resume(pipeline: Pipeline) -> None:
    """Bring a successor's pipeline to where the listener before it is now."""
    pipeline.resume(latest.load(pipeline.source), _told_bars(pipeline.source))


def replayed(provider: str) -> Pipeline:
    """A replay's: it moves no price back, and its trades are nobody's news."""
    return Pipeline(
        source=provider,
        number=SOURCES[provider],
        decode=decoder(provider),
        judge=judge(),
        board=Board(provider, latest.load(provider)),
        known={},
        fresh_us=int(settings.PRICE_FRESH_S * 1e6),
        live=False,
        counts_trades=provider in PROVIDERS and PROVIDERS[provider].counts_trades,
    )


def remembered(provider: str, instruments: Iterable[Known], now_us: int) -> list[Past]:
    """The instruments' last 24 hours as they are on disk, and their bars in progress."""
    return [_past(known, SOURCES[provider], now_us) for known in instruments]


def _past(known: Known, source: int, now_us: int) -> Past:
    minutes = _last_day(known.id, source, now_us)
    rule = sessions.calendars().rule(markets.of(known.id).calendar, now_us)
    *before, session = rule.before(now_us)
    by_sessions = store.by_sessions(known.id, "1d")
    return Past(
        known,
        [
            Minute(b.time_us // MINUTE_US, b.high, b.low, b.close, b.volume, b.last_time_us)
            for b in minutes
            if b.volume is not None
        ],
        before=_close_before(known.id, source, minutes[0].time_us if minutes else now_us),
        day_us=session.open_us,
        previous_close=_close_before(known.id, source, before[-1].close_us) if before else None,
        in_progress=_in_progress(minutes, now_us, session if by_sessions else None),
        rule=rule,
        session_close=_close_before(known.id, source, min(session.close_us, now_us)),
        by_sessions=by_sessions,
    )


def _last_day(instrument_id: int, source: int, now_us: int) -> list[Bar]:
    start = store.to_datetime((now_us // MINUTE_US - MINUTES + 1) * MINUTE_US)
    return store.candles(instrument_id, "1m", start=start, limit=MINUTES + 1, source=source)


def _close_before(instrument_id: int, source: int, time_us: int) -> float | None:
    found = store.candles(instrument_id, "1m", end=store.to_datetime(time_us), limit=1, source=source)
    return found[-1].close if found else None


def _in_progress(minutes: Sequence[Bar], now_us: int, session: Session | None) -> list[Bar]:
    """The bars of every interval that `now_us` falls in, of the minutes that are known of them; a day may be a session,
    then the newest."""
    found: list[Bar] = []
    for interval in INTERVALS:
        start_us = bucket_us(now_us, interval)
        inside = [bar for bar in minutes if bar.time_us >= start_us]
        if session is not None and interval == "1d":
            start_us = day_of(session)
            inside = [bar for bar in minutes if session.open_us <= bar.time_us < session.close_us]
        if inside:
            whole = functools.reduce(merge, inside)
            found.append(msgspec.structs.replace(whole, time_us=start_us, interval=interval, final=False, rev=0))
    return found


def _told_bars(provider: str) -> list[Bar]:
    """The open bars as the last listener told them."""
    told: Any = client().hgetall(key("bars", provider))
    return [_decode_bar(value) for value in told.values()]
