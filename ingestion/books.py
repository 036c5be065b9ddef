"""All order books of one listener: kept in sync, watched for age and crossing, and what changed in them told.

The listener does what only it can: it fetches the snapshots that `wanted_snapshots` names, renews the subscriptions
that `resubscribe` names, and tells of lost connections and frames (`lost`). One book's trouble is that book's alone.
What is shown is also kept in Redis (hash `book:<source>`, field instrument id), where `load` finds it.
"""

import logging
from collections.abc import Container, Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from django.conf import settings

from ingestion import markets
from ingestion.orderbook import LIVE, STALE, SYNCING, VOID, Book, BookView, Outcome, RestBook, make
from ingestion.providers import SOURCES, BookRule
from ingestion.ticks import BookDelta, Quote
from worker import metrics
from worker.redis import client, key

logger = logging.getLogger(__name__)

# What can make a book void, beside the outcomes of its own rule.
CROSSED: Final = "crossed"
TOP_DIFFERS: Final = "top_differs"  # the venue's best bid and ask at the same update id are others

SWEEP_INTERVAL_US: Final = 250_000
LOG_INTERVAL_US: Final = 5_000_000
# A market in which nothing changes sends no delta to join a snapshot to: after so long it is asked for anyway.
QUIET_US: Final = 3_000_000
# A book whose prices run along the edge of what is known gets a new snapshot no more often than this.
REFRESH_INTERVAL_US: Final = 5_000_000
# A book that was in sync for so long starts again without a pause.
SETTLED_US: Final = 60_000_000

STATUS_RANK: Final = {LIVE: 0, STALE: 1, SYNCING: 2}

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(BookView).decode


class BookCounts(msgspec.Struct):
    """Deltas by what became of them, and resyncs by their cause; since the books were made."""

    applied: int = 0
    ignored: int = 0
    held: int = 0
    old_snapshot: int = 0
    gap: int = 0
    mismatch: int = 0
    crossed: int = 0
    top_differs: int = 0

    def add(self, name: str) -> None:
        setattr(self, name, getattr(self, name) + 1)


class _Place:
    """One book, and how it fares.

    since_us: since when it is out of sync, or in. ask_at_us: no sooner its snapshot, or subscription, is asked for.
    failures: attempts in a row that did not help, or not for long.
    """

    __slots__ = ("ask_at_us", "book", "crossed_us", "failures", "since_us", "stale")

    def __init__(self, book: Book, now_us: int) -> None:
        self.book, self.since_us = book, now_us
        self.ask_at_us = now_us
        self.crossed_us: int | None = None
        self.failures = 0
        self.stale = False


