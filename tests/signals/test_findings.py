"""Figures and anomalies at the close of bars: found once, kept once, told over HTTP."""

import datetime as dt
import threading

import pytest
from django.db import connection

from ingestion import demand
from ingestion.models import Instrument
from signals import findings
from signals.models import Examined, Finding
from signals.patterns import figures
from signals.tasks import find_patterns, tidy_findings

from .conftest import CLOSED, market

NOW = CLOSED + dt.timedelta(seconds=10)
MINUTE = dt.timedelta(minutes=1)
MAX_AGE_S = 180.0
# Quiet, then a double top that its last close confirms: as in test_patterns, but long enough for everything else.
SHAPE = [*[100.0 + i % 2 for i in range(80)], 100, 104, 108, 112, 116, 112, 108, 104, 108, 112, 116, 112, 108, 104, 99]


@pytest.fixture
def watched(btc, own_prefix):
    demand.want("somebody", [btc.id], 60)
    return btc


def kept():
    return sorted(Finding.objects.values_list("kind", "name", "time"))


def test_a_confirmed_figure_is_kept_once_with_what_it_was_found_by(watched, candles):
    candles(SHAPE)
    assert findings.find("1m", NOW) > 0
    one = Finding.objects.get(name="double_top")
    assert (one.kind, one.instrument, one.interval, one.time) == ("figure", watched, "1m", CLOSED)
    assert (one.direction, one.source) == ("bearish", "simulated")
    assert [point["price"] for point in one.parameters["points"]] == [117, 103, 117]
    before = kept()
    assert findings.find("1m", NOW) == 0
    Examined.objects.all().delete()  # even if it had forgotten where it was
    findings.find("1m", NOW)
    assert kept() == before


def test_bar_by_bar_it_finds_what_it_finds_at_once(watched, candles, settings):
    settings.SIGNAL_MAX_AGE_S = MAX_AGE_S
    candles([*SHAPE, *[99.0 - i for i in range(6)], 140.0])
    start = CLOSED - 6 * MINUTE
    for minute in range(7):
        findings.find("1m", start + minute * MINUTE + dt.timedelta(seconds=10))
    bar_by_bar = kept()
    Finding.objects.all().delete()
    Examined.objects.all().delete()
    settings.SIGNAL_MAX_AGE_S = 6 * 60 + MAX_AGE_S
    findings.find("1m", NOW)  # after an interruption
    assert kept() == bar_by_bar
    assert ("price_spike", "price_spike", CLOSED) in bar_by_bar


def test_what_is_long_over_is_no_news(watched, candles, settings):
    settings.SIGNAL_MAX_AGE_S = 60
    candles([*SHAPE, *[98.0] * 5])
    findings.find("1m", NOW)
    assert not Finding.objects.filter(name="double_top").exists()
    assert Examined.objects.get().time == CLOSED - MINUTE


def test_what_a_revised_bar_does_not_confirm_is_withdrawn(watched, candles, revise, reader):
    candles(SHAPE)
    findings.find("1m", NOW)
    candles([98.0], closed=CLOSED + MINUTE)
    revise(0, 110.0)  # it never left the figure
    findings.find("1m", NOW + MINUTE)
    one = Finding.objects.get(name="double_top", time=CLOSED)
    assert (one.status, one.status_at, one.direction) == ("withdrawn", NOW + MINUTE, "bearish")
    assert not Finding.objects.filter(supersedes=one).exists()
    (told,) = reader.get("/api/findings/", {"name": "double_top", "status": "withdrawn"}).json()["results"]
    assert (told["status"], told["status_at"], told["supersedes"]) == ("withdrawn", "2026-03-02T12:01:10.000000Z", None)
    before = list(Finding.objects.order_by("pk").values())
    candles([98.0], closed=CLOSED + 2 * MINUTE)
    findings.find("1m", NOW + 2 * MINUTE)
    assert list(Finding.objects.filter(pk__lte=before[-1]["id"]).order_by("pk").values()) == before


def test_what_measures_otherwise_is_superseded(watched, candles, revise):
    candles(SHAPE)
    findings.find("1m", NOW)
    candles([98.0], closed=CLOSED + MINUTE)
    revise(10, 119.0)  # the first top
    findings.find("1m", NOW + MINUTE)
    new = Finding.objects.get(name="double_top", time=CLOSED, status="standing")
    old = new.supersedes
    assert (old.status, old.kind, old.time) == ("superseded", "figure", CLOSED)
    assert [old.parameters["points"][0]["price"], new.parameters["points"][0]["price"]] == [117, 119]


def test_bars_that_are_as_they_were_take_nothing_back(watched, candles, revise):
    candles(SHAPE)
    findings.find("1m", NOW)
    for minute in range(1, 4):
        candles([98.0 - minute], closed=CLOSED + minute * MINUTE)
        findings.find("1m", NOW + minute * MINUTE)
    assert not Finding.objects.exclude(status="standing").exists()


def test_an_open_bar_is_waited_for(watched, candles):
    candles(SHAPE[:-1], closed=CLOSED - MINUTE)
    findings.find("1m", NOW - MINUTE)
    candles(SHAPE[-1:], final=False)
    findings.find("1m", NOW)
    assert Examined.objects.get().time == CLOSED - 2 * MINUTE
    assert not Finding.objects.filter(name="double_top").exists()


