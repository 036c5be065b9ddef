"""Kraken's REST history: `OHLC` with its 720 bars, `Trades` with its cursor of nanoseconds; all HTTP 200."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tests.venues import history
from tests.venues.http import Answer
from tests.venues.market import SentTrade
from tests.venues.server import Venue, now_us

COMMITTED = 720
TRADES = 1000
SPACING_S = 1.0
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
OWN_NAMES = {"BTC": "XBT", "DOGE": "XDG"}


class KrakenHistory:
    """Mounted beside the venue's other calls; `venue.market.trades` is its past. It wants a second between calls."""

    def __init__(self, venue: Venue, spacing_s: float = SPACING_S) -> None:
        self.venue, self.spacing_s = venue, spacing_s
        self.calls: list[tuple[str, dict[str, str]]] = []
        self._asked_at = 0.0
        for call in ("OHLC", "Trades"):
            venue.route(f"/0/public/{call}", self._answer)

    def _answer(self, path: str, arguments: dict[str, str], headers: Mapping[str, str]) -> Answer:
        self.calls.append((path.rpartition("/")[2], arguments))
        now, before = time.monotonic(), self._asked_at
        self._asked_at = now
        if now - before < self.spacing_s:
            self.venue.violation(None, f"two calls within {now - before:.3f} s")
            return _error("EGeneral:Too many requests")
        symbol = next((s for s in self.venue.market.trades if _pair(s) == arguments.get("pair")), None)
        if symbol is None:
            return _error("EQuery:Unknown asset pair")
        trades = self.venue.market.trades[symbol]
        own_name = "X{}Z{}".format(*_pair_parts(symbol))
        if path.endswith("OHLC"):
            return self._bars(own_name, trades, arguments)
        return self._trades(own_name, trades, arguments)

    def _bars(self, name: str, trades: list[SentTrade], arguments: dict[str, str]) -> Answer:
        """`since` is left out; never more than the newest 720 and the one in progress; empty ones are there."""
        interval = int(arguments.get("interval", "1"))
        if interval not in INTERVALS:
            return _error("EGeneral:Invalid arguments")
        now_s = now_us() // 1_000_000
        found = history.bars(trades, interval * 60, empty=True, until_s=now_s)[-COMMITTED - 1 :]
        rows = [
            [b.start_s, b.open, b.high, b.low, b.close, b.vwap, b.volume, b.trades]
            for b in found
            if b.start_s > int(arguments.get("since", "0"))
        ]
        last = found[-2].start_s if len(found) > 1 else 0
        return 200, {"error": [], "result": {name: rows, "last": last}}, {}

    def _trades(self, name: str, trades: list[SentTrade], arguments: dict[str, str]) -> Answer:
        """After the cursor, which is left out. The text is written by hand, so that no digit is lost."""
        since = arguments.get("since", "0")
        count = min(TRADES, int(arguments.get("count", TRADES)))
        page = [trade for trade in trades if _ns(trade) > int(since)][:count]
        rows = ",".join(
            f'["{t.price}","{t.quantity}",{_ns(t) // 1_000_000_000}.{_ns(t) % 1_000_000_000 // 100:07d},'
            f'"{t.taker[0]}","m","",{t.trade_id}]'
            for t in page
        )
        last = str(_ns(page[-1])) if page else since
        return 200, f'{{"error":[],"result":{{"{name}":[{rows}],"last":{json.dumps(last)}}}}}', {}


def _ns(trade: SentTrade) -> int:
    """Its time with digits that no float64 of seconds would keep."""
    return trade.time_us * 1000 + trade.trade_id % 4 * 100


def _pair_parts(symbol: str) -> list[str]:
    return [OWN_NAMES.get(part, part) for part in symbol.split("/")]


def _pair(symbol: str) -> str:
    return "".join(_pair_parts(symbol))


def _error(text: str) -> Answer:
    answer: dict[str, Any] = {"error": [text]}
    return 200, answer, {}
