"""The ledgers of tests/golden, which an accountant can read and check by hand.

    # a remark
    ! method fifo                      how the portfolio counts; `! method lifo 2026-06-01` from that day on
    ! base EUR                         likewise allow_short, auto_convert
    date  type  symbol  quantity  price  amount  fee  [name=value …]
    @ price AAPL 250                   a price, or the rate of a currency (`@ price EUR 1.10`)
    = quantity AAPL 15                 what is expected of a symbol, of a currency, or (`…_base -`) in all
    = lot AAPL 2 5 1102.5 2026-01-06   an open lot: the row that opened it, units, cost, when it was opened
    = sold AAPL 2 4 5 1248 1102.5      a lot closed: opened by row 2, closed by row 4, units, proceeds, cost

Rows are numbered from 1, as they stand. Where one lot or sale of a symbol is stated, all of them are. A dash is
nothing. `to=SYMBOL` names the other instrument, `fee_in=SYMBOL` the one a fee was paid with, `lots=2,3` those sold.
"""

from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path

import msgspec

from portfolio.money import EXACT, ONE, ZERO, plain, stored
from portfolio.positions import Book, Entry, Policy, fold

LEDGERS = sorted((Path(__file__).parent.parent / "golden").glob("*.txt"))


class Golden(msgspec.Struct):
    """One file: the rows, how they are counted, prices by symbol, and the expected: (figure, of what) → number."""

    policy: Policy
    entries: list[Entry]
    symbols: dict[str, int]
    prices: dict[str, Decimal]
    expected: dict[tuple[str, str], str]
    listed: dict[tuple[str, str], list[list[str]]]

    def fold(self) -> Book:
        return fold(self.entries, self.policy)

    def figures(self, book: Book) -> dict[tuple[str, str], str]:
        """What the book says of everything that is expected."""
        with localcontext(EXACT):
            return {(name, of): plain(self._figure(book, name, of) or ZERO) for name, of in self.expected}

    def lists(self, book: Book) -> dict[tuple[str, str], list[list[str]]]:
        """The lots and sales of each symbol that has some stated."""
        return {(kind, of): {"lot": self._lots, "sold": self._sold}[kind](book, of) for kind, of in self.listed}

    def _figure(self, book: Book, name: str, of: str) -> Decimal | None:
        if of == "-":
            return getattr(book, name)
        if of not in self.symbols:
            return getattr(book, name).get(of, ZERO)
        position = book.positions[self.symbols[of]]
        if name.startswith(("value", "unrealized")):
            return self._marked(book, name, of)
        return getattr(position, name)

    def _marked(self, book: Book, name: str, of: str) -> Decimal:
        position = book.positions[self.symbols[of]]
        value, cost = stored(position.quantity * self.prices[of]), position.cost
        if name.endswith("_base"):
            currency = book.lots[self.symbols[of]][0].currency
            value, cost = stored(value * self.prices.get(currency, ONE)), position.cost_base
        return value if name.startswith("value") else value - cost

    def _lots(self, book: Book, of: str) -> list[list[str]]:
        own = book.lots.get(self.symbols[of], [])
        return sorted(
            [_row(lot.id, lot.sub), plain(lot.quantity), plain(lot.cost), lot.opened_at.date().isoformat()]
            for lot in own
        )

    def _sold(self, book: Book, of: str) -> list[list[str]]:
        own = [sale for sale in book.disposals if sale.instrument == self.symbols[of]]
        return sorted(
            [
                _row(sale.lot_id, sale.lot_sub),
                str(sale.entry_id),
                *map(plain, (sale.quantity, sale.proceeds, sale.cost)),
            ]
            for sale in own
        )


def read(path: Path) -> Golden:
    golden = Golden(Policy(), [], {}, {}, {}, {})
    for line in path.read_text().splitlines():
        match line.split():
            case [] | ["#", *_]:
                pass
            case ["!", name, *values]:
                golden.policy = _policy(golden.policy, name, values)
            case ["@", "price", of, price]:
                golden.prices[of] = Decimal(price)
            case ["=", ("lot" | "sold") as kind, symbol, *figures]:
                golden.listed.setdefault((kind, symbol), []).append([_figure(text) for text in figures])
                golden.listed[kind, symbol].sort()
            case ["=", name, of, number]:
                golden.expected[name, of] = plain(Decimal(number))
            case row:
                golden.entries.append(_entry(golden, row))
    return golden


def _policy(policy: Policy, name: str, values: list[str]) -> Policy:
    if name == "method":
        since = _at(values[1]) if len(values) > 1 else None
        methods = (*policy.methods, (since, values[0])) if since else ((None, values[0]),)
        return msgspec.structs.replace(policy, methods=methods)
    if name == "base":
        return msgspec.structs.replace(policy, base_currency=values[0])
    return msgspec.structs.replace(policy, **{name: True})


def _entry(golden: Golden, row: list[str]) -> Entry:
    date, type_, symbol, quantity, price, amount, fee, *more = row
    stated = dict(word.split("=") for word in more)
    given = {name: _value(name, text) for name, text in stated.items() if name not in ("to", "fee_in", "lots")}
    return Entry(
        **{"currency": golden.policy.base_currency, **given},
        id=len(golden.entries) + 1,
        type=type_,
        at=_at(date),
        instrument=_instrument(golden, symbol),
        quantity=_number(quantity),
        price=_number(price),
        amount=_number(amount),
        fee=_number(fee),
        to_instrument=_instrument(golden, stated.get("to", "-")),
        fee_instrument=_instrument(golden, stated.get("fee_in", "-")),
        lot_ids=tuple(int(lot_id) for lot_id in stated.get("lots", "").split(",") if lot_id),
    )


def _value(name: str, text: str) -> object:
    if name in ("currency", "fee_currency", "to_currency"):
        return text
    if name == "opened_at":
        return _at(text)
    return int(text) if name in ("unit", "reverses") else Decimal(text)


def _instrument(golden: Golden, symbol: str) -> int | None:
    return None if symbol == "-" else golden.symbols.setdefault(symbol, len(golden.symbols) + 1)


def _number(text: str) -> Decimal:
    return ZERO if text == "-" else Decimal(text)


def _figure(text: str) -> str:
    """As the engine writes it, so that 2.50 may be written for money; days stay as they are."""
    return text if "-" in text[1:] else plain(Decimal(text))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _row(id: int, sub: int) -> str:
    return f"{id}.{sub}" if sub else str(id)
