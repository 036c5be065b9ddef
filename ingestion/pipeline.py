"""From frames to a flush: decode, judge, drop what came twice, pack, and work out what moved.

Synchronous and without a clock: the listener (and a replay) feeds it frames with the time of their receipt, asks for a
`Batch` every flush interval, appends the batch to the journal and then publishes what `publications` returns. A tick
costs a few microseconds here, so what can be done once a batch or once an instrument is never done once a tick.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np
from django.conf import settings

from ingestion import payloads
from ingestion.board import Board, Past
from ingestion.books import Books
from ingestion.candles import Bar, OpenBars, bars, fold
from ingestion.holes import Hole, TradeIds
from ingestion.journal import Flush
from ingestion.latest import Change, Latest, encode, judged, pack_changes
from ingestion.orderbook import whole
from ingestion.precedence import Outranked
from ingestion.providers import (
    BARS,
    BOOK,
    QUOTES,
    TICKER,
    TRADES,
    Ack,
    Heartbeat,
    MalformedFrame,
    Numbered,
    Said,
    Shutdown,
    VenueError,
)
from ingestion.quality import Judge
from ingestion.status import Latencies
from ingestion.symbols import Known
from ingestion.ticks import (
    IRREGULAR,
    NOT_IN_CANDLES,
    SUSPECT,
    BookDelta,
    BookSnapshot,
    Quote,
    Tick,
    Ticker,
    Trade,
    VenueBar,
    pack_quotes,
    pack_trades,
    unpack_trades,
)
from streaming.protocol import Message

logger = logging.getLogger(__name__)

T = TypeVar("T")
Decode = Callable[[bytes | str, int], list[Said]]

TICK_TYPES: Final = frozenset({Trade, Quote, Ticker, BookSnapshot})
CONTROL_TYPES: Final = frozenset({Ack, VenueError, Shutdown, Heartbeat, Numbered})

# One journal entry holds no more than this, however many ticks wait.
BATCH_MAX_TICKS: Final = 4000
# Of one instrument in one message; the older ones are on disk.
TRADES_PER_MESSAGE: Final = 100
# Open bars are told (and kept for snapshots) so often.
BARS_INTERVAL_US: Final = 250_000
# Refused ticks and frames waiting for the quarantine; further ones are only counted.
REFUSED_WAITING_MAX: Final = 1000
REFUSED_SHOWN_BYTES: Final = 512
# A trade that has waited so long for somebody to watch is in that one's snapshot.
NEWS_US: Final = 2_000_000
MALFORMED_LOG_INTERVAL_US: Final = 5_000_000
# A quote's id this far below the newest is a venue that began anew, not an old quote.
QUOTE_RESTART: Final = 100_000

NO_SYMBOL: Final = "unknown_symbol"
MALFORMED: Final = "malformed_frame"

_encode_bar: Final = msgspec.json.Encoder().encode


class Doubtful(msgspec.Struct, frozen=True, gc=False):
    """Something for the quarantine. time_us: the venue's, None where it cannot be read."""

    symbol: str
    reason: str
    raw: bytes
    time_us: int | None
    received_us: int


class Counts(msgspec.Struct):
    """Since the pipeline was made. `unknown`: well-formed frames of streams that we do not read."""

    frames: int = 0
    ticks: int = 0
    trades: int = 0
    quotes: int = 0
    malformed: int = 0
    quarantined: int = 0
    suspect: int = 0
    duplicates: int = 0
    unknown: int = 0


class Batch(msgspec.Struct, frozen=True):
    """One flush, ready for the journal. oldest_us: when its first tick was received."""

    flush: Flush
    oldest_us: int


def _nobody() -> None:
    pass


def _by_instrument(sums: np.ndarray) -> dict[int, list[Bar]]:
    parts: defaultdict[int, list[Bar]] = defaultdict(list)
    for part in bars(sums):
        parts[part.instrument_id].append(part)
    return parts


def _irregular(rows: np.ndarray) -> dict[int, list[Bar]]:
    """What candles leave out and is believed all the same, a minute at a time."""
    found = rows[(rows["flags"] & NOT_IN_CANDLES) == IRREGULAR]
    return _by_instrument(fold(found, SUSPECT)) if len(found) else {}


