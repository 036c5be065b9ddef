"""Every type of transaction over HTTP: what it does, what it refuses."""

import datetime as dt
import threading
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from ingestion.models import FxRate, Instrument
from portfolio.models import Portfolio, Transaction


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def account(http, portfolio):
    return Account(http, portfolio)


class Account:
    """Alice's portfolio, as its API shows it."""

    def __init__(self, http, portfolio):
        self.http, self.portfolio = http, portfolio
        self.path = f"/api/portfolios/{portfolio.pk}/"

    def send(self, body, under="transactions/"):
        return self.http.post(self.path + under, body, content_type="application/json")

    def post(self, type, symbol=None, at="2026-01-05", **figures):
        body = {"type": type, "at": at, **({"symbol": symbol} if symbol else {}), **figures}
        answer = self.send(body)
        assert answer.status_code == 201, answer.json()
        return answer.json()

    def refusal(self, type, symbol=None, at="2026-01-05", **figures):
        before = Transaction.objects.count()
        answer = self.send({"type": type, "at": at, **({"symbol": symbol} if symbol else {}), **figures})
        assert (answer.status_code, Transaction.objects.count()) == (400, before), answer.json()
        return answer.json()

    def patch(self, **body):
        return self.http.patch(self.path, body, content_type="application/json")

    def get(self, under="", **query):
        answer = self.http.get(self.path + under, query)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    def position(self, symbol):
        return next((p for p in self.get("positions/")["results"] if p["symbol"] == symbol), None)

    def held(self, symbol):
        found = self.position(symbol)
        return found and (found["quantity"], found["cost_basis"])

    def cash(self):
        return {c: str(a.normalize()) for c, a in book(self.portfolio).cash.items() if a}


def book(portfolio):
    from portfolio import positions

    portfolio = Portfolio.objects.get(pk=portfolio.pk)
    return positions.fold(portfolio.transactions.entries(), portfolio.policy())


@pytest.fixture
def shares(db):
    """Shares in dollars, OLD and NEW, in euro (SAP), and in pence (VOD)."""
    for symbol, currency in (("OLD", "USD"), ("NEW", "USD"), ("SAP", "EUR"), ("VOD", "GBp"), ("BNB-USDT", "USDT")):
        kind = "crypto" if "-" in symbol else "equity"
        Instrument.objects.create(symbol=symbol, name=symbol, kind=kind, currency=currency)


@pytest.fixture
def rates(db):
    """A euro is 1.10 dollars on 5 January, a pound 1.30."""
    for base, rate in (("EUR", "1.10"), ("GBP", "1.30")):
        FxRate.objects.create(
            base=base,
            quote="USD",
            date=dt.date(2026, 1, 5),
            rate=Decimal(rate),
            source="ecb",
            received_at=timezone.now(),
        )


# --- What each does ---------------------------------------------------------------------------------------------------


def test_a_split_multiplies_the_units_and_leaves_the_cost(account, shares):
    account.post("BUY", "OLD", quantity="10", price="100")
    account.post("SPLIT", "OLD", ratio="2", at="2026-02-01")
    assert account.held("OLD") == ("20", "1000")


def test_extra_units_of_a_stock_dividend_cost_nothing(account, shares):
    account.post("BUY", "OLD", quantity="10", price="100")
    account.post("STOCK_DIVIDEND", "OLD", quantity="1", at="2026-02-01")
    assert account.held("OLD") == ("11", "1000")


def test_a_spinoff_takes_a_part_of_the_cost_along(account, shares):
    account.post("BUY", "OLD", quantity="10", price="100")
    account.post("SPINOFF", "OLD", to_symbol="NEW", ratio="0.5", basis_fraction="0.2", at="2026-02-01")
    assert (account.held("OLD"), account.held("NEW")) == (("10", "800"), ("5", "200"))


def test_a_merger_carries_cost_and_holding_period_over(account, shares):
    account.post("BUY", "OLD", quantity="10", price="100", at="2024-01-05")
    row = account.post("MERGER", "OLD", to_symbol="NEW", ratio="0.5", at="2026-02-01")
    assert (row["to_symbol"], row["fx_rate"]) == ("NEW", "1")
    assert (account.held("OLD"), account.held("NEW")) == (None, ("5", "1000"))
    [lot] = account.get("lots/")["results"]
    assert (lot["symbol"], lot["opened_at"][:10], lot["term"]) == ("NEW", "2024-01-05", "long")


