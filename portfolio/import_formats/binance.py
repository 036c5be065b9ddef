"""Binance's exports (CSV), told apart by their header:

    spot trades      Date(UTC),Pair,Side,Price,Executed,Amount,Fee          (0.05BTC, 2100USDT, 0.00005BTC)
    older            Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin
    transactions     User_ID,UTC_Time,Account,Operation,Coin,Change,Remark  (one line a movement)
    deposits         Date(UTC),Coin,Network,Amount,TransactionFee,Address,TXID,…,Status
    withdrawals      the same header; its file's name or the option `type` says which it is

https://www.binance.com/en/support/faq/how-to-download-spot-trading-transaction-history-statement-e4ff64f2533f4d23a0b3f8f17f510eab
A pair is the instrument BASE-QUOTE. A fee in a third coin is a disposal of units of it
(the ledger sees to that).
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Any, Final

from portfolio.import_formats.cells import Cells, number
from portfolio.import_formats.files import Document, Sheet, find_header
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options, below, conventions, each, header, magnitude, unit_price
from portfolio.money import EXACT, ZERO, BadNumber, stored

NAME: Final = "binance"
TITLE: Final = "Binance"
_TRADES: Final = ("Date(UTC)", "Pair", "Side", "Price", "Executed", "Amount", "Fee")
_OLD_TRADES: Final = ("Date(UTC)", "Market", "Type", "Price", "Amount", "Total", "Fee", "Fee Coin")
_MOVEMENTS: Final = ("UTC_Time", "Account", "Operation", "Coin", "Change")
_TRANSFERS: Final = ("Coin", "Network", "Amount", "Address", "TXID", "Status")

# Longest first: a quote coin is what a pair's name ends in.
_QUOTES: Final = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "DAI", "BTC", "ETH", "BNB", "EUR", "GBP", "TRY", "BRL", "AUD",
    "UAH", "RUB", "JPY", "PLN", "RON", "ZAR", "ARS", "MXN", "CZK", "COP",
)  # fmt: skip
_MONEY: Final = {"USD", "USDT", "USDC", "FDUSD", "DAI", "EUR", "GBP", "TRY", "BRL", "AUD", "UAH", "RUB", "JPY", "PLN",
                 "RON", "ZAR", "ARS", "MXN", "CZK", "COP"}  # fmt: skip
_WITH_COIN: Final = re.compile(r"[\d.,]+(?:E-?\d+)?\s?(?P<coin>[A-Z][A-Z0-9]*)", re.ASCII)


def recognizes(document: Document) -> bool:
    """Whether this is one of Binance's files."""
    return isinstance(document, Sheet) and any(
        find_header(document, needed) for needed in (_TRADES, _OLD_TRADES, _MOVEMENTS, _TRANSFERS)
    )


def read(document: Document, options: Options) -> Iterator[Posting | Fault]:
    """The rows of the file. Raises Fault where it is another file."""
    if not isinstance(document, Sheet):
        raise Fault(f"{TITLE}'s exports are CSV files.")
    if find_header(document, _TRADES):
        yield from each(_rows(document, _TRADES, ("Price",), options), _trade)
    elif find_header(document, _OLD_TRADES):
        yield from each(_rows(document, _OLD_TRADES, ("Price", "Amount", "Total", "Fee"), options), _old_trade)
    elif find_header(document, _MOVEMENTS):
        yield from _movements(_rows(document, _MOVEMENTS, ("Change",), options))
    else:
        yield from each(_rows(document, _TRANSFERS, ("Amount",), options), _Transfer(options))


def _rows(sheet: Sheet, needed: tuple[str, ...], numbers: tuple[str, ...], options: Options) -> Iterator[Cells]:
    """All times are UTC; newer files write years with two digits, first."""
    under = header(sheet, needed, TITLE)
    how = conventions(sheet, under, numbers, (), options)
    return below(sheet, under, type(how)(decimal=how.decimal, dates=options.date_format or "ymd", zone=how.zone))


def _at(cells: Cells) -> Any:
    return cells.time("Date(UTC)", "UTC_Time", "Date(UTC+0)", "Date", "Time")


def _pair(cells: Cells, column: str) -> tuple[str, str]:
    """Base and quote: ETHBTC → ETH, BTC."""
    pair = cells.text(column).upper()
    for mark in "-/_":
        if mark in pair:
            base, _, quote = pair.partition(mark)
            return base, quote
    for quote in _QUOTES:
        if pair.endswith(quote) and len(pair) > len(quote):
            return pair.removesuffix(quote), quote
    raise cells.fault(f"“{pair[:20]}” ends in no quote coin that is known here.", column)


def _with_coin(cells: Cells, column: str, coin: str, *others: str) -> tuple[Decimal, str]:
    """0.05BTC → 0.05 and BTC. coin: where none is told; it and the others may begin with a digit: 50.11INCH."""
    text = cells.text(column)[:100].upper()
    if not text:
        return ZERO, coin
    told = next((name for name in (coin, *others) if text.endswith(name)), None)
    found = _WITH_COIN.fullmatch(text)
    if told is None and found is not None:
        told = found["coin"]
    try:
        return number(text.removesuffix(told or "")), told or coin
    except BadNumber as error:
        raise cells.fault(str(error), column) from error


