"""The matching rules, as a table: an order, a market, what it did, and what becomes of the order."""

from decimal import Decimal
from typing import Any

import pytest

from portfolio import matching
from portfolio.matching import Market, Move, Outcome, Rules, Working, match
from portfolio.money import plain

d = Decimal
RULES = Rules(maker_bps=d(5), taker_bps=d(10), queue_share=d("0.1"))
NOW = 1_000_000


def order(type: str = "LIMIT", **more: Any) -> Working:
    figures = ("price", "stop_price", "trail", "quantity", "filled")
    exact = {name: d(str(value)) if name in figures and value is not None else value for name, value in more.items()}
    defaults: dict[str, Any] = {"side": "BUY", "time_in_force": "GTC", "quantity": d(10)}
    return Working(type=type, **defaults | exact)


def market(last: Any = None, **more: Any) -> Market:
    def levels(side: Any) -> Any:
        return tuple((d(str(price)), d(str(quantity))) for price, quantity in side)

    exact = {
        name: levels(value)
        if name in ("bids", "asks")
        else d(str(value))
        if name in ("bid", "ask", "minute_left", "lot_size")
        else value
        for name, value in more.items()
    }
    return Market(now_us=NOW, last=None if last is None else d(str(last)), **{"as_of_us": NOW} | exact)


def move(last: Any, high: Any = None, low: Any = None, volume: Any = 5, at: int = NOW) -> Move:
    exact = [d(str(x)) for x in (last, last if high is None else high, last if low is None else low)]
    return Move(*exact, None if volume is None else d(str(volume)), at)


def fills(outcome: Outcome) -> list[tuple[str, str, bool]]:
    return [(plain(f.quantity), plain(f.price), f.maker) for f in outcome.fills]


BOOK = {"asks": [(101, 4), (102, 3), (105, 9)], "bids": [(99, 4), (98, 3), (95, 9)]}


@pytest.mark.parametrize(
    ("given", "meets", "expected"),
    [
        # A market order walks the book, level by level.
        (order("MARKET"), market(100, **BOOK), [("4", "101", False), ("3", "102", False), ("3", "105", False)]),
        (order("MARKET", side="SELL"), market(100, **BOOK),
         [("4", "99", False), ("3", "98", False), ("3", "95", False)]),
        (order("MARKET", quantity=99), market(100, **BOOK),
         [("4", "101", False), ("3", "102", False), ("9", "105", False)]),
        # Without a book: at the quote, else at the last price, up to its part of the minute's volume.
        (order("MARKET"), market(100, bid=99, ask=101), [("10", "101", False)]),
        (order("MARKET", side="SELL"), market(100, bid=99, ask=101), [("10", "99", False)]),
        (order("MARKET"), market(100), [("10", "100", False)]),
        (order("MARKET"), market(100, minute_left=4), [("4", "100", False)]),
        (order("MARKET"), market(100, minute_left="4.7", lot_size=1), [("4", "100", False)]),
        (order("MARKET"), market(100, minute_left=0), []),
        (order("MARKET"), market(), []),
        # A limit order that arrives takes what is better, and stops at its limit.
        (order(price=102), market(100, **BOOK), [("4", "101", False), ("3", "102", False)]),
        (order(price=100), market(100, **BOOK), []),
        (order(price=101), market(100, bid=99, ask=101), [("10", "101", False)]),
        (order(price=105), market(100), [("10", "100", False)]),
        # The last price being the limit is no offer.
        (order(price=100), market(100), []),
        # One that rests is filled at its own price by what is offered to it.
        (order(price=102, arrived=True), market(100, **BOOK), [("4", "102", True), ("3", "102", True)]),
        # What was offered at that time it has taken already.
        (order(price=102, taken_us=NOW), market(100, **BOOK), []),
        (order("MARKET", taken_us=NOW), market(100, **BOOK), []),
        # What is filled already counts.
        (order("MARKET", filled=8), market(100, **BOOK), [("2", "101", False)]),
    ],
)  # fmt: skip
def test_what_is_on_offer_fills(given: Working, meets: Market, expected: list[Any]) -> None:
    outcome = match(given, meets, (), RULES)
    assert fills(outcome) == expected
    assert outcome.order.filled == given.filled + sum(f.quantity for f in outcome.fills)
    assert outcome.end is None


