"""The figures that alerts judge, of real rows: one test for each kind, and for what makes a figure missing."""

import datetime as dt
from datetime import UTC, timedelta
from decimal import Decimal

import pytest

from ingestion import calendar, latest, store
from ingestion.candles import MINUTE_US
from ingestion.models import AdjustmentFactor, Instrument, MarketCalendar
from ingestion.store import to_us
from portfolio import ledger
from portfolio.ledger import Draft
from portfolio.models import Portfolio
from signals.facts import Facts, parts
from signals.models import Signal, SignalHearer
from signals.rules import Ask, Seen
from worker.redis import client, key

from .conftest import CLOSED, daily, make_bars, snapshot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_prefix")]

NOW = CLOSED + timedelta(seconds=5)
SECOND = timedelta(seconds=1)


def ask(kind, instrument=None, portfolio=None, **params):
    return Ask(kind, instrument, portfolio, tuple(sorted(params.items())))


@pytest.fixture
def facts():
    return Facts()


@pytest.fixture
def one(facts):
    """one(ask, now): what is known of it, or None."""
    return lambda asked, now=NOW, prices=None: facts.gather([asked], now, prices).get(asked)


@pytest.fixture
def say():
    """say(instrument, 100.0, at=…): a latest price of a source."""

    def say(instrument, price, at=NOW, source="simulated", **more):
        told = latest.Latest(source=source, price=price, time_us=to_us(at), received_us=to_us(at), **more)
        client().hset(key("latest", source), str(instrument.id), latest.encode(told))

    return say


