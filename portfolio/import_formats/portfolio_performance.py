"""Portfolio Performance's CSV exports of account and portfolio transactions, in English or German.

    Date;Type;Value;Transaction Currency;Gross Amount;Currency Gross Amount;Exchange Rate;Fees;Taxes;Shares;ISIN;WKN;
    Ticker Symbol;Security Name;Note
    Datum;Typ;Wert;Buchungswährung;Bruttobetrag;Währung Bruttobetrag;Wechselkurs;Gebühren;Steuern;Stück;ISIN;WKN;
    Ticker-Symbol;Wertpapiername;Notiz

Values are signed one way in an account's export and the other way in a portfolio's, so the type alone tells where they
go. A purchase stands in both exports with the same figures, so that the second file adds nothing. What is traded in
another currency than the account's is exchanged first.
https://help.portfolio-performance.info/en/reference/file/export/
"""

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from typing import Any, Final

from portfolio.import_formats.cells import Cells, Conventions
from portfolio.import_formats.files import Document, Header, Sheet, find_header
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options, below, conventions, each, magnitude, unit_price
from portfolio.money import EXACT, stored

NAME: Final = "portfolio_performance"
TITLE: Final = "Portfolio Performance"

# Each column by its English name, then by its German one.
_DATE: Final = ("Date", "Datum")
_TYPE: Final = ("Type", "Typ")
_VALUE: Final = ("Value", "Wert")
_CURRENCY: Final = ("Transaction Currency", "Buchungswährung")
_GROSS: Final = ("Gross Amount", "Bruttobetrag")
_GROSS_CURRENCY: Final = ("Currency Gross Amount", "Währung Bruttobetrag")
_RATE: Final = ("Exchange Rate", "Wechselkurs")
_FEES: Final = ("Fees", "Gebühren")
_TAXES: Final = ("Taxes", "Steuern")
_SHARES: Final = ("Shares", "Stück")
_TICKER: Final = ("Ticker Symbol", "Ticker-Symbol")
_SECURITY: Final = ("Security Name", "Wertpapiername")
_NOTE: Final = ("Note", "Notiz")
_NUMBERS: Final = (*_VALUE, *_GROSS, *_RATE, *_FEES, *_TAXES, *_SHARES)
_FIELDS: Final = {
    "at": _DATE, "type": _TYPE, "amount": _VALUE, "currency": _CURRENCY, "fee": _FEES, "withholding": _TAXES,
    "quantity": _SHARES, "symbol": _TICKER, "price": _VALUE, "note": _NOTE, "fx_rate": _RATE,
}  # fmt: skip


def _header(sheet: Sheet) -> Header | None:
    return next(
        (
            found
            for language in (0, 1)
            if (found := find_header(sheet, [names[language] for names in (_DATE, _TYPE, _VALUE, _CURRENCY)]))
        ),
        None,
    )


def recognizes(document: Document) -> bool:
    """Whether this is one of Portfolio Performance's files."""
    return isinstance(document, Sheet) and _header(document) is not None


def read(document: Document, options: Options) -> Iterator[Posting | Fault]:
    """The rows of the file. Raises Fault where it is another file."""
    under = _header(document) if isinstance(document, Sheet) else None
    if not isinstance(document, Sheet) or under is None:
        raise Fault(f"No row names the columns of {TITLE}: {', '.join(names[0] for names in (_DATE, _TYPE, _VALUE))}.")
    yield from each(below(document, under, _conventions(document, under, options)), _Row(options))


def _conventions(sheet: Sheet, under: Header, options: Options) -> Conventions:
    """A German header has German numbers where nothing else tells."""
    try:
        return conventions(sheet, under, _NUMBERS, _DATE, options)
    except Fault as fault:
        if fault.column is not None or "Datum" not in under:
            raise
        return Conventions(decimal=",", dates=options.date_format or "ymd")


