"""Finnhub's quote: the last price of a US stock, at most a moment old on its source. Pure.

https://finnhub.io/docs/api/quote. A symbol that it does not know is answered with zeros.
"""

from typing import Final

import msgspec

from ingestion.rest.call import Call
from ingestion.rest.quoted import UNREADABLE, Quoted, Unreadable, number

NAME: Final = "finnhub"


class _Quote(msgspec.Struct):
    c: float
    t: int
    h: float | None = None
    l: float | None = None  # noqa: E741 - the venue's names
    o: float | None = None
    pc: float | None = None


_quote: Final = msgspec.json.Decoder(_Quote)


def quote_call(symbol: str) -> Call:
    return Call(NAME, "/quote", {"symbol": symbol})


def read_quote(body: bytes, symbol: str, received_us: int) -> Quoted | None:
    """The last price; None for a symbol that is not known. Raises Unreadable.

    {"c": 261.74, "d": -0.1, "dp": -0.04, "h": 263.31, "l": 260.68, "o": 261.07, "pc": 259.45, "t": 1582641000}
    """
    try:
        said = _quote.decode(body)
    except UNREADABLE as error:
        raise Unreadable(NAME, body, str(error)) from None
    if said.c == 0 and said.t == 0:
        return None
    price = number(said.c)
    if price is None or said.t <= 0:
        raise Unreadable(NAME, body, "a quote without a price or a time")
    return Quoted(
        symbol=symbol,
        price=price,
        received_us=received_us,
        time_us=said.t * 1_000_000,
        open=number(said.o),
        high=number(said.h),
        low=number(said.l),
        previous_close=number(said.pc),
    )
