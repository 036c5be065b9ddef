"""Paper trading over HTTP, as alice, as bob, and with bodies that are wrong."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils import timezone

from ingestion import latest
from portfolio import ledger
from portfolio.ledger import Draft
from portfolio.models import Order
from worker.redis import client as redis_client
from worker.redis import key


@pytest.fixture(autouse=True)
def floor(own_prefix, portfolio, btc):
    """A thousand dollars, and bitcoin at a hundred."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.post(portfolio, Draft(type="DEPOSIT", amount=Decimal(1000), at=at), timezone.now())
    now = time.time_ns() // 1000
    told = latest.Latest(
        source="simulated", price=100.0, bid=99.0, ask=100.0, time_us=now, quote_time_us=now, received_us=now
    )
    redis_client().hset(key("latest", "simulated"), str(btc.pk), latest.encode(told))


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def body(portfolio):
    return {
        "portfolio": portfolio.pk, "symbol": "btc-usd", "side": "BUY", "type": "LIMIT", "quantity": "2", "price": "90",
        "time_in_force": "GTC", "client_order_id": "a",
    }  # fmt: skip


def send(http, body, path="/api/orders/"):
    return http.post(path, body, content_type="application/json")


def test_an_order_is_placed_listed_and_cancelled(http, portfolio, body):
    answer = send(http, body)
    assert answer.status_code == 201, answer.json()
    placed = answer.json()
    times = {"created_at": "", "updated_at": "", "fills": [], "events": []}
    assert placed | times == {
        "id": placed["id"], "order_id": placed["id"], "client_order_id": "a", "portfolio": portfolio.pk, "epoch": 1,
        "symbol": "BTC-USD", "side": "BUY", "type": "LIMIT", "quantity": "2", "price": "90", "stop_price": None,
        "current_stop_price": None, "trail": None, "time_in_force": "GTC", "status": "PENDING",
        "reason": "Accepted; 180 USD reserved.", "filled_quantity": "0", "remaining_quantity": "2",
        "average_price": None, "fees": "0", "currency": "USD", "reserved_cash": "180", "reserved_currency": "USD",
        "reserved_units": "0", "expires_at": None, **times,
    }  # fmt: skip
    path = f"/api/orders/{placed['id']}/"
    assert http.get(path).json() == placed
    assert [row["id"] for row in http.get("/api/orders/").json()["results"]] == [placed["id"]]
    account = http.get(f"/api/portfolios/{portfolio.pk}/account/").json()
    assert account["cash"] == [{"currency": "USD", "cash": "1000", "reserved": "180", "available": "820"}]
    gone = http.delete(path)
    assert (gone.status_code, gone.json()["status"], gone.json()["reserved_cash"]) == (200, "CANCELLED", "0")
    assert [(step["before"], step["status"]) for step in gone.json()["events"]] == [
        ("", "PENDING"), ("PENDING", "CANCELLED"),
    ]  # fmt: skip
    twice = http.delete(path)
    assert (twice.status_code, list(twice.json())) == (409, ["status"])


def test_a_fill_names_its_row_of_the_ledger(http, portfolio, body):
    placed = send(http, body | {"type": "MARKET", "price": None}).json()
    assert (placed["status"], placed["average_price"]) == ("FILLED", "100")
    (fill,) = placed["fills"]
    rows = http.get(f"/api/portfolios/{portfolio.pk}/transactions/").json()["results"]
    row = next(row for row in rows if row["id"] == fill["transaction"])
    assert (row["external_id"], row["quantity"], row["price"]) == (f"order:{placed['id']}:1", "2", "100")


def test_sent_again_it_is_the_same_order_and_with_another_body_an_error(http, body):
    first, second = send(http, body), send(http, body)
    assert (first.status_code, second.status_code, first.json()) == (201, 200, second.json())
    other = send(http, body | {"quantity": "3"})
    assert (other.status_code, list(other.json())) == (400, ["client_order_id"])


