"""Dated exchange rates: which one counts on a day, and how staff enter them."""

import datetime as dt
from decimal import Decimal

import pytest

from ingestion.models import FxRate, Instrument
from portfolio import currencies
from portfolio.rates import ALWAYS, Published, series
from tests.portfolio.conftest import NOW

pytestmark = pytest.mark.django_db

MONDAY, FRIDAY, SUNDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 9), dt.date(2026, 1, 11)


@pytest.fixture
def told():
    """told("EUR/USD", "1.25", day=…, source="ecb") keeps a rate."""

    def told(pair, rate, day=MONDAY, source="ecb"):
        base, quote = pair.split("/")
        FxRate.objects.create(base=base, quote=quote, date=day, rate=Decimal(rate), source=source, received_at=NOW)

    return told


def rate(currency, base, day=MONDAY):
    found = currencies.rate_on(currency, base, day)
    return found and (float(found.value), found.day, found.source)


class TestWhichRateCounts:
    def test_each_way_round(self, told):
        told("EUR/USD", "1.25")
        assert rate("EUR", "USD") == (1.25, MONDAY, "ecb")
        assert rate("USD", "EUR") == (0.8, MONDAY, "ecb")

    def test_by_a_third_currency_whichever_way_its_pairs_are_quoted(self, told):
        told("EUR/USD", "1.25")
        told("EUR/GBP", "0.8")
        told("USD/CHF", "0.9")
        assert rate("GBP", "USD") == (1.5625, MONDAY, "ecb via EUR")
        assert rate("USD", "GBP") == (0.64, MONDAY, "ecb via EUR")
        assert rate("EUR", "CHF") == (1.125, MONDAY, "ecb via USD")
        assert rate("GBP", "CHF") is None  # that takes two

    def test_a_weekend_has_its_friday(self, told):
        told("EUR/USD", "1.25", FRIDAY)
        assert rate("EUR", "USD", SUNDAY) == (1.25, FRIDAY, "ecb")
        assert rate("EUR", "USD", FRIDAY - dt.timedelta(days=1)) is None

    def test_an_old_one_does_not_count(self, told, settings):
        told("EUR/USD", "1.25")
        settings.FX_MAX_AGE_DAYS = 4
        assert rate("EUR", "USD", FRIDAY) is not None
        assert rate("EUR", "USD", FRIDAY + dt.timedelta(days=1)) is None

    def test_what_was_entered_counts_before_a_source_and_the_pair_itself_before_a_third(self, told):
        told("EUR/GBP", "0.8")
        told("EUR/USD", "1.25")
        told("USD/GBP", "0.7", source="manual")
        assert rate("GBP", "USD")[2] == "manual"
        told("GBP/USD", "1.5", source="manual")
        assert rate("GBP", "USD") == (1.5, MONDAY, "manual")
        assert rate("USD", "GBP") == (0.7, MONDAY, "manual")

    def test_pence_are_a_hundredth(self, told):
        told("GBP/USD", "1.25")
        assert rate("GBp", "USD") == rate("GBX", "USD") == (0.0125, MONDAY, "ecb")
        assert rate("USD", "GBp") == (80.0, MONDAY, "ecb")
        assert rate("GBp", "GBP")[0] == rate("ILA", "ILS")[0] == rate("ZAc", "ZAR")[0] == 0.01
        assert rate("GBp", "GBX")[0] == 1

    def test_stablecoins_are_their_currency(self, told):
        told("EUR/USD", "1.25")
        assert rate("USDT", "EUR") == (0.8, MONDAY, "ecb")
        assert rate("USDT", "USD")[0] == 1

    def test_an_inverse_is_exact_to_eighteen_places(self, told):
        told("USD/JPY", "150")
        assert currencies.rate_on("JPY", "USD", MONDAY).value == Decimal("0.006666666666666667")

    def test_nothing_happens_at_the_ends_of_the_calendar(self, told):
        told("EUR/USD", "1.25")
        assert rate("EUR", "USD", dt.date.min) is None
        assert rate("EUR", "USD", dt.date.max) is None

    def test_all_days_at_once_say_the_same_as_each_alone(self, told):
        for day, dollars, pounds in ((5, "1.1", "0.8"), (6, "1.2", None), (9, "1.3", "0.9"), (25, "1.4", "0.7")):
            told("EUR/USD", dollars, dt.date(2026, 1, day))
            if pounds:
                told("EUR/GBP", pounds, dt.date(2026, 1, day))
        start, end = dt.date(2026, 1, 7), dt.date(2026, 1, 28)
        dated = currencies.rates_between("USD", ["GBP", "EUR", "GBp", "USD", "XAF"], start, end)
        assert dated["XAF"] == []
        assert dated["USD"] == [(ALWAYS, 1)]
        for day in (start + dt.timedelta(days=n) for n in range((end - start).days + 1)):
            for currency in dated:
                alone = currencies.rate_on(currency, "USD", day)
                assert currencies.at(dated[currency], day) == (alone and alone.value), (currency, day)


def test_the_order_of_sources_is_the_same_however_they_come():
    rows = [Published("EUR", "USD", MONDAY, Decimal(1), "a"), Published("EUR", "USD", MONDAY, Decimal(2), "b")]
    assert series(rows, "EUR", "USD") == series(rows[::-1], "EUR", "USD")


