import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingestion.models import Instrument
from portfolio import exports, imports, ledger, positions
from portfolio.import_formats.generic import escaped, unescaped
from portfolio.ledger import Draft
from portfolio.models import ImportBatch, Portfolio
from tests.portfolio.conftest import NOW

START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def shares(db):
    return [
        Instrument.objects.create(symbol=symbol, name=symbol, kind="equity", currency=currency)
        for symbol, currency in (("ACME", "USD"), ("NEWCO", "USD"), ("BARC.L", "GBp"), ("^IDX", "USD"))
    ]


def books(*portfolios):
    """Positions, lots and cash, without the ids of rows."""
    for portfolio in portfolios:
        book = positions.fold(portfolio.transactions.entries(), portfolio.policy())
        lots = [
            [(lot.sub, lot.opened_at, lot.quantity, lot.cost, lot.cost_base, lot.currency) for lot in own]
            for own in book.lots.values()
        ]
        sums = (book.cash, book.net_invested, book.realized, book.income, book.taxes, book.charges, book.fees)
        yield book.positions, lots, sums, [(d.opened_at, d.quantity, d.proceeds, d.gain) for d in book.disposals]


def brought_over(portfolio, format_, method="fifo"):
    """The portfolio's export, imported into an empty one of the same terms."""
    other = Portfolio.objects.create(
        owner=portfolio.owner, name="Copy", base_currency=portfolio.base_currency, cost_basis_method=method,
        allow_short=portfolio.allow_short,
    )  # fmt: skip
    content = "".join(exports.FORMATS[format_][0](portfolio)).encode()
    wish = imports.Wish()
    batch = imports.begin(other, portfolio.owner, content, "", wish)
    report = imports.commit(batch, content, wish, NOW)
    assert report.errors() == []
    return other


def everything(portfolio, shares):
    """A ledger with each type of row, reversals among them."""
    acme, newco, barclays, index = shares

    def post(type, instrument=None, day=0, **figures):
        exact = {
            name: Decimal(value) if isinstance(value, str) and name in _EXACT else value
            for name, value in figures.items()
        }
        at = START + timedelta(days=day, microseconds=day)
        return ledger.post(portfolio, Draft(type=type, at=at, instrument=instrument, **exact), NOW)[0]

    post("DEPOSIT", amount="10000", note="=cmd|' /C calc'!A0")
    first = post("BUY", acme, 1, quantity="10", price="100.123456789012345678", fee="1", external_id="+x")
    post("BUY", acme, 1, quantity="7", price="90")
    post("TRANSFER_IN", index, 2, quantity="3", basis="100", opened_at=START - timedelta(days=400))
    post("SPLIT", acme, 3, ratio="2")
    post("SELL", acme, 4, quantity="3", price="61", fee="0.5", lot_ids=[first.pk])
    wrong = post("SELL", acme, 5, quantity="5", price="1")
    ledger.reverse(wrong, "typed twice")
    post("SPINOFF", acme, 6, to_instrument=newco, ratio="0.5", basis_fraction="0.25")
    post("DIVIDEND", acme, 7, amount="12.34", withholding="1.85")
    post("RETURN_OF_CAPITAL", newco, 8, amount="1.5")
    post("STOCK_DIVIDEND", newco, 9, quantity="0.3")
    post("FX_CONVERSION", None, 10, amount="1000", currency="USD", to_currency="GBP", to_amount="800")
    post("BUY", barclays, 11, quantity="100", price="150.5", fx_rate="0.0125")
    post("INTEREST", None, 12, amount="-3.21")
    post("TAX", None, 13, amount="4")
    post("FEE", None, 13, amount="5")
    post("TRANSFER_OUT", index, 14, quantity="1")
    post("RENAME", newco, 15, to_instrument=index)
    post("WITHDRAWAL", None, 16, amount="100")


