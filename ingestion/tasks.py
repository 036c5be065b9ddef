"""The market's periodic work. The long-lived tasks are in `listener.py` and `writer.py`."""

import datetime as dt

from celery import shared_task

from ingestion import partitions, sessions, store

# Celery looks for tasks in this module alone.
from ingestion.listener import listen
from ingestion.writer import persist

__all__ = ["keep_calendars", "keep_partitions", "listen", "persist"]


@shared_task(name="ingestion.keep_partitions", ignore_result=True, acks_late=True)
def keep_partitions() -> int:
    """Make the partitions of this week and the next, and bound the quarantine. Re-running changes nothing.

    Returns how many partitions were missing.
    """
    store.trim_quarantine()
    if store.storage_kind() == store.TIMESCALE:
        return 0
    week = partitions.week_of(store.to_us(dt.datetime.now(dt.UTC)))
    return sum(partitions.ensure(table, [week, week + 1]) for table in partitions.TABLES)


@shared_task(name="ingestion.keep_calendars", ignore_result=True, acks_late=True)
def keep_calendars() -> int:
    """Work out the sessions of the exchanges that instruments trade on. Re-running changes nothing.

    Returns how many were missing or outdated.
    """
    return len(sessions.keep(dt.datetime.now(dt.UTC)))
