"""What is told to users with destinations: at once, later, or summed up; the rows tell which."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from signals import digests, notifications
from signals.models import Delivery, Destination, Digest, Notification, NotificationPreferences
from signals.notifications import Telling
from streaming.models import Event

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUIET = [{"start": "22:00", "end": "07:00"}]


@pytest.fixture(autouse=True)
def nobody_is_nudged(monkeypatch):
    """What is planned is looked at, not sent."""
    monkeypatch.setattr("signals.delivery.nudge", lambda ids: None)


@pytest.fixture
def storm(settings):
    settings.NOTIFICATION_STORM_MAX, settings.NOTIFICATION_STORM_TYPE_MAX = 3, 5
    settings.NOTIFICATION_STORM_MINUTES = 10


def reach(user, **more):
    return Destination.objects.create(user=user, kind="ntfy", name="phone", address="ntfy.example/x", **more)


@pytest.fixture
def reachable(alice):
    reach(alice)
    return alice


def wish(user, **wishes):
    return NotificationPreferences.objects.create(user=user, **wishes)


def tell(user, *keys, at=NOON, symbol="BTC-USD", type_="alert", priority="normal"):
    with time_machine.travel(at, tick=False):
        for key in keys:
            notifications.tell(
                [user.pk],
                Telling(
                    title=f"Alert {key}", message="", notification_type=type_, dedupe_key=f"{symbol}{type_}{key}",
                    priority=priority, data={"symbol": symbol},
                ),
            )  # fmt: skip


def send(at):
    with time_machine.travel(at, tick=False):
        return digests.send_due(at)


def planned(user):
    """What is on its way, with when."""
    rows = Delivery.objects.filter(destination__user=user).order_by("due_at", "id")
    return [(row.notification.title, row.due_at) for row in rows.select_related("notification")]


def test_a_deactivated_user_is_told_nothing_and_one_who_is_gone_hinders_nobody(alice, bob):
    bob.is_active = False
    bob.save()
    what = Telling(title="Hello", message="", notification_type="info", dedupe_key="hello")
    assert [row.user for row in notifications.tell([alice.pk, bob.pk, 2**31 - 1], what)] == [alice]


def test_what_is_told_is_delivered_at_once_and_at_night_in_the_morning(reachable):
    wish(reachable, quiet_hours=QUIET)
    tell(reachable, 1)
    night = NOON.replace(hour=23)
    tell(reachable, 2, at=night)
    tell(reachable, 3, at=night, priority="critical")
    morning = (NOON + timedelta(days=1)).replace(hour=7)
    assert planned(reachable) == [("Alert 1", NOON), ("Alert 3", night), ("Alert 2", morning)]
    assert Event.objects.filter(topic=f"notifications:{reachable.pk}").count() == 3, "in the application at once"


def test_what_was_read_in_the_night_is_not_delivered_in_the_morning(reachable):
    wish(reachable, quiet_hours=QUIET, critical_breaks_through=False)
    night, morning = NOON.replace(hour=23), (NOON + timedelta(days=1)).replace(hour=8)
    tell(reachable, "read", "unread", at=night)
    tell(reachable, "critical", at=night, priority="critical")
    read = Notification.objects.exclude(title="Alert unread").values_list("public_id", flat=True)
    with time_machine.travel(night + timedelta(hours=1), tick=False):
        notifications.mark_read(reachable.pk, list(read))
    rows = {row.notification.title: row for row in Delivery.objects.select_related("notification")}
    statuses = {title: row.status for title, row in rows.items()}
    assert statuses == {"Alert read": "dropped", "Alert unread": "pending", "Alert critical": "pending"}
    assert rows["Alert read"].last_error == "Read before it was due."
    with time_machine.travel(morning, tick=False):
        notifications.mark_all_read(reachable.pk)
    assert Delivery.objects.filter(status="pending").count() == 2, "what is due goes out"


def test_a_storm_ends_in_one_summary(reachable, storm):
    tell(reachable, *range(20))
    assert [title for title, _ in planned(reachable)] == ["Alert 0", "Alert 1", "Alert 2"]
    assert send(NOON + timedelta(minutes=9)) == 0
    end = NOON + timedelta(minutes=10)
    assert (send(end), send(end)) == (1, 0)
    assert planned(reachable)[3:] == [("17 more alerts on BTC-USD in the last 10 minutes", end)]
    summary = Notification.objects.get(dedupe_key__startswith="digest:")
    assert (summary.notification_type, summary.data["count"], summary.data["symbol"]) == ("alert", 17, "BTC-USD")
    assert summary.message.splitlines()[::10] == ["Alert 3", "… and 7 more"]
    assert Notification.objects.count() == 21
    last = Event.objects.filter(topic=f"notifications:{reachable.pk}").latest("seq")
    assert last.data["notification_id"] == summary.public_id


def test_an_opening_auction_of_many_symbols_is_one_storm(reachable, storm):
    for number in range(30):
        tell(reachable, 1, symbol=f"S{number}")
    assert len(planned(reachable)) == 5
    send(end := NOON + timedelta(minutes=10))
    assert planned(reachable)[5:] == [("25 more alerts in the last 10 minutes", end)]


def test_several_tellings_at_once_are_counted_as_well(reachable, storm):
    several = [
        (reachable.pk, Telling(title=f"{n}", message="", notification_type="alert", dedupe_key=f"{n}"))
        for n in range(9)
    ]
    with transaction.atomic():
        assert len(notifications.record_all([*several, *several[:1]])) == 9
        notifications.record_all(several)
    assert len(planned(reachable)) == 3
    assert Notification.objects.exclude(digest=None).count() == 6


def test_a_summary_of_one_is_the_notification_itself_and_of_none_nothing(reachable, storm, settings):
    settings.NOTIFICATION_STORM_TYPE_MAX = 9
    tell(reachable, *range(4))
    tell(reachable, *range(4), symbol="ETH-USD")
    assert Digest.objects.count() == 2
    late = Notification.objects.filter(digest__key="storm:alert:ETH-USD")
    notifications.mark_read(reachable.pk, [row.public_id for row in late])
    end = NOON + timedelta(minutes=10)
    assert send(end) == 2
    assert planned(reachable)[-1] == ("Alert 3", end)
    assert Notification.objects.count() == 8
    assert not Digest.objects.filter(sent_at=None).exists()


def test_a_storm_that_goes_on_is_told_once_a_window(reachable, storm):
    tell(reachable, *range(6))
    tell(reachable, *range(6, 9), at=NOON + timedelta(minutes=8))
    send(NOON + timedelta(minutes=10))
    tell(reachable, 9, 10, at=NOON + timedelta(minutes=11))
    send(NOON + timedelta(minutes=21))
    titles = [title for title, _ in planned(reachable)[3:]]
    assert titles == [
        "6 more alerts on BTC-USD in the last 10 minutes",
        "2 more alerts on BTC-USD in the last 10 minutes",
    ]


def test_rules_gather_and_a_night_waits(reachable):
    wish(reachable, digests=[{"types": ["news"], "up_to": "high", "every_minutes": 120}], quiet_hours=QUIET)
    tell(reachable, 1, 2, type_="news", at=NOON.replace(hour=20, minute=30))
    tell(reachable, 3, type_="news", priority="critical", at=NOON.replace(hour=21))
    assert [title for title, _ in planned(reachable)] == ["Alert 3"]
    morning = (NOON + timedelta(days=1)).replace(hour=7)
    assert Digest.objects.get().due_at == morning
    send(morning)
    assert planned(reachable)[-1] == ("2 news on BTC-USD in the last 10 hours", morning)


def test_a_summary_of_something_critical_is_critical(reachable, storm):
    wish(reachable, quiet_hours=[{"start": "12:05", "end": "20:00"}])
    tell(reachable, *range(3))
    tell(reachable, 3, at=NOON + timedelta(minutes=6))
    tell(reachable, 4, at=NOON + timedelta(minutes=7), priority="critical")
    end = NOON + timedelta(minutes=17)
    assert Digest.objects.get().due_at == end, "sooner than the normal ones alone would have been told"
    send(end)
    assert planned(reachable)[-1][1] == end


def test_who_has_no_destination_gathers_nothing(alice, storm):
    tell(alice, *range(9))
    assert not Digest.objects.exists()
    assert not Delivery.objects.exists()


def test_what_is_muted_is_told_in_the_application_alone(reachable):
    wish(reachable, muted_types=["alert"])
    tell(reachable, 1)
    assert planned(reachable) == []
    assert Notification.objects.get().title == "Alert 1"


def test_a_time_zone_that_is_gone_is_utc(reachable):
    wish(reachable, time_zone="Atlantis/Capital", quiet_hours=QUIET)
    tell(reachable, 1, at=NOON.replace(hour=23))
    assert planned(reachable)[0][1].hour == 7


def test_telling_thousands_costs_as_many_queries_as_telling_twenty(db, storm):
    user = get_user_model()
    people = user.objects.bulk_create([user(username=f"u{n}", password="!") for n in range(2_000)])
    Destination.objects.bulk_create(
        [Destination(user=one, kind="ntfy", name="phone", address="x") for one in people[::10]]
    )
    NotificationPreferences.objects.bulk_create(
        [NotificationPreferences(user=one, quiet_hours=QUIET, time_zone="Europe/Berlin") for one in people[::20]]
    )
    counts = []
    for key, who in (("twenty", people[:20]), ("all", people)):
        with CaptureQueriesContext(connection) as queries:
            told = notifications.tell(
                [one.pk for one in who],
                Telling(title="Hello", message="", notification_type="info", dedupe_key=key),
            )
        assert len(told) == len(who)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 16
    assert Delivery.objects.count() == 202


def test_old_ones_are_forgotten(alice, reachable, storm, settings):
    settings.NOTIFICATION_KEEP_DAYS = 30
    tell(alice, *range(5))
    send(NOON + timedelta(minutes=10))
    tell(alice, 9, at=NOON + timedelta(days=20))
    assert notifications.forget_old(NOON + timedelta(days=29)) == 0
    assert notifications.forget_old(NOON + timedelta(days=31)) == 6
    assert [row.title for row in Notification.objects.all()] == ["Alert 9"]
    assert not Digest.objects.exists()
    settings.NOTIFICATION_KEEP_DAYS = 0
    assert notifications.forget_old(NOON + timedelta(days=3000)) == 0


# --- At once ------------------------------------------------------------------------------------------------------


def in_threads(count, act):
    errors = []

    def run(number):
        try:
            act(number)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.django_db(transaction=True)
def test_the_same_told_by_four_at_once_is_told_once(alice, bob):
    what = Telling(title="Hello", message="", notification_type="info", dedupe_key="hello")
    for user in (alice, bob):
        reach(user)
    in_threads(4, lambda n: notifications.tell([alice.pk, bob.pk][:: 1 if n % 2 else -1], what))
    assert Notification.objects.count() == Delivery.objects.count() == 2
    assert sorted(Event.objects.values_list("topic", "seq")) == [(f"notifications:{u.pk}", 1) for u in (alice, bob)]


@pytest.mark.django_db(transaction=True)
def test_summaries_are_told_once_while_workers_race_and_more_comes(alice, storm):
    """Four workers send while two tell: each notification is delivered by itself or counted in one summary."""
    reach(alice)
    tell(alice, *range(10))
    end = NOON + timedelta(minutes=10)

    def act(number):
        if number < 2:
            for key in range(10):
                what = Telling(
                    title="More", message="", notification_type="alert", dedupe_key=f"m{number}-{key}",
                    data={"symbol": "BTC-USD"},
                )  # fmt: skip
                notifications.tell([alice.pk], what)
        else:
            for _ in range(5):
                digests.send_due(end)

    with time_machine.travel(NOON + timedelta(minutes=9), tick=False):
        in_threads(6, act)
    while digests.send_due(end + timedelta(hours=1)):
        pass
    summaries = Notification.objects.filter(dedupe_key__startswith="digest:")
    alone = Delivery.objects.exclude(notification__in=summaries).count()
    assert alone + sum(row.data["count"] for row in summaries) == 30
    assert Delivery.objects.filter(notification__in=summaries).count() == summaries.count()
