"""Signals are scored by stored bars, end by it, and add up to scorecards."""

import datetime as dt
import threading

import pytest
from django.db import connection

from ingestion import store
from ingestion.candles import MINUTE_US, Bar
from ingestion.models import AdjustmentFactor
from ingestion.providers import SOURCES
from signals import outcomes, scorecards
from signals.models import Signal, SignalHearer, SignalOutcome
from signals.tasks import score_outcomes
from streaming.models import Event

from .conftest import CLOSED

KEY = "sma_cross(fast=5,slow=20)@1m"
LATER = CLOSED + dt.timedelta(hours=2)


@pytest.fixture
def signal(btc):
    """signal(…) is a BUY at 100 at CLOSED: target 110, stop 95, for five minutes."""

    def signal(**other):
        return Signal.objects.create(
            **{
                "strategy": "sma_cross", "strategy_key": KEY, "instrument": btc, "interval": "1m", "time": CLOSED,
                "candle_rev": 0, "source": SOURCES["simulated"], "signal_type": "BUY", "strength": "STRONG",
                "confidence_score": 80, "entry_price": 100.0, "target_price": 110.0, "stop_loss": 95.0,
                "expires_at": CLOSED + dt.timedelta(minutes=5), "reason": "",
            }
            | other
        )  # fmt: skip

    return signal


@pytest.fixture
def after(btc):
    """after((open, high, low, close), …): the minutes after CLOSED."""

    def after(*prices, final=True, source="simulated", start=CLOSED):
        times = [store.to_us(start) + i * MINUTE_US for i in range(len(prices))]
        store.copy_candles(
            Bar(btc.id, SOURCES[source], t, *p, 1.0, 1.0, 1, t, t, t, t, final=final)
            for t, p in zip(times, prices, strict=True)
        )

    return after


QUIET = (100, 101, 99, 100)


def test_a_signal_that_reached_its_target_is_scored_and_ends(signal, after):
    one = signal()
    after(QUIET, (100, 111, 98, 110))
    assert outcomes.score("1m", LATER) == 1
    one.refresh_from_db()
    row = one.outcome
    assert (one.status, one.status_at) == ("TARGET", CLOSED + dt.timedelta(minutes=2))
    assert (row.result, row.at, row.exit_price, row.bars_held, row.source) == (
        "target",
        one.status_at,
        110,
        2,
        "simulated",
    )
    assert (row.return_percent, row.return_r, row.mae_r) == (pytest.approx(10), pytest.approx(2), pytest.approx(-0.4))
    assert set(Event.objects.values_list("topic", "type")) == {
        ("signals", "signal_update"), ("signals:BTC-USD", "signal_update"),
    }  # fmt: skip


def test_scoring_again_changes_nothing(signal, after):
    signal()
    after((100, 101, 90, 91))
    assert [outcomes.score("1m", LATER), outcomes.score("1m", LATER)] == [1, 0]
    assert (SignalOutcome.objects.get().result, Event.objects.count()) == ("stop", 2)
    assert score_outcomes("1m") == 0


def test_it_waits_for_bars_that_are_not_there_yet(signal, after, settings):
    one = signal()
    after(QUIET, QUIET)
    after((100, 120, 99, 110), final=False, start=CLOSED + dt.timedelta(minutes=2))
    after((100, 101, 90, 91), start=CLOSED + dt.timedelta(minutes=3))
    assert outcomes.score("1m", LATER) == 0  # the open one may still say anything
    one.refresh_from_db()
    assert one.status == "ACTIVE"


def test_before_its_expiry_only_what_has_happened_counts(signal, after):
    signal()
    after(*[QUIET] * 5)
    grace = dt.timedelta(seconds=31)
    assert outcomes.score("1m", CLOSED + dt.timedelta(minutes=4) + grace) == 0
    assert outcomes.score("1m", CLOSED + dt.timedelta(minutes=5) + grace) == 1
    assert SignalOutcome.objects.get().result == "expired"


def test_sources_are_not_mixed_and_without_bars_there_is_nothing_to_score_by(signal, after):
    one = signal()
    after((100, 120, 99, 119), source="binance")
    assert outcomes.score("1m", LATER) == 1
    one.refresh_from_db()
    assert (one.status, one.outcome.result, one.outcome.reason) == ("EXPIRED", "skipped", "no bars")


def test_across_a_split_nothing_is_compared(signal, after, btc):
    midnight = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
    evening = midnight - dt.timedelta(minutes=2)
    open_then = signal(time=evening, expires_at=midnight + dt.timedelta(minutes=3))
    ended_before = signal(strategy_key="other", time=evening, target_price=101.0, expires_at=open_then.expires_at)
    AdjustmentFactor.objects.create(instrument=btc, ex_date=midnight.date(), split_factor=4.0)
    after(QUIET, (100, 100.5, 99, 100), (25, 26, 24, 25), start=evening)
    assert outcomes.score("1m", midnight + dt.timedelta(hours=1)) == 2
    results = {row.signal_id: (row.result, row.reason) for row in SignalOutcome.objects.all()}
    assert results == {open_then.pk: ("skipped", "split"), ended_before.pk: ("target", "")}


def test_a_split_that_becomes_known_later_takes_the_score_back(signal, after, btc):
    evening = dt.datetime(2026, 3, 2, 23, 58, tzinfo=dt.UTC)
    signal(time=evening, expires_at=evening + dt.timedelta(minutes=5))
    after(QUIET, QUIET, (25, 26, 24, 25), start=evening)
    outcomes.score("1m", evening + dt.timedelta(hours=1))
    assert SignalOutcome.objects.get().result == "stop"
    AdjustmentFactor.objects.create(instrument=btc, ex_date=dt.date(2026, 3, 3), split_factor=4.0)
    outcomes.score("1m", evening + dt.timedelta(hours=2))
    row = SignalOutcome.objects.get()
    assert (row.result, row.reason, row.return_percent) == ("skipped", "split", None)


