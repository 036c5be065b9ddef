"""When each instrument trades and whose price of it counts first: what judging a price needs, a dictionary away."""

import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from django.conf import settings
from django.db.models.signals import post_delete, post_save

from ingestion import sessions
from ingestion.calendar import ALWAYS
from ingestion.models import Instrument, PostedPrice

SIMULATED: Final = "simulated"
REREAD_S: Final = 30.0
# For an instrument that is not known yet, at most this often.
REREAD_UNKNOWN_S: Final = 1.0


class Market(NamedTuple):
    """One instrument's. order: its sources, best first. posted: people enter its prices, so that none are made up."""

    calendar: str
    order: tuple[str, ...]
    posted: bool = False

    def rank(self, source: str) -> int:
        """A source's place, best first; after all of them where it has none."""
        return self.order.index(source) if source in self.order else len(self.order)

    def takes(self, source: str) -> bool:
        """Whether a source's prices are its. The simulated market's are not, where there are real ones."""
        return not (self.posted and source == SIMULATED)


_lock = threading.Lock()
_known: tuple[float, Mapping[int, Market]] | None = None


def of(instrument_id: int) -> Market:
    """The instrument's, as of a moment ago. One that does not exist trades always."""
    found = _markets(REREAD_S)
    if instrument_id not in found:
        found = _markets(REREAD_UNKNOWN_S)
    return found.get(instrument_id) or Market(ALWAYS, tuple(settings.SOURCE_ORDER))


def forget(**_: object) -> None:
    """Read everything again at the next question."""
    global _known
    _known = None


for _signal in (post_save, post_delete):
    _signal.connect(forget, sender=Instrument, dispatch_uid=f"markets.forget.{id(_signal)}")


def _markets(age_s: float) -> Mapping[int, Market]:
    global _known
    with _lock:
        if _known is None or time.monotonic() - _known[0] > age_s:
            rows = Instrument.objects.order_by().values_list("id", "kind", "exchange", "calendar", "source_order")
            posted = set(PostedPrice.objects.order_by().values_list("instrument_id", flat=True).distinct())
            default = tuple(settings.SOURCE_ORDER)
            _known = (
                time.monotonic(),
                {
                    i: Market(own or sessions.calendar_of(kind, exchange), _order(order) or default, i in posted)
                    for i, kind, exchange, own, order in rows
                },
            )
        return _known[1]


def _order(text: str) -> tuple[str, ...]:
    """
    >>> _order("finnhub, yahoo")
    ('finnhub', 'yahoo')
    """
    return tuple(filter(None, (name.strip() for name in text.split(","))))