_EXACT = {
    "quantity",
    "price",
    "amount",
    "fee",
    "ratio",
    "basis",
    "basis_fraction",
    "withholding",
    "to_amount",
    "fx_rate",
}


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_ledger_of_every_type_survives_export_and_import(alice, shares, format_):
    portfolio = Portfolio.objects.create(owner=alice, name="All", cost_basis_method="specific")
    everything(portfolio, shares)
    other = brought_over(portfolio, format_, "specific")
    ours, theirs = books(portfolio, other)
    assert theirs == ours
    assert [(row.type, row.note, row.external_id) for row in other.transactions.order_by("id")][:2] == [
        ("DEPOSIT", "=cmd|' /C calc'!A0", other.transactions.order_by("id")[0].external_id), ("BUY", "", "+x"),
    ]  # fmt: skip
    again = "".join(exports.FORMATS[format_][0](portfolio)).encode()
    for target in (other, portfolio):
        batch = imports.begin(target, alice, again, "", imports.Wish())
        assert imports.commit(batch, again, imports.Wish(), NOW).errors() == []
        assert (batch.added, target.transactions.count()) == (0, portfolio.transactions.count())


# Shrinking would post some hundred ledgers.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
amounts = st.decimals(min_value="0.000001", max_value="100000", places=6, allow_nan=False)
rows = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL", "SELL", "BUY", "SPLIT", "DIVIDEND", "DEPOSIT", "FEE", "reverse"]),
              st.integers(0, 1), st.integers(0, 60), amounts, amounts),
    max_size=12,
)  # fmt: skip


@given(rows, st.sampled_from(["csv", "json"]), st.sampled_from(["fifo", "lifo", "hifo", "average"]))
@settings(max_examples=10, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_posted_comes_back_the_same(alice, shares, rows, format_, method):
    portfolio = Portfolio.objects.create(owner=alice, name="Any", cost_basis_method=method, allow_short=True)
    for type_, which, day, one, other in rows:
        try:
            _post_any(portfolio, type_, shares[which], START + timedelta(days=day), one, other)
        except ledger.Refused:
            continue
    copy = brought_over(portfolio, format_, method) if portfolio.transactions.exists() else portfolio
    ours, theirs = books(portfolio, copy)
    assert theirs == ours


def _post_any(portfolio, type_, share, at, one, other):
    if type_ == "reverse":
        standing = portfolio.transactions.filter(reversed_by=None).exclude(type="REVERSAL").order_by("-id").first()
        return ledger.reverse(standing) if standing else None
    figures = {
        "BUY": {"instrument": share, "quantity": one, "price": other, "fee": Decimal(1)},
        "SELL": {"instrument": share, "quantity": one, "price": other},
        "SPLIT": {"instrument": share, "ratio": Decimal(3)},
        "DIVIDEND": {"instrument": share, "amount": one},
    }.get(type_, {"amount": one})
    return ledger.post(portfolio, Draft(type=type_, at=at, **figures), NOW)[0]


@given(st.text(max_size=20))
@settings(max_examples=100)
def test_no_exported_text_is_a_formula_and_all_of_it_comes_back(text):
    assert escaped(text)[:1] not in set("=+-@\t\r＝＋－＠")
    assert unescaped(escaped(text)) == text


def test_no_cell_of_an_export_begins_a_formula(alice, shares):
    portfolio = Portfolio.objects.create(owner=alice, name="All", cost_basis_method="specific")
    everything(portfolio, shares)
    cells = [cell for row in csv.reader(io.StringIO("".join(exports.as_csv(portfolio)))) for cell in row]
    assert [cell for cell in cells if re.match(r"[=+@\-]", cell)] == ["-3.21"]


# --- Over HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "type_"), [("csv", "text/csv"), ("json", "application/json"), ("beancount", "text/plain")]
)
def test_an_export_is_streamed(client, alice, portfolio, post, btc, format_, type_):
    post("DEPOSIT", amount="5")
    client.force_login(alice)
    answer = client.get(f"/api/portfolios/{portfolio.pk}/export/?format={format_}")
    body = b"".join(answer.streaming_content).decode()
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, type_)
    assert "attachment" in answer["Content-Disposition"]
    assert "DEPOSIT" in body
    if format_ == "json":
        assert json.loads(body)["transactions"][0]["amount"] == "5"
    assert client.get(f"/api/portfolios/{portfolio.pk}/export/?format=xls").status_code == 400


def test_an_empty_ledger_exports_a_header_and_nothing_more(portfolio):
    assert len("".join(exports.as_csv(portfolio)).splitlines()) == 1
    assert json.loads("".join(exports.as_json(portfolio)))["transactions"] == []
    assert _checked("".join(exports.as_beancount(portfolio))) == {}


# --- beancount --------------------------------------------------------------------------------------------------------

