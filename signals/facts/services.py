"""service: for how many seconds a part of this installation has been degraded; 0 while it is well.

Parts: `feeds` (any that should run), a feed by its provider's name, `residents` (any whose lease nobody holds),
`workers` (any queue), a queue by its name. Since when is kept in Redis, so that whoever looks next goes on counting.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from django.conf import settings

from ingestion import control
from ingestion import status as feed_status
from signals.facts.look import Kept, Look, at
from signals.rules import Ask, Seen
from worker import queues, tasks
from worker.redis import client, key
from worker.resident import lease_name, registry

FEEDS: Final = "feeds"
RESIDENTS: Final = "residents"
WORKERS: Final = "workers"


def parts() -> frozenset[str]:
    """What an alert may name."""
    return frozenset({FEEDS, RESIDENTS, WORKERS, *control.configured(), *queues.NAMES})


class Services:
    """Looked at every ALERT_SERVICE_READ_S."""

    def __init__(self) -> None:
        self._kept = Kept(settings.ALERT_FACTS_KEPT)

    def gather(self, asks: Sequence[Ask], look: Look) -> dict[Ask, Seen]:
        def read(wanted: Sequence[str]) -> dict[str, tuple[float, str]]:
            return _degraded_since(wanted, look.now_us)

        named = {ask: str(ask.get("part")) for ask in asks}
        since = self._kept.get(dict.fromkeys(named.values()), look.now, settings.ALERT_SERVICE_READ_S, read)
        return {
            ask: at(
                max(0.0, look.now_us / 1e6 - since[part][0]) if since[part][1] else 0.0,
                look.now_us,
                note=since[part][1],
            )
            for ask, part in named.items()
            if part in since
        }


def _degraded_since(wanted: Collection[str], now_us: int) -> dict[str, tuple[float, str]]:
    """Each part's trouble (empty: none) and since when, in seconds since 1970. Unknown parts are missing."""
    found = {part: why for part, why in _troubles(now_us).items() if part in wanted}
    now_s = now_us / 1e6
    with client().pipeline() as pipe:
        for part, why in found.items():
            if why:
                pipe.hsetnx(_since_key(), part, now_s)
            else:
                pipe.hdel(_since_key(), part)
        pipe.hgetall(_since_key())
        since: Mapping[bytes, bytes] = pipe.execute()[-1]
    return {part: (float(since.get(part.encode(), now_s)), why) for part, why in found.items()}


def _troubles(now_us: int) -> dict[str, str]:
    return {part: why for look in _LOOKS for part, why in look(now_us).items()}


def _feeds(now_us: int) -> dict[str, str]:
    """A closed market's silence is no trouble, nor is a feed of which nothing is wanted."""
    known = feed_status.feeds(now_us, control.running())
    well = (feed_status.LIVE, feed_status.IDLE, feed_status.DRAINING)
    found = {one.provider: "" if one.closed or one.state in well else f"{one.provider} is {one.state}" for one in known}
    stopped = {provider: "" for provider in control.configured() if provider not in found}
    return {**stopped, **found, FEEDS: _told(found)}


def _residents(_: int) -> dict[str, str]:
    missing = sorted(lease_name(one.name, shard) for one, shard in tasks.unowned(registry.values()))
    return {RESIDENTS: f"nobody holds {', '.join(missing)}" if missing else ""}


def _workers(_: int) -> dict[str, str]:
    """A queue is well while some worker has taken a task of it lately."""
    found = {
        name: "" if age is not None and age <= settings.READY_WORKER_SILENCE_S else f"no worker takes from {name}"
        for name, age in tasks.pulse_ages_s().items()
    }
    return {**found, WORKERS: _told(found)}


def _told(troubles: Mapping[str, str]) -> str:
    return "; ".join(why for why in troubles.values() if why)


def _since_key() -> str:
    return key("alerts", "degraded")


_LOOKS: Final[tuple[Callable[[int], Mapping[str, str]], ...]] = (_feeds, _residents, _workers)
