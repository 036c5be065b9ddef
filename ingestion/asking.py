"""Asking a source for the price of one instrument, and telling everyone what it said.

A price that was asked for is no trade: it moves the newest price (`latest.put`), makes bars typed as a ticker's, and
invents no volume.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from django.conf import settings

from ingestion import history, http, latest, markets, payloads, sessions, store, symbols, terms
from ingestion.calendar import Calendars
from ingestion.latest import Latest
from ingestion.models import Instrument, Quarantined
from ingestion.providers import SOURCES
from ingestion.quality import Reason, polled_reason
from ingestion.rest import alphavantage, finnhub_quote, tickers, yahoo
from ingestion.rest.call import Call
from ingestion.rest.quoted import Quoted, Unreadable
from streaming.protocol import Message
from streaming.publish import publish

SIMULATED: Final = "simulated"
# What the simulated market did in so long is looked through for its last trade.
SIMULATED_LOOK_BACK_US: Final = 60_000_000
NEEDS_KEY: Final = frozenset({"finnhub", "alphavantage"})
# These know US stocks by the names that we have for them, without having listed them.
KNOW_US_STOCKS: Final = frozenset({"finnhub", "alphavantage", "yahoo"})
US_CALENDAR: Final = "XNYS"


class NoPrice(Exception):
    """The source answered, and has no price of this instrument that could be used."""


# What asking may raise, in passing or for good.
FAILURES: Final = (http.OverBudget, http.Unreachable, http.Refused, Unreadable, NoPrice)


class Source(NamedTuple):
    """How a source is asked: the call for its name of an instrument, and what its answer says (None: unknown name)."""

    call: Callable[[str], Call]
    read: Callable[[bytes, str, int], Quoted | None]


ASKED: Final[Mapping[str, Source]] = {
    "binance": Source(tickers.binance_call, tickers.read_binance),
    "coinbase": Source(tickers.coinbase_call, tickers.read_coinbase),
    "kraken": Source(tickers.kraken_call, tickers.read_kraken),
    "finnhub": Source(finnhub_quote.quote_call, finnhub_quote.read_quote),
    "alphavantage": Source(alphavantage.quote_call, alphavantage.read_quote),
    "yahoo": Source(yahoo.quote_call, yahoo.read_quote),
}


class Name(NamedTuple):
    """What a source calls an instrument where it is asked. minor_units: as in `VenueSymbol`."""

    symbol: str
    instrument: Instrument
    minor_units: int = 1


def usable(source: str) -> bool:
    """Whether this installation may ask it at all: it has the key, or has switched it on."""
    if source == SIMULATED:
        return SIMULATED in settings.FEEDS
    if source == "yahoo" and not settings.YAHOO_ENABLED:
        return False
    return source in ASKED and (source not in NEEDS_KEY or bool(getattr(settings, f"{source.upper()}_API_KEY")))


def names(source: str) -> list[Name]:
    """What the source can be asked for: what it lists, and US stocks by our own symbol where it is known for them."""
    if source == SIMULATED:
        return [Name(row.symbol, row) for row in Instrument.objects.all()]
    listed = [Name(row.rest_symbol or row.symbol, row.instrument, row.minor_units) for row in symbols.current(source)]
    if source not in KNOW_US_STOCKS:
        return listed
    known = {name.instrument.id for name in listed}
    stocks = Instrument.objects.filter(kind=Instrument.Kind.EQUITY).exclude(id__in=known)
    return listed + [Name(row.symbol, row) for row in stocks if knows_unlisted(source, row)]


def knows_unlisted(source: str, instrument: Instrument) -> bool:
    """Whether the source knows the instrument by our own symbol, though it lists it nowhere."""
    is_stock = instrument.kind == Instrument.Kind.EQUITY
    return source in KNOW_US_STOCKS and is_stock and sessions.name_of(instrument) == US_CALENDAR


def ask(source: str, name: Name, deadline_s: float) -> Latest:
    """The price now, as the source tells it; not kept yet (`tell`). Raises one of FAILURES."""
    if source == SIMULATED:
        return _simulated(name)
    asked = ASKED[source]
    body = http.get(asked.call(name.symbol), deadline_s=deadline_s)
    quoted = asked.read(body, name.symbol, clock_us())
    if quoted is None:
        raise NoPrice(f"{source} does not know {name.symbol}")
    return _latest(source, name, quoted, sessions.calendars())


def tell(source: str, found: Mapping[int, Latest]) -> int:
    """Keep prices, make bars of those that are news, and publish them where no better source tells. Returns how many
    are news. Raises redis.RedisError and DatabaseError."""
    known = latest.of_source(source, list(found))
    news = {i: value for i, value in found.items() if not _told_before(value, known.get(i))}
    suspects = {i: value for i, value in news.items() if value.suspect}
    moved = latest.put(source, news) if news else 0
    believed = [(i, v) for i, v in news.items() if i not in suspects]
    store.write_polled_prices(SOURCES[source], [store.Polled(i, v.time_us, v.price) for i, v in believed if v.price])
    if suspects:
        store.quarantine([_quarantined(source, i, value) for i, value in suspects.items()])
    _publish(source, news)
    return moved


def clock_us() -> int:
    """Now, microseconds since 1970."""
    return time.time_ns() // 1000


# --- From what was said to what is kept ------------------------------------------------------------------------


def _latest(source: str, name: Name, quoted: Quoted, calendars: Calendars) -> Latest:
    quoted = quoted.in_units(_minor_units(name, quoted))
    before = latest.of_source(source, [name.instrument.id]).get(name.instrument.id)
    known_price = before.price if before is not None and not before.suspect else None
    change = percent = None
    if quoted.previous_close is not None:
        change = quoted.price - quoted.previous_close
        percent = 100 * change / quoted.previous_close
    return Latest(
        source,
        price=quoted.price,
        bid=quoted.bid,
        ask=quoted.ask,
        time_us=_time_us(quoted, markets.of(name.instrument.id).calendar, calendars),
        received_us=quoted.received_us,
        change=change,
        change_percent=percent,
        volume=quoted.volume,
        high=quoted.high,
        low=quoted.low,
        delay_s=terms.of(source).delay_s or 0.0,
        suspect=polled_reason(quoted.price, quoted.high, quoted.low, (quoted.previous_close, known_price)) is not None,
    )


def _minor_units(name: Name, quoted: Quoted) -> int:
    """How many of what was quoted make one of the instrument's currency. Raises NoPrice where it is another money."""
    if quoted.currency is None or not name.instrument.currency:
        return name.minor_units
    if quoted.currency != name.instrument.currency:
        raise NoPrice(f"{name.symbol} is quoted in {quoted.currency}, not in {name.instrument.currency}")
    return quoted.minor_units