class Books:
    """Of one source, by the venue's symbols. Synchronous and without a clock: times come with what is told.

    rule: None for a source that only sends whole books. `preferred` may be set to the symbols whose snapshots come
    first.
    """

    def __init__(self, source: str, rule: BookRule | None) -> None:
        self.source, self.rule = source, rule
        self.counts = BookCounts()
        self.preferred: Container[str] = frozenset()
        self._depth = settings.BOOK_DEPTH_MAX
        self._fresh_us = int(settings.BOOK_FRESH_S * 1e6)
        self._crossed_grace_us = settings.BOOK_CROSSED_GRACE_MS * 1000
        self._keep_interval_us = settings.BOOK_KEEP_INTERVAL_MS * 1000
        self._places: dict[str, _Place] = {}
        self._changed: set[str] = set()
        self._unkept: set[str] = set()
        self._now_us = self._heard_us = self._swept_us = self._kept_us = self._logged_us = 0
        self._voided = 0

    def follow(self, symbols: Iterable[str]) -> None:
        """Keep books of these, and no others."""
        wanted = dict.fromkeys(symbols)
        for gone in self._places.keys() - wanted.keys():
            del self._places[gone]
        self._changed &= wanted.keys()
        self._unkept &= wanted.keys()
        for symbol in [symbol for symbol in wanted if symbol not in self._places]:
            self._places[symbol] = place = _Place(self._make(), self._now_us)
            self._await_snapshot(place)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._places

    def __getitem__(self, symbol: str) -> Book:
        """Raises KeyError."""
        return self._places[symbol].book

    def _make(self) -> Book:
        return make(
            self.rule,
            shown=self._depth,
            held_max=settings.BOOK_HELD_DELTAS_MAX,
            asked_levels=settings.BOOK_SNAPSHOT_LEVELS,
        )

    # --- In ---------------------------------------------------------------------------------------------------

    def apply(self, delta: BookDelta) -> None:
        """Take in a delta, or a snapshot wherever it comes from. One of a symbol that is not followed is nothing."""
        place = self._places.get(delta.symbol)
        if place is None:
            return
        self._pass(delta.received_us)
        self._heard_us = max(self._heard_us, delta.received_us)
        was_synced = place.book.synced
        outcome = place.book.apply(delta)
        self.counts.add(outcome)
        if outcome is Outcome.APPLIED:
            if not was_synced:
                place.since_us = self._now_us
            if delta.snapshot:
                place.ask_at_us = self._now_us + REFRESH_INTERVAL_US
            self._applied(delta.symbol, place)
        elif outcome in VOID:
            self._broken(delta.symbol, place, outcome, was_synced)
        elif outcome is Outcome.OLD_SNAPSHOT:
            place.failures += 1
            place.ask_at_us = self._now_us + self._pause_us(place.failures)

    def quote(self, quote: Quote) -> None:
        """Hold the book against the venue's best bid and ask, where both are of the same update."""
        place = self._places.get(quote.symbol)
        if self.rule is not BookRule.SNAPSHOT_BY_REST or place is None or not place.book.synced:
            return  # elsewhere quotes and books are not counted together
        if place.book.last_id != quote.quote_id:
            return
        bids, asks = place.book.bids.best(1), place.book.asks.best(1)
        told = ((quote.bid, quote.bid_quantity),), ((quote.ask, quote.ask_quantity),)
        if quote.bid_quantity and quote.ask_quantity and (bids, asks) != told:
            self._resync(quote.symbol, place, TOP_DIFFERS)

    def _pass(self, now_us: int) -> None:
        """It is at least so late now. The first time that this is told all books begin."""
        if not self._now_us:
            self._now_us = now_us
            for place in self._places.values():
                place.since_us = now_us
                self._await_snapshot(place)
        self._now_us = max(self._now_us, now_us)

    def heard(self, at_us: int) -> None:
        """Something, of whatever kind, was received then."""
        self._heard_us = max(self._heard_us, at_us)

    def lost(self, symbols: Iterable[str] | None = None) -> None:
        """Something is missing of these (None: all): a connection, or frames of one. They begin anew.

        Where the snapshot comes in the stream, a new subscription is expected, and asked for if it stays away.
        """
        for symbol in list(self._places if symbols is None else symbols):
            place = self._places.get(symbol)
            if place is not None:
                place.book.reset()
                self._restart(symbol, place)
                self._await_snapshot(place)

    def _applied(self, symbol: str, place: _Place) -> None:
        """What is crossed is not shown: it passes in a moment, or the book is wrong."""
        place.stale = False
        if not place.book.crossed:
            place.crossed_us = None
            self._tell(symbol)
        elif place.crossed_us is None:
            place.crossed_us = self._now_us
        else:
            self._bear(symbol, place)

    def _bear(self, symbol: str, place: _Place) -> None:
        if place.crossed_us is not None and self._now_us - place.crossed_us >= self._crossed_grace_us:
            self._resync(symbol, place, CROSSED)

    def _resync(self, symbol: str, place: _Place, cause: str) -> None:
        """The book is wrong though no delta was missed."""
        self.counts.add(cause)
        place.book.reset()
        self._broken(symbol, place, cause, was_synced=True)

    def _broken(self, symbol: str, place: _Place, cause: str, was_synced: bool) -> None:
        """Start over: at once, but slower and slower where that does not help."""
        if was_synced and self._now_us - place.since_us >= SETTLED_US:
            place.failures = 0
        place.ask_at_us = self._now_us + self._pause_us(place.failures)
        place.failures += 1
        self._restart(symbol, place)
        metrics.count(f"ingestion.books.{cause}")
        self._log(symbol, cause)

    def _restart(self, symbol: str, place: _Place) -> None:
        place.crossed_us, place.stale, place.since_us = None, False, self._now_us
        self._tell(symbol)

    def _await_snapshot(self, place: _Place) -> None:
        """A subscription brings it by itself where it comes in the stream; else it waits for the first delta."""
        by_rest = self.rule is BookRule.SNAPSHOT_BY_REST
        place.ask_at_us = self._now_us + (0 if by_rest else int(settings.BOOK_SNAPSHOT_TIMEOUT_S * 1e6))

    def _pause_us(self, failures: int) -> int:
        if not failures:
            return 0
        least_s, most_s = settings.BOOK_RESYNC_MIN_S, settings.BOOK_RESYNC_MAX_S
        return int(min(least_s * 2 ** min(failures - 1, 16), most_s) * 1e6)

    def _tell(self, symbol: str) -> None:
        self._changed.add(symbol)
        self._unkept.add(symbol)

    def _log(self, symbol: str, cause: str) -> None:
        self._voided += 1
        if self._now_us - self._logged_us >= LOG_INTERVAL_US:
            self._logged_us = self._now_us
            logger.warning("%s: the book of %s is void: %s (%d so far)", self.source, symbol, cause, self._voided)

    # --- What the listener is to do ---------------------------------------------------------------------------

    def wanted_snapshots(self) -> list[str]:
        """Symbols whose snapshot is to be fetched by REST now, the most urgent first.

        A symbol stays in here until `apply` got a snapshot that fits: whoever fetches leaves out what is under way.
        """
        if self.rule is not BookRule.SNAPSHOT_BY_REST or not self._now_us:
            return []
        wanting = [(s, place) for s, place in self._places.items() if self._due(place) and self._joinable(place)]
        wanting.sort(key=lambda found: (found[1].book.synced, found[0] not in self.preferred, found[1].since_us))
        return [symbol for symbol, _ in wanting]

    def resubscribe(self) -> list[str]:
        """Symbols whose book stream is to be unsubscribed and subscribed again now; each is named once a while."""
        if self.rule in (None, BookRule.SNAPSHOT_BY_REST) or not self._now_us:
            return []
        found = [symbol for symbol, place in self._places.items() if not place.book.synced and self._due(place)]
        for symbol in found:
            self._await_snapshot(self._places[symbol])
        return found

    def _due(self, place: _Place) -> bool:
        return place.ask_at_us <= self._now_us

    def _joinable(self, place: _Place) -> bool:
        """Whether a snapshot of this moment can be joined to the deltas."""
        book = place.book
        assert isinstance(book, RestBook)
        return book.wants_snapshot and (book.synced or book.holds or self._heard_us - place.since_us >= QUIET_US)

    # --- Out --------------------------------------------------------------------------------------------------

    def advance(self, now_us: int) -> None:
        """Time passes without deltas too: books become stale, and crossed ones are given up."""
        self._pass(now_us)
        if self._now_us - self._swept_us < SWEEP_INTERVAL_US:
            return
        self._swept_us = self._now_us
        for symbol, place in self._places.items():
            self._bear(symbol, place)
            if place.book.synced and not place.stale and self._old(place.book):
                place.stale = True
                self._tell(symbol)

    def take_changed(self, now_us: int) -> list[str]:
        """The symbols of those that are to be shown otherwise than when this was last asked."""
        self.advance(now_us)
        changed, self._changed = self._changed, set()
        return self._presentable(changed)

    def keep_due(self, now_us: int) -> bool:
        """Whether `take_unkept` has anything to give."""
        return bool(self._unkept) and now_us - self._kept_us >= self._keep_interval_us

    def take_unkept(self, now_us: int) -> dict[str, bytes]:
        """Those that changed since they were last kept in Redis, encoded."""
        self._kept_us = now_us
        unkept, self._unkept = self._unkept, set()
        return {symbol: _encode(self.view(symbol)) for symbol in self._presentable(unkept)}

    def states(self) -> dict[str, int]:
        """How many books are in which status. Of a source that may tell none: those that it told."""
        found: dict[str, int] = {}
        for place in self._places.values():
            if self.rule is None and not place.book.synced:
                continue
            stale = place.stale or not place.book.certain
            state = SYNCING if not place.book.synced else STALE if stale else LIVE
            found[state] = found.get(state, 0) + 1
        return found

    def view(self, symbol: str) -> BookView:
        """As it is to be shown. Raises KeyError for a symbol that is not followed."""
        book = self._places[symbol].book
        if not book.synced:
            return BookView(self.source, SYNCING, time_us=book.time_us, received_us=book.received_us)
        bids, asks = book.best(self._depth)
        status = STALE if self._old(book) or not book.certain else LIVE
        return BookView(self.source, status, bids, asks, book.last_id or None, book.time_us, book.received_us)

    def _presentable(self, symbols: Iterable[str]) -> list[str]:
        """Those that are not crossed just now."""
        return [symbol for symbol in symbols if not self._places[symbol].book.crossed]

    def _old(self, book: Book) -> bool:
        return self._now_us - book.received_us > self._fresh_us


