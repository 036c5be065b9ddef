"""Which strategies are asked at the close of a bar, of which instruments, and for whom.

Equal ones (kind, parameters, interval) of several users, and of the house, are one `Run`: asked once.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import F

from ingestion.models import WatchlistItem
from signals import strategies, strategy_files
from signals.models import StrategyRun, UserStrategy
from signals.strategies import HOUSE, KINDS, InvalidParameters, Strategy, UnknownStrategy, key_of, parameters_of

logger = logging.getLogger(__name__)

ERROR_MAX = 500


class Owner(msgspec.Struct, frozen=True):
    """A user whose own strategy it is, the instruments it is to follow, and what the user wants to hear of it."""

    user_id: int
    instruments: frozenset[int]
    min_confidence: float
    notify: bool


class Run(msgspec.Struct, frozen=True):
    """One strategy at one interval. is_house: asked of every instrument, and heard by everybody. failed: it failed
    when it was asked last."""

    key: str
    kind: str
    interval: str
    strategy: Strategy
    is_house: bool = False
    owners: tuple[Owner, ...] = ()
    failed: bool = False

    def wants(self, instrument_id: int) -> bool:
        return self.is_house or any(instrument_id in owner.instruments for owner in self.owners)

    def hearers(self, instrument_id: int, confidence: float) -> list[Owner]:
        """The owners who follow the instrument and want to hear of what is as sure as this."""
        return [
            owner for owner in self.owners if instrument_id in owner.instruments and confidence >= owner.min_confidence
        ]


# --- Kinds


def kinds() -> dict[str, dict[str, float]]:
    """Every kind that there is, of the registry and of files, with its parameters as they are by default."""
    own = {name: strategies.defaults(name) for name in KINDS}
    # `available` gives those of files that keep the rules.
    return own | {name: strategy_files.defaults(name) for name in strategy_files.available() if name not in own}


def make(kind: str, parameters: Mapping[str, Any]) -> tuple[Strategy, dict[str, float]]:
    """The strategy, and all its parameters, those left to their defaults too.

    Raises UnknownStrategy, or InvalidParameters.
    """
    if kind in KINDS:
        made = strategies.make(kind, parameters)
        return made, parameters_of(made)
    of_file = strategy_files.make(kind, parameters)
    assert isinstance(of_file, strategy_files.FileStrategy)
    return of_file, {**of_file.defaults, **of_file.parameters}


def run_row(kind: str, parameters: Mapping[str, float], interval: str) -> StrategyRun:
    """The row that equal strategies share. parameters: all of them."""
    row, _ = StrategyRun.objects.get_or_create(
        key=key_of(kind, parameters, interval),
        defaults={"kind": kind, "parameters": dict(parameters), "interval": interval},
    )
    return row


# --- What is asked now


def load(interval: str, now: datetime) -> list[Run]:
    """Those of the house and of active users. One that can't be made is left out, and its row says why."""
    rows = UserStrategy.objects.filter(interval=interval, enabled=True, user__is_active=True).select_related("run")
    rows = rows.prefetch_related("instruments").order_by("id")
    watched = _watched({row.user_id for row in rows if row.watched})
    owners: defaultdict[str, list[Owner]] = defaultdict(list)
    wanted: dict[str, StrategyRun] = {}
    for row in rows:
        ids = watched[row.user_id] if row.watched else frozenset(one.pk for one in row.instruments.all())
        owners[row.run.key].append(Owner(row.user_id, ids, row.min_confidence, row.notify))
        wanted[row.run.key] = row.run
    house = _house(interval)
    errors = set(StrategyRun.objects.filter(key__in=house).exclude(last_error="").values_list("key", flat=True))
    runs = [
        Run(key, strategy.name, interval, strategy, True, tuple(owners.get(key, ())), key in errors)
        for key, strategy in house.items()
    ]
    for key, own in wanted.items():
        if key not in house and (strategy := _made(own, now)) is not None:
            runs.append(Run(key, own.kind, interval, strategy, False, tuple(owners[key]), bool(own.last_error)))
    return runs


def _house(interval: str) -> dict[str, Strategy]:
    return {
        key_of(name, parameters_of(house.strategy), interval): house.strategy
        for name, house in HOUSE.items()
        if house.interval == interval
    }


def _watched(user_ids: Collection[int]) -> defaultdict[int, frozenset[int]]:
    """What is on each user's watchlists."""
    rows = WatchlistItem.objects.filter(watchlist__user_id__in=user_ids).order_by()
    found: defaultdict[int, set[int]] = defaultdict(set)
    for user_id, instrument_id in rows.values_list("watchlist__user_id", "instrument_id"):
        found[user_id].add(instrument_id)
    return defaultdict(frozenset, {user_id: frozenset(ids) for user_id, ids in found.items()})


def _made(row: StrategyRun, now: datetime) -> Strategy | None:
    try:
        return make(row.kind, row.parameters)[0]
    except (UnknownStrategy, InvalidParameters) as error:
        # Known already: it is said once, not at every look.
        if row.last_error != str(error)[:ERROR_MAX]:
            failed(row.key, row.kind, row.interval, str(error), now)
        return None


# --- What went wrong


def failed(key: str, kind: str, interval: str, why: str, now: datetime) -> None:
    """Note it on the row that its owners see. The other strategies go on."""
    logger.warning("strategy %s failed: %s", key, why)
    why = why.replace("\0", "")[:ERROR_MAX]
    StrategyRun.objects.get_or_create(key=key, defaults={"kind": kind, "interval": interval})
    StrategyRun.objects.filter(key=key).update(last_error=why, last_error_at=now, failures=F("failures") + 1)


def went_well(keys: Collection[str]) -> None:
    """What failed before has been asked without an error."""
    if keys:
        StrategyRun.objects.filter(key__in=keys).update(last_error="")
