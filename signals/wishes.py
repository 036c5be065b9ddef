"""What becomes of new notifications outside the application, by their users' wishes and by how much came of late."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.db import connection

from signals import courtesy
from signals.courtesy import Decision, Recent, Storm, Wishes
from signals.models import Destination, Notification, NotificationPreferences

logger = logging.getLogger(__name__)

# One place in the counts: user, type, group.
_Place = tuple[int, str, str]


def decide_all(rows: Sequence[Notification], now: datetime) -> list[Decision]:
    """For each of the rows, which are not stored yet. Three queries, however many users there are.

    Who has no destination is not disturbed. Two that tell of one group at the same time don't see each other: a user
    may then get a few more one by one.
    """
    reachable = _reachable({row.user_id for row in rows})
    asked = [row for row in rows if row.user_id in reachable]
    wishes = of(reachable)
    told = _count({_place(row): courtesy.counted_since(wishes[row.user_id], row.priority, now) for row in asked})
    return [
        _decide(row, wishes[row.user_id], told, now) if row.user_id in reachable else Decision(None) for row in rows
    ]


def _decide(row: Notification, wishes: Wishes, told: Counter[_Place], now: datetime) -> Decision:
    """told: what was told before this one; it is added."""
    group, type_ = _place(row), (row.user_id, row.notification_type, "")
    recent = Recent(told[group], told[type_])
    told.update({group, type_})
    return courtesy.decide(wishes, row.notification_type, row.priority, row.group_key, recent, now)


def next_moments(rows: Sequence[Notification], now: datetime) -> list[datetime | None]:
    """When each of these may be delivered by itself, having been gathered long enough."""
    wishes = of({row.user_id for row in rows})
    return [
        courtesy.decide(
            wishes[row.user_id], row.notification_type, row.priority, courtesy.DIGEST, courtesy.Recent(), now
        ).due
        for row in rows
    ]


def of(user_ids: Collection[int]) -> dict[int, Wishes]:
    """Each user's, by user."""
    rows = NotificationPreferences.objects.in_bulk(list(user_ids))
    default = read(NotificationPreferences())
    return {user_id: read(rows[user_id]) if user_id in rows else default for user_id in user_ids}


def read(row: NotificationPreferences) -> Wishes:
    """What its JSON says."""
    return Wishes(
        storm=Storm(
            row.storm_max or settings.NOTIFICATION_STORM_MAX,
            row.storm_type_max or settings.NOTIFICATION_STORM_TYPE_MAX,
            row.storm_minutes or settings.NOTIFICATION_STORM_MINUTES,
        ),
        zone=_zone(row.time_zone),
        quiet=tuple(map(courtesy.read_quiet_hours, row.quiet_hours)),
        critical_breaks_through=row.critical_breaks_through,
        digests=tuple(map(courtesy.read_digest_rule, row.digests)),
        minimum=row.minimum_priority,
        muted=frozenset(row.muted_types),
    )


def _reachable(user_ids: Collection[int]) -> set[int]:
    wanted = Destination.objects.filter(user_id__in=user_ids, enabled=True)
    return set(wanted.order_by().values_list("user_id", flat=True).distinct())


def _zone(name: str) -> ZoneInfo:
    """Names were checked when they were stored; one that is gone since is UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        logger.warning("there is no time zone %s any more; taken for UTC", name)
        return ZoneInfo("UTC")


def _place(row: Notification) -> _Place:
    return row.user_id, row.notification_type, row.group_key


def _count(since: dict[_Place, datetime]) -> Counter[_Place]:
    """What was told since then: of each group, and under the group "" of each type."""
    counted: Counter[_Place] = Counter()
    if not since:
        return counted
    users, types, groups = zip(*since, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [list(users), list(types), list(groups), list(since.values())])
        for user_id, type_, group, of_group, of_type in cursor.fetchall():
            counted[user_id, type_, ""] = max(of_type, counted[user_id, type_, ""])
            if group:
                counted[user_id, type_, group] = of_group
    return counted


_COUNT = """
    SELECT asked.user_id, asked.type, asked.group_key,
           count(*) FILTER (WHERE told.group_key = asked.group_key), count(*)
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS asked (user_id, type, group_key, since)
    JOIN signals_notification AS told
      ON told.user_id = asked.user_id AND told.notification_type = asked.type AND told.created_at > asked.since
    GROUP BY asked.user_id, asked.type, asked.group_key
"""
