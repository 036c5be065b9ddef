"""Would it have fired? Over HTTP, and beside what the same changes make live."""

import datetime as dt
import random
from datetime import UTC, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import numpy as np
import pytest

from ingestion import store
from ingestion.candles import MINUTE_US, Bar
from ingestion.models import AdjustmentFactor, Instrument
from ingestion.providers import SOURCES
from ingestion.store import to_datetime, to_us
from ingestion.ticks import Quote, pack_quotes
from portfolio import ledger
from portfolio.ledger import Draft
from portfolio.models import Portfolio
from signals import arming, dry_run, news
from signals.arming import Terms
from signals.models import Alert, ArticleInstrument, NewsArticle, Signal
from signals.rules import ABOVE, CROSSES_ABOVE, PRICE, Ask, Leaf, Seen
from signals.tracks import Span, Tracks

from .conftest import CLOSED, daily, make_bars, snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

NEW = "/api/alerts/dry-run/"
START = CLOSED - timedelta(hours=2)
FOREIGN = {"kind": "portfolio", "portfolio": 10**9, "figure": "total_value", "op": "above", "value": 1}
SPAN = {"start": START.isoformat(), "end": CLOSED.isoformat()}


@pytest.fixture
def owner(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def ask(owner):
    """ask(condition, mode="every", …): the answer to a dry run of it over `SPAN`."""

    def ask(condition, query="", **more):
        body = {"condition": condition, "mode": "every", "symbol": "BTC-USD"} | SPAN | more
        return owner.post(NEW + query, body, content_type="application/json")

    return ask


def above(value, **more):
    return {"kind": "price", "op": "above", "value": value} | more


def test_it_would_have_fired(ask, candles):
    candles([100.0, 103.0, 100.0, 103.0, 104.0])
    told = ask(above(102.5, clear=101.5)).json()
    at = CLOSED - timedelta(minutes=3)
    assert told["count"] == 2
    assert told["interval"] == "1m"
    assert told["firings"][0] == {
        "generation": 1, "at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z", "price": 103.0, "gapped": False, "spiked": False,
        "reason": told["firings"][0]["reason"], "observed": {"BTC-USD": 103.0},
    }  # fmt: skip
    assert told["thresholds"] == [
        {"kind": "price", "op": "above", "value": 102.5, "clear": 101.5, "label": told["description"]}
    ]
    assert told["series"][0] == [f"{CLOSED - timedelta(minutes=5):%Y-%m-%dT%H:%M:%S}.000000Z", 100, 101, 99, 100]
    assert told["bars"] == len(told["series"]) == 5
    assert told["unsupported"] == []


def test_a_spike_within_a_bar_fires(ask, btc, candles):
    candles([100.0, 100.0])
    spike = make_bars([100.0], btc.id, closed=CLOSED + timedelta(minutes=1))[0]
    store.copy_candles([Bar(**{n: getattr(spike, n) for n in spike.__struct_fields__} | {"high": 200.0})])
    told = ask(above(150), end=(CLOSED + timedelta(minutes=1)).isoformat()).json()
    assert told["count"] == 1
    assert told["firings"][0]["spiked"] is True


def test_nothing_is_made_and_nothing_told(ask, candles):
    candles([100.0, 103.0])
    assert ask(above(102)).json()["count"] == 1
    assert not Alert.objects.exists()


def test_of_a_stored_alert(owner, ask, candles, bob):
    candles([100.0, 103.0, 100.0, 103.0])
    made = owner.post(
        "/api/alerts/", {"symbol": "BTC-USD", "condition": above(102, clear=101.5), "mode": "every"},
        content_type="application/json",
    ).json()  # fmt: skip
    path = f"/api/alerts/{made['id']}/dry-run/"
    told = owner.get(path, SPAN).json()
    assert (
        told["count"]
        == owner.post(f"{path}?start={START:%Y-%m-%dT%H:%M:%SZ}&end={CLOSED:%Y-%m-%dT%H:%M:%SZ}").json()["count"]
        == 2
    )
    drawn = owner.get(told["chart_url"])
    assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    assert Alert.objects.get().generation == 0
    owner.force_login(bob)
    assert owner.get(path, SPAN).status_code == 404


def test_whoever_is_not_signed_in(client):
    assert client.post(NEW, {}, content_type="application/json").status_code in (401, 403)


def test_the_picture_stands_alone(ask, candles):
    candles([100.0, 103.0])
    answer = ask(above(102), "?format=svg", name='<script>"&')
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    document = ElementTree.fromstring(answer.content)  # our own
    title = document.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == '<script>"&'
    assert len(document.findall("{http://www.w3.org/2000/svg}circle")) == 1


def test_a_picture_of_nothing(ask, btc):
    answer = ask(above(102), "?format=svg")
    assert b"No bars in this time." in answer.content


@pytest.mark.parametrize(
    ("condition", "more", "field"),
    [
        (above(102, clear=103), {}, "condition"),
        ({"kind": "price", "op": "above", "value": 102, "symbol": "NOPE"}, {}, "condition"),
        (above(102), {"start": "never"}, "start"),
        (above(102), {"start": CLOSED.isoformat(), "end": START.isoformat()}, "end"),
        (above(102), {"start": "2100-01-01", "end": "2101-01-01"}, "end"),
        (above(102), {"start": "0001-01-01", "end": "0001-01-02"}, "end"),
        (above(102), {"nonsense": 1}, "nonsense"),
        (
            FOREIGN,
            {},
            "condition",
        ),
    ],
)
def test_what_is_refused(ask, btc, condition, more, field):
    answer = ask(condition, **more)
    assert answer.status_code == 400
    assert field in answer.json()


def test_a_time_that_is_too_long_is_refused(ask, btc, settings):
    settings.DRY_RUN_MAX_BARS = 100
    answer = ask(above(1), start="2020-01-01")
    assert (answer.status_code, list(answer.json())) == (400, ["start"])
    settings.DRY_RUN_MAX_BARS = 50_000
    condition = {"kind": "indicator", "name": "rsi(14)", "interval": "1m", "op": "below", "value": 30}
    assert "50000 bars" in ask(condition, start="2024-01-01").json()["start"][0]


def test_an_error_asked_for_as_a_picture_is_json(ask, btc):
    answer = ask(above(102, clear=103), "?format=svg")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")


def test_a_time_that_runs_out(ask, candles, settings):
    candles([100.0, 103.0])
    settings.DRY_RUN_TIMEOUT_S = 0.0
    assert "shorter time" in ask(above(102)).json()["start"][0]


def test_longer_bars_where_there_are_no_others(ask, btc):
    daily(btc, [100.0, 110.0, 105.0], CLOSED.replace(hour=0) - timedelta(days=5))
    told = ask(above(109), start=(CLOSED - timedelta(days=6)).isoformat()).json()
    assert (told["interval"], told["count"]) == ("1d", 1)


def test_many_bars_are_thinned_with_their_extremes(ask, candles, settings):
    settings.DRY_RUN_CHART_POINTS = 10
    candles([100.0 + n % 7 for n in range(100)])
    series = ask(above(1)).json()["series"]
    assert len(series) == 10
    assert all(low <= min(o, c) <= max(o, c) <= high for _, o, high, low, c in series)
    assert max(row[2] for row in series) == 107


# --- Each kind


def test_a_change_against_minutes_before(ask, candles):
    candles([100.0] * 10 + [111.0] * 2)
    told = ask({"kind": "change_percent", "base": "minutes", "minutes": 5, "op": "above", "value": 9.99}).json()
    assert told["count"] == 1


def test_a_change_against_the_day_before(ask, candles):
    candles([100.0], closed=dt.datetime(2026, 3, 2, tzinfo=UTC))
    candles([100.0, 111.0, 112.0])
    condition = {"kind": "change_percent", "base": "previous_close", "op": "above", "value": 10.5}
    told = ask(condition).json()
    assert (told["count"], told["firings"][0]["observed"]) == (1, {"BTC-USD change against the previous close": 11.0})


@pytest.mark.parametrize(("base", "value"), [("open", 10.5), ("high_52w", 8.0), ("low_52w", 12)])
def test_a_change_against_the_open_and_the_year(ask, candles, base, value):
    candles([100.0, 101.0], closed=CLOSED - timedelta(days=20))
    candles([100.0, 111.0, 112.0])
    assert ask({"kind": "change_percent", "base": base, "op": "above", "value": value}).json()["count"] == 1


def test_splits_leave_today_s_thresholds_alone(ask, btc, candles):
    candles([400.0, 420.0], closed=CLOSED)
    AdjustmentFactor.objects.create(instrument=btc, ex_date=CLOSED.date() + timedelta(days=1), split_factor=4.0)
    assert ask(above(104)).json()["count"] == 1


def test_indicators_volumes_and_patterns(ask, btc, candles):
    candles([100.0] * 30 + [90.0] * 3 + [100.0] * 3)
    below = {"kind": "indicator", "name": "sma(2)", "interval": "1m", "op": "crosses_below", "value": 95}
    assert ask(below).json()["count"] == 1
    surge = {"kind": "volume_zscore", "interval": "1m", "window": 20, "op": "above", "value": 5}
    assert ask(surge).json()["count"] == 0
    pattern = {"kind": "pattern", "name": "doji", "interval": "1m", "op": "occurs"}
    assert ask(pattern).json()["count"] > 0


def test_the_replayed_indicator_is_the_live_one(ask, btc, candles):
    """The same bar says the same, however much history lies before it."""
    rng = random.Random(4)
    closes = [100 + rng.uniform(-5, 5) for _ in range(600)]
    candles(closes)
    rule = Leaf(Ask("indicator", btc.id, params=(("interval", "1m"), ("name", "rsi(14)"), ("output", "rsi"))), ABOVE, 0)
    from signals.facts import Facts

    live = Facts().gather([rule.ask], CLOSED + timedelta(seconds=5))[rule.ask]
    track = Tracks(Span(START, CLOSED, "1m"), CLOSED).of(rule.ask)
    assert track.value[-1] == pytest.approx(live.value, rel=1e-9)
    assert track.at_us[-1] == live.at_us


def test_signals(ask, btc, candles):
    candles([100.0] * 5)
    Signal.objects.create(
        instrument=btc, strategy="rsi_reversal", interval="1m", time=CLOSED - timedelta(minutes=2), candle_rev=0,
        signal_type="BUY", strength="STRONG", confidence_score=80.0, entry_price=100.0,
        expires_at=CLOSED + timedelta(hours=1), reason="RSI was 20",
    )  # fmt: skip
    condition = {"kind": "signal", "strategy": "rsi_reversal", "op": "occurs"}
    assert ask(condition).json()["count"] == 1
    assert ask(condition | {"signal_type": "SELL"}).json()["count"] == 0


def test_a_portfolio_by_its_snapshots(ask, alice):
    portfolio = Portfolio.objects.create(owner=alice, name="Savings")
    for minutes, total in ((30, "1000"), (20, "1200"), (10, "900")):
        snapshot(portfolio, CLOSED - timedelta(minutes=minutes), total=total, invested="1000")
    of = {"kind": "portfolio", "portfolio": portfolio.pk}
    told = ask(of | {"figure": "total_value", "op": "above", "value": 1100}, symbol=None).json()
    assert (told["count"], told["thresholds"][0]["value"], len(told["series"])) == (1, 1100, 3)
    assert ask(of | {"figure": "drawdown_percent", "op": "above", "value": 24}, symbol=None).json()["count"] == 1
    told = ask(of | {"figure": "daily_change", "op": "above", "value": 1}, symbol=None).json()
    assert told["unsupported"][0]["kind"] == "portfolio"


def article(instrument, score, published, received=None, provider="rss"):
    row = NewsArticle.objects.create(
        origin="x", provider=provider, provider_id="x", category="general", headline="x", source="x",
        published_at=published, received_at=received or published, sentiment_score=score, sentiment_label="neutral",
        sentiment_model="x",
    )  # fmt: skip
    ArticleInstrument.objects.create(article=row, instrument=instrument, how="name", confidence=0.8)


def test_the_replayed_sentiment_is_what_the_live_one_was(ask, btc):
    """At each minute, whatever came late, was made up, or left the window."""
    rng = random.Random(7)
    for _ in range(60):
        at = CLOSED - timedelta(minutes=rng.uniform(0, 300))
        late = timedelta(minutes=rng.choice([0, 0, 40]))
        article(btc, rng.uniform(-1, 1), at, at + late, rng.choice(["rss", "simulated"]))
    condition = Ask("sentiment", btc.id, params=(("hours", 1),))
    track = Tracks(Span(START, CLOSED, "1m"), CLOSED).of(condition)
    minutes = [START + timedelta(minutes=n + 1) for n in range(120)]
    live = {to_us(at): told.score for at in minutes if (told := news.sentiment([btc.id], at, 1).get(btc.id))}
    assert len(live) > 60
    assert dict(zip(track.at_us.tolist(), track.value.tolist(), strict=True)) == pytest.approx(live)
    told = ask({"kind": "sentiment", "hours": 1, "op": "above", "value": -1}).json()
    assert (told["unsupported"], told["count"] > 0) == ([], True)


def test_a_change_against_the_cost_of_then(ask, alice, btc, candles):
    candles([100.0] * 4)
    savings = Portfolio.objects.create(owner=alice, name="Savings")
    for minutes, price in ((10, "80"), (2, "90")):
        bought = Draft(
            type="BUY", at=CLOSED - timedelta(minutes=minutes, seconds=30), instrument=btc, quantity=Decimal(1),
            price=Decimal(price),
        )  # fmt: skip
        ledger.post(savings, bought, CLOSED)
    condition = {"kind": "change_percent", "base": "cost", "portfolio": savings.pk, "op": "above", "value": 24}
    told = ask(condition).json()
    label = f"BTC-USD change against its cost in {savings.name}"
    assert [one["observed"] for one in told["firings"]] == [{label: 25.0}]
    track = Tracks(Span(START, CLOSED, "1m"), CLOSED).of(
        Ask("change_percent", btc.id, savings.pk, params=(("base", "cost"),))
    )
    assert track.value.tolist() == pytest.approx([25.0, *[100 * (100 - 85) / 85] * 3])


def test_a_spread_by_the_quotes_that_are_kept(ask, btc, candles, settings):
    candles([100.0] * 3)
    quotes = [
        Quote("BTC-USD", to_us(CLOSED) - seconds * 1_000_000, 0, n, 100 - width / 2, 1.0, 100 + width / 2, 1.0)
        for n, (seconds, width) in enumerate([(170, 1.0), (110, 1.0), (100, 4.0), (90, 2.0), (50, -1.0), (40, 1.0)])
    ]
    store.ensure_partitions("quote", np.array([quote.time_us for quote in quotes]))
    store.copy_rows("quote", pack_quotes(quotes, {"BTC-USD": btc.id}, SOURCES["simulated"]))
    wide = {"kind": "spread", "unit": "absolute", "op": "above", "value": 3}
    told = ask(wide).json()
    assert (told["unsupported"], [one["spiked"] for one in told["firings"]]) == ([], [True])
    track = Tracks(Span(START, CLOSED, "1m"), CLOSED).of(Ask("spread", btc.id, params=(("unit", "bps"),)))
    assert [track.value.tolist(), track.high.tolist()] == [[100, 200, 100], [100, 400, 100]]
    settings.DRY_RUN_MAX_QUOTES = 2
    assert "2 quotes" in ask(wide).json()["start"][0]


@pytest.mark.parametrize(
    "part",
    [
        {"kind": "indicator", "name": "obv", "interval": "1m", "op": "above", "value": 0},
        {"kind": "spread", "op": "above", "value": 5},
        {"kind": "staleness", "op": "above", "value": 60},
        {"kind": "service", "part": "feeds", "op": "above", "value": 60},
    ],
)
def test_what_can_t_be_replayed_says_so(ask, candles, part):
    candles([100.0, 103.0])
    told = ask({"any": [above(102), part]}).json()
    assert told["count"] == 1
    assert [one["kind"] for one in told["unsupported"]] == [part["kind"]]


# --- Beside the present


def walk(seed, minutes):
    """(µs, price) a dozen times a minute: a walk around 100. In the first minute, at whose end a replay has its first
    look, nothing happens."""
    rng, price = random.Random(seed), 100.0
    first_us = to_us(CLOSED) - minutes * MINUTE_US
    for n in range(minutes * 12):
        price += (rng.gauss(0, 0.25) - (price - 100) * 0.01) if n >= 12 else 0
        yield first_us + n * 5_000_000, round(price, 2)


def bars_of(instrument_id, told):
    """The closed minutes of these changes."""
    minutes = {}
    for at_us, price in told:
        minutes.setdefault(at_us - at_us % MINUTE_US, []).append(price)
    return [
        Bar(
            instrument_id, SOURCES["simulated"], at_us, p[0], max(p), min(p), p[-1], 1.0, 1.0, len(p), at_us, 1,
            at_us + 1, 2, final=True,
        )
        for at_us, p in minutes.items()
    ]  # fmt: skip


def on(instrument, condition, **more):
    """An alert that isn't stored."""
    names = {instrument.symbol: instrument.id}
    return Alert(instrument=instrument, condition=condition, names=names, mode="every", bar_interval="1m", **more)


def live(rule, terms, told):
    """When each firing came, change by change."""
    ask, state, found = Ask(PRICE, rule.ask.instrument), arming.begun(told[0][0] - 1), []
    for at_us, price in told:
        verdict = arming.judge(rule, terms, state, {ask: Seen(price, price, price, at_us)}, at_us)
        state = verdict.state
        if verdict.fired:
            found.append(verdict.fired.at_us)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("op", [ABOVE, CROSSES_ABOVE])
def test_it_fires_where_the_same_changes_made_it_fire_live(alice, btc, seed, op):
    """The bars of the same changes fire in the same minutes, as long as no minute holds both a firing and its end."""
    told = list(walk(seed, 110))
    store.copy_candles(bars_of(btc.id, told))
    condition = {"kind": "price", "symbol": "BTC-USD", "op": op, "value": 101.0, "clear": 99.0}
    run = dry_run.run(on(btc, condition, user=alice), START, CLOSED, CLOSED)
    expected = live(Leaf(Ask(PRICE, btc.id), op, 101.0, 99.0), Terms(mode="every"), told)
    assert expected
    assert [fired.at_us - MINUTE_US for fired in run.firings] == [at_us - at_us % MINUTE_US for at_us in expected]


@pytest.mark.parametrize("seed", range(6))
def test_it_never_fires_where_the_present_did_not(alice, btc, seed):
    """Thresholds so near that a minute holds several of both: what is replayed may be less, never more."""
    told = list(walk(seed, 110))
    store.copy_candles(bars_of(btc.id, told))
    condition = {"kind": "price", "symbol": "BTC-USD", "op": "crosses_above", "value": 100.0}
    run = dry_run.run(on(btc, condition, user=alice), START, CLOSED, CLOSED)
    minutes = {
        at_us - at_us % MINUTE_US for at_us in live(Leaf(Ask(PRICE, btc.id), CROSSES_ABOVE, 100.0), Terms(), told)
    }
    assert run.firings
    assert {fired.at_us - MINUTE_US for fired in run.firings} <= minutes


def test_only_while_the_market_is_open(alice):
    stock = Instrument.objects.create(symbol="SCOM", name="Safaricom", kind="equity", currency="KES", exchange="NSE")
    # Nairobi trades from 06:00 to 12:00 UTC.
    for closed in (dt.datetime(2026, 3, 2, 9, tzinfo=UTC), dt.datetime(2026, 3, 2, 14, tzinfo=UTC)):
        store.copy_candles(make_bars([10.0, 12.0, 10.0], stock.id, closed=closed))
    condition = {"kind": "price", "symbol": "SCOM", "op": "crosses_above", "value": 11.5}
    until = dt.datetime(2026, 3, 2, 18, tzinfo=UTC)
    counts = [
        len(
            dry_run.run(
                on(stock, condition, user=alice, session=session), until - timedelta(days=1), until, until
            ).firings
        )
        for session in ("any", "regular")
    ]
    assert counts == [2, 1]


def test_two_conditions_at_once_look_at_the_same_time(alice, btc, candles):
    candles([100.0, 100.0, 110.0, 110.0])
    average = {"kind": "indicator", "name": "sma(2)", "interval": "1m"}
    parts = [part | {"symbol": "BTC-USD", "op": "above", "value": 109} for part in ({"kind": "price"}, average)]
    run = dry_run.run(on(btc, {"all": parts}, user=alice), START, CLOSED, CLOSED)
    assert [to_datetime(fired.at_us) for fired in run.firings] == [CLOSED]
    assert run.prices[run.firings[0].at_us] == 110
