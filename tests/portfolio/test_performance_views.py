import math
import statistics
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.test import Client

from ingestion.models import FxRate, Instrument
from portfolio.explanations import HOLDING_FIGURES
from portfolio.performance import FIGURES
from tests.portfolio.conftest import NOW


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def account(http, portfolio):
    return Account(http, portfolio.pk)


class Account:
    """A portfolio as its owner reaches it."""

    def __init__(self, http, id):
        self.http, self.path = http, f"/api/portfolios/{id}/"

    def post(self, type, at, **body):
        answer = self.http.post(f"{self.path}transactions/", {"type": type, "at": at, **body}, "application/json")
        assert answer.status_code == 201, answer.json()
        return answer.json()

    def performance(self, **query):
        answer = self.http.get(f"{self.path}performance/", query)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    def explain(self, figure, **query):
        answer = self.http.get(f"{self.path}explain/", {"figure": figure, **query})
        assert answer.status_code == 200, answer.json()
        return answer.json()


@pytest.fixture
def closes(admin):
    """closes("AAPL", {"2026-01-05": "100"}) posts them as staff does."""
    staff = Client()
    staff.force_login(admin)

    def closes(symbol, told):
        rows = [{"date": day, "close": close} for day, close in told.items()]
        answer = staff.put(f"/api/instruments/{symbol}/prices/", rows, "application/json")
        assert answer.status_code == 200, answer.json()

    return closes


