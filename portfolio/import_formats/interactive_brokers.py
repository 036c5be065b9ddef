"""Interactive Brokers: Flex queries (CSV) and activity statements (CSV).

A Flex file is one table after another, each under its own header (in front of which HEADER and DATA may stand, between
BOF, BOS and EOS lines). Read are trades, cash transactions and corporate actions:

    "ClientAccountID","CurrencyPrimary","FXRateToBase","AssetClass","Symbol","DateTime","Quantity","TradePrice",
    "IBCommission","IBCommissionCurrency","Buy/Sell","TradeID","LevelOfDetail"
    "ClientAccountID","CurrencyPrimary","FXRateToBase","Symbol","Date/Time","Amount","Type","TransactionID"

An activity statement names its section at the start of each line:

    Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,C. Price,Proceeds,…
    Trades,Data,Order,Stocks,USD,AAPL,"2026-01-05, 10:30:00",10,150.25,151,-1502.5,…
    Dividends,Data,USD,2026-02-12,AAPL(US0378331005) Cash Dividend USD 0.26 per Share (Ordinary Dividend),2.6

Times are New York's unless `timezone` says otherwise; a date alone is a day.
https://www.ibkrguides.com/reportingreference/home.htm
"""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec

from portfolio.import_formats.cells import Cells, Conventions, date_order, zone
from portfolio.import_formats.files import Document, Header, Record, Sheet, header_of
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options, magnitude, unit_price
from portfolio.money import EXACT, ONE, ZERO, stored

NAME: Final = "interactive_brokers"
TITLE: Final = "Interactive Brokers"
TIMEZONE: Final = "America/New_York"

_WHEN: Final = ("DateTime", "Date/Time", "TradeDate", "Settle Date", "SettleDate", "Date", "ReportDate", "Report Date")
_CURRENCY: Final = ("CurrencyPrimary", "Currency")
_RATE: Final = "FXRateToBase"
_SKIPPED_LINES: Final = {"BOF", "BOA", "BOS", "EOS", "EOA", "EOF"}
_OURS: Final = {
    "at": "Date/Time", "symbol": "Symbol", "quantity": "Quantity", "price": "T. Price", "fee": "Comm/Fee",
    "amount": "Amount", "currency": "Currency", "fx_rate": _RATE,
}  # fmt: skip
_FLEX_OURS: Final = {
    "at": "DateTime", "symbol": "Symbol", "quantity": "Quantity", "price": "TradePrice", "fee": "IBCommission",
    "amount": "Amount", "currency": "CurrencyPrimary", "fx_rate": _RATE, "fee_currency": "IBCommissionCurrency",
}  # fmt: skip


class _Section(msgspec.Struct, frozen=True):
    """A row, the kind of table that it stands in, and the row's title there ("" in Flex files)."""

    kind: str
    cells: Cells


class _Account(msgspec.Struct, frozen=True):
    """What the whole file says: the order of its dates, its own base currency, and how detailed its rows are."""

    how: Conventions
    base: str | None
    base_wanted: str
    details: frozenset[str]
    account: str | None


def recognizes(document: Document) -> bool:
    """Whether this is one of Interactive Brokers' files."""
    return isinstance(document, Sheet) and any(
        _is_statement(record) or _flex_kind(header_of(_bare(record))) for record in document.head()
    )


def read(document: Document, options: Options) -> Iterator[Posting | Fault]:
    """The rows of the file. Raises Fault where it is another file."""
    if not isinstance(document, Sheet) or not recognizes(document):
        raise Fault(f"This is neither a Flex query's CSV file nor an activity statement of {TITLE}.")
    account = _account(document, options)
    for section in _sections(document, account.how):
        try:
            yield from list(_postings(section, account))
        except Fault as fault:
            yield fault


# --- Tables -------------------------------------------------------------------------------------------------


def _is_statement(record: Record) -> bool:
    return len(record.cells) > 2 and record.cells[1] == "Header" and record.cells[0] in _STATEMENT