@pytest.fixture
def aapl(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")


@pytest.fixture
def new_york(db):
    """Its sessions of the first two weeks of March 2026, 14:30 to 21:00 UTC."""
    days = [day for day in range(2, 14) if dt.date(2026, 3, day).weekday() < 5]
    hours = [(dt.datetime(2026, 3, day, 14, 30, tzinfo=UTC), dt.datetime(2026, 3, day, 21, tzinfo=UTC)) for day in days]
    packed = calendar.pack([calendar.Session(to_us(opens), to_us(closes)) for opens, closes in hours])
    MarketCalendar.objects.create(name="XNYS", sessions=packed, until=hours[-1][1], made_by="a test")


# --- Prices


def test_a_live_price(one, btc, say):
    say(btc, 70_000.0)
    seen = one(ask("price", btc.id))
    assert (seen.value, seen.low, seen.high, seen.at_us, seen.source) == (
        70_000,
        70_000,
        70_000,
        to_us(NOW),
        "simulated",
    )


@pytest.mark.parametrize("how", [{"at": NOW - 90 * SECOND}, {"suspect": True}, {"delay_s": 900.0}])
def test_a_price_that_is_old_doubtful_or_delayed_is_missing(one, btc, say, how):
    say(btc, 70_000.0, **how)
    assert one(ask("price", btc.id)) is None


def test_a_trade_does_not_stay_live_by_its_quotes(one, btc, say):
    say(btc, 70_000.0, at=NOW - 300 * SECOND, bid=1.0, ask=2.0, quote_time_us=to_us(NOW))
    assert one(ask("price", btc.id)) is None
    assert one(ask("spread", btc.id, unit="absolute")).value == 1


@pytest.mark.parametrize(("unit", "width"), [("absolute", 2.0), ("bps", 200.0)])
def test_a_spread(one, btc, say, unit, width):
    say(btc, 100.0, bid=99.0, ask=101.0, quote_time_us=to_us(NOW))
    assert one(ask("spread", btc.id, unit=unit)).value == pytest.approx(width)


def test_a_crossed_or_old_quote_has_no_spread(one, btc, say):
    say(btc, 100.0, bid=101.0, ask=99.0, quote_time_us=to_us(NOW))
    assert one(ask("spread", btc.id, unit="bps")) is None
    say(btc, 100.0, bid=99.0, ask=101.0, quote_time_us=to_us(NOW - 90 * SECOND))
    assert one(ask("spread", btc.id, unit="bps")) is None


# --- Percent


def test_against_the_previous_day_of_utc(one, btc, candles, say):
    candles([90.0, 100.0], closed=dt.datetime(2026, 3, 2, tzinfo=UTC))
    say(btc, 110.0)
    seen = one(ask("change_percent", btc.id, base="previous_close"))
    assert (seen.value, seen.note) == (pytest.approx(10), "from 100, the close of 2026-03-01")


def test_an_older_close_is_not_the_previous_one(one, btc, candles, say):
    candles([100.0], closed=dt.datetime(2026, 3, 1, tzinfo=UTC))
    say(btc, 110.0)
    assert one(ask("change_percent", btc.id, base="previous_close")) is None


def test_a_spike_inside_a_flush_is_one_in_percent(one, btc, candles):
    candles([100.0], closed=dt.datetime(2026, 3, 2, tzinfo=UTC))
    spike = Seen(value=101.0, low=80.0, high=120.0, at_us=to_us(NOW))
    seen = one(ask("change_percent", btc.id, base="previous_close"), prices={btc.id: spike})
    assert [seen.value, seen.low, seen.high] == pytest.approx([1, -20, 20])


def test_against_the_open(one, btc, candles, say):
    candles([100.0, 130.0, 90.0], closed=CLOSED)
    say(btc, 110.0)
    assert one(ask("change_percent", btc.id, base="open")).value == pytest.approx(10)


def test_against_the_price_minutes_ago(one, btc, candles, say):
    candles([200.0, 100.0, 130.0, 90.0], closed=CLOSED)
    say(btc, 110.0)
    assert one(ask("change_percent", btc.id, base="minutes", minutes=2)).value == pytest.approx(10)
    # Older than what is kept: nobody knows.
    assert one(ask("change_percent", btc.id, base="minutes", minutes=600)) is None


def test_minutes_ago_moves_with_the_clock(one, btc, candles, say):
    candles([200.0, 100.0, 130.0, 90.0], closed=CLOSED)
    asked = ask("change_percent", btc.id, base="minutes", minutes=2)
    assert [one_minute(one, say, btc, asked, n) for n in (0, 1)] == pytest.approx([10, 100 * (110 / 130 - 1)])


def one_minute(one, say, btc, asked, n):
    now = NOW + n * timedelta(minutes=1)
    say(btc, 110.0, at=now)
    return one(asked, now).value


def test_against_the_52_week_extremes(one, btc, candles, say):
    for day, price in ((10, 100.0), (20, 149.0), (27, 120.0)):
        candles([price], closed=dt.datetime(2026, 2, day, 12, tzinfo=UTC))
    candles([500.0], closed=CLOSED)  # today's own are not what it is compared with
    say(btc, 165.0)
    assert one(ask("change_percent", btc.id, base="high_52w")).value == pytest.approx(10)
    assert one(ask("change_percent", btc.id, base="low_52w")).value == pytest.approx(100 * (165 / 99 - 1))


def test_a_base_from_before_a_split_is_carried_over_it(one, btc, candles, say):
    candles([400.0], closed=dt.datetime(2026, 3, 2, tzinfo=UTC))
    AdjustmentFactor.objects.create(instrument=btc, ex_date=dt.date(2026, 3, 2), split_factor=4.0)
    say(btc, 110.0)
    assert one(ask("change_percent", btc.id, base="previous_close")).value == pytest.approx(10)
    assert one(ask("change_percent", btc.id, base="high_52w")).value == pytest.approx(100 * (110 / 100.25 - 1))


def test_an_exchange_splits_between_its_sessions(one, aapl, new_york, say):
    daily(aapl, [400.0], dt.datetime(2026, 3, 4, tzinfo=UTC), source="finnhub")
    AdjustmentFactor.objects.create(instrument=aapl, ex_date=dt.date(2026, 3, 5), split_factor=4.0)
    asked = ask("change_percent", aapl.id, base="low_52w")
    # After hours on the fourth (past midnight, UTC) the old units trade; before the opening of the fifth the new ones.
    late = dt.datetime(2026, 3, 5, 0, 30, tzinfo=UTC)
    say(aapl, 398.0, at=late)
    assert one(asked, late) is None  # the fourth's own session is its newest: there is none before
    early = dt.datetime(2026, 3, 5, 14, 31, tzinfo=UTC)
    say(aapl, 99.5, at=early)
    assert one(asked, early).value == pytest.approx(0)


def test_the_previous_session_of_an_exchange(one, aapl, new_york, say):
    daily(aapl, [200.0, 100.0], dt.datetime(2026, 3, 5, tzinfo=UTC))
    monday = dt.datetime(2026, 3, 9, 15, tzinfo=UTC)
    say(aapl, 90.0, at=monday)
    assert one(ask("change_percent", aapl.id, base="previous_close"), monday).value == pytest.approx(-10)


# --- Closed bars


def test_an_indicator_of_the_last_closed_bar(one, btc, candles):
    candles([100.0, 110.0, 120.0])
    store.copy_candles(make_bars([999.0], btc.id, closed=CLOSED + timedelta(minutes=1), final=False))
    seen = one(ask("indicator", btc.id, name="sma(3)", output="sma", interval="1m"))
    assert (seen.value, seen.at_us, seen.bar_us) == (110, to_us(CLOSED), to_us(CLOSED) - MINUTE_US)


def test_an_indicator_goes_on_when_a_bar_has_closed(one, btc, candles):
    asked = ask("indicator", btc.id, name="sma(2)", output="sma", interval="1m")
    candles([100.0, 110.0])
    assert one(asked).value == 105
    candles([130.0], closed=CLOSED + timedelta(minutes=1))
    assert one(asked, NOW + 10 * SECOND).value == 105  # no bar can have closed yet
    assert one(asked, NOW + 60 * SECOND).value == 120


def test_bars_that_stop_coming_say_nothing_any_more(one, btc, candles):
    asked = ask("indicator", btc.id, name="sma(2)", output="sma", interval="1m")
    candles([100.0, 110.0])
    assert one(asked, NOW + timedelta(minutes=2)) is not None
    assert one(asked, NOW + timedelta(minutes=5)) is None


def test_too_few_bars_are_no_indicator(one, btc, candles):
    candles([100.0])
    assert one(ask("indicator", btc.id, name="sma(3)", output="sma", interval="1m")) is None


def test_a_volume_that_surges(one, btc):
    bars = make_bars([100.0] * 31, btc.id)
    volumes = [2.0 if n % 2 else 4.0 for n in range(30)] + [400.0]
    store.copy_candles([with_volume(bar, volume) for bar, volume in zip(bars, volumes, strict=True)])
    assert one(ask("volume_zscore", btc.id, interval="1m", window=30)).value > 6
    assert one(ask("volume_zscore", btc.id, interval="1m", window=40)) is None


def with_volume(bar, volume):
    return type(bar)(**{name: getattr(bar, name) for name in bar.__struct_fields__} | {"volume": volume})


def test_a_pattern_of_the_last_closed_bar_alone(one, btc, candles):
    closes = double_bottom()
    confirmed = next(n for n in range(1, len(closes) + 1) if last_is_double_bottom(closes[:n]))
    candles(closes[:confirmed])
    asked = ask("pattern", btc.id, name="double_bottom", interval="1m")
    seen = one(asked)
    assert seen.bar_us == to_us(CLOSED) - MINUTE_US
    assert 0 < seen.value <= 100
    assert one(ask("pattern", btc.id, name="double_bottom", interval="1m", min_confidence=100.0)) is None
    candles([closes[confirmed - 1]], closed=CLOSED + timedelta(minutes=1))
    assert one(asked, NOW + timedelta(minutes=1)) is None


def double_bottom():
    down, up = [140.0 - n for n in range(40)], [100.0 + n for n in range(1, 16)]
    return [*down, *up, *up[::-1], 100.5, *[100.0 + 2 * n for n in range(1, 15)]]


def last_is_double_bottom(closes):
    from signals import patterns
    from signals.candles import Candles

    found = patterns.figures(Candles.of(make_bars(closes), "1m"), names=["double_bottom"])
    return bool(found) and found[-1].time_us == to_us(CLOSED)


# --- What others have said


def signal(instrument, **how):
    given = {
        "strategy": "rsi_reversal", "interval": "1m", "time": CLOSED, "candle_rev": 0, "signal_type": "BUY",
        "strength": "STRONG", "confidence_score": 80.0, "entry_price": 100.0, "expires_at": CLOSED + timedelta(hours=1),
        "reason": "RSI was 20",
    } | how  # fmt: skip
    return Signal.objects.create(instrument=instrument, **given)


def test_a_signal(one, btc):
    signal(btc)
    seen = one(ask("signal", btc.id, strategy="rsi_reversal", signal_type="BUY", min_confidence=80.0))
    assert (seen.value, seen.at_us, seen.bar_us) == (80, to_us(CLOSED), to_us(CLOSED) - MINUTE_US)
    assert one(ask("signal", btc.id)) == seen


@pytest.mark.parametrize(
    ("how", "params"),
    [
        ({"time": CLOSED - timedelta(hours=1)}, {}),
        ({"private": True}, {}),
        ({"status": "SUPERSEDED"}, {}),
        ({}, {"signal_type": "SELL"}),
        ({}, {"strategy": "macd_cross"}),
        ({}, {"min_confidence": 81.0}),
    ],
)
def test_a_signal_that_is_old_private_superseded_or_another(one, btc, how, params):
    signal(btc, **how)
    assert one(ask("signal", btc.id, **params)) is None


def test_a_signal_of_ones_own_strategy(one, btc, django_user_model):
    alice, bob = (django_user_model.objects.create_user(name) for name in ("alice", "bob"))
    signal(btc, private=True)
    SignalHearer.objects.create(signal=Signal.objects.get(), user=alice)
    assert one(ask("signal", btc.id, user=alice.pk)).value == Signal.objects.get().confidence_score
    assert one(ask("signal", btc.id, user=bob.pk)) is None


def test_no_news_is_no_sentiment(one, btc):
    assert one(ask("sentiment", btc.id, hours=24)) is None


# --- Silence, and parts of the service


def test_seconds_without_a_tick(one, btc, say):
    say(btc, 100.0, at=NOW - 300 * SECOND)
    assert one(ask("staleness", btc.id)).value == pytest.approx(300)


def test_silence_that_redis_has_forgotten(one, btc, candles):
    candles([100.0])
    assert one(ask("staleness", btc.id)).value == pytest.approx(5)


def test_nothing_was_ever_heard_of_it(one, btc):
    assert one(ask("staleness", btc.id)) is None


def test_a_closed_market_is_not_silent(one, aapl, new_york, say):
    say(aapl, 100.0, at=dt.datetime(2026, 3, 5, 20, 59, tzinfo=UTC))
    asked = ask("staleness", aapl.id)
    assert one(asked, dt.datetime(2026, 3, 6, 3, tzinfo=UTC)) is None
    # From the opening on it counts, not from the evening before.
    assert one(asked, dt.datetime(2026, 3, 6, 14, 32, tzinfo=UTC)).value == pytest.approx(120)


def test_silence_goes_on_over_midnight_where_markets_never_close(one, btc, say):
    say(btc, 100.0, at=dt.datetime(2026, 3, 2, 23, tzinfo=UTC))
    assert one(ask("staleness", btc.id), dt.datetime(2026, 3, 3, 1, tzinfo=UTC)).value == pytest.approx(7200)


def test_how_long_a_part_is_degraded(one, settings):
    settings.FEEDS = ["simulated"]
    settings.ALERT_SERVICE_READ_S = 0.0
    asked = ask("service", part="simulated")
    assert "simulated" in parts()
    assert one(asked).value == 0
    later = one(asked, NOW + 40 * SECOND)
    assert (later.value, later.note) == (pytest.approx(40), "simulated is stopped")
    assert one(ask("service", part="feeds"), NOW + 40 * SECOND).note == "simulated is stopped"
    assert one(ask("service", part="nonsense")) is None


def test_another_gatherer_goes_on_counting(settings):
    settings.FEEDS = ["simulated"]
    asked = ask("service", part="workers")
    Facts().gather([asked], NOW)
    assert Facts().gather([asked], NOW + 40 * SECOND)[asked].value == pytest.approx(40)


# --- Portfolios


@pytest.fixture
def portfolio(alice):
    return Portfolio.objects.create(owner=alice, name="Savings")


@pytest.fixture
def post(portfolio):
    def post(type, instrument=None, at=NOW - timedelta(days=30), **figures):
        exact = {name: Decimal(value) for name, value in figures.items()}
        ledger.post(portfolio, Draft(type=type, at=at, instrument=instrument, **exact), NOW)

    return post


@pytest.fixture
def held(post, btc, say):
    """Ten bitcoins bought at 100 of 1,500 that were paid in; they are at 120, up from 100 a day ago."""
    post("DEPOSIT", amount="1500")
    post("BUY", btc, quantity="10", price="100")
    say(btc, 120.0, change=20.0)


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("total_value", 1700.0),
        ("daily_change", 200.0),
        ("daily_change_percent", 100 * 200 / 1500),
        ("weight", 100 * 1200 / 1700),
        ("drawdown_percent", 0.0),
    ],
)
def test_figures_of_a_portfolio(one, portfolio, btc, held, figure, value):
    instrument = btc.id if figure == "weight" else None
    assert one(ask("portfolio", instrument, portfolio.pk, figure=figure)).value == pytest.approx(value)