def test_a_superseded_signal_is_not_scored(signal, after):
    signal(status="SUPERSEDED", status_at=CLOSED)
    after((100, 120, 99, 119))
    outcomes.score("1m", LATER)
    assert (SignalOutcome.objects.get().reason, Event.objects.count()) == ("superseded", 0)


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_score_once(signal, after):
    signal()
    after((100, 120, 99, 119))
    start, scored = threading.Barrier(3), []

    def run():
        try:
            start.wait(10)
            scored.append(outcomes.score("1m", LATER))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(scored), SignalOutcome.objects.count(), Event.objects.count()) == (1, 1, 2)


# --- Scorecards -------------------------------------------------------------------------------------------------


@pytest.fixture
def scored(signal):
    """scored("target", 2.0, …): a signal with this result, and what it returned in R."""
    count = iter(range(1_000))

    def scored(result, r, bars=3, **other):
        one = signal(time=CLOSED + dt.timedelta(minutes=next(count)), **other)
        skipped = result == "skipped"
        numbers = (
            {} if skipped else {"return_r": r, "return_percent": r * 5, "mfe_r": 1, "mae_r": -1, "bars_held": bars}
        )
        SignalOutcome.objects.create(signal=one, result=result, at=LATER, scored_at=LATER, **numbers)
        return one

    scorecards.forget()
    return scored


def test_a_scorecard_adds_up(scored, client, alice):
    for result, r, bars, strength in [
        ("target", 2.0, 2, "STRONG"), ("stop", -1.0, 4, "STRONG"), ("target", 2.0, 6, "WEAK"),
        ("expired", 0.5, 20, "WEAK"), ("skipped", None, 0, "WEAK"),
    ]:  # fmt: skip
        scored(result, r, bars, strength=strength)
    client.force_login(alice)
    (card,) = client.get("/api/strategies/scorecards/").json()["results"]
    assert (card["strategy"], card["key"], card["interval"], card["symbol"]) == ("sma_cross", KEY, "1m", None)
    assert {name: card[name] for name in ("n", "hits", "stops", "expired", "skipped", "median_bars", "hit_rate")} == {
        "n": 4, "hits": 2, "stops": 1, "expired": 1, "skipped": 1, "median_bars": 5, "hit_rate": 0.5,
    }  # fmt: skip
    assert (card["mean_r"], card["expectancy_percent"]) == (pytest.approx(0.875), pytest.approx(4.375))
    assert (card["hit_rate_low"], card["hit_rate_high"]) == (
        pytest.approx(0.15, abs=0.01),
        pytest.approx(0.85, abs=0.01),
    )
    assert [(one["strength"], one["n"], one["hits"]) for one in card["by_strength"]] == [
        ("STRONG", 2, 1),
        ("WEAK", 2, 1),
    ]

    by_symbol = client.get("/api/strategies/scorecards/", {"by_symbol": "true", "symbol": "btc-usd"}).json()["results"]
    assert [(one["symbol"], one["n"]) for one in by_symbol] == [("BTC-USD", 4)]
    assert client.get("/api/strategies/scorecards/", {"interval": "1h"}).json() == {"results": [], "next": None}


def test_bad_questions_are_refused(client, alice, db):
    assert client.get("/api/strategies/scorecards/").status_code in (401, 403)
    client.force_login(alice)
    for query in ({"interval": "7m"}, {"symbol": "NOPE"}, {"key": "a\0"}, {"by_symbol": "perhaps"}):
        answer = client.get("/api/strategies/scorecards/", query)
        assert (answer.status_code, list(answer.json())) == (400, list(query)), answer.json()


def test_others_private_signals_are_nobodys_business(scored, client, alice, bob):
    one = scored("target", 2.0, private=True)
    SignalHearer.objects.create(signal=one, user=alice)
    for user, status, cards in ((alice, 200, 1), (bob, 404, 0)):
        client.force_login(user)
        assert client.get(f"/api/signals/{one.pk}/outcome/").status_code == status
        assert len(client.get("/api/strategies/scorecards/").json()["results"]) == cards


def test_what_became_of_one_signal(scored, signal, client, alice):
    done, still_open = scored("stop", -1.0), signal(interval="5m")
    client.force_login(alice)
    told = client.get(f"/api/signals/{done.pk}/outcome/").json()
    assert (told["signal_id"], told["result"], told["return_r"], told["at"]) == (
        str(done.pk), "stop", -1.0, "2026-03-02T14:00:00.000000Z",
    )  # fmt: skip
    told = client.get(f"/api/signals/{still_open.pk}/outcome/").json()
    assert (told["signal_id"], told["result"], told["at"]) == (str(still_open.pk), None, None)
    assert client.get(f"/api/signals/{10**30}/outcome/").status_code == 404


def test_a_hit_rate_is_a_confidence_once_there_are_enough(scored, settings):
    settings.CALIBRATED_MIN_OUTCOMES = 3
    scored("target", 2.0)
    scored("stop", -1.0)
    scored("skipped", None)
    assert scorecards.calibrated(KEY) is None
    scored("target", 2.0)
    assert scorecards.calibrated(KEY) is None  # it was asked a moment ago
    scorecards.forget()
    assert scorecards.calibrated(KEY) == (pytest.approx(2 / 3), 3)
    assert scorecards.calibrated("another") is None