def test_a_rename_moves_all_there_is(account, shares):
    account.post("BUY", "OLD", quantity="10", price="100")
    account.post("RENAME", "OLD", to_symbol="NEW", at="2026-02-01")
    assert (account.held("OLD"), account.held("NEW")) == (None, ("10", "1000"))


@pytest.mark.parametrize("basis", [{"basis": "900"}, {"price": "90"}, {"price": "90", "basis": "900"}])
def test_units_come_in_with_what_they_have_cost(account, shares, basis):
    account.post("TRANSFER_IN", "OLD", quantity="10", opened_at="2020-01-01", **basis)
    assert (account.held("OLD"), account.cash()) == (("10", "900"), {})
    [lot] = account.get("lots/")["results"]
    assert lot["opened_at"] == "2020-01-01T00:00:00.000000Z"
    account.post("TRANSFER_OUT", "OLD", quantity="4", at="2026-02-01")
    assert account.held("OLD") == ("6", "540")


def test_a_return_of_capital_lowers_the_cost(account, shares):
    account.post("BUY", "OLD", quantity="10", price="100")
    account.post("RETURN_OF_CAPITAL", "OLD", amount="300", at="2026-02-01")
    assert account.held("OLD") == ("10", "700")


def test_income_taxes_and_interest_move_cash(account, shares):
    account.post("DIVIDEND", "OLD", amount="100", withholding="15")
    account.post("INTEREST", amount="7")
    account.post("INTEREST", amount="-2")
    account.post("TAX", amount="10")
    account.post("FEE", amount="1")
    assert account.cash() == {"USD": "79"}


@pytest.mark.parametrize("type", ["FX", "FX_CONVERSION"])
@pytest.mark.parametrize("stated", [{"price": "0.9"}, {"ratio": "0.9"}, {"quantity": "900"}])
def test_a_conversion_gives_one_currency_for_another(account, rates, type, stated):
    row = account.post(type, currency="USD", amount="1000", to_symbol="EUR", **stated)
    assert (row["type"], row["to_symbol"], row["to_amount"]) == ("FX_CONVERSION", "EUR", "900")
    assert account.cash() == {"USD": "-1E+3", "EUR": "9E+2"}
    assert account.get("positions/")["overdrawn"] == ["USD"]


def test_a_conversion_into_the_base_currency_tells_its_own_rate(account):
    assert account.post("FX", currency="EUR", amount="1000", to_symbol="USD", quantity="1170")["fx_rate"] == "1.17"


# --- Currencies -------------------------------------------------------------------------------------------------------


def test_a_missing_rate_is_that_of_the_day_and_is_kept(account, shares, rates):
    assert account.post("BUY", "SAP", quantity="1", price="100", at="2026-01-07")["fx_rate"] == "1.1"
    assert account.post("BUY", "SAP", quantity="1", price="100", fx_rate="1.2")["fx_rate"] == "1.2"
    assert account.position("SAP")["cost_basis_base"] == "230"
    assert "fx_rate" in account.refusal("BUY", "SAP", quantity="1", price="100", at="2024-06-01")


def test_pence_are_paid_in_pounds(account, shares, rates):
    row = account.post("BUY", "VOD", quantity="1000", price="75", fee="500")
    assert (row["currency"], row["fx_rate"], row["fee"]) == ("GBp", "0.013", "500")
    assert account.cash() == {"GBP": "-755"}
    position = account.position("VOD")
    assert [position[name] for name in ("currency", "cost_basis", "average_cost", "cost_basis_base")] == [
        "GBp", "75500", "75.5", "981.5",
    ]  # fmt: skip
    account.post("SELL", "VOD", quantity="1000", price="0.80", currency="GBP", at="2026-01-06")
    assert account.cash() == {"GBP": "45"}


def test_a_fee_in_another_currency_is_cash_of_it(account, shares, rates):
    account.post("BUY", "OLD", quantity="1", price="100", fee="10", fee_currency="EUR")
    assert account.cash() == {"USD": "-1E+2", "EUR": "-1E+1"}
    assert account.held("OLD") == ("1", "111")