def _bare(record: Record) -> Record:
    """A Flex record without HEADER or DATA and the table's code before it."""
    if record.cells[0] in ("HEADER", "DATA") and len(record.cells) > 2:
        return Record(record.line, record.cells[2:])
    return record


def _flex_kind(header: Header) -> str | None:
    """Which table a Flex header is of; "other" for those that state no rows of a ledger; None where it is no header."""
    if not ("CurrencyPrimary" in header or "ClientAccountID" in header):
        return None
    if "TradePrice" in header and "Quantity" in header:
        return "trades"
    if "Amount" in header and "Type" in header:
        return "cash"
    if "ActionDescription" in header and "Quantity" in header:
        return "actions"
    return "other"


def _sections(sheet: Sheet, how: Conventions) -> Iterator[_Section]:
    """The rows of the file, each with its table."""
    kind, header = "other", None
    for record in sheet.records():
        if record.cells[0] in _SKIPPED_LINES:
            continue
        if record.cells[0] in _STATEMENT or (len(record.cells) > 1 and record.cells[1] in ("Header", "Data")):
            if len(record.cells) > 1 and record.cells[1] == "Header":
                kind, header = _STATEMENT.get(record.cells[0], "other"), header_of(record)
            elif header is not None and len(record.cells) > 1 and record.cells[1] == "Data":
                yield _Section(kind, Cells(header, record, how))
            continue
        bare = _bare(record)
        found = header_of(bare)
        if (flex := _flex_kind(found)) is not None:
            kind, header = flex, found
        elif header is not None:
            yield _Section(kind, Cells(header, bare, how))


_STATEMENT: Final = {
    "Trades": "statement trades", "Dividends": "dividends", "Payment In Lieu Of Dividends": "dividends",
    "Withholding Tax": "taxes", "Interest": "interest", "Fees": "fees", "Transaction Fees": "fees",
    "Commission Adjustments": "fees", "Deposits & Withdrawals": "flows", "Corporate Actions": "statement actions",
    "Transfers": "transfers", "Statement": "other", "Account Information": "about",
}  # fmt: skip


def _account(sheet: Sheet, options: Options) -> _Account:
    plain = Conventions()
    dates, bases, details, accounts = [], set(), set(), set()
    for section in _sections(sheet, plain):
        cells = section.cells
        dates.append(cells.text(*_WHEN) if section.kind != "other" else "")
        details.add((cells.text("LevelOfDetail") or cells.text("DataDiscriminator")).upper())
        accounts.add(cells.text("ClientAccountID"))
        if cells.text(_RATE) in ("1", "1.0", "1.00"):
            bases.add(cells.text(*_CURRENCY))
        if section.kind == "about" and cells.text("Field Name") == "Base Currency":
            bases.add(cells.text("Field Value"))
    accounts.discard("")
    if len(accounts) > 1 and options.account is None:
        raise Fault(f"The file has {len(accounts)} accounts: say `account`, one of {', '.join(sorted(accounts))}.")
    dates = [text.replace(";", " ").split(" ")[0].rstrip(",") for text in dates]
    return _Account(
        how=Conventions(dates=date_order(dates, options.date_format, "Date"), zone=zone(options.timezone, TIMEZONE)),
        base=bases.pop() if len(bases) == 1 else None,
        base_wanted=options.base_currency,
        details=frozenset(details),
        account=options.account,
    )


# --- Rows ---------------------------------------------------------------------------------------------------


def _postings(section: _Section, account: _Account) -> Iterator[Posting]:
    read_row = _ROWS.get(section.kind)
    cells = section.cells
    if (
        read_row is None
        or cells.text(*_CURRENCY).startswith("Total")
        or cells.text("Asset Category").startswith("Total")
    ):
        return
    if account.account is not None and cells.text("ClientAccountID") not in ("", account.account):
        return
    yield from read_row(cells, account)


