"""The topic `portfolio:<id>`: its owner sees its value move."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ingestion.store import to_us
from portfolio import marks, valuation
from portfolio.events import PortfolioUpdate
from portfolio.models import Portfolio
from streaming import topics
from streaming.protocol import Address, Message
from streaming.publish import publish
from worker.redis import client, key

logger = logging.getLogger(__name__)

# Hands each value to the wire at most once, and never an older one after a newer: by the ledger's version, then by
# the time of the prices. Two processes publish: the one that took a posted row, and `portfolio.follow`.
_CLAIM = """
local won = {}
for i = 1, #ARGV, 3 do
  local version, as_of = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local newer = true
  if old then
    local separator = string.find(old, ':')
    local old_version, old_as_of = tonumber(string.sub(old, 1, separator - 1)), tonumber(string.sub(old, separator + 1))
    newer = version > old_version or (version == old_version and as_of > old_as_of)
  end
  if newer then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2]) end
  won[#won + 1] = newer and 1 or 0
end
return won
"""


class Revalued(msgspec.Struct, frozen=True):
    """A portfolio's value, made of its ledger at `version`."""

    portfolio_id: int
    name: str
    version: int
    worth: valuation.Valuation
    figures: Mapping[str, valuation.Figures] | None = None  # of its positions, where they are kept

    def message(self) -> Message:
        return Message(
            topic=topic_of(self.portfolio_id),
            type="portfolio_update",
            data=valuation.payload(self.portfolio_id, self.name, self.worth, self.figures),
            at_us=to_us(self.worth.as_of),
        )


class PortfolioTopic(topics.Topic):
    """Open to whoever may see the portfolio. That a foreign one exists is not told."""

    prefix = "portfolio"
    kind = topics.Kind.CONFLATED
    events: ClassVar[Mapping[str, type]] = {"portfolio_update": PortfolioUpdate}

    def resolve(self, key: str, user: Any) -> Address:
        name = f"portfolio:{key}"
        if not user.is_authenticated:
            raise topics.SignInNeeded(name, "Sign in to see a portfolio.")
        if _find(key, user) is None:
            raise topics.NotYours(name, f"You have no portfolio “{key}”.")
        return Address(topic=topic_of(int(key)), name=name)

    def keys(self, user: Any) -> list[str]:
        return [str(pk) for pk in Portfolio.objects.visible_to(user).values_list("pk", flat=True)]

    def snapshot(self, address: Address, user: Any) -> list[Message]:
        portfolio = _find(address.topic.partition(":")[2], user)
        return [] if portfolio is None else [revalue(portfolio, timezone.now()).message()]


topics.register(PortfolioTopic())


def _find(key: str, user: Any) -> Portfolio | None:
    if not (key.isascii() and key.isdigit() and len(key) <= 18):
        return None
    return Portfolio.objects.visible_to(user).filter(pk=int(key)).first()


def revalue(portfolio: Portfolio, now: datetime) -> Revalued:
    """The portfolio's value now, from its whole ledger and the latest prices."""
    return Revalued(portfolio.pk, portfolio.name, portfolio.version, marks.value_portfolio(portfolio, now))


def topic_of(portfolio_id: int) -> str:
    return f"portfolio:{portfolio_id}"


def publish_values(values: Sequence[Revalued]) -> list[int]:
    """Tell the owners, leaving out what is older than what they were told already. Returns the ids of who was told."""
    if not values:
        return []
    arguments: list[int] = []
    for value in values:
        arguments += [value.portfolio_id, value.version, to_us(value.worth.as_of)]
    won = client().eval(_CLAIM, 1, key("portfolio", "told"), *map(str, arguments))
    told = [value for value, newer in zip(values, won, strict=True) if newer]
    published = publish([value.message() for value in told])
    return [value.portfolio_id for value in told] if published else []


def publish_on_commit(portfolio: Portfolio) -> None:
    """Once the caller's transaction is through: publish the portfolio's value, and let `portfolio.follow` look."""
    transaction.on_commit(lambda: _posted(portfolio.pk, portfolio.version), robust=True)


def _posted(portfolio_id: int, version: int) -> None:
    try:
        client().sadd(posted_key(), portfolio_id)
        # Nobody's request waits for a long ledger to be added up: its follower goes on from where it stands.
        if version <= settings.PORTFOLIO_TELL_MAX_ROWS:
            publish_values([revalue(Portfolio.objects.get(pk=portfolio_id), timezone.now())])
    except redis.RedisError as error:
        # The row is in the ledger; `portfolio.follow` finds it when Redis is back.
        logger.warning("portfolio %d: its new value was not published: %s", portfolio_id, error)


def posted_key() -> str:
    """The portfolios to whose ledgers something was posted, until the follower has seen it: a hint."""
    return key("portfolio", "posted")
