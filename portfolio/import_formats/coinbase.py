"""Coinbase's transaction history (CSV). A coin is looked up as its pair in the row's currency, then by its own name.

    Transactions
    User,…
    ID,Timestamp,Transaction Type,Asset,Quantity Transacted,Price Currency,Price at Transaction,Subtotal,Total
    (inclusive of fees and/or spread),Fees and/or Spread,Notes

Older files have no ID, and call the price `Spot Price at Transaction`.
https://help.coinbase.com/en/coinbase/managing-my-account/tax-forms/download-transaction-history
"""

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from portfolio.import_formats.cells import Cells
from portfolio.import_formats.files import Document, Sheet, find_header
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options, absolute, below, conventions, each, header, magnitude, unit_price
from portfolio.money import CURRENCIES

NAME: Final = "coinbase"
TITLE: Final = "Coinbase transaction history"
_NEEDED: Final = ("Timestamp", "Transaction Type", "Asset", "Quantity Transacted")
_PRICE: Final = ("Price at Transaction", "Spot Price at Transaction")
_CURRENCY: Final = ("Price Currency", "Spot Price Currency")
_TOTAL: Final = "Total (inclusive of fees and/or spread)"
_FEES: Final = "Fees and/or Spread"
_COLUMNS: Final = {
    "type": "Transaction Type", "at": "Timestamp", "symbol": "Asset", "quantity": "Quantity Transacted",
    "price": "Price at Transaction", "currency": "Price Currency", "amount": "Subtotal", "fee": _FEES, "note": "Notes",
}  # fmt: skip
# Moves between a user's own pockets at Coinbase.
_INTERNAL: Final = {
    "retail staking transfer", "retail unstaking transfer", "retail eth2 deprecation", "pro deposit", "pro withdrawal",
    "exchange deposit", "exchange withdrawal", "vault withdrawal", "staking transfer", "unstaking transfer",
}  # fmt: skip
_CONVERTED: Final = re.compile(r"Converted ([\d.,]+) (\S+) to ([\d.,]+) (\S+)", re.ASCII)
_FIAT: Final = CURRENCIES - {"BTC", "ETH", "BNB", "USDT", "USDC", "FDUSD", "DAI"}


def recognizes(document: Document) -> bool:
    """Whether this is Coinbase's file."""
    return isinstance(document, Sheet) and find_header(document, _NEEDED) is not None


def read(document: Document, options: Options) -> Iterator[Posting | Fault]:
    """The rows of the file. Raises Fault where it is another file."""
    if not isinstance(document, Sheet):
        raise Fault(f"{TITLE} is a CSV file.")
    under = header(document, _NEEDED, TITLE)
    numbers = ("Quantity Transacted", *_PRICE, "Subtotal", _TOTAL, _FEES)
    how = conventions(document, under, numbers, ("Timestamp",), options)
    yield from each(below(document, under, how), _row)


def _row(cells: Cells) -> Iterator[Posting]:
    kind = cells.text("Transaction Type").casefold()
    if kind in _INTERNAL:
        return
    read_kind = _KINDS.get(kind)
    if read_kind is None:
        raise cells.fault(f"“{cells.text('Transaction Type')}” is not known here.", "Transaction Type")
    yield from read_kind(cells)


def _about(cells: Cells) -> dict[str, Any]:
    """What every row of a line has."""
    return {
        "line": cells.line,
        "at": cells.time("Timestamp"),
        "currency": cells.text(*_CURRENCY).upper() or None,
        "note": cells.optional("Notes")[:500],
        "reference": cells.text("ID") or None,
        "columns": cells.columns(_COLUMNS),
    }


def _coin(symbol: str, currency: str | None) -> dict[str, Any]:
    names = (f"{symbol}-{currency}", symbol) if currency else (symbol,)
    return {"symbol": symbol, "names": names}


def _asset(cells: Cells) -> str:
    return cells.text("Asset").upper()


def _subtotal(cells: Cells) -> Decimal:
    """What the units were worth, without fees."""
    told = cells.number("Subtotal")
    if told is not None:
        return told.copy_abs()
    return (magnitude(cells.number("Quantity Transacted")) * cells.needed(*_PRICE)).copy_abs()