def _about(cells: Cells, account: _Account, columns: dict[str, str]) -> dict[str, Any]:
    currency = cells.text(*_CURRENCY).upper()
    # The rate is into the account's own base currency: of use where that is the portfolio's.
    rate = cells.number(_RATE) if account.base == account.base_wanted and currency != account.base_wanted else None
    return {
        "line": cells.line, "at": cells.time(*_present(cells, _WHEN)), "currency": currency, "fx_rate": rate or None,
        "reference": cells.text("IBExecID") or cells.text("TradeID") or cells.text("TransactionID") or None,
        "columns": cells.columns(columns),
    }  # fmt: skip


def _present(cells: Cells, names: Iterable[str]) -> list[str]:
    """The columns that the row has something in."""
    return [name for name in names if cells.optional(name)] or ["Date/Time"]


def _flex_trade(cells: Cells, account: _Account) -> Iterator[Posting]:
    if not _counts(cells.text("LevelOfDetail").upper(), account.details, ("EXECUTION", "ORDER")):
        return
    side = cells.text("Buy/Sell").upper()
    if "(CA.)" in side:
        raise cells.fault("A cancelled trade: reverse the row that it cancels.", "Buy/Sell")
    about = _about(cells, account, _FLEX_OURS)
    commission = cells.number("IBCommission") or ZERO
    taxes = cells.number("Taxes") or ZERO
    fee_currency = cells.text("IBCommissionCurrency").upper() or about["currency"]
    if cells.text("AssetClass").upper() == "CASH":
        yield from _conversion(cells, about, account, "TradePrice", -commission, fee_currency)
        return
    if cells.text("AssetClass").upper() not in ("", "STK", "ETF", "FUND", "CRYPTO"):
        raise cells.fault(f"{cells.text('AssetClass')} is not kept here, only shares, funds and coins.", "AssetClass")
    yield from _traded(cells, about, "TradePrice", -commission - taxes, fee_currency)


def _statement_trade(cells: Cells, account: _Account) -> Iterator[Posting]:
    if not _counts(cells.text("DataDiscriminator").upper(), account.details, ("ORDER", "TRADE", "EXECUTION")):
        return
    category = cells.text("Asset Category")
    about = _about(cells, account, _OURS)
    commission = cells.number("Comm/Fee", "Comm in USD", "Comm in EUR", "Comm in GBP", "Comm in CHF") or ZERO
    if category.startswith("Forex"):
        yield from _conversion(cells, about, account, "T. Price", -commission, account.base or account.base_wanted)
    elif category.startswith(("Stocks", "Funds", "Crypto")):
        yield from _traded(cells, about, "T. Price", -commission, about["currency"])
    else:
        raise cells.fault(f"{category} are not kept here, only shares, funds and coins.", "Asset Category")


def _counts(detail: str, details: frozenset[str], best: tuple[str, ...]) -> bool:
    """A file may state the same trade as order, executions and closed lots: one of these counts."""
    wanted = next((level for level in best if level in details), None)
    return detail in ("", wanted) if wanted else detail == ""


def _traded(cells: Cells, about: dict[str, Any], price: str, fee: Decimal, fee_currency: str) -> Iterator[Posting]:
    quantity = cells.needed("Quantity")
    side = cells.text("Buy/Sell").upper()
    sold = quantity < 0 or side == "SELL"
    yield Posting(
        type="SELL" if sold else "BUY", symbol=cells.text("Symbol"), quantity=quantity.copy_abs(),
        price=cells.needed(price), fee=max(fee, ZERO), fee_currency=fee_currency, **about,
    )  # fmt: skip
    if fee < 0:
        yield _rebate(about, -fee, fee_currency)


def _rebate(about: dict[str, Any], amount: Decimal, currency: str) -> Posting:
    """A commission may be paid out: that is income."""
    return Posting(type="INTEREST", amount=amount, part=1, note="commission rebate", **{**about, "currency": currency})


