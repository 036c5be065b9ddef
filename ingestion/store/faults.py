"""What is missing and what was not believed."""

from collections.abc import Sequence

from django.conf import settings
from django.db import connection

from ingestion.journal import Gap
from ingestion.models import Quarantined
from ingestion.providers import provider_of
from ingestion.store.times import to_datetime


def record_gap(shard: str, gap: Gap) -> None:
    """Note a hole, or the end of one noted before."""
    until = None if gap.until_us is None else to_datetime(gap.until_us)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO gap AS g (shard, provider, cause, started_at, ended_at, ticks)
               VALUES (%s, %s, %s, %s, %s, %s)
               ON CONFLICT (shard, cause, started_at) WHERE instrument_id IS NULL
               DO UPDATE SET ended_at = coalesce(excluded.ended_at, g.ended_at),
                             ticks = greatest(g.ticks, excluded.ticks)""",
            [shard, provider_of(shard), gap.reason, to_datetime(gap.from_us), until, gap.ticks],
        )


def quarantine(ticks: Sequence[Quarantined]) -> int:
    """Keep ticks that were not believed, so that a person can look: the first of a flood. Returns how many."""
    kept = ticks[: settings.QUARANTINE_MAX_ROWS_AT_ONCE]
    return len(Quarantined.objects.bulk_create(kept))


def trim_quarantine() -> int:
    """Forget all but the newest QUARANTINE_MAX_ROWS ticks. Returns how many went."""
    newest = Quarantined.objects.order_by("-id").values_list("id", flat=True)
    last_to_go = newest[settings.QUARANTINE_MAX_ROWS : settings.QUARANTINE_MAX_ROWS + 1].first()
    if last_to_go is None:
        return 0
    return Quarantined.objects.filter(id__lte=last_to_go).delete()[0]
