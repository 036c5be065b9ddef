import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from portfolio import ledger, positions
from portfolio.ledger import Draft, Refused
from portfolio.models import AppendOnly, Portfolio, Transaction

from .conftest import NOW


def refusal(post, *args, **figures):
    with pytest.raises(Refused) as refused:
        post(*args, **figures)
    return set(refused.value.errors)


def test_a_row_is_completed_from_the_instrument_and_the_portfolio(post, eth):
    row = post("BUY", eth, quantity="2", price="3400")
    assert (row.currency, row.fee_currency, row.fx_rate, row.fee) == ("USDT", "USDT", 1, 0)
    assert post("DEPOSIT", amount="10").currency == "USD"


@pytest.mark.parametrize(
    ("type", "figures", "fields"),
    [
        ("DEPOSIT", {}, {"amount"}),
        ("DEPOSIT", {"amount": "-5"}, {"amount"}),
        ("DEPOSIT", {"amount": "5", "quantity": "1"}, {"quantity"}),
        ("DEPOSIT", {"amount": "5", "currency": "XXX", "fx_rate": "1"}, {"currency"}),
        ("DEPOSIT", {"amount": "5", "currency": "gbp", "fx_rate": "1"}, {"currency"}),
        ("DEPOSIT", {"amount": "5", "currency": "EUR"}, {"fx_rate"}),
        ("DEPOSIT", {"amount": "5", "fx_rate": "1.1"}, {"fx_rate"}),
        ("DEPOSIT", {"amount": "5", "fee": "-1"}, {"fee"}),
        ("DEPOSIT", {"amount": "5", "fee": "1", "fee_currency": "EUR"}, {"fee_currency"}),
        ("DEPOSIT", {"amount": "5", "at": NOW + timedelta(seconds=1)}, {"at"}),
        ("DEPOSIT", {"amount": "5", "at": datetime(1899, 12, 31, tzinfo=UTC)}, {"at"}),
        ("FEE", {"amount": "5", "fee": "1"}, {"fee"}),
        ("DIVIDEND", {"amount": "5"}, {"symbol"}),
        ("BUY", {}, {"symbol", "quantity", "price"}),
    ],
)
def test_each_refusal_names_its_fields(post, type, figures, fields):
    assert refusal(post, type, **figures) == fields
    assert not Transaction.objects.exists()


def test_a_trade_is_in_the_instruments_money(post, btc, eth):
    assert refusal(post, "BUY", btc, quantity="1", price="1", currency="EUR", fx_rate="1") == {"currency"}
    assert post("BUY", eth, quantity="1", price="1", currency="USD").currency == "USD"  # counts as USDT


def test_a_dividend_may_be_stated_per_unit(post, btc):
    assert post("DIVIDEND", btc, quantity="40", price="0.26").amount == Decimal("10.40")
    assert refusal(post, "DIVIDEND", btc, quantity="40", price="0.26", amount="11") == {"amount"}


def test_more_than_is_held_is_not_sold(post, btc):
    post("BUY", btc, quantity="1", price="100")
    assert refusal(post, "SELL", btc, quantity="1.000000000000000001", price="100") == {"quantity"}
    post("SELL", btc, quantity="1", price="100")


def test_a_sale_put_in_earlier_must_leave_enough_for_the_later_ones(post, btc):
    post("BUY", btc, quantity="1", price="100", at=datetime(2026, 1, 1, tzinfo=UTC))
    post("SELL", btc, quantity="1", price="100", at=datetime(2026, 3, 1, tzinfo=UTC))
    assert refusal(post, "SELL", btc, quantity="1", price="1", at=datetime(2026, 2, 1, tzinfo=UTC)) == {"quantity"}


def test_the_same_external_id_gives_the_same_row(portfolio, post):
    first = post("DEPOSIT", amount="5", external_id="a")
    assert post("DEPOSIT", amount="5.00", external_id="a") == first
    assert refusal(post, "DEPOSIT", amount="6", external_id="a") == {"external_id"}
    assert portfolio.transactions.count() == 1


def test_an_external_id_whose_row_was_reversed_is_not_used_again(post):
    ledger.reverse(post("DEPOSIT", amount="5", external_id="a"))
    assert refusal(post, "DEPOSIT", amount="5", external_id="a") == {"external_id"}


def test_every_row_moves_the_version(portfolio, post):
    post("DEPOSIT", amount="5")
    post("DEPOSIT", amount="5")
    portfolio.refresh_from_db()
    assert portfolio.version == 2


def test_a_reversal_takes_the_row_out_and_both_stay_visible(portfolio, post, btc):
    post("DEPOSIT", amount="1000")
    row = post("BUY", btc, quantity="1", price="100")
    undoing = ledger.reverse(row, "typed twice")
    book = positions.fold(portfolio.transactions.entries())
    assert (book.held, book.cash) == ({}, {"USD": Decimal(1000)})
    assert (undoing.reverses, undoing.note, portfolio.transactions.count()) == (row, "typed twice", 3)


def test_a_row_is_reversed_once_and_a_reversal_never(post):
    row = post("DEPOSIT", amount="1000")
    undoing = ledger.reverse(row)
    for again in (row, undoing):
        with pytest.raises(Refused) as refused:
            ledger.reverse(again)
        assert set(refused.value.errors) == {"id"}


def test_a_purchase_whose_units_were_sold_is_not_reversed(post, btc):
    bought = post("BUY", btc, quantity="1", price="100")
    sold = post("SELL", btc, quantity="1", price="100", at=datetime(2026, 2, 1, tzinfo=UTC))
    with pytest.raises(Refused):
        ledger.reverse(bought)
    ledger.reverse(sold)
    ledger.reverse(bought)


def test_rows_are_neither_changed_nor_removed_through_the_orm(post):
    row = post("DEPOSIT", amount="5")
    row.amount = Decimal(6)
    rows = Transaction.objects.all()
    for attempt in (row.save, row.delete, rows.delete, lambda: rows.update(amount=6)):
        with pytest.raises(AppendOnly):
            attempt()


@pytest.mark.parametrize("sql", ["UPDATE portfolio_transaction SET amount = 6", "DELETE FROM portfolio_transaction"])
def test_the_database_refuses_it_too(post, sql):
    post("DEPOSIT", amount="5")
    with pytest.raises(DatabaseError, match="append-only"):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)


@pytest.mark.django_db(transaction=True)
def test_parallel_sales_never_sell_the_same_units(portfolio, post, btc):
    post("BUY", btc, quantity="5", price="100")
    draft = Draft(
        type="SELL", at=datetime(2026, 2, 1, tzinfo=UTC), instrument=btc, quantity=Decimal(1), price=Decimal(90)
    )
    start, outcomes = threading.Barrier(12), []

    def sell():
        try:
            start.wait(10)
            ledger.post(Portfolio.objects.get(pk=portfolio.pk), draft, NOW)
            outcomes.append("sold")
        except Refused:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=sell) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["sold"] * 5
    assert positions.fold(portfolio.transactions.entries()).held == {}
