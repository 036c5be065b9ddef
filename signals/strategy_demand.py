"""What users' own strategies name, told to the feeds: at once when one changes, and again and again while it exists.
What is on a watchlist is wanted by that."""

from collections import defaultdict

from django.conf import settings

from ingestion import demand
from signals.models import UserStrategy


def want(strategy: UserStrategy) -> None:
    """Have the feeds follow its instruments now. Raises redis.RedisError."""
    ids = strategy.instruments.values_list("pk", flat=True) if strategy.enabled and not strategy.watched else []
    demand.want(_owner(strategy.pk), ids, settings.WATCHLIST_DEMAND_TTL_S)


def want_all() -> int:
    """The same for those of everybody who may still sign in. Returns how many instruments they name."""
    rows = UserStrategy.instruments.through.objects.filter(
        userstrategy__enabled=True, userstrategy__watched=False, userstrategy__user__is_active=True
    )
    wishes = defaultdict(list)
    for strategy_id, instrument_id in rows.values_list("userstrategy_id", "instrument_id"):
        wishes[_owner(strategy_id)].append(instrument_id)
    demand.want_all(wishes, settings.WATCHLIST_DEMAND_TTL_S)
    return len({instrument_id for ids in wishes.values() for instrument_id in ids})


def _owner(strategy_id: int) -> str:
    return f"strategy:{strategy_id}"
