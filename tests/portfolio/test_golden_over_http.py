"""The ledgers of tests/golden as somebody else's program would post them, and what the API tells of them then."""

from decimal import Decimal

import pytest
from django.test import Client

from ingestion.models import Instrument
from portfolio.money import ZERO, plain
from portfolio.positions import BUY, FX_CONVERSION, REVERSAL, SELL
from tests.portfolio import golden

FIGURES = {"quantity": "quantity", "average_cost": "average_cost", "cost": "cost_basis", "cost_base": "cost_basis_base"}
PLAIN = ("quantity", "price", "amount", "fee", "ratio", "basis_fraction", "basis", "cash_in_lieu", "withholding")


@pytest.fixture(scope="module")
def browser():
    """One for all: each new one loads the middleware anew."""
    return Client()


@pytest.mark.parametrize("path", golden.LEDGERS, ids=lambda path: path.stem)
def test_a_golden_ledger_comes_out_the_same_over_http(path, browser, alice):
    browser.force_login(alice)
    account = Account(browser, golden.read(path))
    account.open()
    account.post_all()
    account.check()


class Account:
    """A portfolio made after a file; `ids`: row of the file → id of the row of the ledger."""

    def __init__(self, http, ledger):
        self.http, self.ledger = http, ledger
        self.symbols = {instrument: symbol for symbol, instrument in ledger.symbols.items()}
        self.ids = {}

    def send(self, path, body, call="post"):
        answer = getattr(self.http, call)(path, body, content_type="application/json")
        assert answer.status_code in (200, 201), (path, body, answer.json())
        return answer.json()

    def open(self):
        policy = self.ledger.policy
        (_, first), *changes = policy.methods
        made = self.send("/api/portfolios/", {
            "name": "Golden", "base_currency": policy.base_currency, "cost_basis_method": first,
            "allow_short": policy.allow_short, "auto_convert": policy.auto_convert,
        })  # fmt: skip
        self.path = f"/api/portfolios/{made['id']}/"
        for since, method in changes:
            self.send(self.path, {"cost_basis_method": method, "effective_from": f"{since:%Y-%m-%d}"}, "patch")
        for instrument, symbol in self.symbols.items():
            Instrument.objects.create(symbol=symbol, name=symbol, kind="equity", currency=self.currency(instrument))

    def currency(self, instrument):
        of = [e for e in self.ledger.entries if instrument in (e.instrument, e.to_instrument)]
        return "GBp" if of[0].unit == 100 else of[0].currency

    def post_all(self):
        """Together, as far as no row names another one by its id."""
        together = []
        for entry in self.ledger.entries:
            if entry.type == REVERSAL or entry.lot_ids:
                self.post(together)
                together = []
            if entry.type == REVERSAL:
                undone = self.ids[entry.reverses]
                self.ids[entry.id] = self.send(f"{self.path}transactions/{undone}/reverse/", {})["id"]
            else:
                together.append(entry)
        self.post(together)

    def post(self, entries):
        if entries:
            made = self.send(f"{self.path}transactions/", [self.body(entry) for entry in entries])["results"]
            self.ids |= {entry.id: row["id"] for entry, row in zip(entries, made, strict=True)}

    def body(self, entry):
        """What the row states, and nothing else."""
        body = {"type": entry.type, "at": entry.at.isoformat(), "currency": entry.currency}
        body |= {name: plain(value) for name in PLAIN if (value := getattr(entry, name)) not in (None, ZERO)}
        if entry.type in (BUY, SELL):
            body["price"] = plain(entry.price)
        if entry.type not in ("SPLIT", "SPINOFF", "MERGER"):
            body.pop("ratio")
        if entry.fx_rate != 1:
            body["fx_rate"] = plain(entry.fx_rate)
        if entry.instrument is not None:
            body["symbol"] = self.symbols[entry.instrument]
        if entry.to_instrument is not None:
            body["to_symbol"] = self.symbols[entry.to_instrument]
        if entry.type == FX_CONVERSION:
            body |= {"to_symbol": entry.to_currency, "quantity": plain(entry.to_amount)}
        if entry.fee_instrument is not None:
            body |= {"fee_currency": self.symbols[entry.fee_instrument], "fee_price": plain(entry.fee_price)}
        elif entry.fee_currency is not None:
            body["fee_currency"] = entry.fee_currency
        if entry.unit == 100:
            body |= {"currency": "GBp", "fee_currency": "GBP"}
        if entry.opened_at is not None:
            body["opened_at"] = entry.opened_at.isoformat()
        if entry.lot_ids:
            body["lot_ids"] = [self.ids[lot_id] for lot_id in entry.lot_ids]
        return body

    def check(self):
        told = {row["symbol"]: row for row in self.results("positions/")}
        for (name, of), expected in self.ledger.expected.items():
            if name in FIGURES and of in self.ledger.symbols:
                row = told.get(of, dict.fromkeys(FIGURES.values(), "0"))
                assert self.whole(row[FIGURES[name]], name, of) == expected, (name, of)
        for (kind, of), expected in self.ledger.listed.items():
            assert sorted(getattr(self, kind)(of)) == expected, (kind, of)

    def results(self, under):
        return self.http.get(self.path + under).json()["results"]

    def whole(self, figure, name, of):
        """Costs of what is priced in pence are told in pence; the file has them in pounds."""
        hundredths = name != "quantity" and self.currency(self.ledger.symbols[of]) == "GBp"
        return plain(Decimal(figure) / 100) if hundredths else figure

    def lot(self, symbol):
        rows = self.results(f"lots/?symbol={symbol}")
        return [[self.row(row), row["quantity"], row["cost_basis"], row["opened_at"][:10]] for row in rows]

    def sold(self, symbol):
        rows = {id: str(number) for number, id in self.ids.items()}
        return [
            [self.row(sale), rows[sale["transaction"]], sale["quantity"], sale["proceeds"], sale["cost_basis"]]
            for sale in self.results(f"lots/?symbol={symbol}&closed=1")
        ]

    def row(self, lot):
        number = next(number for number, id in self.ids.items() if id == lot["lot_id"])
        return f"{number}.{lot['sub']}" if lot["sub"] else str(number)