class TestNow:
    def test_a_dated_rate_stands_in_and_is_stale(self, told, say):
        today = dt.datetime.now(dt.UTC)
        told("EUR/USD", "1.25", today.date() - dt.timedelta(days=1))
        found = currencies.present_rates("USD", ["EUR", "USD"], today)
        assert (found["EUR"].value, found["EUR"].stale, found["USD"].stale) == (Decimal("1.25"), True, False)
        euro = Instrument.objects.create(symbol="EURUSD=X", name="Euro", kind="fx", currency="USD")
        say(euro, 1.3)
        found = currencies.present_rates("USD", ["EUR"], today)
        assert (found["EUR"].value, found["EUR"].stale) == (Decimal("1.3"), False)
        say(euro, 1.2, age_s=86_400 * 3)
        assert currencies.rates("USD", ["EUR"], today)["EUR"] == Decimal("1.25")

    def test_pence_go_by_the_pounds_price(self, say):
        pound = Instrument.objects.create(symbol="GBPUSD=X", name="Pound", kind="fx", currency="USD")
        say(pound, 1.5)
        assert currencies.rates("USD", ["GBp", "GBP"]) == {"GBp": Decimal("0.015"), "GBP": Decimal("1.5"), "USD": 1}
        assert currencies.rates("GBP", ["GBp"])["GBp"] == Decimal("0.01")


# --- Over HTTP ------------------------------------------------------------------------------------------------------


def put(client, rows):
    return client.put("/api/fx/", rows, content_type="application/json")


ROW = {"base": "EUR", "quote": "USD", "date": "2026-01-05", "rate": "1.0856"}


def test_staff_enter_rates_and_correct_them(client, admin, told):
    told("EUR/USD", "1.08")
    client.force_login(admin)
    for _ in range(2):
        assert put(client, [ROW, {**ROW, "quote": "GBP", "rate": 0.8}]).json() == {"stored": 2}
    assert put(client, [{**ROW, "rate": "1.09"}]).status_code == 200
    found = client.get("/api/fx/?base=EUR&quote=USD&date=2026-01-11").json()
    assert found == {
        "base": "EUR", "quote": "USD", "date": "2026-01-11", "rate": "1.09", "day": "2026-01-05", "source": "manual",
        "reason": None,
    }  # fmt: skip
    assert FxRate.objects.count() == 3


def test_where_nobody_knows_the_reason_is_told(client, alice):
    client.force_login(alice)
    found = client.get("/api/fx/?base=EUR&quote=USD&date=2026-01-11").json()
    assert found["rate"] is None
    assert "no rate of EUR in USD of 2026-01-11" in found["reason"]


def test_each_days_own_in_pages(client, alice, told):
    for day in (5, 6, 9):
        told("EUR/USD", f"1.{day}", dt.date(2026, 1, day))
    client.force_login(alice)
    first = client.get("/api/fx/?base=USD&quote=EUR&start=2026-01-06&limit=1").json()
    assert [row["date"] for row in first["results"]] == ["2026-01-06"]
    assert [row["date"] for row in client.get(first["next"]).json()["results"]] == ["2026-01-09"]
    assert client.get("/api/fx/?base=USD&quote=EUR&start=2027-01-06").json() == {"results": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("quote=USD", "base"), ("base=EUR&quote=XYZ", "quote"), ("base=EUR&quote=USD&date=x", "date"),
        ("base=EUR&quote=USD&start=2026-01-02&end=2026-01-01", "end"),
        ("base=EUR&quote=USD&start=2026-01-02&date=2026-01-01", "date"), ("base=EUR&quote=USD&limit=0", "limit"),
    ],
)  # fmt: skip
def test_a_bad_question_names_the_field(client, alice, query, field):
    client.force_login(alice)
    answer = client.get(f"/api/fx/?{query}")
    assert (answer.status_code, list(answer.json())) == (400, [field])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate": "0"}, "rate"), ({"rate": "-1"}, "rate"), ({"rate": "NaN"}, "rate"), ({"rate": "1e400"}, "rate"),
        ({"rate": True}, "rate"), ({"rate": "1e-19"}, "rate"), ({"rate": "١"}, "rate"), ({"rate": "1_0"}, "rate"),
        ({"base": "EURO"}, "base"), ({"base": "GBp"}, "base"), ({"base": "USDT"}, "base"), ({"quote": "EUR"}, "quote"),
        ({"date": "2026-02-30"}, "date"), ({"date": "2999-01-01"}, "date"), ({"date": "1815-06-18"}, "date"),
        ({"when": "now"}, "when"),
    ],
)  # fmt: skip
def test_bad_rates_are_named_by_row_and_field_and_nothing_is_written(client, admin, change, field):
    client.force_login(admin)
    answer = put(client, [ROW, {**ROW, "quote": "CHF", **change}])
    assert answer.status_code == 400
    assert {at: list(errors) for at, errors in answer.json().items()} == {"row 2": [field]}
    assert not FxRate.objects.exists()


@pytest.mark.parametrize("body", [{}, [], "x", [5], [ROW, ROW]])
def test_what_is_no_list_of_rates_is_refused(client, admin, body):
    client.force_login(admin)
    assert put(client, body).status_code == 400
    assert not FxRate.objects.exists()


def test_nobody_else_may_enter_them(client, alice):
    assert put(client, [ROW]).status_code in (401, 403)
    client.force_login(alice)
    assert put(client, [ROW]).status_code == 403
