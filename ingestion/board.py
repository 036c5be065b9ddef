"""What one source's market looks like now: the newest values of each instrument, held by its listener.

It is loaded once from what is stored, so that neither an out-of-order tick nor a restart ever moves a price back.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ingestion.calendar import ALWAYS, WEEKLY, Rule
from ingestion.candles import MINUTE_US, Bar
from ingestion.latest import Change, Latest
from ingestion.models import Instrument
from ingestion.rolling import Minute, Rolling, Statistics
from ingestion.symbols import Known
from ingestion.ticks import SUSPECT, Quote, Ticker

DAY_US: Final = 1440 * MINUTE_US
# A venue's own 24-hour figures are better than ours for so long after it gave them.
TICKER_FRESH_US: Final = 60_000_000


class _Place:
    """One instrument on the board. Fields are named as in `Latest`."""

    __slots__ = (
        "ask", "bid", "day_us", "known", "previous_close", "price", "quote_id", "quote_time_us", "received_us",
        "rolling", "rule", "session_close", "ticker", "time_us", "trade_id",
    )  # fmt: skip

    def __init__(self, known: Known, latest: Latest | None) -> None:
        self.known = known
        self.price: float | None = None
        self.bid: float | None = None
        self.ask: float | None = None
        self.time_us = self.trade_id = self.quote_time_us = self.quote_id = self.received_us = 0
        if latest is not None:
            self.resume(latest)
        self.rolling = Rolling()
        self.ticker: Ticker | None = None
        self.rule = WEEKLY[ALWAYS]
        self.day_us = self.time_us - self.time_us % DAY_US
        self.previous_close: float | None = None
        self.session_close: float | None = None

    def resume(self, latest: Latest) -> None:
        """Go on from what is stored, where that is newer."""
        if (latest.time_us, latest.trade_id) > (self.time_us, self.trade_id):
            self.price, self.time_us, self.trade_id = latest.price, latest.time_us, latest.trade_id
        if (latest.quote_time_us, latest.quote_id) > (self.quote_time_us, self.quote_id):
            self.bid, self.ask = latest.bid, latest.ask
            self.quote_time_us, self.quote_id = latest.quote_time_us, latest.quote_id
        self.received_us = max(self.received_us, latest.received_us)

    def trade(self, part: Bar) -> bool:
        """Count one minute's part of a batch in. Whether the price is newer for it."""
        minute = part.time_us // MINUTE_US
        self.rolling.add(Minute(minute, part.high, part.low, part.close, part.volume or 0.0, part.last_time_us))
        if not self._is_newer(part):
            return False
        self._count_session(part)
        return self.show(part)

    def show(self, part: Bar) -> bool:
        """Let one minute's part of a batch move the price alone. Whether it did."""
        if not self._is_newer(part):
            return False
        self.price, self.time_us, self.trade_id = part.close, part.last_time_us, part.last_id
        return True

    def _is_newer(self, part: Bar) -> bool:
        return (part.last_time_us, part.last_id) > (self.time_us, self.trade_id)

    def _count_session(self, part: Bar) -> None:
        """What trades after a session's end is not its close; what trades before the next belongs to the one before."""
        for session in self.rule.before(part.last_time_us)[-1:]:
            if session.open_us > self.day_us:
                known = self.session_close if self.session_close is not None else self.price
                self.day_us, self.previous_close, self.session_close = session.open_us, known, None
            if part.last_time_us < session.close_us:
                self.session_close = part.close

    def quote(self, quote: Quote) -> bool:
        if (quote.time_us, quote.quote_id) <= (self.quote_time_us, self.quote_id):
            return False
        self.bid, self.ask = quote.bid, quote.ask
        self.quote_time_us, self.quote_id = quote.time_us, quote.quote_id
        return True

    def say(self, ticker: Ticker) -> None:
        self.ticker = ticker
        if self.price is None:
            self.price, self.time_us = ticker.last, ticker.time_us

    def latest(self, source: str) -> Latest:
        statistics = self._statistics()
        change = percent = None
        reference = statistics.reference
        if self.known.kind == Instrument.Kind.EQUITY:
            reference = self.previous_close
        if self.price is not None and reference:
            change = self.price - reference
            percent = 100 * change / reference
        return Latest(
            source, self.price, self.bid, self.ask, self.time_us, self.received_us, change, percent,
            statistics.volume, statistics.high, statistics.low, self.trade_id, self.quote_time_us, self.quote_id,
        )  # fmt: skip

    def _statistics(self) -> Statistics:
        """The venue's own figures while they are fresh, else ours."""
        t, price = self.ticker, self.price
        if t is None or price is None or self.time_us - t.time_us > TICKER_FRESH_US:
            return self.rolling.statistics()
        return Statistics(t.open, max(t.high, price), min(t.low, price), t.volume)