def _conversion(
    cells: Cells, about: dict[str, Any], account: _Account, price: str, fee: Decimal, fee_currency: str
) -> Iterator[Posting]:
    """EUR.USD, 100 bought at 1.10: 110 dollars become 100 euros."""
    base, _, quote = cells.text("Symbol").upper().partition(".")
    quantity = cells.needed("Quantity")
    with localcontext(EXACT):
        value = stored(magnitude(cells.number("Proceeds")) or quantity.copy_abs() * cells.needed(price))
    one, other = (base, quantity.copy_abs()), (quote, value)
    (currency, amount), (to_currency, to_amount) = (other, one) if quantity > 0 else (one, other)
    yield Posting(
        type="FX_CONVERSION", amount=amount, to_currency=to_currency, to_amount=to_amount, fee=max(fee, ZERO),
        fee_currency=fee_currency,
        **{**about, "currency": currency, "fx_rate": _implied((currency, amount), (to_currency, to_amount), account)},
    )  # fmt: skip
    if fee < 0:
        yield _rebate(about, -fee, fee_currency)


def _implied(paid: tuple[str, Decimal], got: tuple[str, Decimal], account: _Account) -> Decimal | None:
    """The rate of what was paid, where the other side is the portfolio's own currency."""
    if paid[0] == account.base_wanted:
        return ONE
    return unit_price(got[1], paid[1]) if got[0] == account.base_wanted and paid[1] else None


def _flex_cash(cells: Cells, account: _Account) -> Iterator[Posting]:
    if not _counts(cells.text("LevelOfDetail").upper(), account.details, ("DETAIL", "SUMMARY")):
        return
    kind = cells.text("Type").casefold()
    for words, read_row in _CASH.items():
        if any(word in kind for word in words):
            yield from read_row(cells, account)
            return
    raise cells.fault(f"“{cells.text('Type')[:40]}” is not known here.", "Type")


def _cash_about(cells: Cells, account: _Account) -> tuple[Decimal, dict[str, Any]]:
    note = _described(cells, "Description")
    return cells.needed("Amount"), {**_about(cells, account, _FLEX_OURS | _OURS), "note": note}


def _described(cells: Cells, column: str) -> str:
    """A description, of which no more is read than a note keeps."""
    return cells.text(column)[:500]


_ISSUER: Final = re.compile(r"\s*([A-Z0-9][A-Z0-9.\- ]*?)\s*\(", re.ASCII)


def _symbol(cells: Cells) -> str | None:
    """By its column, else from the description: AAPL(US0378331005) Cash Dividend …"""
    told = cells.text("Symbol")
    if told:
        return told
    found = _ISSUER.match(_described(cells, "Description"))
    return found[1] if found else None


def _dividend(cells: Cells, account: _Account) -> Iterator[Posting]:
    amount, about = _cash_about(cells, account)
    if amount > 0:
        yield Posting(type="DIVIDEND", symbol=_symbol(cells), amount=amount, **about)
    elif amount:
        # A correction takes an earlier one back; income with a minus sign is what the ledger has for it.
        yield Posting(type="INTEREST", amount=amount, **about)


def _tax(cells: Cells, account: _Account) -> Iterator[Posting]:
    amount, about = _cash_about(cells, account)
    if amount:
        yield Posting(type="TAX", amount=-amount, symbol=_symbol(cells), **about)


def _interest(cells: Cells, account: _Account) -> Iterator[Posting]:
    amount, about = _cash_about(cells, account)
    if amount:
        yield Posting(type="INTEREST", amount=amount, **about)


def _charge(cells: Cells, account: _Account) -> Iterator[Posting]:
    amount, about = _cash_about(cells, account)
    if amount:
        type_ = "FEE" if amount < 0 else "INTEREST"
        yield Posting(type=type_, amount=amount.copy_abs(), **about)


def _flow(cells: Cells, account: _Account) -> Iterator[Posting]:
    amount, about = _cash_about(cells, account)
    if amount:
        yield Posting(type="DEPOSIT" if amount > 0 else "WITHDRAWAL", amount=amount.copy_abs(), **about)


