"""Coinbase Advanced Trade's public channels on loopback: no ids, one cumulative answer, frames counted a connection."""

import json
import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.venues import faults
from tests.venues.http import Answer
from tests.venues.market import Book, Level, SentTrade
from tests.venues.server import Client, Frame, Venue, json_text, now_us

MESSAGES_PER_S = 8
CONNECTS_PER_S = 8
SUBSCRIBE_WITHIN_S = 5.0
# Without the heartbeats, who is told nothing for so long is cut off.
QUIET_CLOSE_S = 75.0
STEPS_EVERY_S = 0.05
BEAT_EVERY_S = 1.0
# So many trades at most in one frame, and in the snapshot.
TRADES_AT_ONCE = 100

CHANNELS = ("market_trades", "ticker", "ticker_batch", "level2", "candles", "heartbeats", "status")
# What `level2` is called in its frames.
SPOKEN = {"level2": "l2_data"}
SEQUENCE = re.compile(r'"sequence_num":\d+')


class CoinbaseVenue(Venue):
    """Streams are named `market_trades:BTC-USD`."""

    name = "coinbase"
    symbols = ("BTC-USD", "ETH-USD")
    messages_per_s = MESSAGES_PER_S
    connects = (CONNECTS_PER_S, 1.0)
    subscribe_within_s = SUBSCRIBE_WITHIN_S

    def __init__(self, symbols: Iterable[str] = (), *arguments: Any, **more: Any) -> None:
        super().__init__(symbols, *arguments, **more)
        self._told_us = 0
        self._untold: dict[str, list[SentTrade]] = {}
        self._beats: dict[int, float] = {}
        self._first_beat_s = time.monotonic()

    # --- The socket -------------------------------------------------------------------------------------------

    def handshake(self, path: str, arguments: dict[str, str]) -> Answer | None:
        return None

    def reply(self, client: Client, message: str | bytes) -> Sequence[Frame]:
        try:
            request = json.loads(message)
            kind, channel = request["type"], request["channel"]
            products = request.get("product_ids") or []
        except (ValueError, TypeError, KeyError):
            return [self._error("failed to parse message")]
        if kind not in ("subscribe", "unsubscribe"):
            return [self._error("unknown message type")]
        if channel not in CHANNELS:
            return [self._error(f"channel {channel} is not supported")]
        unknown = [product for product in products if product not in self.market.books]
        if unknown:
            return [self._error(f"{unknown[0]} is not a valid product")]
        return self._changed(client, kind == "subscribe", channel, products)

    def _changed(self, client: Client, wanted: bool, channel: str, products: list[str]) -> list[Frame]:
        """Data may come before the answer: the snapshot of the trades does."""
        names = {f"{channel}:{product}" for product in products} or {f"{channel}:{channel}"}
        new = names - client.streams
        if not wanted:
            client.streams -= names
            return [self._subscriptions(client)]
        client.streams |= names
        fresh = [product for product in products if f"{channel}:{product}" in new]
        if channel == "market_trades":
            return [
                *(frame for product in fresh for frame in self._trades_snapshot(product)),
                self._subscriptions(client),
            ]
        if channel == "level2":
            known = [product for product in fresh if self._book(product).update_id]
            return [self._subscriptions(client), *(self._book_snapshot(product) for product in known)]
        return [self._subscriptions(client)]

    def _error(self, message: str) -> Frame:
        return Frame("", json_text({"type": "error", "message": message}))

    def _subscriptions(self, client: Client) -> Frame:
        all_of_it: dict[str, list[str]] = {}
        for name in sorted(client.streams):
            channel, _, product = name.partition(":")
            all_of_it.setdefault(channel, []).append(product)
        return self._frame("", "subscriptions", [{"subscriptions": all_of_it}])

    def exceeded(self, client: Client) -> Sequence[Frame] | int:
        return [self._error("rate limit exceeded")]

    def dress(self, client: Client, frame: Frame) -> str | bytes:
        """Numbered for this connection: the frames of all channels together, from 0. What is lost has a number too."""
        if isinstance(frame.text, bytes) or not SEQUENCE.search(frame.text, 0, 200):
            return frame.text
        number = client.sequence
        client.sequence += 1
        return SEQUENCE.sub(f'"sequence_num":{number}', frame.text, count=1)

    def idle(self, client: Client, idle_s: float) -> Sequence[Frame]:
        now = time.monotonic()
        if "heartbeats:heartbeats" not in client.streams:
            if client.streams and idle_s > QUIET_CLOSE_S:
                client.socket.transport.close()
            return ()
        if now - self._beats.get(client.number, 0.0) < BEAT_EVERY_S:
            return ()
        self._beats[client.number] = now
        return [self._frame("", "heartbeats", [self._beat(now)])]

    def _beat(self, now: float) -> dict[str, Any]:
        """The time as Go prints it."""
        alive_s = now - self._first_beat_s
        at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        return {"current_time": f"{at}789 +0000 UTC m=+{alive_s:.9f}", "heartbeat_counter": int(alive_s)}

    def is_book(self, frame: Frame) -> bool:
        return frame.stream.startswith("level2:")

    def spoil(self, text: str, kind: str, argument: float) -> str:
        """Coinbase has no checksum: a book can only be crossed."""
        frame = json.loads(text)
        if kind == faults.CROSSED:
            event = frame["events"][0]
            best = self.market.books[event["product_id"]].asks.best(5)
            event["updates"].append(_update("bid", (best[-1][0], "1"), event["updates"][0]["event_time"]))
        return json_text(frame)

    # --- The market -------------------------------------------------------------------------------------------

    def frames_of(self, trade: SentTrade) -> Sequence[Frame]:
        self._untold.setdefault(trade.symbol, []).append(trade)
        return ()

    def told_now(self, now_us: int, everything: bool = False) -> Sequence[Frame]:
        """Trades in frames of several, newest first; books in steps; a ticker after them."""
        if not everything and now_us - self._told_us < STEPS_EVERY_S * 1e6:
            return ()
        self._told_us = now_us
        told: list[Frame] = []
        untold, self._untold = self._untold, {}
        for product, trades in untold.items():
            for at in range(0, len(trades), TRADES_AT_ONCE):
                told.append(self._trades(product, "update", trades[at : at + TRADES_AT_ONCE]))
            told += [*self._book_update(product, now_us), self._ticker(product)]
        return told

    def _frame(
        self, stream: str, channel: str, events: list[Any], trades: Sequence[SentTrade] = (), **more: Any
    ) -> Frame:
        at = iso(now_us()).replace("Z", "123Z")
        text = json_text({"channel": channel, "timestamp": at, "sequence_num": 0, "events": events})
        return Frame(stream, text, tuple(trades), **more)

    def _trades(self, product: str, kind: str, trades: Sequence[SentTrade], stream: str | None = None) -> Frame:
        event = {"type": kind, "trades": [_trade(trade) for trade in reversed(trades)]}
        stream = f"market_trades:{product}" if stream is None else stream
        return self._frame(stream, "market_trades", [event], trades)

    def _trades_snapshot(self, product: str) -> list[Frame]:
        """The latest hundred, if any, of those that were told: the others are still to come."""
        waiting = len(self._untold.get(product, ()))
        trades = self.market.trades.get(product, [])
        told = trades[: len(trades) - waiting]
        return [self._trades(product, "snapshot", told[-TRADES_AT_ONCE:], stream="")] if told else []

    def _book(self, product: str) -> Book:
        return self.market.open_book(product) if self.made_up else self.market.books[product]

    def _book_snapshot(self, product: str) -> Frame:
        book, at = self._book(product), iso(now_us())
        updates = [
            *(_update("bid", level, at) for level in book.bids.best()),
            *(_update("offer", level, at) for level in book.asks.best()),
        ]
        event = {"type": "snapshot", "product_id": product, "updates": updates}
        return self._frame("", "l2_data", [event], snapshot=True)

    def _book_update(self, product: str, at_us: int) -> list[Frame]:
        changes = self.market.take_untold(product)
        if changes is None:
            return []
        updates = [
            *(_update("bid", level, iso(at_us)) for level in changes.bids.items()),
            *(_update("offer", level, iso(at_us)) for level in changes.asks.items()),
        ]
        event = {"type": "update", "product_id": product, "updates": updates}
        return [self._frame(f"level2:{product}", "l2_data", [event])]

    def _ticker(self, product: str) -> Frame:
        trades, book = self.market.trades[product], self.market.books[product]
        prices = [Decimal(trade.price) for trade in trades]
        volume = sum((Decimal(trade.quantity) for trade in trades), Decimal(0))
        (bid, bid_quantity), (ask, ask_quantity) = book.bids.best(1)[0], book.asks.best(1)[0]
        ticker = {
            "type": "ticker", "product_id": product, "price": trades[-1].price, "volume_24_h": str(volume),
            "low_24_h": str(min(prices)), "high_24_h": str(max(prices)), "low_52_w": str(min(prices)),
            "high_52_w": str(max(prices)), "price_percent_chg_24_h": str((prices[-1] / prices[0] - 1) * 100)[:17],
            "best_bid": bid, "best_bid_quantity": bid_quantity, "best_ask": ask, "best_ask_quantity": ask_quantity,
        }  # fmt: skip
        return self._frame(f"ticker:{product}", "ticker", [{"type": "update", "tickers": [ticker]}])

    def note(self, frame: Frame) -> None:
        super().note(frame)
        if not self.is_book(frame):
            return
        for event in json.loads(frame.text)["events"]:
            book = self.market.books.setdefault(event["product_id"], Book())
            bids, asks = (
                [(u["price_level"], u["new_quantity"]) for u in event["updates"] if u["side"] == side]
                for side in ("bid", "offer")
            )
            change = book.replace if event["type"] == "snapshot" else book.change
            change(bids, asks, book.update_id + 1)

    # --- REST -------------------------------------------------------------------------------------------------

    async def rest(self, path: str, arguments: dict[str, str], headers: Any) -> Answer | None:
        call = path.removeprefix("/api/v3/brokerage/")
        if call == "time":
            now = now_us()
            return 200, {"iso": iso(now), "epochSeconds": str(now // 10**6), "epochMillis": str(now // 1000)}, {}
        if call == "market/products":
            spot = arguments.get("product_type", "SPOT") == "SPOT"
            products = [self._product(product) for product in self.market.symbols] if spot else []
            return 200, {"products": products, "num_products": len(products)}, {}
        if call == "market/product_book":
            return self._product_book(arguments.get("product_id", ""), int(arguments.get("limit", "50")))
        return None

    def _product(self, product: str) -> dict[str, Any]:
        price, quantity = (f"{Decimal(1).scaleb(-decimals):f}" for decimals in self.market.scale(product))
        base, _, quote = product.partition("-")
        return {
            "product_id": product, "price": "100", "base_increment": quantity, "quote_increment": price,
            "price_increment": price, "base_min_size": quantity, "base_max_size": "3400", "quote_min_size": "1",
            "quote_max_size": "150000000", "base_name": base, "quote_name": quote, "watched": False,
            "is_disabled": False, "new": False, "status": "online", "cancel_only": False, "limit_only": False,
            "post_only": False, "trading_disabled": False, "auction_mode": False, "product_type": "SPOT",
            "quote_currency_id": quote, "base_currency_id": base, "alias": "", "alias_to": [], "view_only": False,
            "base_display_symbol": base, "quote_display_symbol": quote, "product_venue": "CBE",
            "volume_24h": "1", "price_percentage_change_24h": "0", "volume_percentage_change_24h": "0",
        }  # fmt: skip

    def _product_book(self, product: str, limit: int) -> Answer:
        if product not in self.market.books:
            return 404, {"error": "NOT_FOUND", "error_details": "product not found", "message": "product not found"}, {}
        book = self._book(product)
        sides = {
            name: [{"price": price, "size": size} for price, size in side.best(limit)]
            for name, side in (("bids", book.bids), ("asks", book.asks))
        }
        return 200, {"pricebook": {"product_id": product, "time": iso(now_us()), **sides}}, {}


def iso(at_us: int) -> str:
    """RFC 3339 with microseconds."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{at_us % 1_000_000:06d}Z"


def _trade(trade: SentTrade) -> dict[str, Any]:
    """`side` is the maker's."""
    return {
        "product_id": trade.symbol, "trade_id": str(trade.trade_id), "price": trade.price, "size": trade.quantity,
        "time": iso(trade.time_us), "side": "BUY" if trade.buyer_is_maker else "SELL",
    }  # fmt: skip


def _update(side: str, level: Level, at: str) -> dict[str, str]:
    quantity = level[1] if Decimal(level[1]) else "0"
    return {"side": side, "event_time": at, "price_level": level[0], "new_quantity": quantity}
