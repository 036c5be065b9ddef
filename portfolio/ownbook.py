"""The installation's own book: paper orders that rest, by price level. It is nobody's market depth."""

from collections import defaultdict
from decimal import Decimal, localcontext
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from ingestion.store import to_us
from portfolio import matching
from portfolio.models import Order
from portfolio.money import EXACT, ZERO, plain
from streaming.protocol import Message
from streaming.publish import publish


def topic_of(symbol: str) -> str:
    """symbol: our own."""
    return f"ownbook:{symbol}"


def levels(symbol: str) -> dict[str, Any]:
    """Both sides, best level first: `{"price", "quantity"}` as decimal strings; what remains, of PARTIAL orders too.

    A stop rests here only once it was reached; what has no limit never does.
    """
    limited = Q(type=matching.LIMIT) | Q(type=matching.STOP_LIMIT, triggered=True)
    resting = Order.objects.open().filter(limited, instrument__symbol=symbol, price__isnull=False)
    rows = resting.values_list("side", "price", "quantity", "filled_quantity")
    sides: dict[str, defaultdict[Decimal, Decimal]] = {side: defaultdict(Decimal) for side in ("BUY", "SELL")}
    with localcontext(EXACT):
        for side, price, quantity, filled in rows:
            assert price is not None, "those without a limit are left out"
            sides[side][price] += quantity - filled
    return {
        "symbol": symbol,
        "bids": _side(sides["BUY"], best_first=True),
        "asks": _side(sides["SELL"], best_first=False),
    }


def _side(by_price: dict[Decimal, Decimal], best_first: bool) -> list[dict[str, str]]:
    return [
        {"price": plain(price), "quantity": plain(by_price[price])}
        for price in sorted(by_price, reverse=best_first)
        if by_price[price] > ZERO
    ]


def message(symbol: str) -> Message:
    """The `ownbook` as of now. symbol: our own, or one that is none."""
    return Message(topic_of(symbol), "ownbook", levels(symbol), to_us(timezone.now()))


def publish_book(symbol: str) -> None:
    """Tell of the book as it is. Those who do so for one symbol take turns, so that an older one never comes last."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ownbook {symbol}"])
        publish([message(symbol)])
