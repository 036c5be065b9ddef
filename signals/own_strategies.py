"""A user's own strategies: made, changed and deleted. All of it or nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from ingestion.models import Instrument
from signals import runs, strategy_demand
from signals.models import UserStrategy
from signals.strategies import InvalidParameters, UnknownStrategy


class Refused(Exception):
    """What the user asked for can't be. errors: a sentence for each field that is wrong."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.errors = {field: [why]}


class Wish(msgspec.Struct, kw_only=True):
    """A strategy as it is to be. parameters: those that differ from the defaults. instruments: None for what is on the
    user's watchlists."""

    name: str
    kind: str
    parameters: Mapping[str, Any] = {}
    interval: str = "1h"
    instruments: Sequence[Instrument] | None = None
    enabled: bool = True
    min_confidence: float = 0.0
    notify: bool = True


def create(user: Any, wish: Wish) -> UserStrategy:
    """A new one of the user's. Raises Refused."""
    with transaction.atomic():
        # One after the other: two at once might both be the last that is allowed.
        get_user_model().objects.select_for_update().get(pk=user.pk)
        if UserStrategy.objects.filter(user=user).count() >= settings.USER_STRATEGIES_MAX:
            raise Refused("name", f"At most {settings.USER_STRATEGIES_MAX} strategies a user.")
        return _save(UserStrategy(user=user), wish)


def change(strategy: UserStrategy, wish: Wish) -> UserStrategy:
    """The strategy as it is to be from now on; its signals stay what they were. Raises Refused."""
    with transaction.atomic():
        get_user_model().objects.select_for_update().get(pk=strategy.user_id)
        return _save(strategy, wish)


def wish_of(strategy: UserStrategy) -> Wish:
    """What it is now."""
    return Wish(
        name=strategy.name,
        kind=strategy.kind,
        parameters=strategy.parameters,
        interval=strategy.interval,
        instruments=None if strategy.watched else list(strategy.instruments.all()),
        enabled=strategy.enabled,
        min_confidence=strategy.min_confidence,
        notify=strategy.notify,
    )


def _save(strategy: UserStrategy, wish: Wish) -> UserStrategy:
    if UserStrategy.objects.filter(user=strategy.user, name=wish.name).exclude(pk=strategy.pk).exists():
        raise Refused("name", f"You have a strategy “{wish.name}” already.")
    strategy.name, strategy.kind, strategy.interval = wish.name, wish.kind, wish.interval
    strategy.parameters = _parameters(wish)
    strategy.run = runs.run_row(wish.kind, strategy.parameters, wish.interval)
    strategy.watched = wish.instruments is None
    strategy.enabled, strategy.notify, strategy.min_confidence = wish.enabled, wish.notify, wish.min_confidence
    strategy.save()
    strategy.instruments.set(wish.instruments or [])
    transaction.on_commit(lambda: strategy_demand.want(strategy), robust=True)
    return strategy


def _parameters(wish: Wish) -> dict[str, float]:
    try:
        return runs.make(wish.kind, wish.parameters)[1]
    except UnknownStrategy as error:
        raise Refused("kind", str(error)) from error
    except InvalidParameters as error:
        raise Refused("parameters", str(error)) from error
