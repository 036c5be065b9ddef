"""Which feeds should run: FEEDS, as staff changed it. Read by those who start listeners, and by listeners.

A stopped or paused feed's writer goes on: what its listener journalled still has to reach the disk.
"""

import datetime as dt
import logging
from typing import Any, Final

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone

from ingestion.models import Feed
from ingestion.providers import PROVIDERS
from ingestion.providers.ccxt_values import PREFIX

logger = logging.getLogger(__name__)

START: Final = "start"
STOP: Final = "stop"
PAUSE: Final = "pause"
RESUME: Final = "resume"
ACTIONS: Final = (START, STOP, PAUSE, RESUME)

# What the database last said, for the time that it is away: then feeds go on as they are.
_last_known: dict[str, list[Feed]] = {}


class Refused(Exception):
    """The feed cannot be changed so. `field` of the request is at fault; the sentence is for whoever asked."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def available() -> list[str]:
    """Every provider that can be listened to here."""
    through_ccxt = [name for name in settings.FEEDS if name.startswith(PREFIX)]
    return ["simulated", *(name for name in PROVIDERS if name != "simulated"), *through_ccxt]


def configured() -> list[str]:
    """The feeds that this installation has, running or not: FEEDS, and those that staff started besides."""
    started = [feed.provider for feed in _feeds() if feed.wanted == Feed.Wanted.RUNNING]
    return [*settings.FEEDS, *(provider for provider in started if provider not in settings.FEEDS)]


def stored() -> list[str]:
    """The feeds that need a writer: also a stopped one may have something in its journal."""
    noted = [feed.provider for feed in _feeds() if feed.wanted != Feed.Wanted.SETTINGS]
    return [*settings.FEEDS, *(provider for provider in noted if provider not in settings.FEEDS)]


def running() -> list[str]:
    """The providers that should be listened to now."""
    now = timezone.now()
    halted = {feed.provider for feed in _feeds() if not is_running(feed, now)}
    return [provider for provider in configured() if provider not in halted]


def is_halted(provider: str) -> bool:
    """Whether staff stopped or paused it, whoever listens: one that FEEDS does not name may be listened to."""
    now = timezone.now()
    return any(feed.provider == provider and not is_running(feed, now) for feed in _feeds())


def is_running(feed: Feed, now: dt.datetime) -> bool:
    """Whether nothing keeps it from running at `now`."""
    paused = feed.paused_until is not None and feed.paused_until > now
    return feed.wanted != Feed.Wanted.STOPPED and not paused


def change(provider: str, action: str, user: Any, reason: str = "", until: dt.datetime | None = None) -> Feed:
    """Start, stop, pause (until a time) or resume a feed, and note who did it and why.

    Its listener follows within seconds. Doing the same again changes nothing but the note. Raises Refused.
    """
    _check(provider, action, until)
    with transaction.atomic():
        feed, _ = Feed.objects.select_for_update().get_or_create(provider=provider)
        feed.wanted = _wanted(provider, action)
        feed.paused_until = until if action == PAUSE else None
        feed.reason, feed.changed_by = reason, user
        feed.save()
        LogEntry.objects.log_actions(user.pk, [feed], CHANGE, _told(action, reason, until), single_object=True)
    logger.warning("feed %s: %s by %s", provider, _told(action, reason, until), user)
    return feed


def rows() -> None:
    """Make a row for each configured feed that has none, for the pages that list rows. It changes no feed."""
    Feed.objects.bulk_create((Feed(provider=name) for name in configured()), ignore_conflicts=True)


def _wanted(provider: str, action: str) -> str:
    if action == STOP:
        return Feed.Wanted.STOPPED
    # One that the settings name goes the settings' way again: taken out of them it ends.
    return Feed.Wanted.SETTINGS if provider in settings.FEEDS else Feed.Wanted.RUNNING


def _check(provider: str, action: str, until: dt.datetime | None) -> None:
    if provider not in available():
        raise Refused("provider", f"There is no provider “{provider}”. There are {', '.join(available())}.")
    if action not in ACTIONS:
        raise Refused("action", f"Say one of {', '.join(ACTIONS)}.")
    if action == PAUSE and provider not in {*configured()} - _stopped():
        raise Refused("action", f"{provider} is not running.")
    if action == PAUSE and (until is None or until <= timezone.now()):
        raise Refused("until", "Say until when: a time in the future.")


def _stopped() -> set[str]:
    return {feed.provider for feed in _feeds() if feed.wanted == Feed.Wanted.STOPPED}


def _told(action: str, reason: str, until: dt.datetime | None) -> str:
    told = f"{action} until {until:%Y-%m-%d %H:%M:%S} UTC" if until and action == PAUSE else action
    return f"{told}: {reason}" if reason else told


def _feeds() -> list[Feed]:
    try:
        _last_known["feeds"] = list(Feed.objects.all())
    except (DatabaseError, InterfaceError) as error:
        logger.debug("feeds go on as they are: %s", error)
    return _last_known.get("feeds", [])
