from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ingestion.models import PostedPrice
from portfolio import history, snapshots
from portfolio.models import DaySnapshot, HourSnapshot, MinuteSnapshot
from portfolio.topics import Revalued
from portfolio.valuation import Valuation

T = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)


def worth(at, total, invested="100", **more):
    total = Decimal(total)
    return Valuation(
        as_of=at, total_value=total, market_value=total, cash=Decimal(0), unrealized=Decimal(0), realized=Decimal(0),
        net_invested=Decimal(invested), daily_change=Decimal(0), daily_change_percent=None, positions=[], stale={},
        overdrawn=[], **{"unpriced": {}, **more},
    )  # fmt: skip


@pytest.fixture
def note(portfolio):
    """note(minutes, "110") keeps a value of so many minutes after T."""

    def note(minutes, total, **more):
        at = T + timedelta(minutes=minutes, seconds=7)
        snapshots.write([Revalued(portfolio.pk, "Savings", 1, worth(at, total, **more))])

    return note


@pytest.fixture
def ask(client, alice, portfolio):
    client.force_login(alice)

    def ask(**query):
        return client.get(f"/api/portfolios/{portfolio.pk}/history/", query)

    return ask


def shown(answer):
    return [
        "gap" if point["gap"] else point["total_value"] + ("*" if point["carried"] else "")
        for point in answer.json()["results"]
    ]


# --- Whom to note


def test_who_moved_is_noted_once_a_minute_and_the_others_once_an_hour():
    minutes = snapshots.Minutes()
    assert minutes.take(T, [1, 2]) == []  # of the minute that the follower began in nobody knows all
    assert minutes.take(T + timedelta(minutes=1), [1, 2]) == [1, 2]
    minutes.moved.add(2)
    assert minutes.take(T + timedelta(minutes=1, seconds=59), [1, 2]) == []
    assert minutes.take(T + timedelta(minutes=2), [1, 2]) == [2]
    assert minutes.take(T + timedelta(minutes=61), [1, 2]) == [1]
    assert minutes.take(T + timedelta(minutes=62), [1, 2]) == [2]


def test_thousands_are_noted_a_few_at_a_time():
    minutes, many = snapshots.Minutes(), range(snapshots.CHUNK + 1)
    minutes.take(T, many)
    later = T + timedelta(minutes=1)
    assert len(minutes.take(later, many)) == snapshots.CHUNK
    assert minutes.take(later, many) == [snapshots.CHUNK]
    assert minutes.take(later, many) == []


@pytest.mark.storage
def test_a_minute_is_noted_once_and_says_when_its_prices_were_late(note, portfolio):
    note(0, "110")
    note(0, "999")
    note(1, "120", unpriced={"SCOM": "There is no price for SCOM."})
    note(2, "130", late=True)
    kept = MinuteSnapshot.objects.filter(portfolio=portfolio).order_by("time")
    assert [(row.total_value, row.stale) for row in kept] == [(110, False), (120, True), (130, True)]


# --- Downsampling


@pytest.mark.storage
def test_hours_and_days_are_the_last_values_in_them(note, portfolio):
    note(-1, "90")
    note(0, "100")
    note(59, "110")
    note(60, "120")
    note(24 * 60, "200")
    snapshots.keep(T + timedelta(hours=24, minutes=30))
    hours = HourSnapshot.objects.filter(portfolio=portfolio).order_by("time")
    assert [(row.time.hour, row.total_value) for row in hours] == [(9, 90), (10, 110), (11, 120)]
    assert [row.total_value for row in DaySnapshot.objects.filter(portfolio=portfolio)] == [120]
    note(40, "105")  # what comes late into an hour that is made already
    note(89, "125")
    snapshots.keep(T + timedelta(hours=25, minutes=1))
    assert [row.total_value for row in hours.all()] == [90, 110, 125, 200]


@pytest.mark.storage
def test_old_minutes_and_hours_go_and_their_days_stay(note, portfolio, settings):
    note(0, "100")
    note(60 * 24 * 30, "300")
    snapshots.keep(T + timedelta(days=31))
    settings.SNAPSHOT_KEEP_HOURS_DAYS = 10
    snapshots.keep(T + timedelta(days=31))
    assert [row.total_value for row in MinuteSnapshot.objects.order_by("time")] == [300]
    assert [row.total_value for row in HourSnapshot.objects.order_by("time")] == [300]
    assert [row.total_value for row in DaySnapshot.objects.order_by("time")] == [100, 300]


# --- Reading


