"""The older paths' exact shapes."""

from typing import Any

import pytest
from channels.routing import URLRouter

from portfolio.dialects import Portfolios
from signals.dialects import Notifications
from streaming import dialects, routing
from streaming.dialects import Misunderstood
from streaming.effects import Act, Send, Subscribe, Subscription
from streaming.protocol import Address, Message

NOW = 1_769_596_201_123_456
AT = "2026-01-28T10:30:01.123456Z"


def test_portfolio() -> None:
    path = Portfolios()
    message = Message("portfolio:7", "portfolio_update", {"portfolio_id": 7, "total_value": 1.0}, NOW)

    assert path.render(message, Subscription(Address("portfolio:7", "portfolio:7"))) == [
        {"type": "portfolio_update", "data": message.data, "timestamp": AT, "topic": "portfolio:7"}
    ]
    pong, again = path.interpret({"type": "ping"}, {}, NOW)
    assert pong == Send({"type": "pong", "data": {}, "timestamp": AT})
    assert again == Subscribe(("portfolio:*",), quiet=True, only_new=True)


def test_notifications() -> None:
    path = Notifications()
    row = {
        "notification_id": "7", "title": "T", "message": "M", "notification_type": "signal", "priority": "high",
        "data": {}, "read": False, "created_at": AT,
    }  # fmt: skip
    subscription = Subscription(Address("notifications:1", "notifications"))

    assert path.render(Message("notifications:1", "notification", row, NOW, "e", 1), subscription) == [
        {
            "type": "new_notification", "notification_id": "7", "title": "T", "message": "M",
            "notification_type": "signal", "priority": "high", "timestamp": AT,
        }
    ]  # fmt: skip
    assert path.render(Message("notifications:1", "read", {"notification_ids": ["7"]}, NOW, "e", 2), subscription) == []
    assert path.interpret({"type": "mark_read", "notification_id": 7}, {}, NOW) == [
        Act("mark_read", {"notification_ids": ["7"]})
    ]
    for wrong in ({"type": "mark_read"}, {"type": "mark_read", "notification_id": None}, {"type": "nonsense"}):
        with pytest.raises(Misunderstood):
            path.interpret(wrong, {}, NOW)


@pytest.mark.parametrize("symbol", ["BTC-USD", "BRK.B", "EURUSD=X", "btc"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_take_all_symbols_with_and_without_the_slash(symbol: str, slash: str) -> None:
    guard: Any = routing.application()
    router: URLRouter = guard.application
    found = [m for route in router.routes if (m := route.pattern.match(f"ws/market/{symbol}/price{slash}"))]
    assert found[0][2] == {"symbol": symbol, "stream": "price"}


def test_errors_of_the_older_paths_are_flat() -> None:
    assert dialects.Dialect().error(4000, "Invalid JSON format", NOW) == {
        "type": "error", "code": 4000, "message": "Invalid JSON format", "retry": False, "timestamp": AT,
    }  # fmt: skip
