"""`/realtime/…`: how the live side is doing, over all processes. protocol.md §3 has the shapes.

It sees everything (connections, feeds, counters), so it is here and not in streaming.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import redis as redis_py
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ingestion import control
from ingestion import status as feed_status
from ingestion.status import FeedStatus
from streaming import asyncapi, presence
from streaming.presence import Report, Seen
from streaming.protocol import timestamp
from worker import metrics

TOP_SYMBOLS: Final = 10
# Topics that are about one instrument, whose symbol is the key up to its next colon.
SYMBOL_TOPICS: Final = frozenset({"price", "ticker", "trades", "book", "candles"})
# What counts as an error of processing, among the counters of all processes.
ERRORS: Final = ("ingestion.refused", "ingestion.dropped_ticks", "ingestion.journal_full_ticks", "ingestion.dead_rows")


@never_cache
@require_safe
def status(request: HttpRequest) -> JsonResponse:
    """`GET /realtime/status/`: for everybody; `user_stats` is null for anonymous askers."""
    try:
        reports, totals = presence.reports(), metrics.totals()
        feeds = feed_status.feeds(providers=control.configured())
    except (redis_py.RedisError, OSError):
        return JsonResponse(_stopped(), status=503)
    running = set(control.running())
    return JsonResponse(
        {
            "service_status": service_status([one for one in feeds if one.provider in running]),
            "global_stats": global_stats(reports),
            "user_stats": user_stats(reports, request.user) if request.user.is_authenticated else None,
            "processing": processing(feeds, totals, reports, time.time()),
            "feeds": [feed(one) for one in feeds],
            "latency_ms": latencies(reports, feeds),
        }
    )


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """`GET /realtime/health/`: for whoever is signed in."""
    if not request.user.is_authenticated:
        return JsonResponse({"detail": "Sign in first."}, status=401)
    try:
        running = any(one.state == feed_status.LIVE for one in feed_status.feeds(providers=control.configured()))
        connections = sum(len(report.connections) for report in presence.reports())
    except (redis_py.RedisError, OSError):
        running, connections = False, 0
    now = timestamp(time.time_ns() // 1000)
    return JsonResponse({"price_feed_running": running, "active_connections": connections, "timestamp": now})


@require_safe
def websocket_info(request: HttpRequest) -> JsonResponse:
    """`GET /realtime/websocket-info/`: where to connect and what is said there."""
    protocol, host, path = "wss" if request.is_secure() else "ws", request.get_host(), "/ws/realtime/"
    return JsonResponse(
        {
            "websocket_url": f"{protocol}://{host}{path}",
            "connection_info": {
                "protocol": protocol,
                "host": host,
                "path": path,
                "authentication": (
                    "session cookie; or Sec-WebSocket-Protocol: bearer, <access token>; or ?ticket= with a one-use "
                    "ticket from POST /api/realtime/ticket/; or the message `auth`"
                ),
            },
            "message_types": asyncapi.descriptions(),
        }
    )


@require_safe
def asyncapi_document(request: HttpRequest) -> JsonResponse:
    """`GET /docs/asyncapi.json`."""
    about: dict[str, Any] = settings.SPECTACULAR_SETTINGS
    protocol = "wss" if request.is_secure() else "ws"
    return JsonResponse(asyncapi.document(about["TITLE"], about["VERSION"], request.get_host(), protocol))


# --- The parts ------------------------------------------------------------------------------------------------------


def service_status(feeds: Sequence[FeedStatus]) -> str:
    """running: every feed is live; stopped: none is; degraded: some are. feeds: those that should run."""
    live = [one for one in feeds if one.state == feed_status.LIVE]
    if not live:
        return "stopped"
    return "running" if len(live) == len(feeds) else "degraded"


def global_stats(reports: Sequence[Report]) -> dict[str, Any]:
    connections = [seen for report in reports for seen in report.connections]
    topics = presence.followers(reports)
    symbols = _by_symbol(topics)
    return {
        "total_connections": len(connections),
        "authenticated_users": len({seen.user_id for seen in connections if seen.user_id is not None}),
        "portfolio_subscriptions": _with_prefix(topics, "portfolio"),
        "asset_subscriptions": _with_prefix(topics, "price"),
        "symbol_subscriptions": sum(symbols.values()),
        "top_symbols": [{"symbol": symbol, "subscribers": n} for symbol, n in symbols.most_common(TOP_SYMBOLS)],
        "total_messages": sum(report.delivered for report in reports),
        "average_message_rate": round(sum(report.per_s for report in reports), 1),
    }


def user_stats(reports: Sequence[Report], user: Any) -> dict[str, Any]:
    own = [seen for report in reports for seen in report.connections if seen.user_id == user.pk]
    return {
        "connection_count": len(own),
        "subscriptions": {"portfolios": _keys(own, "portfolio"), "assets": _keys(own, "price")},
    }


def processing(
    feeds: Sequence[FeedStatus], totals: dict[str, int], reports: Sequence[Report], now: float
) -> dict[str, Any]:
    """Of ticks: those that the present listeners took in, and what of all that ever came could not be kept."""
    processed = sum(one.ticks for one in feeds)
    errors = sum(totals.get(name, 0) for name in ERRORS)
    started = min((report.started_at for report in reports), default=now)
    return {
        "messages_processed": processed,
        "errors": errors,
        "uptime_seconds": round(now - started, 1),
        "messages_per_second": round(sum(one.ticks_per_s for one in feeds), 1),
        "error_rate": round(errors / max(processed + errors, 1), 6),
    }


def feed(one: FeedStatus) -> dict[str, Any]:
    last = datetime.fromtimestamp(one.last_tick_us / 1e6, UTC).isoformat() if one.last_tick_us else None
    return {
        "type": one.provider,
        "connected": one.state in (feed_status.LIVE, feed_status.DRAINING),
        "state": one.state,
        "symbols": one.symbols,
        "ticks_per_s": one.ticks_per_s,
        "last_tick_at": last,
        "reconnects": one.reconnects,
        "gaps_open": one.gaps_open,
        "latency_ms": one.latency_ms,
    }


def latencies(reports: Sequence[Report], feeds: Sequence[FeedStatus]) -> dict[str, Any]:
    """Percentiles hop by hop, in the order of a tick's way. The first by feed: the venues' clocks differ."""
    hops = {
        "venue_to_received": {one.provider: one.latency_ms for one in feeds},
        "received_to_journalled": {one.provider: one.journal_ms for one in feeds},
    }
    return hops | presence.latencies_ms(reports)


def _stopped() -> dict[str, Any]:
    return {
        "service_status": "stopped",
        "global_stats": global_stats([]),
        "user_stats": None,
        "processing": processing([], {}, [], time.time()),
        "feeds": [{"type": name, "connected": False, "state": "unknown", "symbols": 0} for name in settings.FEEDS],
        "latency_ms": {},
    }


def _by_symbol(topics: Counter[str]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for topic, n in topics.items():
        prefix, _, key = topic.partition(":")
        if prefix in SYMBOL_TOPICS:
            totals[key.partition(":")[0]] += n
    return totals


def _with_prefix(topics: Counter[str], prefix: str) -> int:
    return sum(n for topic, n in topics.items() if topic.startswith(prefix + ":"))


def _keys(connections: Iterable[Seen], prefix: str) -> list[str]:
    names = {topic for seen in connections for topic in seen.topics if topic.startswith(prefix + ":")}
    return sorted(name.partition(":")[2] for name in names)
