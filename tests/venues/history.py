"""What the venues' REST histories share: the trades that happened, found by id and by time, and bars made of them."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.venues.market import SentTrade


@dataclass(frozen=True)
class PastBar:
    """[start_s, start_s + its length): decimals as text. Without trades: the price before it, and no volume."""

    start_s: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    money: str
    trades: int

    @property
    def vwap(self) -> str:
        return str(Decimal(self.money) / Decimal(self.volume)) if self.trades else "0.0"


def from_id(trades: Sequence[SentTrade], trade_id: int) -> int:
    """The place of the first trade with this id or a higher one."""
    return bisect.bisect_left(trades, trade_id, key=lambda trade: trade.trade_id)


def from_time(trades: Sequence[SentTrade], time_us: int) -> int:
    """The place of the first trade at this time or later."""
    return bisect.bisect_left(trades, time_us, key=lambda trade: trade.time_us)


def bars(trades: Sequence[SentTrade], length_s: int, empty: bool = False, until_s: int = 0) -> list[PastBar]:
    """Oldest first. empty: also those without trades, up to the one that holds `until_s`."""
    parts: dict[int, list[SentTrade]] = {}
    for trade in trades:
        parts.setdefault(trade.time_us // 1_000_000 // length_s * length_s, []).append(trade)
    if not parts:
        return []
    found, close = [], ""
    last = max(max(parts), until_s // length_s * length_s)
    for start_s in range(min(parts), last + 1, length_s) if empty else sorted(parts):
        part = parts.get(start_s, [])
        found.append(_bar(start_s, part) if part else PastBar(start_s, *[close] * 4, "0.00000000", "0", 0))
        close = found[-1].close
    return found


def _bar(start_s: int, trades: list[SentTrade]) -> PastBar:
    ordered = sorted(trades, key=lambda t: (t.time_us, t.trade_id))
    prices = sorted(ordered, key=lambda t: Decimal(t.price))
    volume = sum((Decimal(t.quantity) for t in ordered), Decimal(0))
    money = sum((Decimal(t.quantity) * Decimal(t.price) for t in ordered), Decimal(0))
    return PastBar(
        start_s, ordered[0].price, prices[-1].price, prices[0].price, ordered[-1].price, str(volume), str(money),
        len(ordered),
    )  # fmt: skip
