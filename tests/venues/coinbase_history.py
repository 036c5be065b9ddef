"""Coinbase's REST history: Advanced Trade's candles and trades, and the Exchange's trades, newest first all of them."""

import datetime as dt
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from tests.venues import history
from tests.venues.http import Answer
from tests.venues.market import SentTrade
from tests.venues.server import Venue, now_us

LENGTHS_S = {"ONE_MINUTE": 60, "FIVE_MINUTE": 300, "FIFTEEN_MINUTE": 900, "ONE_HOUR": 3600, "ONE_DAY": 86400}
CANDLES = 350
TRADES = 1000
PER_S = 10
PRODUCTS = "/api/v3/brokerage/market/products/"


class CoinbaseHistory:
    """Mounted beside the venue's other calls; `venue.market.trades` is its past."""

    def __init__(self, venue: Venue, per_s: int = PER_S) -> None:
        self.venue, self.per_s = venue, per_s
        self.calls: list[tuple[str, dict[str, str]]] = []
        self._asked_at: deque[float] = deque()
        for prefix in (PRODUCTS, "/products/"):
            venue.route(prefix, self._answer)

    def _answer(self, path: str, arguments: dict[str, str], headers: Mapping[str, str]) -> Answer:
        self.calls.append((path, arguments))
        now = time.monotonic()
        self._asked_at.append(now)
        while self._asked_at[0] < now - 1:
            self._asked_at.popleft()
        if len(self._asked_at) > self.per_s:
            self.venue.violation(None, f"{len(self._asked_at)} calls in a second")
            return 429, {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, {}
        symbol, _, call = path.removeprefix(PRODUCTS).removeprefix("/products/").partition("/")
        trades = self.venue.market.trades.get(symbol)
        if trades is None:
            return 404, {"error": "NOT_FOUND", "error_details": "valid product_id is required"}, {}
        if call == "candles":
            return self._candles(trades, arguments)
        return self._ticker(trades, arguments) if call == "ticker" else self._exchange_trades(trades, arguments)

    def _candles(self, trades: list[SentTrade], arguments: dict[str, str]) -> Answer:
        """Both ends included, no rows for bars without trades, the bar in progress among them."""
        length_s = LENGTHS_S.get(arguments.get("granularity", ""))
        start, end = int(arguments["start"]), int(arguments["end"])
        if length_s is None or (end - start) // length_s + 1 > CANDLES:
            return 400, {"error": "INVALID_ARGUMENT", "error_details": "number of candles requested exceeds 350"}, {}
        rows = [
            {
                "start": str(b.start_s),
                "low": b.low,
                "high": b.high,
                "open": b.open,
                "close": b.close,
                "volume": b.volume,
            }
            for b in reversed(history.bars(trades, length_s))
            if start <= b.start_s <= end and b.start_s <= now_us() // 1_000_000
        ]
        return 200, {"candles": rows}, {}

    def _ticker(self, trades: list[SentTrade], arguments: dict[str, str]) -> Answer:
        first = history.from_time(trades, int(arguments["start"]) * 1_000_000)
        last = history.from_time(trades, int(arguments["end"]) * 1_000_000 + 1)
        newest = trades[first:last][-min(TRADES, int(arguments["limit"])) :]
        rows = [
            {"trade_id": str(t.trade_id), "product_id": t.symbol, "price": t.price, "size": t.quantity,
             "time": _iso(t), "side": _maker(t).upper(), "exchange": "coinbase"}
            for t in reversed(newest)
        ]  # fmt: skip
        return 200, {"trades": rows, "best_bid": "1", "best_ask": "2"}, {}

    def _exchange_trades(self, trades: list[SentTrade], arguments: dict[str, str]) -> Answer:
        end = history.from_id(trades, int(arguments["after"])) if "after" in arguments else len(trades)
        page = trades[:end][-min(TRADES, int(arguments.get("limit", TRADES))) :]
        rows: list[dict[str, Any]] = [
            {"trade_id": t.trade_id, "side": _maker(t), "size": t.quantity, "price": t.price, "time": _iso(t)}
            for t in reversed(page)
        ]
        return 200, rows, {"CB-AFTER": str(page[0].trade_id)} if page else {}


def _iso(trade: SentTrade) -> str:
    seconds, micros = divmod(trade.time_us, 1_000_000)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"


def _maker(trade: SentTrade) -> str:
    return "buy" if trade.buyer_is_maker else "sell"