class _Row:
    """Reads rows, for a portfolio's base currency."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def __call__(self, cells: Cells) -> Iterator[Posting]:
        kind = cells.text(*_TYPE).casefold()
        read_row = _KINDS.get(kind)
        if read_row is None:
            raise cells.fault(f"“{cells.text(*_TYPE)[:40]}” is not known here.", _named(cells, _TYPE))
        currency = cells.text(*_CURRENCY).upper() or self._options.currency
        about = {
            "line": cells.line, "at": cells.time(*_DATE), "currency": currency, "note": _note(cells),
            "columns": {field: _named(cells, names) for field, names in _FIELDS.items()},
        }  # fmt: skip
        yield from read_row(cells, about)


def _named(cells: Cells, names: tuple[str, str]) -> str:
    return next(iter(cells.columns({name: name for name in names}).values()), names[0])


def _note(cells: Cells) -> str:
    return (cells.optional("Note") or cells.optional("Notiz"))[:500]


def _security(cells: Cells) -> dict[str, Any]:
    """By its ticker, else its ISIN, WKN or name."""
    known = [
        text for text in (cells.text(*_TICKER), cells.text("ISIN"), cells.text("WKN"), cells.text(*_SECURITY)) if text
    ]
    if not known:
        raise cells.fault("A security is needed.", _named(cells, _TICKER))
    return {"symbol": known[0], "names": tuple(known[1:])}


def _foreign(cells: Cells, about: dict[str, Any]) -> tuple[str, Decimal] | None:
    """The gross amount in the security's own currency, where that is another than the account's."""
    currency, gross = cells.text(*_GROSS_CURRENCY).upper(), cells.number(*_GROSS)
    return (currency, gross.copy_abs()) if gross and currency and currency != about["currency"] else None


def _gross(cells: Cells, sign: int) -> Decimal:
    """The value without fees and taxes. sign: 1 where they were added to it, −1 where they were taken off."""
    with localcontext(EXACT):
        return stored(
            magnitude(cells.number(*_VALUE))
            - sign * (magnitude(cells.number(*_FEES)) + magnitude(cells.number(*_TAXES)))
        )


def _trade(type_: str) -> Callable[[Cells, dict[str, Any]], Iterator[Posting]]:
    """A purchase's taxes are part of its cost, like its fees; a sale's are a TAX of their own."""
    sign = 1 if type_ == "BUY" else -1

    def read_trade(cells: Cells, about: dict[str, Any]) -> Iterator[Posting]:
        shares, gross = cells.needed(*_SHARES).copy_abs(), _gross(cells, sign)
        if not shares:
            raise cells.fault("It must not be 0.", _named(cells, _SHARES))
        fees, taxes = magnitude(cells.number(*_FEES)), magnitude(cells.number(*_TAXES))
        own = {"fee": fees + taxes if type_ == "BUY" else fees, "fee_currency": about["currency"]}
        foreign = _foreign(cells, about)
        trade = Posting(
            type=type_, quantity=shares, price=unit_price(foreign[1] if foreign else gross, shares),
            part=1 if foreign else 0, **_security(cells), **own,
            **{**about, "currency": foreign[0] if foreign else about["currency"]},
        )  # fmt: skip
        exchanged = [_exchange(about, gross, foreign, sign)] if foreign else []
        yield from [*exchanged, trade] if type_ == "BUY" else [trade, *exchanged]
        if type_ == "SELL" and taxes:
            yield Posting(type="TAX", amount=taxes, part=2, **_security(cells), **about)

    return read_trade


def _exchange(about: dict[str, Any], own: Decimal, foreign: tuple[str, Decimal], sign: int) -> Posting:
    """The account's money for the security's, before a purchase; the other way after a sale."""
    here, there = (about["currency"], own), foreign
    (currency, amount), (to_currency, to_amount) = (here, there) if sign > 0 else (there, here)
    return Posting(
        type="FX_CONVERSION",
        amount=amount,
        to_currency=to_currency,
        to_amount=to_amount,
        **{**about, "currency": currency},
    )


def _dividend(cells: Cells, about: dict[str, Any]) -> Iterator[Posting]:
    """Gross of tax. One in another currency is told in the account's, at the day's rate."""
    gross, taxes = _gross(cells, -1), magnitude(cells.number(*_TAXES))
    yield Posting(
        type="DIVIDEND", amount=gross, withholding=taxes or None, fee=cells.number(*_FEES), **_security(cells), **about
    )


def _amount(type_: str, sign: int = 1) -> Callable[[Cells, dict[str, Any]], Iterator[Posting]]:
    def read_amount(cells: Cells, about: dict[str, Any]) -> Iterator[Posting]:
        yield Posting(type=type_, amount=sign * cells.needed(*_VALUE).copy_abs(), **about)

    return read_amount


def _interest(sign: int) -> Callable[[Cells, dict[str, Any]], Iterator[Posting]]:
    """Gross, and what was taken off it."""

    def read_interest(cells: Cells, about: dict[str, Any]) -> Iterator[Posting]:
        taxes = magnitude(cells.number(*_TAXES))
        yield Posting(type="INTEREST", amount=sign * _gross(cells, -sign), **about)
        if taxes:
            yield Posting(type="TAX", amount=taxes, part=1, **about)

    return read_interest


def _delivery(type_: str) -> Callable[[Cells, dict[str, Any]], Iterator[Posting]]:
    def read_delivery(cells: Cells, about: dict[str, Any]) -> Iterator[Posting]:
        shares, foreign = cells.needed(*_SHARES).copy_abs(), _foreign(cells, about)
        if not shares:
            raise cells.fault("It must not be 0.", _named(cells, _SHARES))
        sign = 1 if type_ == "TRANSFER_IN" else -1
        total = foreign[1] if foreign else _gross(cells, sign)
        fees, taxes = magnitude(cells.number(*_FEES)), magnitude(cells.number(*_TAXES))
        yield Posting(
            type=type_, quantity=shares, price=unit_price(total, shares), fee=fees + taxes,
            fee_currency=about["currency"], **_security(cells),
            **{**about, "currency": foreign[0] if foreign else about["currency"]},
        )  # fmt: skip

    return read_delivery


_KINDS: Final[dict[str, Callable[[Cells, dict[str, Any]], Iterator[Posting]]]] = {
    name.casefold(): read_row
    for names, read_row in {
        ("Buy", "Kauf"): _trade("BUY"),
        ("Sell", "Verkauf"): _trade("SELL"),
        ("Deposit", "Einlage", "Transfer (Inbound)", "Umbuchung (Eingang)"): _amount("DEPOSIT"),
        ("Removal", "Entnahme", "Transfer (Outbound)", "Umbuchung (Ausgang)"): _amount("WITHDRAWAL"),
        ("Dividend", "Dividende"): _dividend,
        ("Interest", "Zinsen"): _interest(1),
        ("Interest Charge", "Zinsbelastung"): _interest(-1),
        ("Fees", "Gebühren"): _amount("FEE"),
        ("Fees Refund", "Gebührenerstattung"): _amount("INTEREST"),
        ("Taxes", "Steuern"): _amount("TAX"),
        ("Tax Refund", "Steuerrückerstattung"): _amount("TAX", -1),
        ("Delivery (Inbound)", "Einlieferung"): _delivery("TRANSFER_IN"),
        ("Delivery (Outbound)", "Auslieferung"): _delivery("TRANSFER_OUT"),
    }.items()
    for name in names
}