def test_only_what_somebody_follows_is_looked_at(btc, candles, own_prefix, settings):
    candles(SHAPE)
    settings.SYMBOLS = ["NOPE"]
    assert findings.find("1m", NOW) == 0
    assert not Examined.objects.exists()
    settings.SYMBOLS = ["btc-usd"]
    assert findings.find("1m", NOW) > 0
    settings.SYMBOLS = []  # whatever is marked as followed
    Finding.objects.all().delete()
    Examined.objects.all().delete()
    Instrument.objects.update(followed=False)
    assert findings.find("1m", NOW) == 0
    Instrument.objects.update(followed=True)
    assert findings.find("1m", NOW) > 0


def test_longer_bars_are_made_of_their_minutes(watched, candles, settings):
    candles([100.0 + i % 2 for i in range(60 * 70)] + [150.0] * 60)
    findings.find("1h", CLOSED + dt.timedelta(seconds=settings.SIGNAL_SETTLE_S + 1))
    assert Examined.objects.get(interval="1h").time == CLOSED - dt.timedelta(hours=1)
    assert Finding.objects.get(name="price_spike").time == CLOSED


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_keep_each_once(watched, candles):
    candles(SHAPE)
    start = threading.Barrier(3)

    def run():
        try:
            start.wait(10)
            findings.find("1m", NOW)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept()) == len(set(kept())) > 0
    assert Examined.objects.count() == 1


def test_old_ones_are_forgotten_by_the_bars_since(watched, candles, settings):
    candles(SHAPE)
    findings.find("1m", NOW)
    settings.FINDING_KEEP_BARS = 10
    assert findings.trim(NOW) == 0
    assert findings.trim(NOW + 11 * MINUTE) > 0
    assert find_patterns("1m") == tidy_findings() == 0


def test_looking_from_a_bar_on_gives_the_same_as_looking_at_all():
    candles = market(400, seed=11)
    everything = figures(candles)
    assert len(everything) > 5
    for first in range(0, 400, 37):
        since_us = int(candles.time_us[first])
        assert figures(candles, first=first) == [one for one in everything if one.time_us > since_us]


# --- Over HTTP --------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(client, alice):
    client.force_login(alice)
    return client


def test_kept_ones_are_listed_newest_first(watched, candles, reader):
    candles([*SHAPE, 98.0])
    findings.find("1m", NOW - MINUTE)
    findings.find("1m", NOW)
    told = reader.get("/api/findings/").json()
    assert told["next"] is None
    times = [one["time"] for one in told["results"]]
    assert times == sorted(times, reverse=True)
    (one,) = reader.get("/api/findings/", {"symbol": "btc-usd", "kind": "figure", "interval": "1m"}).json()["results"]
    row = Finding.objects.get(kind="figure")
    assert one == {
        "finding_id": str(row.pk), "symbol": "BTC-USD", "interval": "1m", "source": "simulated", "kind": "figure",
        "name": "double_top", "time": "2026-03-02T11:59:00.000000Z", "direction": "bearish", "status": "standing",
        "status_at": None, "supersedes": None,
        "confidence": row.confidence, "confidence_basis": "heuristic", "parameters": row.parameters,
    }  # fmt: skip
    assert reader.get("/api/findings/", {"kind": "figure", "since": CLOSED.isoformat()}).json()["results"] == []


def test_any_instruments_are_found_on_demand(btc, candles, reader):
    candles(SHAPE)
    told = reader.get("/api/market/BTC-USD/patterns/", {"interval": "1m", "name": "double_top,doji"}).json()
    assert (told["symbol"], told["instrument"], told["interval"], told["next"]) == ("BTC-USD", "BTC-USD", "1m", None)
    assert {one["name"] for one in told["results"]} == {"double_top", "doji"}
    assert told["results"][-1]["time"] == "2026-03-02T12:00:00.000000Z"
    last = reader.get("/api/market/btc-usd/patterns/", {"interval": "1m", "limit": 1}).json()["results"]
    assert len(last) == 1
    assert Finding.objects.count() == 0


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/api/findings/", {"symbol": "NOPE"}, "symbol"),
        ("/api/findings/", {"symbol": "A\0"}, "symbol"),
        ("/api/findings/", {"kind": "omen"}, "kind"),
        ("/api/findings/", {"interval": "7m"}, "interval"),
        ("/api/findings/", {"name": "a\0b"}, "name"),
        ("/api/findings/", {"status": "gone"}, "status"),
        ("/api/findings/", {"since": "yesterday"}, "since"),
        ("/api/market/BTC-USD/patterns/", {"name": "crystal_ball"}, "name"),
        ("/api/market/BTC-USD/patterns/", {"name": "\0"}, "name"),
        ("/api/market/BTC-USD/patterns/", {"interval": "x"}, "interval"),
        ("/api/market/BTC-USD/patterns/", {"limit": "0"}, "limit"),
        ("/api/market/BTC-USD/patterns/", {"bars": "1e9"}, "bars"),
        ("/api/market/BTC-USD/patterns/", {"end": "NaN"}, "end"),
    ],
)
def test_bad_questions_are_refused(btc, reader, path, query, field):
    answer = reader.get(path, query)
    assert (answer.status_code, list(answer.json())) == (400, [field]), answer.json()


def test_who_may_ask(btc, client, settings):
    assert client.get("/api/market/NOPE/patterns/").status_code == 404
    settings.ANONYMOUS_MARKET_DATA = False
    for path in ("/api/findings/", "/api/market/BTC-USD/patterns/"):
        assert client.get(path).status_code in (401, 403)