@pytest.fixture
def aapl(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD")


def test_a_portfolio_over_a_window(account, aapl, closes):
    closes("AAPL", {"2026-01-05": "100", "2026-01-06": "110", "2026-01-07": "99", "2026-01-08": "120"})
    account.post("DEPOSIT", "2026-01-05", amount="1000")
    account.post("BUY", "2026-01-05", symbol="AAPL", quantity="10", price="100")
    account.post("DEPOSIT", "2026-01-07", amount="110")
    told = account.performance(end="2026-01-08", chain=1)
    assert told["market_value"] == "1200"


@pytest.fixture
def sap(db):
    FxRate.objects.bulk_create(
        FxRate(base="EUR", quote="USD", date=date(2026, 1, day), rate=Decimal(rate), source="ecb", received_at=NOW)
        for day, rate in ((2, "1.20"), (5, "1.20"), (7, "1.15"), (8, "1.10"))
    )
    return Instrument.objects.create(symbol="SAP", name="SAP", kind="equity", currency="EUR")


@pytest.fixture
def lively(account, aapl, sap, closes):
    """Two currencies, a split, a sale, a dividend, a fee, a tax, payments in and out; measured over 6 to 9 January."""
    closes(
        "AAPL", {"2026-01-02": "100", "2026-01-05": "110", "2026-01-06": "120", "2026-01-07": "31", "2026-01-09": "29"}
    )
    closes("SAP", {"2026-01-02": "50", "2026-01-06": "55", "2026-01-08": "52"})
    account.post("DEPOSIT", "2026-01-02", amount="5000")
    account.post("DEPOSIT", "2026-01-02", amount="1000", currency="EUR", fx_rate="1.2")
    account.post("BUY", "2026-01-02", symbol="AAPL", quantity="10", price="100", fee="5")
    account.post("BUY", "2026-01-05", symbol="SAP", quantity="8", price="51", fee="2")
    account.post("BUY", "2026-01-06T15:00:00Z", symbol="AAPL", quantity="4", price="119", fee="5")
    account.post("SPLIT", "2026-01-07", symbol="AAPL", ratio="4")
    account.post("SELL", "2026-01-08T15:00:00Z", symbol="AAPL", quantity="30", price="30.5", fee="5")
    account.post("DIVIDEND", "2026-01-08", symbol="SAP", amount="10", withholding="2", fx_rate="1.11")
    account.post("FEE", "2026-01-08", amount="3")
    account.post("DEPOSIT", "2026-01-07", amount="700")
    account.post("WITHDRAWAL", "2026-01-08", amount="200")
    return account


WINDOW = {"start": "2026-01-06", "end": "2026-01-09"}


def total(rows, name="value"):
    return sum((Decimal(row[name]) for row in rows), Decimal(0))


def worth(told):
    """Of holdings and cash, each from its own price and rate."""
    held = sum(Decimal(row["quantity"]) * Decimal(row["price"]) * Decimal(row["rate"]) for row in told["holdings"])
    return held + sum(Decimal(row["amount"]) * Decimal(row["rate"]) for row in told.get("cash", []))


def gain(terms):
    return Decimal(terms["closing_value"]) - Decimal(terms["opening_value"]) - Decimal(terms["net_invested"])


def returns(told):
    return [float(row["return"]) for row in told["returns"]]


def term(told, name):
    return float(told["terms"][name])


def product(rows):
    factors = [
        (Decimal(row["closing_value"]) + Decimal(row["outflow"]))
        / (Decimal(row["opening_value"]) + Decimal(row["inflow"]))
        for row in rows
    ]
    return math.prod(map(float, factors))


def present(told):
    rate = 1 + term(told, "rate")
    return sum(float(row["amount"]) / rate ** float(row["years"]) for row in told["payments"])


def paid_in(rows):
    return sum((max(Decimal(row["amount"]), Decimal(0)) for row in rows), Decimal(0))


def average_capital(told):
    weighted = (Decimal(row["amount"]) * Decimal(row["weight"]) for row in told["flows"])
    return Decimal(told["terms"]["opening_value"]) + sum(weighted)


def drawdown(told):
    return term(told, "trough") / term(told, "peak") - 1


# How a reader who has nothing but the explanation works the figure out again.
AGAIN = {
    "twr": lambda told: product(told["chain"]) - 1,
    "xirr": lambda told: term(told, "rate") + present(told) / 1e9,
    "simple_return": lambda told: (
        gain(told["terms"]) / (Decimal(told["terms"]["opening_value"]) + paid_in(told["flows"]))
    ),
    "modified_dietz": lambda told: gain(told["terms"]) / average_capital(told),
    "realized_pnl": lambda told: total(told["disposals"], "proceeds_base") - total(told["disposals"], "cost_base"),
    "unrealized_pnl": lambda told: worth(told) - sum(total(row["lots"], "cost_base") for row in told["holdings"]),
    "income": lambda told: total(told["transactions"]),
    "fees": lambda told: total(told["transactions"]),
    "taxes": lambda told: total(told["transactions"]),
    "net_invested": lambda told: total(told["flows"], "amount"),
    "market_value": worth,
    "total_value": worth,
    "opening_value": worth,
    "cash": lambda told: total(told["cash"]),
    "gain": lambda told: gain(told["terms"]),
    "paid_in": lambda told: Decimal(told["terms"]["opening_value"]) + paid_in(told["flows"]),
    "max_drawdown": drawdown,
    "volatility": lambda told: statistics.stdev(returns(told)) * term(told, "year_days") ** 0.5,
    "sharpe": lambda told: (
        (statistics.mean(returns(told)) - term(told, "risk_free") / term(told, "year_days"))
        / statistics.stdev(returns(told)) * term(told, "year_days") ** 0.5
    ),
    "sortino": lambda told: (
        (statistics.mean(returns(told)) - term(told, "risk_free") / term(told, "year_days"))
        / term(told, "downside") * term(told, "year_days") ** 0.5
    ),
}  # fmt: skip


def test_each_figure_can_be_worked_out_again_from_its_explanation(lively):
    told = lively.performance(**WINDOW, risk_free="0.02")
    assert told["unpriced"] == []
    assert AGAIN.keys() == FIGURES.keys()
    for figure, again in AGAIN.items():
        working = lively.explain(figure, **WINDOW, risk_free="0.02")
        assert working["value"] == told[figure], figure
        assert float(again(working)) == pytest.approx(float(told[figure]), abs=1e-8), (figure, working)
        assert working["formula"]


def test_each_figure_of_a_holding_can_be_worked_out_again(lively):
    lots = lively.explain("average_cost", symbol="AAPL", **WINDOW)
    assert Decimal(lots["value"]) == pytest.approx(total(lots["lots"], "cost") / total(lots["lots"], "quantity"))
    value = lively.explain("value", symbol="AAPL", **WINDOW)
    assert Decimal(value["value"]) == worth(value) == 26 * 29
    assert total(lively.explain("quantity", symbol="AAPL", **WINDOW)["changes"], "quantity") == 26
    realized = lively.explain("realized_pnl", symbol="AAPL", **WINDOW)
    assert total(realized["disposals"], "gain") == Decimal(realized["value"])
    effects = lively.explain("gain", symbol="SAP", **WINDOW)["terms"]
    named = {name: Decimal(value) for name, value in effects.items()}
    assert named["gain"] == (
        named["price"] + named["fx"] + named["cross"] + named["income"] - named["fees"] - named["taxes"]
    )
    assert "Nothing of it was held" in lively.explain("value", symbol="SAP", end="2026-01-02")["value"]["reason"]


def test_the_window_and_its_parts_add_up(lively):
    told = lively.performance(**WINDOW, chain=1, method="xirr", benchmark="SAP")
    parts = told["contributions"]["by_holding"]
    assert total(parts, "gain") == Decimal(told["gain"]) == total(told["contributions"]["by_period"], "gain")
    assert total(parts, "contribution") == Decimal(told["simple_return"])
    ends = [Decimal(told[name]) for name in ("opening_value", "net_invested", "gain", "total_value")]
    assert sum(ends[:3]) == ends[3]
    assert (told["method"], told["return"]) == ("xirr", told["xirr"])
    assert told["short_period"] is True
    # 52 × 1.10 on the 8th, carried to the 9th, against 50 × 1.20 on the 2nd, the last close before the window
    assert float(told["benchmark"]["return"]) == pytest.approx(52 * 1.1 / (50 * 1.2) - 1)
    assert Decimal(told["benchmark"]["alpha"]) == Decimal(told["twr"]) - Decimal(told["benchmark"]["return"])
    assert (told["stale"], told["price_days"]["SAP"]) == (["SAP"], "2026-01-08")


def test_up_to_now_it_is_worth_what_the_positions_are(account, btc, say):
    account.post("DEPOSIT", "2026-01-02", amount="5000")
    account.post("BUY", "2026-01-02", symbol="BTC-USD", quantity="0.1", price="40000.10", fee="2")
    say(btc, 43_210.5)
    told = account.performance()
    headline = account.http.get(account.path).json()["exact"]
    for name in ("market_value", "total_value", "unrealized_pnl", "realized_pnl", "cash"):
        assert told[name] == headline[name], name


def test_what_has_no_price_is_null_with_the_reason(account, aapl):
    account.post("DEPOSIT", "2026-01-02", amount="5000")
    account.post("BUY", "2026-01-02", symbol="AAPL", quantity="1", price="100")
    told = account.performance()
    for name in ("twr", "xirr", "simple_return", "market_value", "unrealized_pnl", "sharpe"):
        assert told[name]["value"] is None, name
        assert "no price for AAPL" in told[name]["reason"], name
    assert (told["unpriced"], told["net_invested"]) == (["AAPL"], "5000")
    assert account.explain("twr")["value"]["value"] is None


def test_an_empty_portfolio_says_that_there_was_nothing(account):
    told = account.performance(chain=1)
    assert (told["market_value"], told["gain"], told["net_invested"]) == ("0", "0", "0")
    assert all("no capital" in told[name]["reason"] for name in ("twr", "xirr", "simple_return", "volatility", "chain"))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start": "yesterday"}, "start"),
        ({"start": "2999-01-01"}, "start"),
        ({"end": "2999-01-01"}, "end"),
        ({"start": "1800-01-01"}, "start"),
        ({"start": "2026-02-01", "end": "2026-01-01"}, "end"),
        ({"benchmark": "NOPE"}, "benchmark"),
        ({"method": "magic"}, "method"),
        ({"risk_free": "NaN"}, "risk_free"),
        ({"risk_free": "1e400"}, "risk_free"),
    ],
)
def test_a_bad_question_is_refused_by_field(account, query, field):
    answer = account.http.get(f"{account.path}performance/", query)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_an_unknown_figure_is_refused_with_those_there_are(account, aapl):
    for query in ({"figure": "luck"}, {"figure": "twr", "symbol": "AAPL"}, {}):
        answer = account.http.get(f"{account.path}explain/", query)
        assert (answer.status_code, list(answer.json())) == (400, ["figure"])