class Past(msgspec.Struct, frozen=True):
    """What is stored of one instrument.

    minutes: the last 24 hours'. before: the last price before those. rule: when it trades. day_us: when its newest
    session opened. previous_close: the last price of the session before. session_close: the newest within that session.
    by_sessions: its daily bars are sessions, not the days of UTC.
    in_progress: the open bars, as far as they are stored.
    """

    known: Known
    minutes: list[Minute]
    before: float | None
    day_us: int
    previous_close: float | None
    in_progress: list[Bar]
    rule: Rule = WEEKLY[ALWAYS]
    session_close: float | None = None
    by_sessions: bool = False


class Board:
    """Every instrument that one source has told of."""

    def __init__(self, source: str, stored: Mapping[int, Latest] | None = None) -> None:
        self.source = source
        self._stored = dict(stored or {})
        self._places: dict[int, _Place] = {}

    def place(self, known: Known) -> _Place:
        """Where an instrument stands; a new place starts from what is stored."""
        found = self._places.get(known.id)
        if found is None:
            found = self._places[known.id] = _Place(known, self._stored.pop(known.id, None))
        return found

    def newest_trade(self, known: Known) -> tuple[int, int] | None:
        """Its id and time; None where there was none yet."""
        place = self.place(known)
        return (place.trade_id, place.time_us) if place.trade_id else None

    def remember(self, past: Past) -> None:
        place = self.place(past.known)
        place.rolling = Rolling(past.before)
        place.rolling.load(past.minutes)
        place.rule, place.day_us = past.rule, past.day_us
        place.previous_close, place.session_close = past.previous_close, past.session_close

    def resume(self, stored: Mapping[int, Latest]) -> None:
        """Go on from what another listener stored meanwhile."""
        for instrument_id, latest in stored.items():
            if instrument_id in self._places:
                self._places[instrument_id].resume(latest)
            else:
                self._stored[instrument_id] = latest

    def trade(
        self, known: Known, parts: Iterable[Bar], fresh_from_us: int, irregular: Iterable[Bar] = ()
    ) -> Change | None:
        """Count in a batch's minutes of one instrument. What moved, of those parts that are not of the past.

        irregular: those of odd lots and of trades outside regular hours, which are shown and move no day's figures.
        """
        place = self.place(known)
        newer = [*filter(place.trade, parts), *filter(place.show, irregular)]
        moved = [part for part in newer if part.last_time_us >= fresh_from_us]
        if not moved:
            return None
        return Change(
            known.id,
            moved[-1].close,
            max(part.high for part in moved),
            min(part.low for part in moved),
            sum(part.volume or 0.0 for part in moved),
            sum(part.trades or 0 for part in moved),
            moved[-1].last_time_us,
        )

    def quote(self, known: Known, quote: Quote) -> bool:
        """Whether it is newer. A suspect one (crossed, one-sided) is not shown."""
        return not quote.flags & SUSPECT and self.place(known).quote(quote)

    def ticker(self, known: Known, ticker: Ticker) -> None:
        self.place(known).say(ticker)

    def received(self, known: Known, received_us: int) -> None:
        self.place(known).received_us = received_us

    def latest(self, known: Known) -> Latest:
        """As it now stands; its quality is the reader's to judge."""
        return self.place(known).latest(self.source)
