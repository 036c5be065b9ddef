"""Strategies and signals over HTTP."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ingestion import demand
from ingestion.models import Instrument, Watchlist
from signals import runs, strategies
from signals.models import Signal, SignalHearer, SignalSubscription, UserStrategy
from signals.strategies import HOUSE, KINDS

URL = "/api/strategies/"
MINE = {"name": "Mine", "kind": "sma_cross", "parameters": {"fast": 3, "slow": 9}, "interval": "15m"}


@pytest.fixture
def as_(alice):
    def as_(user):
        client = APIClient()
        client.force_authenticate(user)
        return client

    return as_


@pytest.fixture
def api(as_, alice):
    return as_(alice)


@pytest.fixture
def make_signal(btc):
    def make_signal(**more):
        now = timezone.now()
        columns = {
            "strategy": "sma_cross", "strategy_key": "sma_cross()@1m", "instrument": btc, "interval": "1m", "time": now,
            "candle_rev": 0, "signal_type": "BUY", "strength": "WEAK", "confidence_score": 60.0, "entry_price": 100.0,
            "expires_at": now + timedelta(hours=1), "reason": "It rose.",
        }  # fmt: skip
        return Signal.objects.create(**columns | more)

    return make_signal


def test_the_list_tells_the_houses_strategies_and_what_one_can_make(api):
    told = api.get(URL).json()
    assert {one["id"] for one in told["results"]} == set(HOUSE)
    assert told["next"] is None
    (sma,) = [kind for kind in told["kinds"] if kind["kind"] == "sma_cross"]
    assert (sma["origin"], sma["warmup"]) == ("built-in", 40)
    assert sma["description"].startswith("BUY when the fast average")
    fast = {
        "name": "fast", "default": 5, "min": 2, "max": 499, "whole": True, "description": "bars of the fast average",
    }  # fmt: skip
    assert sma["parameters"][0] == fast
    assert {kind["kind"] for kind in told["kinds"]} >= set(KINDS)


def test_every_parameter_of_every_kind_has_its_bounds():
    for kind in KINDS:
        for name, default in strategies.defaults(kind).items():
            limits = strategies.limits_of(kind)[name]
            assert limits["least"] <= default <= limits["most"], (kind, name)
            assert limits["about"]


def test_a_strategy_of_ones_own(api, btc, own_prefix, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        made = api.post(URL, MINE | {"instruments": ["btc-usd"]}, format="json")
    assert made.status_code == 201, made.json()
    told = made.json()
    assert told["parameters"] == {"fast": 3, "slow": 9, "target_ranges": 3.0, "stop_ranges": 2.0}
    assert told["key"] == "sma_cross(fast=3,slow=9,stop_ranges=2.0,target_ranges=3.0)@15m"
    assert (told["instruments"], told["enabled"], told["house"]) == (["BTC-USD"], True, False)
    assert demand.wanted() == {btc.pk}, "feeds follow what it names"
    changed = api.patch(f"{URL}{told['id']}/", {"instruments": "watched", "min_confidence": 70}, format="json")
    assert (changed.json()["instruments"], changed.json()["min_confidence"]) == ("watched", 70)
    assert changed.json()["parameters"]["fast"] == 3, "what isn't named stays"
    other = api.patch(f"{URL}{told['id']}/", {"kind": "rsi_reversal"}, format="json").json()
    assert other["parameters"]["period"] == 14
    assert api.get(f"{URL}{told['id']}/").json() == other
    assert api.delete(f"{URL}{told['id']}/").status_code == 204
    assert not UserStrategy.objects.exists()


def test_equal_strategies_of_several_users_are_one_run(as_, alice, bob):
    for user, parameters in ((alice, {"fast": 3}), (bob, {"fast": 3.0, "slow": 20})):
        assert as_(user).post(URL, MINE | {"parameters": parameters}, format="json").status_code == 201
    assert UserStrategy.objects.values("run").distinct().count() == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "astrology"}, "kind"),
        ({"kind": ["sma_cross"]}, "kind"),
        ({"parameters": {"fast": 30, "slow": 20}}, "parameters"),
        ({"parameters": {"speed": 1}}, "parameters"),
        ({"parameters": {"fast": 10**400}}, "parameters"),
        ({"parameters": [1]}, "parameters"),
        ({"parameters": None}, "parameters"),
        ({"interval": "2m"}, "interval"),
        ({"instruments": []}, "instruments"),
        ({"instruments": ["NOWHERE"]}, "instruments"),
        ({"instruments": [7]}, "instruments"),
        ({"instruments": "all"}, "instruments"),
        ({"min_confidence": 101}, "min_confidence"),
        ({"min_confidence": "nan"}, "min_confidence"),
        ({"min_confidence": True}, "min_confidence"),
        ({"notify": "yes"}, "notify"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_strategies_are_refused_by_field(api, given, field):
    answer = api.post(URL, MINE | given, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not UserStrategy.objects.exists()


def test_names_and_number_are_limited(api, settings):
    assert api.post(URL, MINE, format="json").status_code == 201
    assert "already" in api.post(URL, MINE, format="json").json()["name"][0]
    settings.USER_STRATEGIES_MAX = 1
    assert "At most 1" in api.post(URL, MINE | {"name": "Another"}, format="json").json()["name"][0]


def test_somebody_elses_strategy_does_not_exist(as_, api, bob):
    own = api.post(URL, MINE, format="json").json()["id"]
    other = as_(bob)
    for call in (other.get, other.patch, other.delete):
        assert call(f"{URL}{own}/").status_code == 404
    assert other.post(f"{URL}{own}/subscribe/").status_code == 404
    assert own not in [one["id"] for one in other.get(URL).json()["results"]]
    assert api.get(f"{URL}nothing/").status_code == 404
    assert APIClient().get(URL).status_code in (401, 403)


def test_the_houses_strategies_are_subscribed_to_and_not_changed(api, alice, btc):
    url = f"{URL}sma_cross/subscribe/"
    assert api.post(url, {}, format="json").json() == {"strategy": "sma_cross", "symbol": None}
    for _ in range(2):
        answer = api.post(url, {"symbol": "BTC-USD"}, format="json")
        assert answer.json() == {"strategy": "sma_cross", "symbol": "BTC-USD"}
    assert len(api.get(f"{URL}sma_cross/").json()["subscriptions"]) == 2
    assert api.delete(f"{url}?symbol=BTC-USD").status_code == 204
    assert list(SignalSubscription.objects.values_list("user", "instrument")) == [(alice.pk, None)]
    assert api.patch(f"{URL}sma_cross/", {"enabled": False}, format="json").status_code == 403
    assert api.delete(f"{URL}sma_cross/").status_code == 403
    assert api.post(url, {"symbol": "NOWHERE"}, format="json").status_code == 400
    assert api.post(f"{URL}nothing/subscribe/").status_code == 404


def test_being_told_of_ones_own(api):
    own = api.post(URL, MINE | {"notify": False}, format="json").json()["id"]
    assert api.post(f"{URL}{own}/subscribe/").status_code == 200
    assert UserStrategy.objects.get().notify
    assert api.delete(f"{URL}{own}/subscribe/").status_code == 204
    assert not UserStrategy.objects.get().notify


def test_signals_are_found_by_what_they_are(api, make_signal, btc):
    other = Instrument.objects.create(symbol="KCB", name="KCB", kind="equity", currency="KES")
    now = timezone.now()
    weak = make_signal(confidence_score=55.0)
    sold = make_signal(signal_type="SELL", strategy="macd_cross", interval="1h", instrument=other)
    over = make_signal(time=now - timedelta(days=1), expires_at=now - timedelta(hours=1))
    gone = make_signal(time=now - timedelta(hours=2), status="SUPERSEDED")

    def found(**asked):
        answer = api.get("/api/signals/", asked)
        assert answer.status_code == 200, answer.json()
        return {int(one["signal_id"]) for one in answer.json()["results"]}

    assert found() == {weak.pk, sold.pk, over.pk, gone.pk}
    assert found(symbol="kcb") == {sold.pk}
    assert found(signal_type="sell") == {sold.pk}
    assert found(strategy="macd_cross") == found(interval="1h") == {sold.pk}
    assert found(status="ACTIVE") == {weak.pk, sold.pk}
    assert found(status="expired,SUPERSEDED") == {over.pk, gone.pk}
    assert found(min_confidence="60") == {sold.pk, over.pk, gone.pk}
    assert found(since=(now - timedelta(hours=3)).isoformat()) == {weak.pk, sold.pk, gone.pk}
    assert api.get(f"/api/signals/{over.pk}/").json()["status"] == "EXPIRED"
    page = api.get("/api/signals/", {"limit": 3}).json()
    assert len(page["results"]) == 3
    assert len(api.get(page["next"]).json()["results"]) == 1


@pytest.mark.parametrize(
    "asked",
    ["symbol=NOWHERE", "signal_type=MAYBE", "interval=2m", "status=LOST", "since=soon", "min_confidence=inf",
     "min_confidence=lots", "strategy=a%00b"],
)  # fmt: skip
def test_bad_filters_are_refused(api, db, asked):
    answer = api.get(f"/api/signals/?{asked}")
    assert answer.status_code == 400
    assert list(answer.json()) == [asked.partition("=")[0]]


def test_a_private_signal_is_for_its_hearers_alone(as_, api, bob, alice, make_signal):
    own = make_signal(private=True)
    SignalHearer.objects.create(signal=own, user=alice)
    assert api.get(f"/api/signals/{own.pk}/").json()["private"] is True
    assert as_(bob).get(f"/api/signals/{own.pk}/").status_code == 404
    assert as_(bob).get("/api/signals/").json()["results"] == []
    assert as_(bob).get(f"/api/signals/{10**30}/").status_code == 404


def test_what_a_user_watches_is_followed(api, alice, btc, own_prefix):
    Watchlist.objects.create(user=alice, name="Mine").items.create(instrument=btc, order=0)
    assert api.post(URL, MINE, format="json").status_code == 201
    (own,) = [run for run in runs.load("15m", timezone.now()) if not run.is_house]
    assert own.wants(btc.pk)
    assert not own.wants(btc.pk + 1)