def test_a_portfolio_goes_on_with_what_is_posted(one, portfolio, post, held):
    asked = ask("portfolio", None, portfolio.pk, figure="total_value")
    assert one(asked).value == 1700
    post("DEPOSIT", amount="300", at=NOW - timedelta(hours=1))
    assert one(asked, NOW + 3 * SECOND).value == 2000


def test_a_late_price_is_no_value(one, portfolio, held, btc, say):
    say(btc, 120.0, at=NOW - timedelta(hours=1))
    assert one(ask("portfolio", None, portfolio.pk, figure="total_value")) is None


def test_the_drawdown_leaves_out_what_was_paid_in(one, portfolio, held, settings):
    snapshot(portfolio, NOW - timedelta(hours=2), total="3400", invested="1500")
    snapshot(portfolio, NOW - timedelta(hours=1), total="4400", invested="2500")
    # From 3,400 up by nothing, then down by 2,700 less the 1,000 that was taken out since.
    seen = one(ask("portfolio", None, portfolio.pk, figure="drawdown_percent"))
    assert seen.value == pytest.approx(100 * (1 - (1700 + 1000) / 4400))


def test_against_the_own_cost(one, portfolio, btc, held):
    assert one(ask("change_percent", btc.id, portfolio.pk, base="cost")).value == pytest.approx(20)


