import json
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from ingestion.models import Instrument
from portfolio import imports, positions
from portfolio.models import ImportBatch, Portfolio, Transaction
from portfolio.tasks import import_file
from worker.models import Job

HEADER = "date,type,symbol,quantity,price,amount,fee,note\n"
LEDGER = (
    HEADER
    + "2026-01-05,DEPOSIT,,,,1000,,\n"
    + "2026-01-06,BUY,BTC-USD,2,100,,1,first\n"
    + "2026-01-07,SELL,BTC-USD,1,120,,1,\n"
    + "2026-01-07,SELL,BTC-USD,0.5,120,,,\n"
    + "2026-01-07,SELL,BTC-USD,0.5,120,,,\n"
)


@pytest.fixture
def http(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def send(http, portfolio):
    """send(text, **body) posts an import; send.to(path, body) anything below the portfolio."""

    def to(path, body, portfolio_id=portfolio.pk):
        return http.post(f"/api/portfolios/{portfolio_id}/{path}", body, content_type="application/json")

    def send(text, portfolio_id=portfolio.pk, **body):
        return to("imports/", {"text": text, **body}, portfolio_id)

    send.to = to
    return send


def book(portfolio):
    return positions.fold(portfolio.transactions.entries(), portfolio.policy())


def test_a_preview_says_what_would_be_posted_and_writes_nothing(send, btc):
    answer = send(LEDGER, dry_run=True)
    told = answer.json()
    assert (answer.status_code, told["preset"], told["encoding"], told["delimiter"]) == (200, "generic", "utf-8", ",")
    assert told["counts"] == {"new": 5, "exists": 0, "error": 0}
    assert told["rows"][1] == {
        "row": 3, "status": "new", "type": "BUY", "at": "2026-01-06T00:00:00.000000Z", "symbol": "BTC-USD",
        "quantity": "2", "price": "100", "currency": "USD", "fx_rate": "1", "fee": "1", "fee_currency": "USD",
        "note": "first",
    }  # fmt: skip
    assert not Transaction.objects.exists()
    assert not ImportBatch.objects.exists()


def test_an_import_posts_all_rows_and_the_same_file_again_adds_nothing(send, http, portfolio, btc):
    done = send(LEDGER, filename="a.csv")
    assert (done.status_code, done.json()["added"], done.json()["status"]) == (201, 5, "done")
    assert (book(portfolio).cash, book(portfolio).held) == ({"USD": Decimal(1038)}, {})
    again = send(LEDGER + "2026-01-08,DEPOSIT,,,,5,,\n").json()
    assert (again["added"], again["existing"], portfolio.transactions.count()) == (1, 5, 6)
    listed = http.get(f"/api/portfolios/{portfolio.pk}/imports/").json()["results"]
    assert [(batch["filename"], batch["added"]) for batch in listed] == [("", 1), ("a.csv", 5)]


def test_equal_twins_in_one_file_are_two_rows_and_an_overlapping_export_knows_both(send, portfolio, btc):
    deposits = [f"2026-01-0{day},DEPOSIT,,,,7,,\n" for day in (5, 5, 6)]
    send(HEADER + "".join(deposits[:2]))
    send(HEADER + "".join(deposits))
    assert portfolio.transactions.count() == 3


def test_a_newest_first_file_is_posted_as_it_happened(send, portfolio, btc):
    head, *lines = LEDGER.splitlines(keepends=True)
    assert send(head + "".join(reversed(lines))).json()["added"] == 5
    assert [row.type for row in portfolio.transactions.order_by("id")] == ["DEPOSIT", "BUY", "SELL", "SELL", "SELL"]


def test_with_an_error_nothing_is_posted_unless_errors_are_to_be_skipped(send, portfolio, btc):
    text = LEDGER + "2026-01-08,SELL,BTC-USD,9,120,,,\n2026-01-08,BUY,BTC-USD,x,1,,,\n2999-01-01,DEPOSIT,,,,1,,\n"
    refused = send(text)
    assert refused.status_code == 400
    assert refused.json()["errors"] == [
        {"row": 7, "column": "quantity", "message": "0 BTC-USD held on 2026-01-08 00:00:00 UTC, too few to sell 9."},
        {"row": 8, "column": "quantity", "message": "“x” is not a number."},
        {"row": 9, "column": "date", "message": "This is in the future."},
    ]
    assert (portfolio.transactions.count(), ImportBatch.objects.get().status) == (0, "failed")
    skipped = send(text, options={"skip_errors": True}).json()
    assert (skipped["added"], skipped["failed"], portfolio.transactions.count()) == (5, 3, 5)


def test_unknown_symbols_come_with_suggestions_and_are_mapped(send, portfolio, btc):
    text = HEADER + "2026-01-06,BUY,Bitcoin,2,100,,,\n"
    told = send(text, dry_run=True).json()
    assert told["unknown_symbols"] == {"Bitcoin": ["BTC-USD"]}
    assert told["errors"] == [
        {"row": 2, "column": "symbol", "message": "There is no instrument “Bitcoin”: say `symbols`."}
    ]
    assert send(text, options={"symbols": {"bitcoin": "BTC-USD"}}).json()["added"] == 1


def test_a_price_that_no_column_keeps_is_refused_and_a_long_sum_stays_exact(send, portfolio, btc):
    text = "date,type,symbol,quantity,amount,fee\n"
    told = send(text + "2026-01-05,BUY,BTC-USD,0.000000000000000001,99999999999999999999,\n", dry_run=True).json()
    assert "too large" in told["errors"][0]["message"]
    pp = "Date,Type,Value,Transaction Currency,Fees,Taxes,Shares,Ticker Symbol\n"
    figures = "12345678901234567890.123456789012345678,USD,0.123456789012345678,12345678901234567889,1"
    assert send(f"{pp}2026-01-05,Buy,{figures},BTC-USD\n").status_code == 201
    bought = portfolio.transactions.get()
    assert (bought.price, bought.fee) == (Decimal(1), Decimal("12345678901234567889.123456789012345678"))


def test_an_ambiguous_date_is_asked_for(send):
    text = "date,type,amount\n01/02/2026,DEPOSIT,5\n"
    refused = send(text, dry_run=True)
    assert (refused.status_code, refused.json()["errors"][0]["column"]) == (400, "date")
    told = send(text, dry_run=True, options={"date_format": "dmy"}).json()
    assert told["rows"][0]["at"] == "2026-02-01T00:00:00.000000Z"


def test_undoing_reverses_the_rows_and_the_file_can_be_imported_again(send, portfolio, btc):
    batch = send(LEDGER).json()
    undone = send.to(f"imports/{batch['id']}/undo/", {})
    assert (undone.status_code, undone.json()["status"]) == (200, "undone")
    assert (book(portfolio).cash, portfolio.transactions.count()) == ({}, 10)
    assert "batch" in send.to(f"imports/{batch['id']}/undo/", {}).json()
    for _ in range(2):
        again = send(LEDGER).json()
    assert (again["existing"], book(portfolio).cash) == (5, {"USD": Decimal(1038)})


def test_a_batch_whose_units_were_sold_since_is_not_undone(send, portfolio, btc):
    batch = send(HEADER + "2026-01-06,BUY,BTC-USD,2,100,,,\n").json()
    send(HEADER + "2026-02-06,SELL,BTC-USD,2,100,,,\n")
    refused = send.to(f"imports/{batch['id']}/undo/", {})
    assert refused.status_code == 400
    assert "too few to sell 2" in refused.json()["id"][0]
    assert portfolio.transactions.count() == 2


def test_what_was_typed_by_hand_is_not_imported_a_second_time(send, post, portfolio, btc):
    post("BUY", btc, quantity="2", price="100", fee="1", at=datetime(2026, 1, 6, tzinfo=UTC))
    assert send(LEDGER).json()["existing"] == 1


def test_a_row_that_its_source_has_changed_since_is_told(send, btc):
    activity = {"date": "2026-01-05", "type": "BUY", "symbol": "BTC-USD", "quantity": 1, "unitPrice": 5, "fee": 0,
                "currency": "USD", "id": "a"}  # fmt: skip
    assert send(json.dumps({"activities": [activity]})).status_code == 201
    assert send(json.dumps({"activities": [activity | {"comment": "x"}]})).json()["existing"] == 1
    assert (
        "other figures" in send(json.dumps({"activities": [activity | {"quantity": 2}]})).json()["errors"][0]["message"]
    )


def test_a_coin_is_its_pair_in_the_rows_money(send, portfolio):
    for symbol, currency in (("BTC-EUR", "EUR"), ("BTC-USD", "USD")):
        Instrument.objects.create(symbol=symbol, name=symbol, kind="crypto", currency=currency)
    text = (
        "Timestamp,Transaction Type,Asset,Quantity Transacted,Price Currency,Price at Transaction,Subtotal,"
        "Total (inclusive of fees and/or spread),Fees and/or Spread,Notes\n"
        "2026-01-13 12:20:53 UTC,Buy,BTC,0.5,USD,$100.00,$50.00,$51.00,$1.00,\n"
    )
    assert send(text).json()["preset"] == "coinbase"
    assert portfolio.transactions.get().instrument.symbol == "BTC-USD"


def test_a_form_sends_the_file_itself(http, portfolio, btc):
    body = {"file": SimpleUploadedFile("mine.csv", LEDGER.encode("utf-16")), "dry_run": "false", "options": "{}"}
    answer = http.post(f"/api/portfolios/{portfolio.pk}/imports/", body)
    assert (answer.status_code, answer.json()["filename"], answer.json()["added"]) == (201, "mine.csv", 5)
    assert "options" in http.post(f"/api/portfolios/{portfolio.pk}/imports/", {**body, "options": "{"}).json()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "file": "YQ=="},
        {"file": "?"},
        {"text": "a\0b"},
        {"text": "a", "preset": "nope"},
        {"text": "a", "mapping": {"at": 7}},
        {"text": "a", "options": {"timezone": "Mars/Base"}},
        {"text": "a", "options": {"types": {"x": "GIFT"}}},
        {"text": "a", "options": {"colour": "red"}},
        {"text": "a", "colour": "red"},
        {"text": ""},
        {"text": "date,type\n"},
        {"text": "colour,size\n1,2\n"},
        {"text": ",".join("a" * 10_000)},
        {"text": 'date,type,amount\n2026-01-05,"DEPOSIT,5\n'},
        {"text": "[" * 50_000},
    ],
)
def test_a_bad_body_is_refused_and_nothing_is_posted(send, body):
    for dry_run in (True, False):
        assert send.to("imports/", {**body, "dry_run": dry_run}).status_code == 400
    assert not Transaction.objects.exists()


