"""What of the market's side has to be alive: a listener and a writer for each feed."""

from collections.abc import Iterable

from django.conf import settings

from worker.resident import register


def shards() -> Iterable[str]:
    """One shard a feed, such as `binance:0`; a listener's journal has its name."""
    return [f"{provider}:0" for provider in settings.FEEDS]


register("ingestion.listen", task="ingestion.listen", shards=shards)
register("ingestion.persist", task="ingestion.persist", shards=shards)