class Pipeline:
    """One listener shard's.

    known: the instruments by the venue's symbols; `follow` replaces it.
    board: what the market looks like, already loaded with what is stored.
    fresh_us: how old a trade may be and still be news in `changes`.
    live: false for replays: their trades are nobody's news, their bars are no open ones, and they show no books.
    counts_trades: whether trade ids rise by one in each symbol; else every trade counts, and none is ever missed.
    books: None where nothing but whole books ever comes.

    `full` may be set to what is to be called while LISTENER_FLUSH_MAX_TICKS or more wait; `watched` to the topics that
    somebody watches, and `outranked` to the instruments of which a better source tells: others are not told.
    """

    def __init__(
        self,
        *,
        source: str,
        number: int,
        decode: Decode,
        judge: Judge,
        board: Board,
        known: Mapping[str, Known],
        fresh_us: int,
        live: bool = True,
        counts_trades: bool = True,
        books: Books | None = None,
    ) -> None:
        self.source, self.number = source, number
        self._decode, self._judge, self._board = decode, judge, board
        self._fresh_us, self._live, self._counts_trades = fresh_us, live, counts_trades
        self.books = books or Books(source, None)
        self.watched: Container[str] | None = None
        self.outranked = Outranked()
        self.flush_ticks = settings.LISTENER_FLUSH_MAX_TICKS
        self.full: Callable[[], None] = _nobody
        self._known: dict[str, Known] = {}
        self._ids: dict[str, int] = {}
        self._by_id: dict[int, Known] = {}
        self._trade_ids: dict[str, TradeIds] = {}
        self._resumed = set(known)  # until their first trade: what was missed before it is a hole
        self.follow(known)
        self.counts = Counts()
        self.latencies = Latencies()
        self._heard: set[tuple[str, str]] = set()
        self.last_tick_us = 0
        self.doubtful: deque[Doubtful] = deque()
        self._waiting: list[Tick] = []
        self._hole_grace_us = int(settings.TRADE_HOLE_GRACE_S * 1e6)
        self._hole_age_max_us = int(settings.TRADE_HOLE_AGE_MAX_S * 1e6)
        self._venue_bars: deque[VenueBar] = deque(maxlen=settings.LISTENER_HAND_OFF_MAX)
        self._now_us = 0
        self._quote_ids: dict[str, int] = {}
        self._open_bars = OpenBars()
        self._unbarred: list[bytes] = []
        self._barred_at_us = 0
        self._malformed_logged_us = 0
        self._moved: dict[int, tuple[Known, Latest]] = {}
        self._tickers: dict[int, Known] = {}
        self._recent: dict[int, deque[Trade]] = {}
        self._shown: dict[int, Ticker] = {}
        self._bars: dict[tuple[int, str], Bar] = {}
        self._untold_books: set[str] = set()

    def follow(self, known: Mapping[str, Known]) -> None:
        """Ticks of these symbols are taken from now on, those of others quarantined."""
        self._known = dict(known)
        self._ids = {symbol: instrument.id for symbol, instrument in known.items()}
        self._by_id |= {instrument.id: instrument for instrument in known.values()}
        for gone in self._trade_ids.keys() - self._ids.keys():
            del self._trade_ids[gone]
        self._resumed &= self._ids.keys()
        if self._live:
            self.books.follow(self._known)

    def remember(self, pasts: Iterable[Past], told: Iterable[Bar] = ()) -> None:
        """Instruments' last 24 hours. told: open bars as an earlier listener told them.

        Of two accounts of one bar the one with more trades counts: the disk may lag, what was told be a moment old.
        """
        best: dict[tuple[int, str], Bar] = {}
        for past in pasts:
            self._board.remember(past)
            if past.by_sessions:
                self._open_bars.trades_in_sessions(past.known.id, past.rule)
            best |= {(bar.instrument_id, bar.interval): bar for bar in past.in_progress}
        for bar in told:
            held = best.get((bar.instrument_id, bar.interval))
            if held is None or (bar.time_us, bar.trades) > (held.time_us, held.trades):
                best[bar.instrument_id, bar.interval] = bar
        self._open_bars.seed(best.values())

    def resume(self, stored: Mapping[int, Latest], told: Iterable[Bar]) -> None:
        """Go on from what another listener stored and told since this one was made, before anything is taken."""
        self._board.resume(stored)
        self.remember((), told)

    @property
    def symbols(self) -> Mapping[str, Known]:
        return self._known

    @property
    def waiting(self) -> int:
        """Ticks since the last `take`."""
        return len(self._waiting)

    def strangers(self) -> set[str]:
        """The symbols among what waits that are not followed."""
        return {tick.symbol for tick in self._waiting} - self._ids.keys()

    # --- In ---------------------------------------------------------------------------------------------------

    def receive(self, frame: bytes | str, received_us: int) -> Sequence[Said]:
        """Take one frame in. Returns what in it is no tick: answers, errors, notices. Never raises for its content."""
        self.counts.frames += 1
        try:
            said = self._decode(frame, received_us)
        except MalformedFrame as error:
            self._refuse_frame(error, received_us)
            return ()
        if len(said) == 1 and type(said[0]) in TICK_TYPES:
            self._waiting.append(said[0])  # type: ignore[arg-type]
            if len(self._waiting) >= self.flush_ticks:
                self.full()
            return ()
        return self._sort(said)

    def offer(self, ticks: Iterable[Tick]) -> None:
        """Take in ticks that need no decoding."""
        self._waiting.extend(ticks)
        if len(self._waiting) >= self.flush_ticks:
            self.full()

    def book_snapshot(self, delta: BookDelta) -> None:
        """Take in a book's snapshot that did not come in the stream."""
        self.books.apply(delta)

    def lost(self, symbols: Iterable[str] | None = None) -> None:
        """What comes next of these symbols (None: all) does not continue what came before."""
        self.books.lost(symbols)

    def forget_oldest(self, most: int, before_us: int) -> list[Tick]:
        """Keep no more than the newest `most` waiting ticks, and none received before. Returns the others."""
        excess = max(0, len(self._waiting) - most)
        while excess < len(self._waiting) and self._waiting[excess].received_us < before_us:
            excess += 1
        dropped, self._waiting = self._waiting[:excess], self._waiting[excess:]
        return dropped

    def _sort(self, said: Iterable[Said]) -> list[Said]:
        control: list[Said] = []
        for word in said:
            if type(word) in TICK_TYPES:
                self._waiting.append(word)  # type: ignore[arg-type]
            elif type(word) in CONTROL_TYPES:
                control.append(word)
            elif isinstance(word, BookDelta) and self._live:
                self._take_delta(word)
            elif isinstance(word, VenueBar):
                self._take_bar(word)
            else:
                self.counts.unknown += 1
        if len(self._waiting) >= self.flush_ticks:
            self.full()
        return control

    def _take_delta(self, delta: BookDelta) -> None:
        self._heard.add((BOOK, delta.symbol))
        self.last_tick_us = max(self.last_tick_us, delta.received_us)
        self.books.apply(delta)

    def _take_bar(self, bar: VenueBar) -> None:
        self._heard.add((BARS, bar.symbol))
        # A replay makes the instruments that it meets, and does so later.
        strange = self._live and bar.symbol not in self._ids
        reason = NO_SYMBOL if strange else self._judge.judge(bar, bar.received_us)
        if reason is None:
            self._venue_bars.append(bar)
        else:
            self._doubt_tick(bar, reason)

    def _refuse_frame(self, error: MalformedFrame, received_us: int) -> None:
        self.counts.malformed += 1
        frame = error.frame if isinstance(error.frame, bytes) else error.frame.encode(errors="replace")
        self._doubt(Doubtful("", MALFORMED, frame[:REFUSED_SHOWN_BYTES], None, received_us))
        if received_us - self._malformed_logged_us >= MALFORMED_LOG_INTERVAL_US:
            self._malformed_logged_us = received_us
            logger.warning("%s: %s (%d so far)", self.source, error, self.counts.malformed)

    # --- Out --------------------------------------------------------------------------------------------------

    def due(self, now_us: int) -> bool:
        """Whether there is anything to `take`."""
        if self._waiting or self.books.keep_due(now_us):
            return True
        return bool(self._unbarred) and now_us - self._barred_at_us >= BARS_INTERVAL_US

    def take(self, now_us: int) -> Batch | None:
        """What waits (at most BATCH_MAX_TICKS of it), as one flush; None if there is nothing to tell.

        After this the board counts those ticks as known: append the flush, or record that it was lost.
        """
        self._now_us = now_us
        ticks, self._waiting = self._waiting[:BATCH_MAX_TICKS], self._waiting[BATCH_MAX_TICKS:]
        trades, quotes = self._divide(self._believed(ticks, now_us))
        trade_rows = pack_trades(trades, self._ids, self.number)
        quote_rows = pack_quotes(quotes, self._ids, self.number)
        changes = self._count_trades(trade_rows, now_us)
        self._count_quotes(quotes)
        self._keep_recent(trades, now_us - self._fresh_us)
        touched = {i: (known, self._board.latest(known)) for i, known in self._touched(trades, quotes).items()}
        self._moved |= touched
        latest = {i: encode(newest) for i, (_, newest) in touched.items()}
        bars_due, books_due = self._bars_due(now_us), self._books_due(now_us)
        if not (latest or bars_due or books_due or trades or quotes):
            return None
        count = len(trades) + len(quotes)
        self.counts.ticks += count
        self.counts.trades += len(trades)
        self.counts.quotes += len(quotes)
        packed = pack_changes(changes) if changes and self._live else None
        oldest_us = ticks[0].received_us if ticks else now_us
        return Batch(Flush(trade_rows, quote_rows, count, latest, bars_due, packed, now_us, books_due), oldest_us)

    def publications(self, now_us: int) -> list[Message]:
        """What happened since they were last asked for, one message a topic.

        What nobody watches waits, the newest in the place of the older, and is told to who comes first: between a
        subscriber's snapshot and the moment that we know of the subscriber nothing is missing.
        """
        self._now_us = max(self._now_us, now_us)  # for holes, which age without ticks too
        return [
            *self._price_messages(now_us),
            *self._trade_messages(now_us),
            *self._ticker_messages(now_us),
            *self._book_messages(now_us),
            *self._bar_messages(now_us),
        ]

    def take_heard(self) -> set[tuple[str, str]]:
        """(kind, symbol) of all streams that spoke since this was last asked."""
        taken, self._heard = self._heard, set()
        return taken

    def take_doubtful(self) -> list[Doubtful]:
        """What waits for the quarantine."""
        taken, self.doubtful = list(self.doubtful), deque()
        return taken

    def take_venue_bars(self) -> list[VenueBar]:
        """The candles that the venue made, in their order."""
        taken = list(self._venue_bars)
        self._venue_bars.clear()
        return taken

    def take_holes(self) -> list[Hole]:
        """Trades that were skipped TRADE_HOLE_GRACE_S ago or longer and did not come after all; each is told once."""
        before_us = self._now_us - self._hole_grace_us
        return [hole for symbol, ids in self._trade_ids.items() for hole in ids.take(symbol, before_us)]

    # --- Judging ----------------------------------------------------------------------------------------------

    def _believed(self, ticks: list[Tick], now_us: int) -> list[Tick]:
        symbols = {tick.symbol for tick in ticks}
        strangers = symbols - self._ids.keys()
        if strangers:
            self._refuse(t for t in ticks if t.symbol in strangers)
            ticks = [t for t in ticks if t.symbol not in strangers]
        judgement = self._judge.judge_batch(ticks, now_us)
        self.counts.suspect += judgement.suspect
        for refused in judgement.refused:
            self._doubt_tick(refused.tick, refused.reason)
        return judgement.accepted

    def _refuse(self, ticks: Iterable[Tick]) -> None:
        for tick in ticks:
            self._doubt_tick(tick, NO_SYMBOL)

    def _doubt_tick(self, tick: Tick | VenueBar, reason: str) -> None:
        self.counts.quarantined += 1
        raw = msgspec.json.encode(tick)[:REFUSED_SHOWN_BYTES]
        self._doubt(Doubtful(tick.symbol, str(reason), raw, tick.time_us, tick.received_us))

    def _doubt(self, doubtful: Doubtful) -> None:
        if len(self.doubtful) < REFUSED_WAITING_MAX:
            self.doubtful.append(doubtful)

    def _divide(self, ticks: Iterable[Tick]) -> tuple[list[Trade], list[Quote]]:
        """The ticks to store, without those that came twice; the others are only shown."""
        trades: list[Trade] = []
        quotes: list[Quote] = []
        trade_ids, quote_ids = self._trade_ids, self._quote_ids
        for tick in ticks:
            if type(tick) is Trade:
                seen = trade_ids.get(tick.symbol) or self._begin_ids(tick.symbol)
                if tick.trade_id == seen.high + 1:
                    seen.high, seen.time_us = tick.trade_id, tick.time_us
                elif self._counts_trades and not seen.is_new(tick.trade_id, tick.time_us, tick.received_us):
                    self.counts.duplicates += 1
                    continue
                trades.append(tick)
            elif type(tick) is Quote:
                newest = quote_ids.get(tick.symbol, -1)
                if newest - QUOTE_RESTART < tick.quote_id <= newest:
                    self.counts.duplicates += 1
                    continue
                quote_ids[tick.symbol] = tick.quote_id
                quotes.append(tick)
            else:
                self._show(tick)
        return trades, quotes

    def _begin_ids(self, symbol: str) -> TradeIds:
        """What an earlier listener had last is where this one goes on, unless that is long ago."""
        newest = self._board.newest_trade(self._known[symbol])
        recent = newest is not None and newest[1] >= self._now_us - self._hole_age_max_us
        goes_on = self._live and recent and symbol in self._resumed
        self._resumed.discard(symbol)
        ids = self._trade_ids[symbol] = TradeIds(newest if goes_on else None)
        return ids

    def _show(self, tick: Tick) -> None:
        known = self._known[tick.symbol]
        if isinstance(tick, Ticker):
            self._heard.add((TICKER, tick.symbol))
            self._board.ticker(known, tick)
            self._shown[known.id] = tick
            self._tickers[known.id] = known
        elif isinstance(tick, BookSnapshot) and self._live:
            self._take_delta(whole(tick))

    # --- Counting ---------------------------------------------------------------------------------------------

    def _count_trades(self, rows: bytes, now_us: int) -> list[Change]:
        """Count packed trades in: latencies, open bars, the board. Returns what moved."""
        if not rows:
            return []
        array = unpack_trades(rows)
        self.latencies.add(array["received_at"].astype(np.int64) - array["time"])
        if self._live:
            self._unbarred.append(rows)
        parts, irregular = _by_instrument(fold(array)), _irregular(array)
        fresh_from_us = now_us - self._fresh_us
        changes = (
            self._board.trade(self._by_id[i], parts.get(i, ()), fresh_from_us, irregular.get(i, ()))
            for i in dict.fromkeys([*parts, *irregular])
        )
        return [change for change in changes if change is not None]

    def _count_quotes(self, quotes: Iterable[Quote]) -> None:
        newest = {quote.symbol: quote for quote in quotes if not quote.flags & SUSPECT}
        for symbol, quote in newest.items():
            self._board.quote(self._known[symbol], quote)
            self.books.quote(quote)

    def _touched(self, trades: list[Trade], quotes: list[Quote]) -> dict[int, Known]:
        """The instruments of a batch, which then wait for publication; and when each was last heard of."""
        received = {quote.symbol: quote.received_us for quote in quotes}
        traded = {trade.symbol: trade.received_us for trade in trades}
        self._heard.update((QUOTES, symbol) for symbol in received)
        self._heard.update((TRADES, symbol) for symbol in traded)
        received |= traded
        touched, self._tickers = self._tickers, {}
        for symbol, received_us in received.items():
            known = self._known[symbol]
            touched[known.id] = known
            self._board.received(known, received_us)
            self.last_tick_us = max(self.last_tick_us, received_us)
        return touched

    def _keep_recent(self, trades: Iterable[Trade], fresh_from_us: int) -> None:
        """Keep the newest of each instrument to publish; none that is strange, nor old news."""
        ids, recent = self._ids, self._recent
        for trade in trades:
            if trade.flags & SUSPECT or trade.time_us < fresh_from_us:
                continue
            instrument_id = ids[trade.symbol]
            if instrument_id not in recent:
                recent[instrument_id] = deque(maxlen=TRADES_PER_MESSAGE)
            recent[instrument_id].append(trade)

    def _bars_due(self, now_us: int) -> dict[str, bytes]:
        """The open bars that changed since they were last told, for the journal's call; and note them to publish."""
        if not self._unbarred or now_us - self._barred_at_us < BARS_INTERVAL_US:
            return {}
        changed = self._open_bars.update(unpack_trades(b"".join(self._unbarred)))
        self._unbarred, self._barred_at_us = [], now_us
        self._bars |= {(bar.instrument_id, bar.interval): bar for bar in changed}
        return {f"{bar.instrument_id}:{bar.interval}": _encode_bar(bar) for bar in changed}

    def _books_due(self, now_us: int) -> dict[int, bytes]:
        """The books that changed since they were last kept, for the journal's call."""
        if not self.books.keep_due(now_us):
            return {}
        return {self._ids[symbol]: view for symbol, view in self.books.take_unkept(now_us).items()}

    # --- Telling ----------------------------------------------------------------------------------------------

    def _watched(self, prefix: str, known: Known, suffix: str = "") -> bool:
        """Whether to tell of it now: somebody listens, and no better source speaks."""
        if known.id in (self.outranked.books if prefix == "book" else self.outranked.prices):
            return False
        return self.watched is None or f"{prefix}:{known.symbol}{suffix}" in self.watched

    def _watched_of(self, prefix: str, waiting: dict[int, T]) -> tuple[dict[int, T], dict[int, T]]:
        """What is to be told now, by instrument, and what goes on waiting."""
        if self.watched is None and not self.outranked.prices:
            return waiting, {}
        due = {i: value for i, value in waiting.items() if self._watched(prefix, self._by_id[i])}
        return due, {i: value for i, value in waiting.items() if i not in due}

    def _price_messages(self, now_us: int) -> list[Message]:
        due, self._moved = self._watched_of("price", self._moved)
        told = [(known, judged(newest, now_us, self._fresh_us)) for known, newest in due.values()]
        return [
            self._message("price", known, "asset_update", payloads.price(known.symbol, latest), now_us)
            for known, latest in told
            if latest.price is not None
        ]

    def _trade_messages(self, now_us: int) -> list[Message]:
        due, self._recent = self._watched_of("trades", self._recent)
        for waiting in self._recent.values():
            while waiting and waiting[0].received_us < now_us - NEWS_US:
                waiting.popleft()
        messages = []
        for instrument_id, recent in due.items():
            known = self._by_id[instrument_id]
            if recent:
                data = payloads.trades(known.symbol, self.source, recent)
                messages.append(self._message("trades", known, "trades", data, now_us))
        return messages

    def _ticker_messages(self, now_us: int) -> list[Message]:
        due, self._shown = self._watched_of("ticker", self._shown)
        told = [(self._by_id[i], ticker) for i, ticker in due.items()]
        return [
            self._message("ticker", known, "ticker", payloads.ticker(known.symbol, ticker, self.source), now_us)
            for known, ticker in told
        ]

    def _book_messages(self, now_us: int) -> list[Message]:
        self.books.heard(self.last_tick_us)
        waiting = (*self._untold_books, *self.books.take_changed(now_us))
        changed = {symbol for symbol in waiting if symbol in self.books and not self.books[symbol].crossed}
        told = [(known, symbol) for symbol in changed if self._watched("book", known := self._known[symbol])]
        self._untold_books = changed - {symbol for _, symbol in told}
        return [
            self._message("book", known, "book", payloads.book(known.symbol, self.books.view(symbol)), now_us)
            for known, symbol in told
        ]

    def _bar_messages(self, now_us: int) -> list[Message]:
        waiting, self._bars = self._bars, {}
        messages = []
        for (instrument_id, interval), bar in waiting.items():
            known = self._by_id[instrument_id]
            if self._watched("candles", known, f":{interval}"):
                data = payloads.candle(known.symbol, interval, bar, self.source)
                messages.append(Message(f"candles:{known.symbol}:{interval}", "candle", data, now_us))
            else:
                self._bars[instrument_id, interval] = bar
        return messages

    def _message(self, prefix: str, known: Known, event: str, data: payloads.Payload, now_us: int) -> Message:
        return Message(f"{prefix}:{known.symbol}", event, data, now_us)