def test_a_fee_in_what_is_held_gives_units_of_it_away(account, shares, btc):
    account.post("BUY", "BNB-USDT", quantity="2", price="500")
    row = account.post("BUY", "BTC-USD", quantity="1", price="1000", fee="0.01", fee_currency="BNB", fee_price="600")
    assert (row["fee_currency"], row["fee_symbol"], row["fee_price"]) == ("BNB", "BNB-USDT", "600")
    assert (account.held("BNB-USDT"), account.held("BTC-USD")) == (("1.99", "995"), ("1", "1006"))
    [closed] = account.get("lots/", closed="1")["results"]
    assert (closed["symbol"], closed["quantity"], closed["realized_pnl"]) == ("BNB-USDT", "0.01", "1")
    assert "fee" in account.refusal(
        "SELL", "BTC-USD", quantity="1", price="1", fee="3", fee_currency="BNB", fee_price="600", at="2026-02-01"
    )


def test_a_fee_in_what_is_bought_comes_out_of_it(account, btc):
    account.post("BUY", "BTC-USD", quantity="1", price="1000", fee="0.1", fee_currency="BTC")
    assert account.position("BTC-USD")["quantity"] == "0.9"


# --- What is refused --------------------------------------------------------------------------------------------------

REFUSED = [
    ("SPLIT", "OLD", {}, {"ratio"}),
    ("SPLIT", "OLD", {"ratio": "0"}, {"ratio"}),
    ("SPLIT", "OLD", {"ratio": "-2"}, {"ratio"}),
    ("STOCK_DIVIDEND", "OLD", {}, {"quantity"}),
    ("SPINOFF", "OLD", {"ratio": "1", "to_symbol": "NEW"}, {"basis_fraction"}),
    ("SPINOFF", "OLD", {"ratio": "1", "to_symbol": "NEW", "basis_fraction": "1.1"}, {"basis_fraction"}),
    ("SPINOFF", "OLD", {"ratio": "1", "to_symbol": "NOPE", "basis_fraction": "0.1"}, {"to_symbol"}),
    ("MERGER", "OLD", {"ratio": "1", "to_symbol": "OLD"}, {"to_symbol"}),
    ("RENAME", "OLD", {}, {"to_symbol"}),
    ("RENAME", None, {"to_symbol": "NEW"}, {"symbol"}),
    ("TRANSFER_IN", "OLD", {"quantity": "1"}, {"basis"}),
    ("TRANSFER_IN", "OLD", {"quantity": "2", "price": "5", "basis": "11"}, {"basis"}),
    ("TRANSFER_IN", "OLD", {"quantity": "2", "price": "5", "opened_at": "2026-03-01"}, {"opened_at"}),
    ("TRANSFER_OUT", "OLD", {"quantity": "1"}, {"quantity"}),
    ("RETURN_OF_CAPITAL", "OLD", {"amount": "-1"}, {"amount"}),
    ("DIVIDEND", "OLD", {"amount": "5", "withholding": "6"}, {"withholding"}),
    ("INTEREST", None, {"amount": "0"}, {"amount"}),
    ("DEPOSIT", None, {"amount": "5", "withholding": "1"}, {"withholding"}),
    ("DEPOSIT", None, {"amount": "5", "lot_ids": [1]}, {"lot_ids"}),
    ("BUY", "OLD", {"quantity": "1", "price": "2", "amount": "3"}, {"amount"}),
    ("BUY", "OLD", {"quantity": "1", "price": "2", "currency": "EUR", "fx_rate": "1"}, {"currency"}),
    ("BUY", "OLD", {"quantity": "1", "price": "2", "fee": "1", "fee_currency": "XXX"}, {"fee_currency"}),
    ("BUY", "OLD", {"quantity": "1", "price": "2", "fx_rate": "1.1"}, {"fx_rate"}),
    ("SELL", "OLD", {"quantity": "1", "price": "2", "lot_ids": ["x"]}, {"lot_ids"}),
    ("FX", None, {"amount": "5", "to_symbol": "EUR"}, {"quantity"}),
    ("FX", None, {"amount": "5", "to_symbol": "EUR", "price": "1", "ratio": "1"}, {"quantity"}),
    ("FX", None, {"amount": "5", "to_symbol": "XXX", "price": "1"}, {"to_symbol"}),
    ("FX", None, {"amount": "5", "to_symbol": "USD", "price": "1"}, {"to_symbol"}),
    ("FX", None, {"amount": "5", "price": "1"}, {"to_symbol"}),
    ("FX", None, {"amount": "NaN", "to_symbol": "EUR", "price": "1e400"}, {"amount", "price"}),
]  # fmt: skip


