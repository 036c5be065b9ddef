"""The market as paper orders meet it: fresh prices, live books, hours and halts, and the venues' rules."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from django.conf import settings
from django.utils import timezone

from ingestion import books, latest, markets, sessions, store
from ingestion.candles import MINUTE_US
from ingestion.latest import Change, Latest
from ingestion.models import Instrument, VenueSymbol
from ingestion.orderbook import LIVE, BookView
from ingestion.providers import SOURCES
from portfolio.matching import Levels, Market, Move

CLOSED: Final = "closed"
HALTED: Final = "halted"
NO_PRICE: Final = "no_price"
STALE: Final = "stale"
DOUBTFUL: Final = "doubtful"

# What keeps a price of each quality from being traded at; live ones are missing.
_UNFIT: Final[Mapping[str, tuple[str, str]]] = {
    latest.SUSPECT: (DOUBTFUL, "The newest price is not believed."),
    latest.CLOSED: (CLOSED, "The market is closed."),
}


class Listed(msgspec.Struct, frozen=True):
    """What a venue allows of an instrument; None where it is not known."""

    tick_size: Decimal | None = None
    lot_size: Decimal | None = None
    min_notional: Decimal | None = None
    delisted: bool = False
    halted_on: frozenset[str] = frozenset()


class Seen(msgspec.Struct, frozen=True):
    """One instrument's market. source: whose price it is; known: the newest price, however old, to reserve by."""

    market: Market
    source: str | None
    known: Decimal | None


def listed(instruments: Iterable[Instrument]) -> dict[int, Listed]:
    """The rules of each instrument's best venue, by its order of sources."""
    rows: dict[int, list[VenueSymbol]] = {}
    ids = [instrument.pk for instrument in instruments]
    for row in VenueSymbol.objects.filter(instrument_id__in=ids):
        rows.setdefault(row.instrument_id, []).append(row)
    now = timezone.now()
    return {i: _listed(i, rows.get(i, []), now) for i in ids}


def _listed(instrument_id: int, rows: Sequence[VenueSymbol], now: dt.datetime) -> Listed:
    present = [row for row in rows if _valid(row, now)]
    if not present:
        return Listed(delisted=bool(rows))
    market = markets.of(instrument_id)
    best = min(present, key=lambda row: (market.rank(row.provider), row.pk))
    halted = frozenset(row.provider for row in present if row.status == VenueSymbol.Status.HALTED)
    return Listed(best.tick_size, best.lot_size, best.min_notional, halted_on=halted)


def _valid(row: VenueSymbol, now: dt.datetime) -> bool:
    begun = row.valid_from is None or row.valid_from <= now
    return begun and (row.valid_until is None or now < row.valid_until) and row.status != VenueSymbol.Status.DELISTED


def look(instruments: Mapping[int, Listed], now: dt.datetime) -> dict[int, Seen]:
    """Each instrument's market as of now. Raises redis.RedisError.

    `minute_left` is not in it: `traded_last_minute` asks the database, for those who need it.
    """
    now_us = store.to_us(now)
    prices = latest.get(instruments, now_us)
    known = books.load_all(list(instruments), now_us)
    return {i: _seen(i, rules, prices.get(i), known.get(i), now_us) for i, rules in instruments.items()}


def _seen(instrument_id: int, rules: Listed, price: Latest | None, book: BookView | None, now_us: int) -> Seen:
    blocked = _blocked(instrument_id, rules, price, now_us)
    if price is None or price.price is None:
        return Seen(Market(now_us=now_us, blocked=blocked, lot_size=rules.lot_size), None, None)
    fresh_us = int(settings.PRICE_FRESH_S * 1e6)
    has_book = book is not None and book.status == LIVE
    quoted = now_us - price.quote_time_us <= fresh_us
    market = Market(
        now_us=now_us,
        blocked=blocked,
        last=_exact(price.price),
        bid=_exact(price.bid) if quoted and price.bid else None,
        ask=_exact(price.ask) if quoted and price.ask else None,
        bids=_levels(book.bids) if book is not None and has_book else (),
        asks=_levels(book.asks) if book is not None and has_book else (),
        as_of_us=book.received_us if book is not None and has_book else price.as_of_us,
        moves_from_us=_moves_from_us(instrument_id, now_us - fresh_us, now_us),
        lot_size=rules.lot_size,
    )
    return Seen(market, price.source, market.last)


def _blocked(instrument_id: int, rules: Listed, price: Latest | None, now_us: int) -> tuple[str, str] | None:
    """Why nothing is traded now; None when it is."""
    name, known = markets.of(instrument_id).calendar, sessions.calendars()
    if not known.is_open(name, now_us):
        opens_us = known.next_open_us(name, now_us)
        until = "" if opens_us is None else f" until {_at(opens_us)}"
        return CLOSED, f"The market is closed{until}."
    if price is None:
        return NO_PRICE, "No price is known."
    if price.source in rules.halted_on:
        return HALTED, f"{price.source} has halted trading in it."
    if price.quality in _UNFIT:
        return _UNFIT[price.quality]
    if price.quality != latest.LIVE:
        age_s = (now_us - price.as_of_us) / 1e6
        return STALE, (
            f"No fresh price: the newest is of {_at(price.as_of_us)}, {age_s:.0f} s ago;"
            f" orders are filled on prices of the last {settings.PRICE_FRESH_S:g} s only."
        )
    return None


def _moves_from_us(instrument_id: int, fresh_from_us: int, now_us: int) -> int:
    """Trades before the session's opening fill nothing in it."""
    session = sessions.calendars().session_at(markets.of(instrument_id).calendar, now_us)
    return fresh_from_us if session is None else max(fresh_from_us, session.open_us)


def _levels(levels: Iterable[tuple[float, float]]) -> Levels:
    return tuple((_exact(price), _exact(quantity)) for price, quantity in levels)


def _exact(number: float) -> Decimal:
    return Decimal(str(number))


def _at(us: int) -> str:
    return f"{store.to_datetime(us):%Y-%m-%d %H:%M:%S} UTC"


def move(change: Change) -> Move:
    """What a flush moved, exactly. A poll knows of no volume."""
    volume = _exact(change.volume) if change.count and change.volume else None
    return Move(_exact(change.last), _exact(change.high), _exact(change.low), volume, change.time_us)


def traded_last_minute(instrument_id: int, source: str, now_us: int) -> Decimal | None:
    """How much the source traded in the last 60 seconds: of the minute before, the part that lies in them.

    None where no volume is known.
    """
    minute_us = now_us - now_us % MINUTE_US
    start = store.to_datetime(minute_us - MINUTE_US)
    bars = store.candles(instrument_id, "1m", start=start, source=SOURCES[source], adjust=None)
    volumes = {bar.time_us: bar.volume for bar in bars if bar.volume is not None}
    if not volumes:
        return None
    inside = Decimal(MINUTE_US - (now_us - minute_us)) / MINUTE_US
    before = volumes.get(minute_us - MINUTE_US, 0.0)
    return _exact(volumes.get(minute_us, 0.0)) + _exact(before) * inside


def session_end(instrument_id: int, now: dt.datetime) -> dt.datetime:
    """When a DAY order runs out: at the close of the session that it is in, else of the next one.

    What trades around the clock has the days of UTC for sessions.
    """
    now_us = store.to_us(now)
    name, known = markets.of(instrument_id).calendar, sessions.calendars()
    rule = known.rule(name, now_us)
    session = known.session_at(name, now_us) or rule.before(now_us)[-1]
    if session.close_us <= now_us:
        session = rule.after(now_us) or session
    return store.to_datetime(max(session.close_us, now_us))