def test_a_file_above_the_limit_is_refused_before_it_is_read(send, settings):
    settings.IMPORT_MAX_BYTES = 100
    for dry_run in (True, False):
        assert "more than 100" in str(send(LEDGER * 2, dry_run=dry_run).json())
    assert send("x" * 200_000).status_code == 400
    assert not ImportBatch.objects.exists()


def test_a_large_file_waits_for_a_worker_and_is_posted_once(send, settings, portfolio, btc):
    settings.IMPORT_BYTES_AT_ONCE = 100
    preview = send(LEDGER, dry_run=True).json()
    assert (preview["in_ledger"], preview["counts"]["new"]) == (False, 5)
    answer = send(LEDGER)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    for _ in range(2):
        import_file(answer.json()["id"])
    batch, job = ImportBatch.objects.get(), Job.objects.get(pk=answer.json()["job_id"])
    assert (batch.status, batch.added, batch.content, job.status) == ("done", 5, None, "done")
    bad = send(LEDGER + "2026-01-08,SELL,BTC-USD,9,120,,,\n").json()
    import_file(bad["id"])
    assert Job.objects.get(pk=bad["job_id"]).status == "failed"
    cancelled = send(LEDGER + "2026-01-08,DEPOSIT,,,,9,,\n").json()
    Job.objects.get(pk=cancelled["job_id"]).cancel()
    import_file(cancelled["id"])
    assert [batch.status for batch in ImportBatch.objects.order_by("id")] == ["done", "failed", "failed"]
    assert not ImportBatch.objects.exclude(content=None).exists()
    assert portfolio.transactions.count() == 5


