"""Binance's REST history: `/klines`, `/aggTrades`, `/historicalTrades`, with its paging, caps, errors and weights."""

from collections.abc import Mapping
from typing import Any

from tests.venues import history
from tests.venues.binance import BinanceVenue
from tests.venues.http import Answer
from tests.venues.market import SentTrade
from tests.venues.server import now_us

WEIGHTS = {"klines": 2, "aggTrades": 4, "historicalTrades": 25}
LENGTHS_S = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
MOST = 1000
HOUR_MS = 3_600_000
# An aggregate's id is another number than that of its trade.
AGGREGATES_AHEAD = 77_000_000


class BinanceHistory:
    """Mounted beside the venue's other calls; `venue.market.trades` is its past.

    aggregates: recorded rows by symbol, served as they are in place of made-up ones.
    """

    def __init__(self, venue: BinanceVenue) -> None:
        self.venue = venue
        self.aggregates: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[tuple[str, dict[str, str]]] = []
        for call in WEIGHTS:
            venue.route(f"/api/v3/{call}", self._answer)

    def _answer(self, path: str, arguments: dict[str, str], headers: Mapping[str, str]) -> Answer:
        call = path.removeprefix("/api/v3/")
        self.calls.append((call, arguments))
        used = self.venue.weigh(WEIGHTS[call])
        status, body, more = self.venue._over(used) or self._called(call, arguments)
        return status, body, {"X-MBX-USED-WEIGHT-1M": str(used), **more}

    def _called(self, call: str, arguments: dict[str, str]) -> Answer:
        symbol = arguments.get("symbol", "")
        if symbol not in self.venue.market.trades and symbol not in self.aggregates:
            return 400, {"code": -1121, "msg": "Invalid symbol."}, {}
        limit = int(arguments.get("limit", "500"))
        if not 0 < limit <= MOST:
            return 400, {"code": -1100, "msg": "Illegal characters found in parameter 'limit'."}, {}
        trades = self.venue.market.trades.get(symbol, [])
        if call == "klines":
            return self._klines(trades, arguments, limit)
        if call == "aggTrades":
            return 200, self._aggregates(symbol, trades, arguments, limit), {}
        start = history.from_id(trades, int(arguments["fromId"])) if "fromId" in arguments else len(trades) - limit
        return 200, [_trade(t) for t in trades[max(0, start) : max(0, start) + limit]], {}

    def _klines(self, trades: list[SentTrade], arguments: dict[str, str], limit: int) -> Answer:
        """Both ends included; the oldest from `startTime`, else the newest. The bar in progress is there too."""
        length_s = LENGTHS_S.get(arguments.get("interval", ""))
        if length_s is None:
            return 400, {"code": -1120, "msg": "Invalid interval."}, {}
        start_ms, end_ms = int(arguments.get("startTime", "0")), int(arguments.get("endTime", str(now_us() // 1000)))
        end = history.from_time(trades, (end_ms // (length_s * 1000) + 1) * length_s * 1_000_000)
        until_s = min(end_ms // 1000, now_us() // 1_000_000)
        rows = [
            [
                bar.start_s * 1000, bar.open, bar.high, bar.low, bar.close, bar.volume,
                (bar.start_s + length_s) * 1000 - 1, bar.money, bar.trades, "0", "0", "0",
            ]
            for bar in history.bars(trades[:end], length_s, empty=True, until_s=until_s)
            if start_ms <= bar.start_s * 1000 <= end_ms
        ]  # fmt: skip
        return 200, rows[:limit] if "startTime" in arguments else rows[-limit:], {}

    def _aggregates(
        self, symbol: str, trades: list[SentTrade], arguments: dict[str, str], limit: int
    ) -> list[dict[str, Any]]:
        if "fromId" in arguments:
            first = int(arguments["fromId"])
            if rows := self.aggregates.get(symbol):
                return [row for row in rows if row["a"] >= first][:limit]
            start = history.from_id(trades, first - AGGREGATES_AHEAD)
            return [_aggregate(trade) for trade in trades[start : start + limit]]
        start_ms = int(arguments["startTime"])
        # It looks at an hour at most.
        end_ms = min(int(arguments.get("endTime", start_ms + HOUR_MS)), start_ms + HOUR_MS)
        start, end = (history.from_time(trades, ms * 1000) for ms in (start_ms, end_ms + 1))
        return [_aggregate(trade) for trade in trades[start:end][:limit]]


def _trade(trade: SentTrade) -> dict[str, Any]:
    return {
        "id": trade.trade_id, "price": trade.price, "qty": trade.quantity, "quoteQty": "0", "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker, "isBestMatch": True,
    }  # fmt: skip


def _aggregate(trade: SentTrade) -> dict[str, Any]:
    return {
        "a": trade.trade_id + AGGREGATES_AHEAD, "p": trade.price, "q": trade.quantity, "f": trade.trade_id,
        "l": trade.trade_id, "T": trade.time_ms, "m": trade.buyer_is_maker, "M": True,
    }  # fmt: skip
