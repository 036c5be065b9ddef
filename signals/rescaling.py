"""A split makes another price of the same: thresholds in prices follow it, each alert once for each split.

Splits are the rows of `AdjustmentFactor`; what people's ledgers say of their own units is theirs alone. A threshold
that was asked for after the split was in effect is in its terms already. Alerts that have fired or are switched off are
re-scaled too, as they may be armed again. A new name of an instrument changes nothing: alerts keep the instrument.
"""

import datetime as dt
import logging

from django.conf import settings
from django.db import transaction

from ingestion.store import to_datetime
from signals import alerts, conditions, notifications, splits
from signals.models import Alert, Rescaling
from signals.notifications import Telling
from signals.rules import InvalidRule
from signals.splits import Split
from streaming import events

logger = logging.getLogger(__name__)


def rescale_all(now: dt.datetime) -> int:
    """Re-scale what the splits of the last days have made wrong. Returns how many alerts changed.

    Safe to run twice, and at once.
    """
    since = now.date() - dt.timedelta(days=settings.ALERT_RESCALE_DAYS)
    return sum(_rescale_one(alert, split, now) for split in splits.since(since, now) for alert in _asked_before(split))


def _asked_before(split: Split) -> list[Alert]:
    done = Rescaling.objects.filter(instrument_id=split.instrument_id, ex_date=split.ex_date)
    rows = Alert.objects.about(split.instrument_id).filter(asked_at__lt=to_datetime(split.at_us))
    return list(rows.exclude(pk__in=done.values("alert_id")))


def _rescale_one(alert: Alert, split: Split, now: dt.datetime) -> bool:
    try:
        with transaction.atomic():
            return _rescale(alerts.locked(alert), split, now)
    except Alert.DoesNotExist:
        return False
    except InvalidRule as error:
        logger.warning("alert %d is not re-scaled: %s", alert.pk, error)
        return False


def _rescale(alert: Alert, split: Split, now: dt.datetime) -> bool:
    if alert.asked_at >= to_datetime(split.at_us):
        return False
    note, is_new = Rescaling.objects.get_or_create(
        alert=alert, instrument_id=split.instrument_id, ex_date=split.ex_date,
        defaults={"ratio": split.ratio, "before": alert.condition, "at": now},
    )  # fmt: skip
    before = _in_words(alert)
    if not is_new or not alerts.rescale(alert, split.instrument_id, split.ratio):
        return False
    told = notifications.record([alert.user_id], _telling(alert, split, note, before))
    events.append([notifications.message(one) for one in told])
    return True


def _telling(alert: Alert, split: Split, note: Rescaling, before: str) -> Telling:
    now = _in_words(alert)
    return Telling(
        title=f"Re-scaled: {alert.name}",
        message=f"{split.ratio:g} new units for an old one since {split.ex_date}: “{before}” is “{now}” now.",
        notification_type="alert",
        dedupe_key=f"alert:{alert.pk}:rescaled:{split.instrument_id}:{split.ex_date}",
        data={
            "alert_id": alert.pk,
            "ratio": split.ratio,
            "ex_date": split.ex_date.isoformat(),
            "before": note.before,
            "condition": alert.condition,
        },
    )


def _in_words(alert: Alert) -> str:
    return conditions.in_words(alert, conditions.names_of([alert]))