@pytest.mark.parametrize(("type", "symbol", "figures", "fields"), REFUSED)
def test_each_refusal_names_its_fields(account, shares, rates, type, symbol, figures, fields):
    assert set(account.refusal(type, symbol, **figures)) == fields


def test_more_than_is_held_is_sold_only_where_shorts_are_allowed(account, shares):
    account.post("BUY", "OLD", quantity="1", price="100")
    assert "1 OLD held" in account.refusal("SELL", "OLD", quantity="3", price="110", at="2026-01-06")["quantity"][0]
    assert account.patch(allow_short=True).status_code == 200
    account.post("SELL", "OLD", quantity="3", price="110", at="2026-01-06")
    assert account.position("OLD")["quantity"] == "-2"
    assert set(account.patch(allow_short=False).json()) == {"allow_short"}


# --- Methods ----------------------------------------------------------------------------------------------------------


def buy_twice_and_sell(account, **sale):
    first = account.post("BUY", "OLD", quantity="1", price="100", at="2026-01-05")
    second = account.post("BUY", "OLD", quantity="1", price="200", at="2026-01-06")
    named = {"lot_ids": [second["id"]]} if sale.pop("second", False) else {}
    account.post("SELL", "OLD", quantity="1", price="150", at="2026-02-05", **named, **sale)
    [closed] = account.get("lots/", closed="1")["results"]
    return {first["id"]: "first", second["id"]: "second"}[closed["lot_id"]], closed["realized_pnl"]


@pytest.mark.parametrize(
    ("method", "sale", "outcome"),
    [
        ("fifo", {}, ("first", "50")),
        ("lifo", {}, ("second", "-50")),
        ("hifo", {}, ("second", "-50")),
        ("average", {}, ("first", "0")),
        ("specific", {"second": True}, ("second", "-50")),
        ("specific", {}, ("first", "50")),
    ],
)
def test_a_portfolio_sells_by_its_method(account, shares, method, sale, outcome):
    assert account.patch(cost_basis_method=method).json()["cost_basis_method"] == method
    assert buy_twice_and_sell(account, **sale) == outcome


def test_a_method_is_in_force_from_its_day(account, shares):
    account.patch(cost_basis_method="fifo")
    for day in (1, 2, 3):
        account.post("BUY", "OLD", quantity="1", price=str(100 * day), at=f"2026-01-0{day}")
    changed = account.patch(cost_basis_method="lifo", effective_from="2026-02-01").json()
    assert changed["cost_basis_changes"] == [
        {"method": "fifo", "effective_from": None}, {"method": "lifo", "effective_from": "2026-02-01"},
    ]  # fmt: skip
    account.post("SELL", "OLD", quantity="1", price="500", at="2026-01-15")
    account.post("SELL", "OLD", quantity="1", price="500", at="2026-02-15")
    assert [row["cost_basis"] for row in account.get("lots/", closed="1")["results"]] == ["100", "300"]
    assert account.patch(cost_basis_method="fifo", effective_from=None).json()["cost_basis_changes"] == [
        {"method": "fifo", "effective_from": None}
    ]
    assert [row["cost_basis"] for row in account.get("lots/", closed="1")["results"]] == ["100", "200"]


def test_without_a_day_a_method_is_in_force_from_today(account, shares):
    account.post("BUY", "OLD", quantity="1", price="100")
    changed = account.patch(cost_basis_method="lifo").json()
    today = timezone.now().date().isoformat()
    assert (changed["cost_basis_method"], changed["cost_basis_changes"][-1]["effective_from"]) == ("lifo", today)


@pytest.mark.parametrize(
    "body",
    [
        {"base_currency": "EUR"}, {"cost_basis_method": "cheapest"}, {"effective_from": "2026-01-01"}, {"name": ""},
        {"allow_short": "perhaps"}, {"cost_basis_method": "fifo", "effective_from": "1800-01-01"},
    ],
)  # fmt: skip
def test_a_change_that_makes_no_sense_is_refused(account, body):
    assert account.patch(**body).status_code == 400