# --- What is kept in Redis --------------------------------------------------------------------------------------


def judged(view: BookView, now_us: int) -> BookView:
    """With its status as of now: one that was live is stale once it is old."""
    if view.status == LIVE and now_us - view.received_us > settings.BOOK_FRESH_S * 1e6:
        return msgspec.structs.replace(view, status=STALE)
    return view


def load(instrument_id: int, now_us: int) -> BookView | None:
    """The best source's book of the instrument as its listener last kept it; None where none is known.

    A live one beats a stale one, and that one in the making; among live ones the instrument's order of sources decides,
    else the newest.
    """
    return load_all([instrument_id], now_us).get(instrument_id)


def load_all(instrument_ids: Sequence[int], now_us: int) -> dict[int, BookView]:
    """As `load`, of those of the instruments that have a book."""
    forgotten_us = now_us - settings.BOOK_KEEP_S * 1_000_000
    best: dict[int, BookView] = {}
    for instrument_id, views in _kept(instrument_ids).items():
        known = [judged(view, now_us) for view in views if view.status == SYNCING or view.received_us >= forgotten_us]
        if known:
            best[instrument_id] = min(known, key=partial(_rank, markets.of(instrument_id)))
    return best


def _rank(market: markets.Market, view: BookView) -> tuple[int, int, int]:
    if view.status == LIVE:
        return STATUS_RANK[LIVE], market.rank(view.source), 0
    return STATUS_RANK[view.status], -view.received_us, market.rank(view.source)


def _kept(instrument_ids: Sequence[int]) -> dict[int, list[BookView]]:
    """What each source's listener kept of each."""
    fields = [str(i) for i in instrument_ids]
    if not fields:
        return {}
    with client().pipeline(transaction=False) as pipe:
        for source in SOURCES:
            pipe.hmget(key("book", source), fields)
        answers: list[Any] = pipe.execute()
    by_instrument = zip(instrument_ids, zip(*answers, strict=True), strict=True)
    return {i: [_decode(value) for value in values if value is not None] for i, values in by_instrument}
