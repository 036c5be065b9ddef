"""What people watch, told to the feeds: at once when a list changes, and again and again while it exists."""

from collections import defaultdict

from django.conf import settings

from ingestion import demand
from ingestion.models import Watchlist, WatchlistItem


def want(watchlist: Watchlist) -> None:
    """Have the feeds follow this list now. What was taken off it is forgotten when its time is over.

    Raises redis.RedisError.
    """
    ids = watchlist.items.values_list("instrument_id", flat=True)
    demand.want(_owner(watchlist.pk), ids, settings.WATCHLIST_DEMAND_TTL_S)


def want_all() -> int:
    """The same for the lists of everybody who may still sign in. Returns how many instruments are watched."""
    rows = WatchlistItem.objects.filter(watchlist__user__is_active=True)
    wishes = defaultdict(list)
    for watchlist_id, instrument_id in rows.values_list("watchlist_id", "instrument_id").order_by():
        wishes[_owner(watchlist_id)].append(instrument_id)
    demand.want_all(wishes, settings.WATCHLIST_DEMAND_TTL_S)
    return len({instrument_id for ids in wishes.values() for instrument_id in ids})


def _owner(watchlist_id: int) -> str:
    return f"watchlist:{watchlist_id}"