@pytest.mark.parametrize(
    ("side", "limit", "moves", "expected"),
    [
        # Through the limit: up to what was traded there.
        ("BUY", 100, [move(99, volume=4)], [("4", "100", True)]),
        ("BUY", 100, [move(99, volume=40)], [("10", "100", True)]),
        ("BUY", 100, [move(99, volume=None)], [("10", "100", True)]),
        ("SELL", 100, [move(101, volume=4)], [("4", "100", True)]),
        # The extreme inside a flush counts, wherever it ended.
        ("BUY", 100, [move(103, high=104, low=98, volume=6)], [("6", "100", True)]),
        ("SELL", 100, [move(97, high=101, low=96, volume=6)], [("6", "100", True)]),
        # At the limit: the queue's share, and nothing where no volume is known.
        ("BUY", 100, [move(100, volume=50)], [("5", "100", True)]),
        ("BUY", 100, [move(100, volume=None)], []),
        ("BUY", 100, [move(101)], []),
        ("SELL", 100, [move(99)], []),
        # Several flushes, in their order.
        ("BUY", 100, [move(99, volume=4), move(100, volume=30), move(98, volume=9)],
         [("4", "100", True), ("3", "100", True), ("3", "100", True)]),
    ],
)  # fmt: skip
def test_what_is_traded_fills_orders_that_rest(side: str, limit: int, moves: list[Move], expected: list[Any]) -> None:
    waiting = order(side=side, price=limit, arrived=True, taken_us=NOW)
    assert fills(match(waiting, market(100), moves, RULES)) == expected


def test_what_was_seen_or_is_too_old_fills_nothing() -> None:
    waiting = order(price=100, arrived=True, seen_us=NOW - 5, taken_us=NOW)
    meets = market(100, moves_from_us=NOW - 3)
    assert not match(waiting, meets, [move(90, at=NOW - 5), move(90, at=NOW - 4)], RULES).fills
    outcome = match(waiting, meets, [move(90, at=NOW - 3)], RULES)
    assert outcome.fills
    assert outcome.order.seen_us == NOW - 3


def test_an_order_that_only_now_arrives_is_not_filled_by_what_was_traded_before_it() -> None:
    outcome = match(order(price=100), market(103, ask=104, bid=102), [move(99)], RULES)
    assert not outcome.fills
    assert outcome.order.arrived


@pytest.mark.parametrize(
    ("stop", "meets", "moves", "reached"),
    [
        (order("STOP", side="SELL", stop_price=100), market(101), [move(101, low=100)], True),
        (order("STOP", side="SELL", stop_price=100), market(101), [move(101, low="100.01")], False),
        (order("STOP", side="BUY", stop_price=100), market(99), [move(99, high=100)], True),
        (order("STOP", side="BUY", stop_price=100), market(99), [move(99)], False),
        (order("STOP", side="SELL", stop_price=100), market(90), [], True),
    ],
)
def test_stops_go_by_the_last_price_and_its_extremes(
    stop: Working, meets: Market, moves: list[Move], reached: bool
) -> None:
    outcome = match(stop, meets, moves, RULES)
    assert (outcome.reached is not None, bool(outcome.fills)) == (reached, reached)


def test_a_gap_fills_at_the_first_price_there_is_and_not_at_the_stop() -> None:
    stop = order("STOP", side="SELL", stop_price=100)
    outcome = match(stop, market(90, bids=[(89, 4), (88, 50)]), [move(90, high=91, low=90)], RULES)
    assert fills(outcome) == [("4", "89", False), ("6", "88", False)]


def test_a_stop_limit_that_is_reached_takes_no_worse_than_its_limit_and_then_rests() -> None:
    stop = order("STOP_LIMIT", side="SELL", stop_price=100, price=98)
    outcome = match(stop, market(90, bids=[(90, 4)]), [move(90)], RULES)
    assert outcome.reached
    assert not outcome.fills
    assert outcome.order.triggered
    assert outcome.order.rests
    again = match(outcome.order, market(97, bids=[(90, 4)]), [move(99, at=NOW + 1, volume=3)], RULES)
    assert fills(again) == [("3", "98", True)]


@pytest.mark.parametrize(
    ("side", "trail", "percent", "moves", "stop", "reached"),
    [
        ("SELL", 5, False, [move(100)], 95, False),
        ("SELL", 5, False, [move(100), move(110), move(106)], 105, False),
        ("SELL", 5, False, [move(100), move(110), move(105)], 105, True),
        ("SELL", 10, True, [move(100), move(120)], 108, False),
        ("BUY", 5, False, [move(100), move(90), move(94)], 95, False),
        ("BUY", 5, False, [move(100), move(90), move(95)], 95, True),
        # High and low of one flush: the low counts against the stop as it was, the last against the stop as it is.
        ("SELL", 5, False, [move(100), move(108, high=110, low=101)], 105, False),
        ("SELL", 5, False, [move(100), move(104, high=110, low=101)], 105, True),
        ("SELL", 5, False, [move(100), move(104, high=110, low=95)], 95, True),
    ],
)
def test_a_trailing_stop_follows_the_extremes_and_never_goes_back(
    side: str, trail: int, percent: bool, moves: list[Move], stop: int, reached: bool
) -> None:
    trailing = order("TRAILING_STOP", side=side, trail=trail, trail_percent=percent)
    outcome = match(trailing, market(), moves, RULES)
    assert (outcome.order.stop_price, outcome.reached is not None) == (d(stop), reached)


