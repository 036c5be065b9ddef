"""A ledger valued by what was posted alone: instruments, closes and rates over HTTP, and no feed."""

import datetime as dt
import time

import pytest

from ingestion import latest, symbols
from ingestion.models import Instrument

pytestmark = pytest.mark.django_db

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def call(client, admin):
    """call("post", "/api/…", body) as staff, who own the portfolio too; the answer's JSON."""
    client.force_login(admin)

    def call(method, path, body=None, status=(200, 201)):
        answer = getattr(client, method)(path, body, content_type="application/json")
        assert answer.status_code in status, answer.content
        return answer.json()

    return call


@pytest.fixture
def savings(call):
    return call("post", "/api/portfolios/", {"name": "Savings", "base_currency": "USD"})["id"]


def positions(call, savings):
    return {row["symbol"]: row for row in call("get", f"/api/portfolios/{savings}/positions/")["results"]}


def add(call, savings, **row):
    return call("post", f"/api/portfolios/{savings}/transactions/", row)


def instrument(call, symbol, currency, **more):
    call(
        "post", "/api/instruments/", {"symbol": symbol, "name": symbol, "kind": "equity", "currency": currency, **more}
    )


def test_shares_in_pence(call, savings):
    instrument(call, "VOD.L", "GBp", exchange="LSE")
    rates = [("2026-01-05", "1.25"), (TODAY.isoformat(), "1.5")]
    call("put", "/api/fx/", [{"base": "GBP", "quote": "USD", "date": day, "rate": rate} for day, rate in rates])
    call("put", "/api/instruments/VOD.L/prices/", [{"date": TODAY.isoformat(), "close": "80"}])
    add(call, savings, type="BUY", symbol="VOD.L", quantity="400", price="72.5", currency="GBp", at="2026-01-05")
    held = positions(call, savings)["VOD.L"]
    assert (held["price"], held["average_cost"], held["stale"]) == ("80", "72.5", True)
    assert (held["cost_basis"], held["cost_basis_base"]) == ("29000", "362.5")  # pence; 290 pounds at 1.25
    assert held["value"] == "480"  # 320 pounds at 1.5
    assert call("get", f"/api/portfolios/{savings}/")["exact"]["cash"] == "-435"  # 290 pounds at 1.5


def test_a_close_from_before_a_split_is_carried_over_it(call, savings):
    instrument(call, "SPLT", "USD", exchange="NYSE")
    call("put", "/api/instruments/SPLT/prices/", [{"date": "2026-01-05", "close": "100"}])
    add(call, savings, type="BUY", symbol="SPLT", quantity="10", price="90", at="2026-01-02")
    before = positions(call, savings)["SPLT"]
    add(call, savings, type="SPLIT", symbol="SPLT", ratio="4", at="2026-01-06")
    after = positions(call, savings)["SPLT"]
    assert (before["quantity"], before["price"], before["value"]) == ("10", "100", "1000")
    assert (after["quantity"], after["price"], after["value"]) == ("40", "25", "1000")
    call("put", "/api/instruments/SPLT/prices/", [{"date": "2026-01-06", "close": "26"}])
    assert positions(call, savings)["SPLT"]["value"] == "1040"


def test_what_has_neither_price_nor_rate_is_left_out_and_named(call, savings):
    instrument(call, "NONE", "JPY", exchange="JPX")
    add(call, savings, type="BUY", symbol="NONE", quantity="1", price="150", fx_rate="0.0067", at="2026-01-05")
    told = call("get", f"/api/portfolios/{savings}/")
    assert (told["exact"]["total_value"], set(told["unpriced"])) == ("0", {"NONE", "JPY"})
    call("put", "/api/instruments/NONE/prices/", [{"date": TODAY.isoformat(), "close": 200}])
    assert set(call("get", f"/api/portfolios/{savings}/")["unpriced"]) == {"NONE", "JPY"}
    call("put", "/api/fx/", [{"base": "USD", "quote": "JPY", "date": TODAY.isoformat(), "rate": "160"}])
    told = call("get", f"/api/portfolios/{savings}/")
    assert (told["exact"]["market_value"], told["unpriced"], "JPY" in told["stale"]) == ("1.25", [], True)


def test_the_rate_of_the_day_is_filled_in(call, savings):
    instrument(call, "SAP", "EUR", exchange="XETRA")
    call("put", "/api/fx/", [{"base": "USD", "quote": "EUR", "date": "2026-01-02", "rate": "0.8"}])
    row = add(call, savings, type="BUY", symbol="SAP", quantity="2", price="100", at="2026-01-04")
    assert row["fx_rate"] == "1.25"
    body = {"type": "BUY", "symbol": "SAP", "quantity": "2", "price": "100", "at": "2026-02-04"}
    wrong = call("post", f"/api/portfolios/{savings}/transactions/", body, status=(400,))
    assert list(wrong) == ["fx_rate"]


def test_no_made_up_price_stands_beside_a_posted_one(call, savings):
    instrument(call, "REAL", "USD", exchange="NYSE")
    row = Instrument.objects.get(symbol="REAL")
    assert "REAL" in symbols.followed("simulated", [row.pk])
    add(call, savings, type="BUY", symbol="REAL", quantity="10", price="90", at="2026-01-02")
    now_us = time.time_ns() // 1000
    latest.put("simulated", {row.pk: latest.Latest("simulated", 141.7, time_us=now_us, received_us=now_us, trade_id=1)})
    assert positions(call, savings)["REAL"]["price"] == "141.7"
    call("put", "/api/instruments/REAL/prices/", [{"date": "2026-01-05", "close": "100"}])
    assert positions(call, savings)["REAL"]["price"] == "100"
    assert "REAL" not in symbols.followed("simulated", [row.pk])