@pytest.mark.parametrize(
    ("method", "path"), [("get", "imports/"), ("post", "imports/"), ("post", "reconcile/"), ("get", "export/")]
)
def test_bob_finds_no_portfolio_of_alices(client, bob, portfolio, method, path):
    client.force_login(bob)
    body = {"content_type": "application/json", "data": {"text": LEDGER}} if method == "post" else {}
    assert getattr(client, method)(f"/api/portfolios/{portfolio.pk}/{path}", **body).status_code == 404


def test_bobs_own_portfolio_is_no_door_to_alices_imports(client, bob, send, portfolio, btc):
    batch = send(LEDGER).json()["id"]
    mine = Portfolio.objects.create(owner=bob, name="Mine")
    client.force_login(bob)
    assert client.get(f"/api/portfolios/{mine.pk}/imports/{batch}/").status_code == 404
    assert client.post(f"/api/portfolios/{mine.pk}/imports/{batch}/undo/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_add_it_once(portfolio, alice, btc):
    start, added = threading.Barrier(2), []

    def run():
        try:
            batch = imports.begin(portfolio, alice, LEDGER.encode(), "", imports.Wish())
            start.wait(10)
            imports.commit(batch, LEDGER.encode(), imports.Wish(), datetime.now(UTC))
            added.append(batch.added)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(added), portfolio.transactions.count()) == ([0, 5], 5)


# --- Reconciliation ---------------------------------------------------------------------------------------------------


def test_a_statement_agrees_or_its_difference_is_explained(send, portfolio, btc):
    send(LEDGER)
    on = {"at": "2026-01-06"}
    agreed = send.to("reconcile/", {"balances": {"BTC-USD": "2.00", "USD": "799"}, **on}).json()
    assert (agreed["agrees"], [balance["difference"] for balance in agreed["balances"]]) == (True, ["0", "0"])
    differs = send.to("reconcile/", {"balances": {"BTC-USD": "0.5"}, "explain": True}).json()
    bitcoin, cash = differs["balances"]
    assert (differs["agrees"], bitcoin["here"], bitcoin["difference"]) == (False, "0", "0.5")
    assert [(row["change"], row["balance"], row["suspect"]) for row in bitcoin["rows"]] == [
        ("2", "2", False), ("-1", "1", False), ("-0.5", "0.5", True), ("-0.5", "0", True),
    ]  # fmt: skip
    assert (cash["currency"], cash["stated"], cash["here"]) == ("USD", None, "1038")


@pytest.mark.parametrize(
    "body",
    [{}, {"balances": []}, {"balances": {"NOPE": "1"}}, {"balances": {"USD": "NaN"}}, {"balances": {"USD": 0.1}}],
)
def test_a_bad_statement_is_refused(send, body):
    assert send.to("reconcile/", body).status_code == 400
