"""price, spread and staleness: what the newest values say by themselves."""

from collections.abc import Sequence
from typing import Final

from django.conf import settings

from ingestion import markets, sessions, store
from ingestion.calendar import ALWAYS, Calendars
from ingestion.latest import LIVE, Latest
from ingestion.providers import SOURCES
from ingestion.store import Moment
from signals.facts.look import Look, at
from signals.rules import Ask, Seen

BPS: Final = "bps"
ABSOLUTE: Final = "absolute"


class Prices:
    """price: the last trade's, live and believed."""

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        found = {ask: look.price(ask.instrument) for ask in asks}
        return {ask: seen for ask, seen in found.items() if seen is not None}


class Spreads:
    """spread: ask − bid, in money or in hundredths of a percent of their middle; of a live quote that isn't crossed."""

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        found = {}
        for ask in asks:
            newest = look.newest.get(ask.instrument or 0)
            width = None if newest is None else spread(newest, look.now_us, str(ask.get("unit") or BPS))
            if newest is not None and width is not None:
                found[ask] = at(width, newest.quote_time_us, source=newest.source)
        return found


def spread(newest: Latest, now_us: int, unit: str) -> float | None:
    """None where there is none that counts."""
    bid, offered = newest.bid, newest.ask
    if newest.quality != LIVE or bid is None or offered is None or not 0 < bid <= offered:
        return None
    if now_us - newest.quote_time_us > settings.PRICE_FRESH_S * 1e6:
        return None
    width = offered - bid
    return width if unit == ABSOLUTE else 1e4 * width / ((offered + bid) / 2)


class Silences:
    """staleness: seconds without a tick while the market was open. Missing while it is closed, and for an instrument
    of which nothing was ever heard."""

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        last = {i: told.as_of_us + int(told.delay_s * 1e6) for i, told in look.newest.items()}
        instruments = {ask.instrument for ask in asks if ask.instrument is not None}
        last |= _on_disk(instruments - last.keys(), look.now_us)
        found = {}
        for ask in asks:
            heard_us = last.get(ask.instrument or 0)
            seconds = None if heard_us is None else silence_s(ask.instrument or 0, heard_us, look.now_us)
            if seconds is not None:
                found[ask] = at(seconds, look.now_us)
        return found


def silence_s(instrument_id: int, last_us: int, now_us: int) -> float | None:
    """Seconds since then, or since the market opened if that was later. None while it is closed."""
    name, known = markets.of(instrument_id).calendar, sessions.calendars()
    if not known.is_open(name, now_us):
        return None
    return max(0.0, (now_us - max(last_us, _open_since(known, name, last_us, now_us))) / 1e6)


def _open_since(known: Calendars, name: str, last_us: int, now_us: int) -> int:
    """When the market last opened, as far back as `last_us`; it may trade on from one session into the next."""
    session = None if name == ALWAYS else known.session_at(name, now_us)
    if session is None:
        return last_us
    if session.break_from_us < session.break_until_us <= now_us:
        return session.break_until_us
    while session.open_us > last_us and (earlier := known.session_at(name, session.open_us - 1)) is not None:
        session = earlier
    return session.open_us


def _on_disk(instrument_ids: set[int], now_us: int) -> dict[int, int]:
    """When the last stored minute was over: for what Redis has forgotten."""
    moments = [Moment(i, source, now_us) for i in instrument_ids for source in SOURCES.values()]
    last: dict[int, int] = {}
    for moment, stood in store.prices_at(moments).items():
        last[moment.instrument_id] = max(stood.closed_us, last.get(moment.instrument_id, 0))
    return last