def test_lots_are_named_only_where_they_are_chosen(account, shares):
    bought = account.post("BUY", "OLD", quantity="1", price="100")
    figures = {"quantity": "1", "price": "1", "at": "2026-02-01"}
    assert set(account.refusal("SELL", "OLD", lot_ids=[bought["id"]], **figures)) == {"lot_ids"}
    account.patch(cost_basis_method="specific", effective_from=None)
    assert set(account.refusal("SELL", "OLD", lot_ids=[bought["id"] + 9], **figures)) == {"lot_ids"}
    assert account.post("SELL", "OLD", lot_ids=[bought["id"]], **figures)["lot_ids"] == [bought["id"]]


# --- Several at once --------------------------------------------------------------------------------------------------

ROWS = [
    {"type": "DEPOSIT", "amount": "1000", "at": "2026-01-05", "external_id": "a"},
    {"type": "BUY", "symbol": "OLD", "quantity": "5", "price": "100", "at": "2026-01-06", "external_id": "b"},
    {"type": "SELL", "symbol": "OLD", "quantity": "5", "price": "120", "at": "2026-01-07", "external_id": "c"},
]


def test_several_rows_are_posted_at_once_and_again_without_effect(account, shares):
    first, second = account.send(ROWS), account.send(ROWS)
    assert (first.status_code, second.status_code) == (201, 200)
    assert [row["type"] for row in first.json()["results"]] == ["DEPOSIT", "BUY", "SELL"]
    assert first.json()["results"] == second.json()["results"]
    assert account.cash() == {"USD": "1.1E+3"}
    account.portfolio.refresh_from_db()
    assert account.portfolio.version == 3


@pytest.mark.parametrize(
    ("change", "row", "field"),
    [
        ({"quantity": "6"}, "3", "quantity"),
        ({"price": "NaN"}, "3", "price"),
        ({"at": "2026-01-04"}, "3", "quantity"),
        ({"external_id": "b"}, "3", "external_id"),
    ],
)
def test_of_several_rows_one_that_is_wrong_keeps_all_out(account, shares, change, row, field):
    answer = account.send([*ROWS[:2], ROWS[2] | change])
    assert (answer.status_code, list(answer.json()["rows"])) == (400, [row])
    assert list(answer.json()["rows"][row]) == [field]
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("rows", [[], [7], [[]], [None]])
def test_what_are_no_rows_is_refused(account, rows):
    assert set(account.send(rows).json()) == {"rows"}


def test_too_many_rows_are_refused(account, settings):
    settings.LEDGER_ROWS_MAX_PER_POST = 2
    assert set(account.send(ROWS).json()) == {"rows"}


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_rows_are_found_by_type_symbol_and_time(account, shares):
    account.send(ROWS)

    def found(**query):
        return [row["external_id"] for row in account.get("transactions/", **query)["results"]]

    assert found() == ["c", "b", "a"]
    assert (found(type="BUY"), found(symbol="old")) == (["b"], ["c", "b"])
    assert (found(start="2026-01-06"), found(end="2026-01-06")) == (["c", "b"], ["b", "a"])
    assert found(end="2026-01-06T00:00:00Z") == ["a"]
    assert account.http.get(account.path + "transactions/", {"type": "GIFT"}).status_code == 400
    assert account.http.get(account.path + "transactions/", {"symbol": "NOPE"}).status_code == 400


def test_pages_go_on_where_they_ended(account, shares):
    account.send(ROWS)
    page = account.get("transactions/", limit=2)
    assert [row["external_id"] for row in page["results"]] == ["c", "b"]
    assert [row["external_id"] for row in account.http.get(page["next"]).json()["results"]] == ["a"]
    account.post("BUY", "NEW", quantity="1", price="1")
    account.post("BUY", "OLD", quantity="1", price="1", at="2026-02-05")
    page = account.get("lots/", limit=1)
    assert [page["results"][0]["symbol"], account.http.get(page["next"]).json()["results"][0]["symbol"]] == [
        "NEW",
        "OLD",
    ]


def test_open_lots_add_up_to_the_position(account, shares, say):
    account.patch(cost_basis_method="fifo")
    account.post("BUY", "OLD", quantity="1", price="100", at="2024-01-05")
    account.post("BUY", "OLD", quantity="2", price="200", at="2026-01-05")
    say(Instrument.objects.get(symbol="OLD"), 300.0)
    first, second = account.get("lots/", symbol="OLD")["results"]
    assert (first["term"], second["cost_basis"], second["market_value"], second["unrealized_pnl"]) == (
        "long", "400", "600", "200",
    )  # fmt: skip
    assert account.get("lots/", symbol="NEW")["results"] == []