_ACCOUNT = r"(?:Assets|Income|Expenses|Equity)(?::[A-Z0-9][A-Za-z0-9-]*)+"
_COMMODITY = r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]"
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_DATE = r"\d{4}-\d\d-\d\d"
_NUMBER = r"-?\d+(?:\.\d+)?"
_POSTING = re.compile(
    rf"  (?P<account>{_ACCOUNT})  (?P<units>{_NUMBER}) (?P<of>{_COMMODITY})"
    rf"(?: @@ (?P<total>{_NUMBER}) (?P<price>{_COMMODITY}))?"
)
_LINES = [
    re.compile(pattern)
    for pattern in (
        rf"option {_STRING} {_STRING}", rf"(?P<opened>{_DATE}) open (?P<account>{_ACCOUNT})",
        rf"{_DATE} commodity {_COMMODITY}", rf"(?P<date>{_DATE}) \* {_STRING} {_STRING}", rf"  [a-z]+: {_STRING}", "",
    )
]  # fmt: skip


def _checked(text):
    """What bean-check asks: the grammar, accounts opened once and before use, transactions that balance to the last
    digit. Returns the units in each account."""
    opened, units, weights = {}, {}, {}
    for line in text.split("\n"):
        if found := _POSTING.fullmatch(line):
            assert found["account"] in opened, line
            amount = Decimal(found["units"])
            of, weight = found["of"], amount
            if found["total"] is not None:
                of, weight = found["price"], Decimal(found["total"]).copy_sign(amount)
            weights[of] = weights.get(of, 0) + weight
            place = (found["account"], found["of"])
            units[place] = units.get(place, 0) + amount
            continue
        found = next((found for pattern in _LINES if (found := pattern.fullmatch(line))), None)
        assert found is not None, line
        if "opened" in found.groupdict():
            assert found["account"] not in opened, line
            opened[found["account"]] = found["opened"]
        if line == "":
            assert not any(weights.values()), weights
            weights = {}
    return units


def test_beancount_takes_every_type_and_ends_with_the_same_holdings(alice, shares):
    portfolio = Portfolio.objects.create(owner=alice, name='My "all"', cost_basis_method="specific")
    everything(portfolio, shares)
    units = _checked("".join(exports.as_beancount(portfolio)))
    book = positions.fold(portfolio.transactions.entries(), portfolio.policy())
    assert {of: amount for (account, of), amount in units.items() if "Cash" in account and amount} == {
        currency: cash for currency, cash in book.cash.items() if cash
    }
    symbols = {share.pk: {"^IDX": "X-IDX"}.get(share.symbol, share.symbol) for share in shares}
    assert {of: amount for (account, of), amount in units.items() if "Holdings" in account and amount} == {
        symbols[pk]: position.quantity for pk, position in book.held.items()
    }


def test_a_batch_keeps_what_its_file_was(alice, portfolio):
    batch = imports.begin(portfolio, alice, b"x", "a" * 300, imports.Wish(symbols={"a": "b"}))
    found = ImportBatch.objects.get(pk=batch.pk)
    assert (len(found.filename), found.options["symbols"], found.status) == (255, {"a": "b"}, "pending")


def test_the_commands_write_and_read_the_same_files(tmp_path, capsys, portfolio, post, btc, alice):
    post("DEPOSIT", amount="5")
    post("BUY", btc, quantity="1", price="2")
    file = tmp_path / "ledger.csv"
    call_command("export_transactions", "--portfolio", str(portfolio.pk), "--output", str(file))
    other = Portfolio.objects.create(owner=alice, name="Copy")
    for flags in (["--dry-run"], [], []):
        call_command("import_transactions", "--portfolio", str(other.pk), "--file", str(file), *flags)
    assert capsys.readouterr().out.splitlines() == [
        "generic: 2 rows would be added, 0 there already, 0 with errors",
        "generic: 2 rows new, 0 there already, 0 with errors",
        "generic: 0 rows new, 2 there already, 0 with errors",
    ]
    file.write_text("date,type,amount\n2026-01-05,DEPOSIT,x\n")
    with pytest.raises(CommandError, match="Nothing was posted"):
        call_command("import_transactions", "--portfolio", str(other.pk), "--file", str(file))
    assert "row 2, column amount: “x” is not a number." in capsys.readouterr().err
