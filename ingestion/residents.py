"""What of the market's side has to be alive: a listener and a writer for each feed."""

from collections.abc import Iterable

from ingestion import control
from worker.resident import register


def listeners() -> Iterable[str]:
    """One shard a feed that should run, such as `binance:0`; a listener's journal has its name."""
    return [f"{provider}:0" for provider in control.running()]


def writers() -> Iterable[str]:
    """Those of stopped feeds too: what was journalled is stored."""
    return [f"{provider}:0" for provider in control.stored()]


register("ingestion.listen", task="ingestion.listen", shards=listeners)
register("ingestion.persist", task="ingestion.persist", shards=writers)
