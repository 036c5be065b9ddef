"""The market's older paths: `/ws/market/<sym>/price/`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from streaming import dialects
from streaming.dialects import Dialect, Misunderstood, Opening
from streaming.effects import Effect, Send, Subscription
from streaming.protocol import Message, timestamp


class MarketPrice(Dialect):
    """One symbol's price: first `connection`, then `price` messages. `{"action": "ping"}` is answered."""

    path = r"market/(?P<symbol>[^/]+)/price"
    market = True

    def topics(self, params: Mapping[str, str]) -> list[str]:
        return [f"price:{params['symbol']}"]

    def greet(self, opening: Opening, at_us: int) -> list[dict[str, Any]]:
        return [
            {
                "type": "connection",
                "status": "connected",
                "symbol": opening.params["symbol"].upper(),
                "stream_type": "price",
                "timestamp": timestamp(at_us),
            }
        ]

    def interpret(self, said: dict[str, Any], held: Mapping[str, Subscription], at_us: int) -> Sequence[Effect]:
        if said.get("action") == "ping":
            return [Send({"type": "pong"})]
        raise Misunderstood('This path understands {"action": "ping"} only.')

    def render(self, message: Message, subscription: Subscription) -> list[dict[str, Any]]:
        """`{type, data: {symbol, price, change, change_percent, volume, source}, source, timestamp}`."""
        if message.type != "asset_update":
            return []
        told = message.data
        data = {name: told.get(name) for name in ("symbol", "price", "change", "change_percent", "volume", "source")}
        if subscription.address.symbol is not None:
            data["symbol"] = subscription.address.symbol
        at = timestamp(message.at_us)
        return [{"type": "price", "data": data, "source": told.get("source"), "timestamp": at}]


dialects.register(MarketPrice())