@pytest.mark.storage
def test_minutes_are_carried_while_nothing_moves_and_gaps_are_said(note, ask):
    note(0, "100")
    note(3, "103")
    answer = ask(interval="1m", start="2026-11-18T09:58:00Z", end="2026-11-18T10:05:00Z")
    assert shown(answer) == ["gap", "gap", "100", "100*", "100*", "103", "103*"]
    gap, *_ = answer.json()["results"]
    assert {name for name, value in gap.items() if value is None} >= {"total_value", "cash", "pnl", "flow", "stale"}
    later = ask(interval="1m", start="2026-11-18T11:07:00Z", end="2026-11-18T11:10:00Z")
    assert shown(later) == ["103*", "103*", "gap"]  # an hour without a row, and nobody knows


def test_flow_is_what_was_paid_in_since_the_point_before(note, ask):
    note(-30, "100", invested="100")
    note(0, "150", invested="140")
    note(7, "120", invested="110")
    points = ask(interval="5m", start="2026-11-18T10:00:00Z", end="2026-11-18T10:15:00Z").json()["results"]
    assert [(p["flow"], p["pnl"]) for p in points] == [("40", "10"), ("-30", "10"), ("0", "10")]


def test_hours_are_made_of_what_is_kept_of_them(note, ask, portfolio):
    note(10, "101")
    note(70, "102")
    snapshots.keep(T + timedelta(hours=3))
    MinuteSnapshot.objects.filter(portfolio=portfolio).delete()
    note(130, "103")
    assert shown(ask(interval="1h", start="2026-11-18T10:00:00Z", end="2026-11-18T13:00:00Z")) == ["101", "102", "103"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"interval": "2h"}, "interval"),
        ({"interval": "1m", "start": "2020-01-01", "end": "2026-01-01"}, "interval"),
        ({"start": "soon"}, "start"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "end"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_question_is_refused_by_field(ask, query, field):
    answer = ask(**query)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_nothing_is_told_of_the_future_nor_before_time_began(ask, portfolio):
    assert ask(interval="1d", start="2999-01-01").json()["results"] == []
    assert ask(interval="1d", start="0001-01-01", end="0001-01-02").status_code == 200
    assert ask(interval="1m").status_code == 200


def test_bobs_history_is_not_alices(client, bob, portfolio):
    client.force_login(bob)
    assert client.get(f"/api/portfolios/{portfolio.pk}/history/").status_code == 404


def test_stretches_begin_where_clocks_do():
    assert history.floor(T + timedelta(minutes=7, seconds=3), history.STEPS["5m"]) == T + timedelta(minutes=5)
    assert history.floor(T, history.STEPS["1d"]) == datetime(2026, 11, 18, tzinfo=UTC)


# --- Before there were snapshots


def test_days_before_the_first_snapshot_are_the_ledger_at_their_closes(post, ask, btc, note):
    PostedPrice.objects.bulk_create(
        PostedPrice(instrument=btc, date=date(2026, 11, day), close=Decimal(close), posted_at=T)
        for day, close in [(10, "100"), (11, "110.10"), (13, "55.1")]
    )
    post("DEPOSIT", amount="1000", at=datetime(2026, 11, 9, 12, tzinfo=UTC))
    post("BUY", btc, quantity="2", price="100", fee="1", at=datetime(2026, 11, 10, 12, tzinfo=UTC))
    post("SPLIT", btc, ratio=Decimal(2), at=datetime(2026, 11, 12, 12, tzinfo=UTC))
    note(0, "5000")
    answer = ask(interval="1d", start="2026-11-08", end="2026-11-14")
    assert shown(answer) == ["gap", "1000", "999", "1019.2", "1019.2", "1019.4"]
    points = answer.json()["results"]
    assert [p["flow"] for p in points[1:]] == [None, "0", "0", "0", "0"]
    assert (points[3]["unrealized_pnl"], points[3]["source"], points[3]["stale"]) == ("19.2", "closes", False)
    later = ask(interval="1d", start="2026-11-17", end="2026-11-19").json()["results"]
    assert [(p["total_value"], p["source"]) for p in later] == [("1019.4", "closes"), ("5000", "snapshot")]


def test_a_day_without_a_price_says_so(post, ask, btc):
    post("TRANSFER_IN", btc, quantity="2", price="100", at=datetime(2026, 11, 10, 12, tzinfo=UTC))
    (point,) = ask(interval="1d", start="2026-11-10", end="2026-11-11").json()["results"]
    assert (point["market_value"], point["stale"]) == ("0", True)