def _fees(cells: Cells) -> Decimal:
    """The difference between total and subtotal is what was paid; the column shows it, sometimes finer than a cent."""
    subtotal, total = cells.number("Subtotal"), cells.number(_TOTAL)
    if subtotal is not None and total is not None:
        return (total.copy_abs() - subtotal.copy_abs()).copy_abs()
    return magnitude(cells.number(_FEES))


def _trade(type_: str) -> Callable[[Cells], Iterator[Posting]]:
    """A purchase or a sale. The price is subtotal ÷ quantity: the file's own is rounded to the cent."""

    def read_trade(cells: Cells) -> Iterator[Posting]:
        about, quantity = _about(cells), cells.needed("Quantity Transacted").copy_abs()
        if not quantity:
            raise cells.fault("It must not be 0.", "Quantity Transacted")
        price = unit_price(_subtotal(cells), quantity)
        coin = _coin(_asset(cells), about["currency"])
        yield Posting(type=type_, quantity=quantity, price=price, fee=_fees(cells), **coin, **about)

    return read_trade


def _income(cells: Cells) -> Iterator[Posting]:
    """A reward paid in coins is income of their worth, and a purchase for as much."""
    about, quantity = _about(cells), cells.needed("Quantity Transacted").copy_abs()
    worth = _subtotal(cells)
    if not quantity:
        raise cells.fault("It must not be 0.", "Quantity Transacted")
    if _asset(cells) in _FIAT:
        yield Posting(type="INTEREST", amount=quantity, **{**about, "currency": _asset(cells)})
        return
    coin = _coin(_asset(cells), about["currency"])
    if worth:
        yield Posting(type="DIVIDEND", amount=worth, **coin, **about)
    price = unit_price(worth, quantity)
    yield Posting(type="BUY", quantity=quantity, price=price, part=1, **coin, **about)


def _moved(cash: str, units: str) -> Callable[[Cells], Iterator[Posting]]:
    """Into or out of Coinbase: money, or coins at their price that day."""

    def read_move(cells: Cells) -> Iterator[Posting]:
        about, quantity = _about(cells), cells.needed("Quantity Transacted").copy_abs()
        asset = _asset(cells)
        if asset in _FIAT:
            yield Posting(type=cash, amount=quantity, **{**about, "currency": asset})
            return
        price = absolute(cells.number(*_PRICE))
        coin = _coin(asset, about["currency"])
        yield Posting(type=units, quantity=quantity, price=price, **coin, **about)

    return read_move


def _convert(cells: Cells) -> Iterator[Posting]:
    """One coin sold and another bought for as much; the note tells of the second."""
    about, worth, fees = _about(cells), _subtotal(cells), _fees(cells)
    found = _CONVERTED.search(cells.optional("Notes")[:500])
    if found is None:
        raise cells.fault("“Converted … to …” is expected here.", "Notes")
    given, taken = (Decimal(found[n].replace(",", "")) for n in (1, 3))
    if not given or not taken:
        raise cells.fault("It must not be 0.", "Notes")
    # The worth is stated for what was given where the line is the giving side, else for what was taken.
    sold, bought = found[2].upper(), found[4].upper()
    yield Posting(
        type="SELL", quantity=given, price=unit_price(worth + fees, given), fee=fees,
        **_coin(sold, about["currency"]), **about,
    )  # fmt: skip
    yield Posting(
        type="BUY", quantity=taken, price=unit_price(worth, taken), part=1,
        **_coin(bought, about["currency"]), **about,
    )  # fmt: skip


_KINDS: Final[dict[str, Callable[[Cells], Iterator[Posting]]]] = {
    "buy": _trade("BUY"),
    "advanced trade buy": _trade("BUY"),
    "advance trade buy": _trade("BUY"),
    "sell": _trade("SELL"),
    "advanced trade sell": _trade("SELL"),
    "advance trade sell": _trade("SELL"),
    "convert": _convert,
    "receive": _moved("DEPOSIT", "TRANSFER_IN"),
    "send": _moved("WITHDRAWAL", "TRANSFER_OUT"),
    "deposit": _moved("DEPOSIT", "TRANSFER_IN"),
    "withdrawal": _moved("WITHDRAWAL", "TRANSFER_OUT"),
    **dict.fromkeys(
        ("rewards income", "reward income", "staking income", "learning reward", "coinbase earn", "inflation reward",
         "interest", "interest income", "airdrop", "incentives rewards payout"), _income,
    ),
}  # fmt: skip