def test_one_row_is_read_and_neither_changed_nor_removed(account, shares):
    row = account.post("BUY", "OLD", quantity="1", price="100")
    path = f"{account.path}transactions/{row['id']}/"
    assert account.http.get(path).json() == row
    assert [account.http.delete(path).status_code, account.http.put(path, {}).status_code] == [405, 405]


def test_every_type_is_reversed_without_a_trace(account, shares, rates):
    account.post("BUY", "OLD", quantity="10", price="100")
    before = account.get("positions/")["results"], account.cash()
    posted = [
        account.post("SPLIT", "OLD", ratio="2"),
        account.post("STOCK_DIVIDEND", "OLD", quantity="2"),
        account.post("SPINOFF", "OLD", to_symbol="NEW", ratio="1", basis_fraction="0.5"),
        account.post("RETURN_OF_CAPITAL", "OLD", amount="10"),
        account.post("TRANSFER_IN", "SAP", quantity="1", price="3"),
        account.post("FX", amount="10", to_symbol="EUR", price="0.9"),
        account.post("DIVIDEND", "VOD", amount="100", withholding="3"),
        account.post("MERGER", "OLD", to_symbol="NEW", ratio="3"),
    ]
    for row in reversed(posted):
        answer = account.send({}, f"transactions/{row['id']}/reverse/")
        assert answer.status_code == 201, answer.json()
    assert (account.get("positions/")["results"], account.cash()) == before


def test_what_later_rows_need_is_not_reversed(account, shares):
    account.post("BUY", "OLD", quantity="1", price="100")
    merged = account.post("MERGER", "OLD", to_symbol="NEW", ratio="2", at="2026-01-06")
    account.post("SELL", "NEW", quantity="2", price="60", at="2026-01-07")
    answer = account.send({}, f"transactions/{merged['id']}/reverse/")
    assert (answer.status_code, list(answer.json())) == (400, ["id"])


# --- Others -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("under", ["lots/", "transactions/", "transactions/1/"])
def test_bob_sees_nothing_of_alices(client, bob, portfolio, under):
    client.force_login(bob)
    assert client.get(f"/api/portfolios/{portfolio.pk}/{under}").status_code == 404
    assert client.patch(f"/api/portfolios/{portfolio.pk}/", {}, content_type="application/json").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_both_sell_the_last_units(alice, portfolio, shares):
    http = Client()
    http.force_login(alice)
    account = Account(http, portfolio)
    account.post("BUY", "OLD", quantity="1", price="100")
    start, outcomes = threading.Barrier(2), []

    def sell():
        own = Client()
        own.force_login(alice)
        start.wait(10)
        body = {"type": "SELL", "symbol": "OLD", "quantity": "1", "price": "1", "at": "2026-02-01"}
        outcomes.append(Account(own, portfolio).send(body).status_code)
        connection.close()

    threads = [threading.Thread(target=sell) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [201, 400]


def test_the_admin_proves_positions_and_says_what_differs(client, admin, portfolio, settings):
    settings.PROOF_WAIT_S = 0.05
    client.force_login(admin)
    body = {"action": "prove", "_selected_action": [portfolio.pk]}
    page = client.post("/admin/portfolio/portfolio/", body, follow=True)
    assert "the follower was silent" in page.content.decode()


def test_how_a_portfolio_counts_is_not_changed_in_the_admin(client, admin, portfolio):
    client.force_login(admin)
    body = {"name": "Renamed", "cost_basis_method": "lifo", "allow_short": "on", "base_currency": "EUR"}
    client.post(f"/admin/portfolio/portfolio/{portfolio.pk}/change/", body)
    portfolio.refresh_from_db()
    kept = portfolio.name, portfolio.cost_basis_method, portfolio.allow_short, portfolio.base_currency
    assert kept == ("Renamed", "average", False, "USD")


def test_a_transfer_of_cash_is_a_payment_in_or_out(account):
    assert account.post("TRANSFER_IN", amount="100")["type"] == "DEPOSIT"
    assert account.post("TRANSFER_OUT", amount="40")["type"] == "WITHDRAWAL"
    assert account.cash() == {"USD": "6E+1"}
