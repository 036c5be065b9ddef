"""The market's topics, and telling them of something from Python. Their snapshots come from what is stored."""

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from ingestion import books, control, events, latest, payloads, status, store, symbols
from ingestion.candles import INTERVALS, Bar
from ingestion.latest import Latest
from ingestion.models import Instrument
from ingestion.providers import SOURCE_NAMES, SOURCES
from streaming.protocol import Address, Message
from streaming.publish import publish
from streaming.topics import Kind, NotYours, Topic, UnknownTopic, register
from worker.redis import client, key

SNAPSHOT_TRADES: Final = 50

_decode_bar: Final = msgspec.json.Decoder(Bar).decode


class _MarketTopic(Topic):
    """A topic about one instrument, its key any name of it."""

    public = True

    def resolve(self, key: str, user: Any) -> Address:
        instrument = find(f"{self.prefix}:{key}", key)
        return Address(f"{self.prefix}:{instrument.symbol}", f"{self.prefix}:{key.upper()}", key.upper())


class Price(_MarketTopic):
    """The newest price, its day, and the best bid and ask."""

    prefix = "price"
    kind = Kind.CONFLATED
    events: ClassVar[Mapping[str, type]] = {"asset_update": events.AssetUpdate}

    def keys(self, user: Any) -> list[str]:
        return symbols.shown_by_default()

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        found = _newest(address.topic)
        if found is None:
            return []
        data = payloads.price(found.symbol, found.latest)
        return [Message(address.topic, "asset_update", data, _now_us())]


class Trades(_MarketTopic):
    """Each trade, several a message."""

    prefix = "trades"
    kind = Kind.BATCHED
    events: ClassVar[Mapping[str, type]] = {"trades": events.Trades}

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        found = _newest(address.topic)
        if found is None:
            return []
        source = SOURCES[found.latest.source]
        rows = store.trades(found.id, limit=SNAPSHOT_TRADES, source=source)
        data = payloads.trades(found.symbol, found.latest.source, rows)
        return [Message(address.topic, "trades", data, _now_us())]


class Candles(Topic):
    """The bar in progress of an interval, and those that became final or were revised."""

    prefix = "candles"
    kind = Kind.CONFLATED
    events: ClassVar[Mapping[str, type]] = {"candle": events.Candle}
    public = True

    def resolve(self, key: str, user: Any) -> Address:
        name, _, interval = key.rpartition(":")
        if interval not in INTERVALS:
            raise UnknownTopic(f"candles:{key}", f"A candle topic ends in one of {', '.join(INTERVALS)}.")
        instrument = find(f"candles:{key}", name)
        asked = name.upper()
        return Address(f"candles:{instrument.symbol}:{interval}", f"candles:{asked}:{interval}", asked)

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        name, _, interval = address.topic.partition(":")[2].rpartition(":")
        instrument = symbols.resolve(name)
        bar = newest_bar(instrument.id, interval)
        if bar is None:
            return []
        data = payloads.candle(instrument.symbol, interval, bar, SOURCE_NAMES[bar.source])
        return [Message(address.topic, "candle", data, _now_us())]


class Ticker(_MarketTopic):
    """The venue's own last 24 hours, from those that tell."""

    prefix = "ticker"
    kind = Kind.CONFLATED
    events: ClassVar[Mapping[str, type]] = {"ticker": events.TickerEvent}

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        found = _newest(address.topic)
        if found is None:
            return []
        data = payloads.ticker_of_latest(found.symbol, found.latest)
        return [Message(address.topic, "ticker", data, _now_us())]


class Book(_MarketTopic):
    """The venue's order book: `live`, `stale`, or `syncing` and then empty."""

    prefix = "book"
    kind = Kind.CONFLATED
    events: ClassVar[Mapping[str, type]] = {"book": events.Book}

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        instrument, now_us = symbols.resolve(address.topic.partition(":")[2]), _now_us()
        return [Message(address.topic, "book", book_payload(instrument, now_us), now_us)]


