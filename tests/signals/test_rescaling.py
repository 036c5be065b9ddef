"""Splits re-scale thresholds: once, told, and only those that were asked for before."""

import datetime as dt
import threading
from datetime import UTC, timedelta

import msgspec
import pytest
from django.db import connection

from ingestion import calendar
from ingestion.models import AdjustmentFactor, Instrument, MarketCalendar
from ingestion.store import to_us
from signals import alerts, arming, conditions
from signals.alerts import Wish
from signals.models import Alert, Notification, Rescaling
from signals.rescaling import rescale_all
from signals.rules import PRICE, Ask, Seen
from signals.splits import effective_us

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

EX = dt.date(2026, 3, 5)
BEFORE = dt.datetime(2026, 3, 4, 12, tzinfo=UTC)
AFTER = dt.datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.fixture
def split(btc):
    return AdjustmentFactor.objects.create(instrument=btc, ex_date=EX, split_factor=4.0)


@pytest.fixture
def make(alice, btc):
    """make({"kind": …}): an alert of alice's on bitcoin."""

    def make(condition, at=BEFORE, **more):
        return alerts.create(alice, Wish(condition=condition, instrument=btc, **more), at)

    return make


def above(value, **more):
    return {"kind": "price", "op": "above", "value": value} | more


def leaf(alert):
    alert.refresh_from_db()
    return conditions.recall(alert)


def test_a_threshold_follows_a_split_once(make, split, alice):
    alert = make(above(800, clear=790), mode="every")
    assert rescale_all(BEFORE) == 0
    assert [rescale_all(AFTER), rescale_all(AFTER), rescale_all(AFTER + timedelta(days=1))] == [1, 0, 0]
    rule = leaf(alert)
    assert (rule.value, rule.clear, alert.version) == (200, 197.5, 2)
    assert "200" in alert.name
    told = Notification.objects.get(user=alice)
    assert told.data["before"] == above(800, clear=790)
    assert "800" in told.message
    assert "200" in told.message


def test_what_was_asked_after_the_split_is_in_its_terms(make, split):
    alert = make(above(200), at=AFTER)
    changed = make(above(800))
    alerts.edit(changed, {"condition": above(210)}, AFTER)
    assert rescale_all(AFTER + timedelta(minutes=1)) == 0
    assert (leaf(alert).value, leaf(changed).value) == (200, 210)


def test_a_split_that_becomes_known_late(make, btc):
    alert = make(above(800))
    AdjustmentFactor.objects.create(instrument=btc, ex_date=EX, split_factor=4.0)
    assert rescale_all(AFTER + timedelta(days=10)) == 1
    assert leaf(alert).value == 200


def test_a_reverse_split_and_two_in_a_row(make, btc):
    alert = make(above(10))
    AdjustmentFactor.objects.create(instrument=btc, ex_date=EX, split_factor=0.1)
    AdjustmentFactor.objects.create(instrument=btc, ex_date=EX + timedelta(days=1), split_factor=2.0)
    assert rescale_all(AFTER + timedelta(days=1)) == 2
    assert leaf(alert).value == 50


def test_what_is_no_price_stays(make, split):
    alert = make({"kind": "change_percent", "base": "open", "op": "above", "value": 5})
    assert rescale_all(AFTER) == 0
    assert (leaf(alert).value, alert.version, Notification.objects.count()) == (5, 1, 0)
    assert Rescaling.objects.count() == 1


def test_prices_of_other_instruments_stay(make, split):
    Instrument.objects.create(symbol="ETH-USD", name="Ether", kind="crypto", currency="USD")
    average = {"kind": "indicator", "name": "sma(20)", "interval": "1h", "op": "below", "value": 400}
    alert = make({"all": [above(800), above(800, symbol="ETH-USD"), average]})
    assert rescale_all(AFTER) == 1
    assert [part.value for part in leaf(alert).rules] == [200, 800, 100]


def test_alerts_that_may_be_armed_again_follow_too(make, split):
    alert = make(above(800))
    Alert.objects.update(status=Alert.Status.FIRED)
    assert rescale_all(AFTER) == 1
    assert leaf(alert).value == 200


def test_the_split_itself_fires_nothing(make, split, btc):
    alert = make({"kind": "price", "op": "crosses_below", "value": 700}, mode="every")
    ask, terms = Ask(PRICE, btc.id), alerts.terms_of(alert)

    def look(price, at):
        alert.refresh_from_db()
        rule = conditions.recall(alert)
        seen = Seen(price, price, price, to_us(at))
        return arming.judge(rule, terms, alerts.state_of(alert), {ask: seen}, to_us(at))

    state = look(800.0, BEFORE + timedelta(minutes=1)).state
    Alert.objects.filter(pk=alert.pk).update(state=msgspec.to_builtins(state))
    rescale_all(AFTER)
    assert look(200.0, AFTER).fired is None
    assert look(170.0, AFTER).fired is not None


def test_a_new_name_keeps_the_alert(make, btc):
    alert = make(above(800, symbol="BTC-USD"))
    Instrument.objects.filter(pk=btc.pk).update(symbol="XBT-USD")
    assert leaf(alert).ask.instrument == btc.pk
    assert "XBT-USD" in conditions.in_words(alert, conditions.names_of([alert]))


def test_an_exchange_splits_in_the_night_before_its_session(db):
    hours = [
        (dt.datetime(2026, 3, day, 14, 30, tzinfo=UTC), dt.datetime(2026, 3, day, 21, tzinfo=UTC)) for day in (4, 5)
    ]
    packed = calendar.pack([calendar.Session(to_us(opens), to_us(closes)) for opens, closes in hours])
    MarketCalendar.objects.create(name="XNYS", sessions=packed, until=hours[-1][1], made_by="a test")
    stock = Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")
    assert effective_us(stock.pk, EX) == to_us(dt.datetime(2026, 3, 5, 5, 45, tzinfo=UTC))


@pytest.mark.django_db(transaction=True)
def test_two_at_once_are_one(make, split):
    alert = make(above(800))
    counts = []

    def work():
        try:
            counts.append(rescale_all(AFTER))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 1]
    assert leaf(alert).value == 200
    assert Notification.objects.count() == 1
