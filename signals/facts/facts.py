"""The door: any number of asks in, what is known of them out."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ingestion import latest
from ingestion.store import to_us
from signals import rules
from signals.facts.bars import Bars
from signals.facts.changes import Changes
from signals.facts.look import Gatherer, Look, by
from signals.facts.portfolios import Portfolios
from signals.facts.quotes import Prices, Silences, Spreads
from signals.facts.services import Services
from signals.facts.told import Sentiments, Signals
from signals.rules import Ask, Seen

# These need an instrument's newest values.
_OF_THE_NEWEST: Final = frozenset({rules.PRICE, rules.CHANGE_PERCENT, rules.SPREAD, rules.STALENESS})


class Facts:
    """Whoever gathers keeps one of these: it remembers what need not be read at each look.

    For one thread at a time.
    """

    def __init__(self) -> None:
        portfolios = Portfolios()
        self._gatherers: Mapping[str, Gatherer] = {
            rules.PRICE: Prices(),
            rules.SPREAD: Spreads(),
            rules.STALENESS: Silences(),
            rules.CHANGE_PERCENT: Changes(portfolios),
            rules.PORTFOLIO: portfolios,
            rules.INDICATOR: (bars := Bars()),
            rules.VOLUME_ZSCORE: bars,
            rules.PATTERN: bars,
            rules.SIGNAL: Signals(),
            rules.SENTIMENT: Sentiments(),
            rules.SERVICE: Services(),
        }

    def gather(
        self, asks: Iterable[Ask], now: dt.datetime, prices: Mapping[int, Seen] | None = None
    ) -> dict[Ask, Seen]:
        """What is known of each; what is late, doubtful or unknown is missing.

        prices: by instrument, what the stream of changes told since the last look. A price counts with its extremes,
            and so does what is reckoned from it: a spike inside one flush is one of `change_percent` too.
        Of a portfolio it says what it says to whoever may see it: who may not is the caller's to know, before it tells
        anybody (`conditions.wrong_with`).
        Raises redis.RedisError and django.db.DatabaseError.
        """
        wanted = list(dict.fromkeys(asks))
        look = _look(wanted, now, prices or {})
        found: dict[Ask, Seen] = {}
        for gatherer, own in by(wanted, lambda ask: self._gatherers[ask.kind]).items():
            found |= gatherer.gather(own, look)
        return found


def _look(asks: Sequence[Ask], now: dt.datetime, prices: Mapping[int, Seen]) -> Look:
    now_us = to_us(now)
    ids = {ask.instrument for ask in asks if ask.kind in _OF_THE_NEWEST and ask.instrument is not None}
    return Look(now, now_us, latest.get(sorted(ids), now_us), prices)