def test_what_is_not_permitted_is_stored_as_rejected(http, body):
    answer = send(http, body | {"quantity": "20"})
    assert (answer.status_code, answer.json()["status"]) == (201, "REJECTED")
    assert "insufficient funds" in answer.json()["reason"]
    huge = send(http, body | {"quantity": "9" * 20, "price": "9" * 20, "client_order_id": "b"})
    assert (huge.status_code, huge.json()["status"]) == (201, "REJECTED")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbol": "NOPE"}, "symbol"),
        ({"symbol": None}, "symbol"),
        ({"side": "HOLD"}, "side"),
        ({"type": "ICEBERG"}, "type"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "-0"}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": "1e400"}, "quantity"),
        ({"quantity": 0.1}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"price": None}, "price"),
        ({"price": "0"}, "price"),
        ({"price": "0.0000000000000000001"}, "price"),
        ({"type": "MARKET"}, "price"),
        ({"type": "STOP", "price": None}, "stop_price"),
        ({"type": "STOP_LIMIT"}, "stop_price"),
        ({"stop_price": "5"}, "stop_price"),
        ({"type": "TRAILING_STOP", "price": None}, "trail"),
        ({"type": "TRAILING_STOP", "price": None, "trail": "100%"}, "trail"),
        ({"type": "TRAILING_STOP", "price": None, "trail": "-1"}, "trail"),
        ({"type": "TRAILING_STOP", "price": None, "trail": "%"}, "trail"),
        ({"type": "TRAILING_STOP", "price": None, "trail": 0.1}, "trail"),
        ({"type": "STOP", "price": None, "stop_price": "5", "time_in_force": "IOC"}, "time_in_force"),
        ({"time_in_force": "GTD"}, "time_in_force"),
        ({"client_order_id": "x" * 65}, "client_order_id"),
        ({"client_order_id": "a\0b"}, "client_order_id"),
        ({"client_order_id": 7}, "client_order_id"),
        ({"portfolio": "mine"}, "portfolio"),
        ({"portfolio": 10**30}, "portfolio"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_body_is_refused_by_field_and_nothing_is_written(http, body, change, field):
    answer = send(http, body | change)
    assert (answer.status_code, field in answer.json()) == (400, True), answer.json()
    assert not Order.objects.exists()


@pytest.mark.parametrize("body", ["[]", "7", "{", b"\xff", '{"quantity": NaN}'])
def test_what_is_no_body_is_refused(http, body):
    assert send(http, body).status_code == 400


@pytest.mark.parametrize(("trail", "shown"), [("5", "5"), (5, "5"), ("2.5%", "2.5%")])
def test_a_trail_is_an_amount_or_in_percent(http, body, trail, shown):
    asked = body | {"type": "TRAILING_STOP", "price": None, "trail": trail}
    placed = send(http, asked).json()
    assert (placed["trail"], placed["current_stop_price"]) == (shown, "105" if shown == "5" else "102.5")


def test_orders_are_filtered(http, portfolio, body):
    send(http, body)
    send(http, body | {"client_order_id": "b", "type": "MARKET", "price": None})
    send(http, body | {"client_order_id": "c", "side": "SELL", "price": "150", "quantity": "1"})

    def found(query):
        return [row["client_order_id"] for row in http.get(f"/api/orders/?{query}").json()["results"]]

    assert found("") == ["c", "b", "a"]
    assert found("status=PENDING") == ["c", "a"]
    assert found("status=pending,filled") == ["c", "b", "a"]
    assert found("status=FILLED&symbol=BTC-USD") == ["b"]
    assert found("side=SELL") == ["c"]
    assert found(f"portfolio={portfolio.pk}&type=LIMIT") == ["c", "a"]
    assert found("client_order_id=a") == ["a"]
    assert found("portfolio=999999") == []
    for bad in ("status=LOST", "symbol=NOPE", "portfolio=x", "side=HOLD"):
        assert http.get(f"/api/orders/?{bad}").status_code == 400


def test_an_account_is_reset_and_its_lives_are_listed(http, portfolio, body):
    send(http, body | {"type": "MARKET", "price": None})
    path = f"/api/portfolios/{portfolio.pk}"
    answer = send(http, {"deposit": "500", "note": "Again."}, f"{path}/reset/")
    assert answer.status_code == 201, answer.json()
    assert answer.json()["cash"] == [{"currency": "USD", "cash": "500", "reserved": "0", "available": "500"}]
    lives = http.get(f"{path}/epochs/").json()["results"]
    assert [(life["number"], life["note"]) for life in lives] == [(2, "Again."), (1, "")]
    assert lives[1]["closing"]["cash"] == {"USD": "800"}
    assert http.get(f"{path}/positions/").json()["results"] == []
    assert len(http.get(f"{path}/transactions/").json()["results"]) == 3
    for bad, field in (({"deposit": "-5"}, "deposit"), ({"cash": "5"}, "cash")):
        assert field in send(http, bad, f"{path}/reset/").json()


def test_fees_of_an_account_are_changed(http, portfolio, body):
    path = f"/api/portfolios/{portfolio.pk}/account/"
    told = http.patch(path, {"taker_fee_bps": "7.5"}, content_type="application/json").json()
    assert (told["epoch"]["taker_fee_bps"], told["epoch"]["maker_fee_bps"]) == ("7.5", None)
    assert send(http, body | {"type": "MARKET", "price": None}).json()["fees"] == "0.15"
    for bad in ("-1", "1001", "0.00001", "NaN"):
        assert http.patch(path, {"taker_fee_bps": bad}, content_type="application/json").status_code == 400


def test_bob_has_no_part_in_it(http, client, bob, portfolio, body):
    order = send(http, body).json()
    client.force_login(bob)
    assert send(client, body | {"client_order_id": "b"}).status_code == 404
    assert client.get("/api/orders/").json()["results"] == []
    assert client.get(f"/api/orders/{order['id']}/").status_code == 404
    assert client.delete(f"/api/orders/{order['id']}/").status_code == 404
    for under in ("account", "epochs"):
        assert client.get(f"/api/portfolios/{portfolio.pk}/{under}/").status_code == 404
    assert send(client, {}, f"/api/portfolios/{portfolio.pk}/reset/").status_code == 404
    assert Order.objects.get().status == "PENDING"


def test_without_signing_in_there_is_nothing(client, body):
    assert client.get("/api/orders/").status_code == 403
    assert send(client, body).status_code == 403


def test_the_admin_cancels_and_edits_nothing(http, client, admin, body):
    order = send(http, body).json()
    client.force_login(admin)
    page = client.get(f"/admin/portfolio/order/{order['id']}/change/").content.decode()
    assert 'name="_save"' not in page
    for _ in range(2):
        client.post("/admin/portfolio/order/", {"action": "cancel", "_selected_action": [order["id"]]})
    kept = Order.objects.get()
    assert (kept.status, kept.reason) == ("CANCELLED", "Cancelled by admin.")
    assert client.get("/admin/portfolio/accountepoch/").status_code == 200