def _trade(cells: Cells) -> Iterator[Posting]:
    base, quote = _pair(cells, "Pair")
    executed, _ = _with_coin(cells, "Executed", base)
    amount, _ = _with_coin(cells, "Amount", quote)
    fee, coin = _with_coin(cells, "Fee", quote, base)
    yield _filled(cells, (base, quote), "Pair", "Side", executed, amount, fee, coin)


def _old_trade(cells: Cells) -> Iterator[Posting]:
    base, quote = _pair(cells, "Market")
    amounts = cells.needed("Amount"), cells.needed("Total"), magnitude(cells.number("Fee"))
    yield _filled(cells, (base, quote), "Market", "Type", *amounts, cells.text("Fee Coin").upper() or quote)


def _filled(
    cells: Cells, pair: tuple[str, str], pair_column: str, side_column: str,
    executed: Decimal, amount: Decimal, fee: Decimal, coin: str,
) -> Posting:  # fmt: skip
    """The price is amount ÷ executed: the file's own may be rounded."""
    base, quote = pair
    side = cells.text(side_column).upper()
    if side not in ("BUY", "SELL"):
        raise cells.fault("BUY or SELL is expected.", side_column)
    if not executed:
        raise cells.fault("It must not be 0.", "Executed" if pair_column == "Pair" else "Amount")
    price = unit_price(amount, executed)
    return Posting(
        line=cells.line, at=_at(cells), type=side, symbol=cells.text(pair_column).upper(),
        names=(f"{base}-{quote}", base), quantity=executed, price=price, currency=quote,
        fee=fee, fee_currency=coin,
        columns={"symbol": pair_column, "type": side_column, "quantity": "Executed", "price": "Price", "fee": "Fee"},
    )  # fmt: skip


class _Transfer:
    """Deposits and withdrawals have one header: the file's name, or the option, tells which they are."""

    def __init__(self, options: Options) -> None:
        self._told = {word.casefold(): type_ for word, type_ in options.types.items()}

    def __call__(self, cells: Cells) -> Iterator[Posting]:
        status = cells.optional("Status").casefold()
        if status not in ("", "completed", "successful", "success"):
            return
        direction = self._direction(cells)
        coin = cells.text("Coin").upper()
        about: dict[str, Any] = {
            "line": cells.line, "at": _at(cells), "reference": cells.optional("TXID") or None,
            "columns": {"quantity": "Amount", "amount": "Amount", "symbol": "Coin", "currency": "Coin"},
        }  # fmt: skip
        amount = cells.needed("Amount").copy_abs()
        yield _moved(direction == "in", coin, amount, about)
        fee = magnitude(cells.number("TransactionFee", "Fee"))
        if fee and direction == "out":
            yield _charge(coin, fee, {**about, "part": 1})

    def _direction(self, cells: Cells) -> str:
        """`types` = {"transfer": "DEPOSIT" | "WITHDRAWAL"}, or a column Type."""
        told = self._told.get("transfer") or cells.optional("Type").upper()
        if told in ("DEPOSIT", "WITHDRAWAL", "WITHDRAW"):
            return "in" if told == "DEPOSIT" else "out"
        raise cells.fault(
            "Binance writes deposits and withdrawals alike: say `types` {“transfer”: “DEPOSIT”} or “WITHDRAWAL”."
        )


def _moved(inwards: bool, coin: str, amount: Decimal, about: dict[str, Any]) -> Posting:
    if coin in _MONEY:
        return Posting(type="DEPOSIT" if inwards else "WITHDRAWAL", amount=amount, currency=coin, **about)
    return Posting(
        type="TRANSFER_IN" if inwards else "TRANSFER_OUT", quantity=amount, symbol=coin, names=_names(coin), **about
    )


def _charge(coin: str, fee: Decimal, about: dict[str, Any]) -> Posting:
    if coin in _MONEY:
        return Posting(type="FEE", amount=fee, currency=coin, **about)
    return Posting(type="TRANSFER_OUT", quantity=fee, symbol=coin, names=_names(coin), note="network fee", **about)


def _names(coin: str) -> tuple[str, ...]:
    """A coin that is held as units of its pair, in any of the usual moneys."""
    return (f"{coin}-USDT", f"{coin}-USD", f"{coin}-USDC", f"{coin}-EUR", coin)


# --- One line a movement ------------------------------------------------------------------------------------

_IN: Final = {"deposit", "fiat deposit", "crypto deposit"}
_OUT: Final = {"withdraw", "withdrawal", "fiat withdraw", "fiat withdrawal", "crypto withdrawal"}
_GIVEN: Final = {
    "distribution", "airdrop assets", "staking rewards", "simple earn flexible interest", "commission rebate",
    "simple earn locked rewards", "eth 2.0 staking rewards", "launchpool interest", "savings interest",
    "cash voucher distribution", "bnb vault rewards", "super bnb mining", "commission history", "referral commission",
    "launchpool airdrop - system distribution", "hodler airdrops distribution", "crypto box", "airdrop",
    "simple earn flexible airdrop", "swap farming rewards", "token swap - distribution",
    "pos savings interest", "referral kickback", "rewards distribution",
}  # fmt: skip
_TRADED: Final = {
    "buy", "sell", "transaction buy", "transaction sold", "transaction spend", "transaction revenue",
    "binance convert", "convert", "large otc trading", "small assets exchange bnb", "asset conversion transfer",
    "buy crypto with fiat", "auto-invest transaction", "buy crypto",
    "transaction related", "fiat ocbs - add fiat and fees", "strategy trading",
}  # fmt: skip
_FEES: Final = {"fee", "transaction fee"}


