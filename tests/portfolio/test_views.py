import pytest
from django.test import Client

from portfolio.models import Portfolio, Transaction


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def rows(portfolio):
    return f"/api/portfolios/{portfolio.pk}/transactions/"


def send(http, path, body):
    return http.post(path, body, content_type="application/json")


def test_a_portfolio_is_made_and_listed(http):
    made = send(http, "/api/portfolios/", {"name": "Old age", "base_currency": "EUR"})
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "id": made.json()["id"], "name": "Old age", "base_currency": "EUR", "cost_basis_method": "average",
        "cost_basis_changes": [{"method": "average", "effective_from": None}], "allow_short": False,
        "auto_convert": False, "created_at": "",
    }  # fmt: skip
    assert http.get("/api/portfolios/").json() == {"results": [made.json()], "next": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "base_currency": "GBp"}, "base_currency"),
        ({"name": "x", "cost_basis_method": "cheapest"}, "cost_basis_method"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "a\0b"}, "name"),
    ],
)
def test_a_bad_portfolio_is_refused_by_field(http, body, field):
    answer = send(http, "/api/portfolios/", body)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_a_row_is_posted_and_read_back_exactly(http, rows, btc):
    sent = {"type": "BUY", "symbol": "btc-usd", "quantity": "0.1", "price": "97000.10", "fee": 2, "at": "2026-01-28"}
    answer = send(http, rows, sent)
    assert answer.status_code == 201, answer.json()
    row = answer.json()
    assert {name: row[name] for name in ("symbol", "quantity", "price", "fee", "currency", "at")} == {
        "symbol": "BTC-USD", "quantity": "0.1", "price": "97000.1", "fee": "2", "currency": "USD",
        "at": "2026-01-28T00:00:00.000000Z",
    }  # fmt: skip
    assert http.get(rows).json() == {"results": [row], "next": None}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "GIFT"}, "type"),
        ({"type": "REVERSAL"}, "type"),
        ({"symbol": "NOPE"}, "symbol"),
        ({"symbol": 7}, "symbol"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": "1e400"}, "quantity"),
        ({"quantity": "-0"}, "quantity"),
        ({"quantity": 0.1}, "quantity"),
        ({"price": "-1"}, "price"),
        ({"price": None}, "price"),
        ({"at": "2999-01-01"}, "at"),
        ({"at": "1700-01-01"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"at": 1769596201}, "at"),
        ({"currency": "XXX"}, "currency"),
        ({"note": "x" * 501}, "note"),
        ({"ratio": "2"}, "ratio"),
    ],
)
def test_a_bad_row_is_refused_by_field_and_nothing_is_written(http, rows, btc, change, field):
    body = {"type": "BUY", "symbol": "BTC-USD", "quantity": "1", "price": "100", "at": "2026-01-28"}
    answer = send(http, rows, body | change)
    assert (answer.status_code, field in answer.json()) == (400, True), answer.json()
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("body", ["[]", "7", "{", '{"quantity": NaN}', b"\xff", '{"quantity": ' + "9" * 5000 + "}"])
def test_what_is_no_body_is_refused(http, rows, body):
    assert http.post(rows, body, content_type="application/json").status_code == 400


def test_posting_again_under_the_same_external_id_answers_with_the_same_row(http, rows):
    body = {"type": "DEPOSIT", "amount": "5", "at": "2026-01-28", "external_id": "a"}
    first, second = send(http, rows, body), send(http, rows, body)
    assert (first.status_code, second.status_code, first.json()) == (201, 200, second.json())
    assert "external_id" in send(http, rows, body | {"amount": "6"}).json()


def test_a_row_is_reversed(http, rows):
    row = send(http, rows, {"type": "DEPOSIT", "amount": "5", "at": "2026-01-28"}).json()
    undone = send(http, f"{rows}{row['id']}/reverse/", {"note": "wrong"})
    assert (undone.status_code, undone.json()["reverses"]) == (201, row["id"])
    assert "id" in send(http, f"{rows}{row['id']}/reverse/", {}).json()


def test_positions_are_valued_at_the_latest_prices(http, portfolio, post, btc, eth, say):
    post("BUY", btc, quantity="2", price="100", fee="1")
    post("BUY", eth, quantity="1", price="3400")
    say(btc, 110.5, change=-1.5)
    answer = http.get(f"/api/portfolios/{portfolio.pk}/positions/").json()
    bitcoin, ether = answer["results"]
    assert bitcoin | {"price_time": ""} == {
        "symbol": "BTC-USD", "currency": "USD", "quantity": "2", "average_cost": "100.5", "cost_basis": "201",
        "average_cost_base": "100.5", "cost_basis_base": "201", "market_value": "221", "market_value_local": "221",
        "price": "110.5", "price_time": "", "value": "221", "unrealized_pnl": "20",
        "realized_pnl": "0", "daily_change": "-3", "stale": False,
    }  # fmt: skip
    assert (ether["price"], ether["value"]) == (None, None)
    assert (answer["unpriced"], answer["overdrawn"], answer["next"]) == (["ETH-USDT"], ["USD", "USDT"], None)
    whole = http.get(f"/api/portfolios/{portfolio.pk}/").json()
    assert (whole["name"], whole["exact"]["market_value"]) == ("Savings", "221")


@pytest.mark.parametrize("under", ["", "transactions/", "positions/"])
def test_bob_finds_no_portfolio_of_alices(client, bob, portfolio, under):
    client.force_login(bob)
    path = f"/api/portfolios/{portfolio.pk}/{under}"
    assert client.get(path).status_code == 404
    assert client.get("/api/portfolios/999999/").json() == client.get(f"/api/portfolios/{portfolio.pk}/").json()
    if under == "transactions/":
        assert send(client, path, {"type": "DEPOSIT", "amount": "5", "at": "2026-01-28"}).status_code == 404
    assert client.get("/api/portfolios/").json()["results"] == []


def test_bob_reverses_no_row_of_alices(client, bob, portfolio, post):
    row = post("DEPOSIT", amount="5")
    client.force_login(bob)
    path = f"/api/portfolios/{portfolio.pk}/transactions/{row.pk}/reverse/"
    assert send(client, path, {}).status_code == 404


def test_without_signing_in_there_is_nothing(client, portfolio):
    assert client.get("/api/portfolios/").status_code == 403


def test_a_change_needs_the_csrf_token(alice):
    http = Client(enforce_csrf_checks=True)
    http.force_login(alice)
    assert send(http, "/api/portfolios/", {"name": "x"}).status_code == 403
    assert not Portfolio.objects.exists()


def test_the_admin_shows_the_ledger_and_reverses_but_does_not_edit(client, admin, post):
    client.force_login(admin)
    row = post("DEPOSIT", amount="5")
    page = client.get(f"/admin/portfolio/transaction/{row.pk}/change/").content.decode()
    assert 'name="_save"' not in page
    body = {"action": "reverse", "_selected_action": [row.pk]}
    client.post("/admin/portfolio/transaction/", body)
    assert Transaction.objects.get(reverses=row).note == "reversed by admin"