class Broadcasts(Topic):
    """What `broadcast_market_update` tells of symbols that are not shown by default."""

    prefix = "broadcasts"
    kind = Kind.BATCHED
    public = True

    def resolve(self, key: str, user: Any) -> Address:
        if key:
            raise UnknownTopic(f"{self.prefix}:{key}", f"There is one topic “{self.prefix}”.")
        return Address(self.prefix, self.prefix)


class Feeds(Topic):
    """How the feeds are doing, once a second each; for staff.

    One topic for all of them, so that a newer message does not replace an older one: they are of different feeds.
    """

    prefix = status.TOPIC
    kind = Kind.BATCHED
    events: ClassVar[Mapping[str, type]] = {status.EVENT: events.Feed}

    def resolve(self, key: str, user: Any) -> Address:
        if key:
            raise UnknownTopic(f"{self.prefix}:{key}", f"There is one topic “{self.prefix}”.")
        if not user.is_staff:
            raise NotYours(self.prefix, "Only staff may follow the feeds.")
        return Address(self.prefix, self.prefix)

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        now_us = _now_us()
        told = status.feeds(now_us, control.configured())
        return [Message(address.topic, status.EVENT, status.payload(feed, now_us), now_us) for feed in told]


for _topic in (Price(), Trades(), Candles(), Ticker(), Book(), Broadcasts(), Feeds()):
    register(_topic)


class _Found(NamedTuple):
    id: int
    symbol: str
    latest: Latest


def find(topic: str, name: str) -> Instrument:
    """The instrument that a topic is about. Raises UnknownTopic."""
    try:
        return symbols.resolve(name)
    except symbols.UnknownSymbol as unknown:
        raise UnknownTopic(topic, str(unknown)) from unknown


def book_payload(instrument: Instrument, now_us: int) -> payloads.Payload:
    """The `data` of its `book` as of now."""
    view = books.load(instrument.id, now_us)
    return payloads.no_book(instrument.symbol) if view is None else payloads.book(instrument.symbol, view)


def newest_bar(instrument_id: int, interval: str) -> Bar | None:
    """The bar in progress as the best source's listener last told it, or the newest on disk where that is newer.

    Of a session always the stored one, which says when the session is over.
    """
    stored = store.candles(instrument_id, interval, limit=1)
    found = None if store.by_sessions(instrument_id, interval) else latest.get([instrument_id]).get(instrument_id)
    told = _told_bar(found.source, instrument_id, interval) if found is not None else None
    if told is None or (stored and stored[-1].time_us > told.time_us):
        return stored[-1] if stored else None
    return told


def _told_bar(source: str, instrument_id: int, interval: str) -> Bar | None:
    told: Any = client().hget(key("bars", source), f"{instrument_id}:{interval}")
    return None if told is None else _decode_bar(told)


def _newest(topic: str) -> _Found | None:
    instrument = symbols.resolve(topic.partition(":")[2])
    found = latest.get([instrument.id]).get(instrument.id)
    return None if found is None else _Found(instrument.id, instrument.symbol, found)


def broadcast_market_update(
    *, symbol: str, price: float, change: float | None = None, volume: float | None = None
) -> int:
    """Tell whoever watches the symbol of a price, from other Django code. It is shown, and neither stored nor a tick.

    Returns how many messages were handed over. Raises symbols.UnknownSymbol.
    """
    instrument = symbols.resolve(symbol)
    now_us = _now_us()
    told = Latest("broadcast", price, time_us=now_us, received_us=now_us, change=change, volume=volume)
    data = payloads.price(instrument.symbol, told)
    topics = [f"price:{instrument.symbol}"]
    if instrument.symbol not in symbols.shown_by_default():
        topics.append(Broadcasts.prefix)
    return publish([Message(topic, "asset_update", data, now_us) for topic in topics])


def _now_us() -> int:
    return time.time_ns() // 1000
