"""Every admin page opens with something on it, and each action does what it says."""

import datetime as dt

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from ingestion import backfill, control, models
from ingestion.models import Backfill, Feed, Gap, Instrument, Quarantined, VenueSymbol, Watchlist
from tests.ingestion.market import make_instrument

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

REGISTERED = [model for model in django_admin.site._registry if model._meta.app_label == "ingestion"]
NOW = timezone.now()


@pytest.fixture
def staff(client, admin):
    client.force_login(admin)
    return client


@pytest.fixture
def market(settings, admin):
    """One of everything."""
    settings.FEEDS = ["simulated", "binance"]
    btc = make_instrument("BTC-USDT", binance="BTCUSDT", kraken="BTC/USDT")
    VenueSymbol.objects.filter(provider="kraken").update(status="halted")
    control.rows()
    watchlist = Watchlist.objects.create(user=admin, name="Main")
    watchlist.items.create(instrument=btc)
    Quarantined.objects.create(
        provider="binance", symbol="BTCUSDT", reason="price <b>0</b>", raw=b'{"p":"<script>"}\xff\0', received_at=NOW
    )
    Gap.objects.create(
        shard="binance:0", provider="binance", instrument=btc, kind="trades", cause="hole", started_at=NOW,
        status="unfillable", detail="the venue has none",
    )  # fmt: skip
    Gap.objects.create(shard="binance:0", provider="binance", cause="disconnected", started_at=NOW)
    row = backfill.start(backfill.wish_of("binance", "1m", [btc], NOW - dt.timedelta(days=1), NOW), admin)
    backfill.cover(btc.pk, "binance", "1d", backfill.Span(0, 86_400_000_000))
    day = NOW.date()
    models.FxRate.objects.create(base="EUR", quote="USD", date=day, rate=1, source="ecb", received_at=NOW)
    models.PriceUpdate.objects.create(instrument=btc, asked_by=admin, job=row.job, asked_at=NOW)
    models.MarketCalendar.objects.create(name="XNYS", sessions=b"", until=NOW, made_by="test")
    models.AdjustmentFactor.objects.create(instrument=btc, ex_date=day)
    return btc


def page(model, name="changelist", *arguments):
    return reverse(f"admin:ingestion_{model._meta.model_name}_{name}", args=arguments)


def act(client, model, action, *rows):
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(page(model), chosen, follow=True).content.decode()


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
def test_every_page_opens_with_something_on_it(staff, market, model, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        listed = staff.get(page(model), {"q": "B"} if django_admin.site._registry[model].search_fields else {})
    assert listed.status_code == 200
    row = model.objects.first()
    assert row is not None
    assert staff.get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize(("model", "other"), [(Instrument, "ETH-USDT"), (VenueSymbol, "ETHUSDT")])
def test_a_longer_list_takes_no_more_queries(staff, market, model, other, django_assert_max_num_queries):
    with django_assert_max_num_queries(1000) as short:
        staff.get(page(model))
    for i in range(20):
        make_instrument(f"A{i}-USDT", binance=f"A{i}USDT", kraken=f"A{i}/USDT")
    with django_assert_max_num_queries(len(short.captured_queries)):
        staff.get(page(model))


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model.__name__)
def test_nobody_else_gets_in(client, bob, model):
    client.force_login(bob)
    assert client.get(page(model)).status_code == 302


def test_what_was_not_believed_is_shown_as_text_and_stays(staff, market):
    tick = Quarantined.objects.get()
    shown = staff.get(page(Quarantined, "change", tick.pk)).content.decode()
    assert "&lt;script&gt;" in shown
    assert "<script>" + '"}' not in shown
    assert "\\xff" in shown
    assert staff.post(page(Quarantined, "delete", tick.pk), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in staff.get(page(Quarantined)).content.decode()


def test_the_feeds_are_listed_with_their_state_and_switched(staff, market, admin):
    listed = staff.get(page(Feed)).content.decode()
    assert "binance" in listed
    assert "Made up here" not in listed
    binance = Feed.objects.get(provider="binance")
    for action, running in (("stop", False), ("start", True), ("pause", False), ("resume", True)):
        assert f"Binance: {action}" in act(staff, Feed, action, binance)
        assert ("binance" in control.running()) is running
    act(staff, Feed, "stop", binance)
    assert "is not running" in act(staff, Feed, "pause", binance)
    assert LogEntry.objects.filter(user=admin).count() == 5
    assert "stop: in the admin" in staff.get(page(Feed, "history", binance.pk)).content.decode()


def test_who_may_only_look_switches_nothing(client, bob, market):
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_feed"))
    client.force_login(bob)
    assert client.get(page(Feed)).status_code == 200
    act(client, Feed, "stop", Feed.objects.get(provider="binance"))
    assert "binance" in control.running()


def test_a_gap_is_tried_again(staff, market):
    gap = Gap.objects.get(status="unfillable")
    assert "1 are open again" in act(staff, Gap, "retry", gap)
    gap.refresh_from_db()
    assert gap.status == "open"


def test_a_backfill_shows_how_far_it_is_and_is_cancelled(staff, market):
    row = Backfill.objects.select_related("job").get()
    assert f"0 of {row.job.total} chunks" in staff.get(page(Backfill)).content.decode()
    assert "1 cancelled" in act(staff, Backfill, "cancel", row)
    row.job.refresh_from_db()
    assert row.job.status == "cancelled"


def test_history_is_asked_for(staff, market):
    lonely = make_instrument("LONELY", kind="equity")
    told = act(staff, Instrument, "request_history", market, lonely)
    assert "BTC-USDT: backfill" in told
    assert "No provider has 1m of LONELY" in told
    assert Backfill.objects.count() == 2


def test_instruments_are_followed_or_not(staff, market):
    act(staff, Instrument, "follow_no_more", market)
    assert not Instrument.objects.get().followed
    act(staff, Instrument, "follow", market)
    assert Instrument.objects.get().followed


def test_two_rows_cannot_give_a_venues_name_at_once(staff, market):
    body = {"provider": "binance", "symbol": "BTCUSDT", "instrument": market.pk, "status": "trading", "minor_units": 1}
    answer = staff.post(page(VenueSymbol, "add"), body)
    assert "In this time binance:BTCUSDT is BTC-USDT" in answer.content.decode()


def test_storage_shows_sizes_and_policies(staff, market):
    shown = staff.get(reverse("admin:ingestion_storage")).content.decode()
    for word in ("candle_1m", "trade", "quote", "What becomes of it"):
        assert word in shown
    assert reverse("admin:ingestion_storage") in staff.get(page(Feed)).content.decode()