def _transfer(cells: Cells, account: _Account) -> Iterator[Posting]:
    """Units brought in or taken out, at their market value that day; cash that came along is a flow."""
    about = _about(cells, account, _OURS | {"quantity": "Qty"})
    quantity, cash = cells.number("Qty", "Quantity") or ZERO, cells.number("Cash Amount") or ZERO
    if quantity:
        type_ = "TRANSFER_IN" if quantity > 0 else "TRANSFER_OUT"
        price = unit_price(magnitude(cells.number("Market Value")), quantity.copy_abs())
        yield Posting(type=type_, symbol=cells.text("Symbol"), quantity=quantity.copy_abs(), price=price, **about)
    if cash:
        type_ = "DEPOSIT" if cash > 0 else "WITHDRAWAL"
        yield Posting(type=type_, amount=cash.copy_abs(), part=1, **about)


# --- Corporate actions --------------------------------------------------------------------------------------

_ACTION: Final = re.compile(r"\s*(?P<old>[^(]+?)\s*\(.*?\)\s+(?P<what>.*)", re.ASCII)
_RATIO: Final = re.compile(r"(?P<new>\d+(?:\.\d+)?)\s+for\s+(?P<old>\d+(?:\.\d+)?)", re.ASCII | re.IGNORECASE)
_PER_SHARE: Final = re.compile(r"FOR\s+[A-Z]{3}\s+(?P<price>\d+(?:\.\d+)?)\s+PER SHARE", re.ASCII | re.IGNORECASE)
_SUCCESSOR: Final = re.compile(r"\((?P<symbol>[^,()]+),", re.ASCII)


def _action(cells: Cells, account: _Account) -> Iterator[Posting]:
    """Told in words only: `AAPL(US0378331005) Split 4 for 1 (AAPL, APPLE INC, US0378331005)`."""
    column = "ActionDescription" if cells.text("ActionDescription") else "Description"
    found = _ACTION.match(_described(cells, column))
    if found is None or "Ca" in cells.text("Code").split(";"):
        raise cells.fault("This action is not understood: post it by hand.", column)
    about = {**_about(cells, account, _OURS | {"ratio": column, "basis_fraction": column}), "symbol": found["old"]}
    yield from _acted(cells, about, found["what"], column)


def _acted(cells: Cells, about: dict[str, Any], what: str, column: str) -> Iterator[Posting]:
    quantity, told = cells.needed("Quantity"), what.casefold()
    ratio, successor = _RATIO.search(what), _SUCCESSOR.search(what)
    to_symbol = successor["symbol"].strip() if successor else None
    cash = _PER_SHARE.search(what)
    if "split" in told and ratio:
        yield Posting(type="SPLIT", ratio=_quotient(ratio), **about)
    elif "spinoff" in told and ratio:
        yield Posting(type="SPINOFF", ratio=_quotient(ratio), to_symbol=to_symbol, **about)
    elif "stock dividend" in told:
        yield Posting(type="STOCK_DIVIDEND", quantity=quantity, **about)
    elif "merged" in told and cash:
        yield Posting(type="SELL", quantity=quantity.copy_abs(), price=Decimal(cash["price"]), **about)
    elif "merged" in told and ratio and to_symbol:
        if to_symbol != about["symbol"]:  # the other line takes the old shares away
            yield Posting(type="MERGER", ratio=_quotient(ratio), to_symbol=to_symbol, **about)
    else:
        raise cells.fault("This action is not understood: post it by hand.", column)


def _quotient(found: re.Match[str]) -> Decimal:
    return unit_price(Decimal(found["new"]), Decimal(found["old"]))


_CASH: Final[dict[tuple[str, ...], Callable[[Cells, _Account], Iterator[Posting]]]] = {
    ("withholding", " tax", "871"): _tax,
    ("dividend",): _dividend,
    ("interest",): _interest,
    ("fee", "commission", "adjustment"): _charge,
    ("deposit", "withdrawal", "fund transfer"): _flow,
}
_ROWS: Final[dict[str, Callable[[Cells, _Account], Iterator[Posting]]]] = {
    "trades": _flex_trade, "cash": _flex_cash, "actions": _action, "statement trades": _statement_trade,
    "statement actions": _action, "dividends": _dividend, "taxes": _tax, "interest": _interest, "fees": _charge,
    "flows": _flow, "transfers": _transfer,
}  # fmt: skip