def _movements(rows: Iterable[Cells]) -> Iterator[Posting | Fault]:
    """The movements of one second and one account make its trades: what went out, what came in, and the fee."""
    for _, group in groupby(rows, key=lambda cells: (cells.text("UTC_Time"), cells.text("Account"))):
        trades: list[Cells] = []
        for cells in group:
            try:
                kind = cells.text("Operation").casefold()
                if kind in _TRADED or kind in _FEES:
                    trades.append(cells)
                else:
                    yield from list(_movement(cells, kind))
            except Fault as fault:
                yield fault
        try:
            yield from list(_exchanged(trades))
        except Fault as fault:
            yield fault


def _movement(cells: Cells, kind: str) -> Iterator[Posting]:
    coin, change = cells.text("Coin").upper(), cells.needed("Change")
    about: dict[str, Any] = {
        "line": cells.line, "at": _at(cells), "note": cells.optional("Remark")[:500],
        "columns": dict.fromkeys(("quantity", "amount"), "Change") | dict.fromkeys(("symbol", "currency"), "Coin"),
    }  # fmt: skip
    if kind in _IN or kind in _OUT:
        yield _moved(change > 0, coin, change.copy_abs(), about)
    elif kind in _GIVEN:
        yield from _given(coin, change, about)
    elif not _is_internal(kind):
        raise cells.fault(f"“{cells.text('Operation')}” is not known here.", "Operation")


def _given(coin: str, change: Decimal, about: dict[str, Any]) -> Iterator[Posting]:
    """A reward in money is interest; one in coins has no price in this file, and comes in at none."""
    if coin in _MONEY:
        yield Posting(type="INTEREST", amount=change, currency=coin, **about)
    elif change > 0:
        yield Posting(type="BUY", quantity=change, price=ZERO, symbol=coin, names=_names(coin), **about)
    else:
        yield Posting(type="TRANSFER_OUT", quantity=-change, symbol=coin, names=_names(coin), **about)


def _is_internal(kind: str) -> bool:
    """Between the user's own pockets: spot, funding, earn."""
    words = (
        "transfer between",
        "subscription",
        "redemption",
        "main and funding",
        "spot to",
        "to spot",
        "staking purchase",
    )
    return any(word in kind for word in words)


def _exchanged(lines: list[Cells]) -> Iterator[Posting]:
    """The movements of one second as one trade: one coin out, one in."""
    if not lines:
        return
    fees, changes = _sums(lines)
    out = {coin: -change for coin, change in changes.items() if change < 0}
    come = {coin: change for coin, change in changes.items() if change > 0}
    if len(out) != 1 or len(come) != 1:
        raise lines[0].fault(f"One coin for another is expected at this second, not {sorted(out)} for {sorted(come)}.")
    (given, paid), (taken, got) = next(iter(out.items())), next(iter(come.items()))
    buying = _quote_rank(given) <= _quote_rank(taken)
    base, quote, quantity, amount = (taken, given, got, paid) if buying else (given, taken, paid, got)
    price = unit_price(amount, quantity)
    about: dict[str, Any] = {
        "line": lines[0].line, "at": _at(lines[0]), "symbol": base, "names": (f"{base}-{quote}", base),
        "currency": quote, "columns": {"symbol": "Coin", "quantity": "Change"},
    }  # fmt: skip
    first, *more = fees.items() or [(quote, ZERO)]
    yield Posting(type="BUY" if buying else "SELL", quantity=quantity, price=price,
                  fee=first[1], fee_currency=first[0], **about)  # fmt: skip
    for part, (coin, fee) in enumerate(more, start=1):
        yield _charge(coin, fee, {"line": lines[0].line, "at": _at(lines[0]), "part": part})


def _sums(lines: list[Cells]) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Fees and the other changes, by coin."""
    fees: dict[str, Decimal] = {}
    changes: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for cells in lines:
            coin, change = cells.text("Coin").upper(), cells.needed("Change")
            if cells.text("Operation").casefold() in _FEES:
                fees[coin] = fees.get(coin, ZERO) - change
            else:
                changes[coin] = changes.get(coin, ZERO) + change
    return {coin: stored(fee) for coin, fee in fees.items() if fee}, changes


def _quote_rank(coin: str) -> int:
    """Which of two coins prices the other: money before bitcoin before the rest."""
    return _QUOTES.index(coin) if coin in _QUOTES and coin in _MONEY else 100 + _RANK.get(coin, 10)


_RANK: Final = {"BTC": 0, "ETH": 1, "BNB": 2}
