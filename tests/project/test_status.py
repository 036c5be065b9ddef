"""`/realtime/…`: what is told, and that it is true across processes."""

import datetime as dt
import time
from typing import Any

import msgspec
import pytest
from django.test import override_settings
from django.utils import timezone

from ingestion import control
from ingestion.status import LIVE, FeedStatus
from project import status
from streaming import presence
from streaming.presence import Report, Seen
from worker.redis import client as redis
from worker.redis import key

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]


def seen(connection_id: str, user: Any = None, topics: tuple[str, ...] = ()) -> Seen:
    pk, name = (user.pk, user.username) if user else (None, "")
    return Seen(connection_id, pk, name, "127.0.0.1", "realtime", 1.0, len(topics), list(topics), 0, 0)


def report(process: str, *connections: Seen, topics: dict[str, int] | None = None, **more: Any) -> Report:
    values: dict[str, Any] = {"delivered": 10, "failed": 0, "per_s": 2.5, "latencies": {}} | more
    now = time.time()
    return Report(process, now, now - 60, list(connections), topics or {}, **values)


def tell(told: Report) -> None:
    redis().set(key("hub", told.process), presence._encode(told), ex=10)
    redis().zadd(key("hubs"), {told.process: told.at})


def test_status_adds_up_what_all_processes_report(client: Any, alice: Any, bob: Any) -> None:
    topics = {
        "price:BTC-USDT": 2,
        "price:ETH-USDT": 1,
        "portfolio:7": 1,
        "candles:BTC-USDT:1m": 1,
        "notifications:1": 1,
    }
    tell(report("a:1", seen("x", alice, ("price:BTC-USDT", "portfolio:7")), seen("y"), topics=topics))
    tell(report("b:2", seen("z", alice, ("price:ETH-USDT",)), seen("w", bob), topics={"price:BTC-USDT": 1}))

    stats = client.get("/realtime/status/").json()
    assert stats["global_stats"] == {
        "total_connections": 4,
        "authenticated_users": 2,
        "portfolio_subscriptions": 1,
        "asset_subscriptions": 4,
        "symbol_subscriptions": 5,
        "top_symbols": [{"symbol": "BTC-USDT", "subscribers": 4}, {"symbol": "ETH-USDT", "subscribers": 1}],
        "total_messages": 20,
        "average_message_rate": 5.0,
    }
    assert stats["user_stats"] is None
    assert set(stats["processing"]) == {
        "messages_processed", "errors", "uptime_seconds", "messages_per_second", "error_rate",
    }  # fmt: skip
    assert 59 < stats["processing"]["uptime_seconds"] < 70

    client.force_login(alice)
    assert client.get("/realtime/status/").json()["user_stats"] == {
        "connection_count": 2,
        "subscriptions": {"portfolios": ["7"], "assets": ["BTC-USDT", "ETH-USDT"]},
    }


def test_a_process_that_stopped_reporting_is_not_counted() -> None:
    told = report("a:1", seen("x"))
    redis().set(key("hub", "a:1"), presence._encode(told), px=1)
    redis().zadd(key("hubs"), {"a:1": told.at})
    tell(report("b:2", seen("y")))
    deadline = time.monotonic() + 2
    while redis().exists(key("hub", "a:1")) and time.monotonic() < deadline:
        pass
    assert [found.process for found in presence.reports()] == ["b:2"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [([LIVE, LIVE], "running"), ([LIVE, "connecting"], "degraded"), (["stopped"], "stopped"), ([], "stopped")],
)
def test_the_service_is_as_well_as_its_feeds(states: list[str], expected: str) -> None:
    assert status.service_status([FeedStatus(f"p{i}", f"p{i}:0", state) for i, state in enumerate(states)]) == expected


@pytest.mark.parametrize("action", [control.STOP, control.PAUSE])
def test_a_feed_that_staff_halted_is_listed_and_degrades_nothing(
    client: Any, admin: Any, settings: Any, action: str
) -> None:
    settings.FEEDS = ["simulated", "binance"]
    told = FeedStatus("simulated", "simulated:0", LIVE, time.time_ns() // 1000, time.time_ns() // 1000)
    redis().set(key("feed", told.shard), msgspec.json.encode(told))
    assert client.get("/realtime/status/").json()["service_status"] == "degraded"
    control.change("binance", action, admin, until=timezone.now() + dt.timedelta(hours=1))
    answer = client.get("/realtime/status/").json()
    assert answer["service_status"] == "running"
    assert [(feed["type"], feed["state"]) for feed in answer["feeds"]] == [("simulated", LIVE), ("binance", "stopped")]


def test_without_redis_the_answer_says_stopped(client: Any) -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        answer = client.get("/realtime/status/")
    assert (answer.status_code, answer.json()["service_status"]) == (503, "stopped")


def test_health_is_for_whoever_is_signed_in(client: Any, alice: Any) -> None:
    assert client.get("/realtime/health/").status_code == 401
    client.force_login(alice)
    tell(report("a:1", seen("x", alice)))
    health = client.get("/realtime/health/").json()
    assert health.pop("timestamp").endswith("Z")
    assert health == {"price_feed_running": False, "active_connections": 1}


def test_websocket_info_says_where_and_what(client: Any) -> None:
    info = client.get("/realtime/websocket-info/").json()
    assert info["websocket_url"] == "ws://testserver/ws/realtime/"
    assert set(info["connection_info"]) == {"protocol", "host", "path", "authentication"}
    assert {"ping", "subscribe", "auth", "connection", "error", "dropped"} <= set(info["message_types"])
    assert info["message_types"]["error"].startswith("Something was refused")


def test_latencies_of_several_processes_add_up() -> None:
    reports = [
        report("a:1", latencies={"published_to_hub": {10: 99}}),
        report("b:2", latencies={"published_to_hub": {50: 1}}),
    ]
    found = presence.latencies_ms(reports)
    assert found["client_echo"] == {}
    assert found["published_to_hub"] == {"p50": round(1.1**10 / 1000, 2), "p99": round(1.1**10 / 1000, 2)}