def test_what_is_not_held_has_no_cost(one, portfolio, aapl, held, say):
    say(aapl, 100.0)
    assert one(ask("change_percent", aapl.id, portfolio.pk, base="cost")) is None


def test_a_portfolio_that_is_gone(one):
    assert one(ask("portfolio", None, 10**9, figure="total_value")) is None


# --- All at once


def test_many_asks_are_few_queries(btc, candles, say, django_assert_max_num_queries):
    candles([100.0 + n % 7 for n in range(60)])
    asks = [ask("indicator", btc.id, name=f"sma({n})", output="sma", interval="1m") for n in range(2, 40)]
    facts = Facts()
    with django_assert_max_num_queries(12):
        assert len(facts.gather(asks, NOW)) == 38
    with django_assert_max_num_queries(0):
        facts.gather(asks, NOW + SECOND)


def test_instruments_that_are_read_together_say_what_each_says_by_itself(btc, candles, django_assert_max_num_queries):
    others = [Instrument.objects.create(symbol=f"X{n}-USD", name="X", kind="crypto", currency="USD") for n in range(6)]
    candles([100.0 + n % 7 for n in range(200)])
    for n, other in enumerate(others):
        # The last of them has too few bars to be read with the others.
        store.copy_candles(make_bars([50.0 + n + k % 5 for k in range(200 if n < 5 else 20)], other.id))
    for interval in ("1m", "15m"):
        asks = [ask("indicator", i.id, name="sma(3)", output="sma", interval=interval) for i in (btc, *others)]
        alone = {one: seen for one in asks for one, seen in Facts().gather([one], NOW).items()}
        with django_assert_max_num_queries(40):
            together = Facts().gather(asks, NOW)
        assert together == alone
        assert len(together) == (7 if interval == "1m" else 6)


def test_what_the_budget_leaves_over_comes_at_the_next_look(btc, candles, settings):
    settings.ALERT_GATHER_BUDGET_MS = 0
    candles([100.0] * 30)
    asks = [
        ask("indicator", btc.id, name="sma(2)", output="sma", interval=interval) for interval in ("1m", "5m", "15m")
    ]
    facts = Facts()
    counts = [len(facts.gather(asks, NOW + n * SECOND)) for n in range(3)]
    assert counts[0] == 1
    assert counts[1] == 2


def test_asks_that_differ_from_look_to_look_are_read_once(btc, candles, django_assert_num_queries):
    candles([100.0] * 30)
    pairs = [(n, length) for n in (2, 3) for length in ("1m", "5m")]
    asks = [ask("indicator", btc.id, name=f"sma({n})", output="sma", interval=length) for n, length in pairs]
    facts = Facts()
    assert len(facts.gather(asks, NOW)) == 4
    with django_assert_num_queries(0):
        for one in asks:
            assert len(facts.gather([one], NOW + SECOND)) == 1
        assert len(facts.gather(asks, NOW + SECOND)) == 4