def test_bob_sees_nothing_of_alices_performance(account, bob):
    http = Client()
    http.force_login(bob)
    for call in ("performance/", "explain/?figure=twr"):
        assert http.get(f"{account.path}{call}").status_code == 404
        assert Client().get(f"{account.path}{call}").status_code in (401, 403)


def test_explanations_tell_what_the_positions_do(lively, closes):
    """In pence too, however it was paid, and carried over the split."""
    Instrument.objects.create(symbol="VOD", name="Vodafone", kind="equity", currency="GBp")
    for base, rate in (("GBP", "1.3"), ("EUR", "1.1")):
        today = datetime.now(UTC).date()
        FxRate.objects.create(base=base, quote="USD", date=today, rate=Decimal(rate), source="ecb", received_at=NOW)
    closes("VOD", {"2026-01-05": "75", "2026-01-12": "90"})
    lively.post("BUY", "2026-01-05", symbol="VOD", quantity="100", price="75", fee="5", fx_rate="0.013")
    lively.post("BUY", "2026-01-06", symbol="VOD", quantity="100", price="0.80", currency="GBP", fx_rate="1.25")
    positions = {row["symbol"]: row for row in lively.http.get(f"{lively.path}positions/").json()["results"]}
    assert positions.keys() == {"AAPL", "SAP", "VOD"}
    for symbol, row in positions.items():
        for figure in HOLDING_FIGURES.keys() & row.keys():
            told = lively.explain(figure, symbol=symbol)["value"]
            assert told == row[figure] or (isinstance(told, dict) and row[figure] is None), (symbol, figure, told)
    effects = lively.explain("gain", symbol="VOD")["terms"]
    # 5 pence of fee at 0.013; 200 × 90 pence at 1.30 less what was paid, 75 × 0.013 + 80 × 0.0125 for each of 100
    assert effects["fees"] == "0.065"
    assert Decimal(effects["gain"]) == Decimal("234") - Decimal("97.5") - Decimal("100") - Decimal("0.065")