def _time_us(quoted: Quoted, calendar_name: str, calendars: Calendars) -> int:
    """The venue's time; of a mere date the close of its session, or our receipt while that lasts. A source that gives
    neither says what it sees at our receipt."""
    if quoted.day is None:
        return quoted.time_us if quoted.time_us is not None else quoted.received_us
    noon = dt.datetime.combine(dt.date.fromisoformat(quoted.day), dt.time(23, 59), tzinfo=dt.UTC)
    session = calendars.last_session(calendar_name, int(noon.timestamp()) * 1_000_000)
    close_us = session.close_us if session else int(noon.timestamp()) * 1_000_000
    return min(close_us, quoted.received_us)


def _told_before(value: Latest, before: Latest | None) -> bool:
    """Whether this says nothing new: the same price and volume, no later than the same session's end."""
    if before is None or (before.price, before.volume, before.suspect) != (value.price, value.volume, value.suspect):
        return False
    return value.as_of_us <= before.as_of_us


def _quarantined(source: str, instrument_id: int, value: Latest) -> Quarantined:
    symbol = Instrument.objects.filter(pk=instrument_id).values_list("symbol", flat=True).first() or ""
    return Quarantined(
        provider=source,
        symbol=symbol,
        reason=str(Reason.BAD_PRINT),
        raw=msgspec.json.encode(value),
        time=store.to_datetime(value.time_us),
        received_at=store.to_datetime(value.received_us),
    )


def _publish(source: str, news: Iterable[int]) -> None:
    """Tell of those whose best price this source now has."""
    best = {i: value for i, value in latest.get(list(news)).items() if value.source == source}
    rows = Instrument.objects.filter(pk__in=best).values_list("pk", "symbol")
    publish(
        [
            Message(f"price:{symbol}", "asset_update", payloads.price(symbol, best[pk]), best[pk].received_us)
            for pk, symbol in rows
        ]
    )


def _simulated(name: Name) -> Latest:
    """The last trade of the simulated market, made anew from its seed."""
    now_us = clock_us()
    trades = history.simulated_trades(now_us - SIMULATED_LOOK_BACK_US, now_us).get(name.symbol)
    if not trades:
        raise NoPrice(f"{name.symbol} is not followed, or was not traded for a minute")
    last = trades[-1]
    return Latest(SIMULATED, last.price, time_us=last.time_us, received_us=now_us, trade_id=last.trade_id)