@pytest.mark.parametrize(
    ("given", "expected", "end"),
    [
        (order("MARKET", time_in_force="IOC", quantity=20), 3, "IOC: the remaining 4 was not"),
        (order(time_in_force="IOC", price=101), 1, "IOC: the remaining 6 was not"),
        (order(time_in_force="IOC", price=90), 0, "IOC: the remaining 10 was not"),
        (order("MARKET", time_in_force="FOK", quantity=16), 3, None),
        (order("MARKET", time_in_force="FOK", quantity=17), 0, "FOK: only 16 of 17"),
        (order(time_in_force="FOK", price=102), 0, "FOK: only 7 of 10"),
    ],
)
def test_at_once_or_not_at_all(given: Working, expected: int, end: str | None) -> None:
    outcome = match(given, market(100, **BOOK), (), RULES)
    assert len(outcome.fills) == expected
    if end is None:
        assert outcome.end is None
    else:
        assert outcome.end is not None
        assert outcome.end[0] == "CANCELLED"
        assert outcome.end[1].startswith(end)


def test_nothing_is_filled_while_the_market_is_blocked() -> None:
    shut = market(100, blocked=("closed", "The market is closed."), **BOOK)
    outcome = match(order("MARKET"), shut, [move(99)], RULES)
    assert (outcome.fills, outcome.end, outcome.waiting) == ((), None, shut.blocked)
    at_once = match(order("MARKET", time_in_force="IOC"), shut, (), RULES)
    assert at_once.end == ("CANCELLED", "IOC: The market is closed.")
    # It comes back into the market as a newcomer: a better price is its own.
    rested = match(order(price=105, arrived=True), shut, [move(99)], RULES).order
    assert not rested.arrived
    assert fills(match(rested, market(100, asks=[(101, 99)]), (), RULES)) == [("10", "101", False)]
    assert not match(rested, market(110, asks=[(111, 99)]), [move(99)], RULES).fills, "those trades are over"


def test_fees_are_the_makers_or_the_takers() -> None:
    taken = match(order("MARKET", quantity=2), market(100, ask=100), (), RULES)
    made = match(order(price=100, arrived=True, quantity=2), market(101), [move(99)], RULES)
    assert [f.fee for f in (*taken.fills, *made.fills)] == [d("0.2"), d("0.1")]
    pence = match(order("MARKET", quantity=2), market(100, ask=100), (), Rules(taker_bps=d(10), units=100))
    assert pence.fills[0].fee == d("0.002")


def test_no_more_is_bought_than_the_money_covers() -> None:
    outcome = match(order("MARKET"), market(100, **BOOK), (), Rules(), allowance=d(500))
    assert fills(outcome) == [("4", "101", False), ("0.94117647", "102", False)]
    assert outcome.end == ("CANCELLED", "The account has no money for the rest of it.")
    assert sum(f.quantity * f.price + f.fee for f in outcome.fills) <= 500
    nothing = match(order("MARKET"), market(100, **BOOK), (), RULES, allowance=d(-5))
    assert (nothing.fills, nothing.end) == ((), ("CANCELLED", "The account has no money for the rest of it."))


def test_no_more_is_sold_than_there_is() -> None:
    outcome = match(order("MARKET", side="SELL"), market(100, **BOOK), (), RULES, allowance=d(5))
    assert fills(outcome) == [("4", "99", False), ("1", "98", False)]
    assert outcome.end is not None


@pytest.mark.parametrize("before", [*matching.LEGAL])
@pytest.mark.parametrize("to", ["PENDING", "PARTIAL", "FILLED", "CANCELLED", "REJECTED", "EXPIRED"])
def test_only_legal_transitions(before: str, to: str) -> None:
    final = before not in ("", "PENDING", "PARTIAL")
    legal = (
        not final
        and to
        in {
            "": {"PENDING", "REJECTED"},
            "PENDING": {"PENDING", "PARTIAL", "FILLED", "CANCELLED", "EXPIRED"},
            "PARTIAL": {"PARTIAL", "FILLED", "CANCELLED", "EXPIRED"},
        }[before]
    )
    if legal:
        assert matching.transition(before, to) == to
    else:
        with pytest.raises(matching.IllegalTransition) as caught:
            matching.transition(before, to)
        assert (caught.value.before, caught.value.to) == (before, to)
