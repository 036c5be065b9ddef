"""What a day's change counts from, and what of the ledger is part of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ingestion import calendar, latest
from ingestion.calendar import Session
from ingestion.models import Instrument, MarketCalendar, PostedPrice
from ingestion.store import to_us
from portfolio import marks, positions, valuation
from portfolio.positions import Book, Entry
from portfolio.valuation import Holding, Mark
from worker.redis import client, key


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- Pure: what of the ledger is part of the day

SINCE = at("2026-11-19 21:00")
NOW = at("2026-11-20 16:00")
HELD = {1: Holding("AAPL", "USD"), 2: Holding("NEW", "USD"), 3: Holding("VOD", "GBp")}


def change(*rows, price="110", previous="100", time=NOW, rates=None):
    book = Book(positions.Policy(allow_short=True))
    for number, (type_, when, figures) in enumerate(rows, 1):
        exact = {name: Decimal(v) if isinstance(v, str) and name != "currency" else v for name, v in figures.items()}
        book.apply(Entry(id=number, type=type_, at=at(when), **{"currency": "USD", "instrument": 1, **exact}))
    mark = Mark(Decimal(price), time, "live", Decimal(previous), SINCE)
    told = {1: mark, 2: Mark(Decimal(30), NOW, "live", None, SINCE), 3: mark}
    worth = valuation.value(book, HELD, told, rates or {"USD": Decimal(1)}, NOW)
    return worth.daily_change


def bought(quantity, price, when="2026-01-05 15:00", **more):
    return ("BUY", when, {"quantity": quantity, "price": price, **more})


def sold(quantity, price, when):
    return ("SELL", when, {"quantity": quantity, "price": price})


TODAY = "2026-11-20 15:00"


def test_what_was_held_counts_from_the_previous_close():
    assert change(bought("10", "50")) == 100


def test_what_was_bought_today_counts_from_its_price_fees_included():
    assert change(bought("10", "50"), bought("5", "108", TODAY)) == 100 + 10
    assert change(bought("5", "108", TODAY, fee="3")) == 10 - 3


def test_what_was_sold_today_counts_up_to_its_price():
    assert change(bought("10", "50"), sold("4", "105", TODAY)) == 6 * 10 + 4 * 5
    assert change(bought("10", "50"), sold("10", "105", TODAY)) == 50  # nothing of it is held any more


def test_what_was_sold_before_is_no_part_of_it():
    assert change(bought("10", "50"), sold("10", "60", "2026-11-18 15:00")) == 0


def test_payments_are_no_gain():
    paid = ("DEPOSIT", TODAY, {"amount": "5000", "instrument": None})
    assert change(bought("10", "50"), paid) == 100
    moved = ("TRANSFER_IN", TODAY, {"quantity": "3", "price": "90"})
    assert change(bought("10", "50"), moved) == 130  # as if the units had been there before
    assert change(bought("10", "50"), ("TRANSFER_OUT", TODAY, {"quantity": "4"})) == 60


def test_a_short_gains_when_the_price_falls():
    assert change(sold("10", "120", "2026-01-05 15:00")) == -100
    assert change(sold("10", "112", TODAY)) == 20


def test_a_split_today_moves_nothing():
    split = ("SPLIT", "2026-11-20 00:00", {"ratio": "4"})
    assert change(bought("10", "50"), split, price="27.5") == 100
    assert change(bought("10", "50"), split, price="100", time=SINCE) == 0  # a price from before, carried over it


def test_a_new_name_moves_nothing():
    renamed = ("RENAME", TODAY, {"to_instrument": 2})
    assert (
        change(bought("10", "50"), renamed) == 0
    )  # nobody knows the new one's previous close, and its value is no gain


def test_a_trade_in_pounds_of_what_is_priced_in_pence():
    rows = [bought("100", "108", TODAY, currency="GBP", unit=100, instrument=3)]
    assert change(*rows, rates={"USD": Decimal(1), "GBP": Decimal("1.25"), "GBp": Decimal("0.0125")}) == Decimal("2.5")


def test_an_unknown_previous_price_is_no_change_and_not_a_gain():
    book = Book()
    book.apply(Entry(id=1, type="BUY", at=at("2026-01-05 15:00"), currency="USD", instrument=1, quantity=Decimal(1),
                     price=Decimal(5)))  # fmt: skip
    mark = Mark(Decimal(110), NOW, "live", None, SINCE)
    worth = valuation.value(book, HELD, {1: mark}, {"USD": Decimal(1)}, NOW)
    assert (worth.positions[0].daily_change, worth.daily_change) == (None, 0)


# --- Where the day begins: sessions, weekends, half days, clocks that change


@pytest.fixture
def new_york(db):
    """Some weeks of New York: to winter time on 1 November 2026, Thanksgiving on the 26th, a half day on the 27th."""
    days = [date(2026, 10, 26) + timedelta(days=n) for n in range(40)]
    sessions = []
    for day in days:
        if day.weekday() < 5 and day != date(2026, 11, 26):
            opens = datetime(day.year, day.month, day.day, 13 if day < date(2026, 11, 1) else 14, 30, tzinfo=UTC)
            closes = opens + timedelta(hours=3.5 if day == date(2026, 11, 27) else 6.5)
            sessions.append(Session(to_us(opens), to_us(closes)))
    MarketCalendar.objects.create(
        name="XNYS", sessions=calendar.pack(sessions), until=at("2026-12-04 21:00"), made_by="a test"
    )


@pytest.fixture
def stock(db):
    return Instrument.objects.create(symbol="AAPL", name="Apple", kind="equity", currency="USD", exchange="NASDAQ")


def closed(instrument, **closes):
    PostedPrice.objects.bulk_create(
        PostedPrice(instrument=instrument, date=date(2026, int(d[1:3]), int(d[3:])), close=Decimal(c), posted_at=NOW)
        for d, c in closes.items()
    )


def quoted(instrument, price, when):
    told = latest.Latest(source="simulated", price=price, change=0.5, time_us=to_us(when), received_us=to_us(when))
    client().hset(key("latest", "simulated"), str(instrument.id), latest.encode(told))


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("now", "priced", "counts_from", "since"),
    [
        ("2026-11-20 16:00", "2026-11-20 15:59", "19", "2026-11-19 21:00"),
        # A weekend shows Friday's change, and so does Monday before the opening: not 0, and not two days'.
        ("2026-11-21 12:00", "2026-11-20 20:59", "19", "2026-11-19 21:00"),
        ("2026-11-23 14:00", "2026-11-20 20:59", "19", "2026-11-19 21:00"),
        ("2026-11-23 15:00", "2026-11-23 14:59", "20", "2026-11-20 21:00"),
        # After hours it is still the day of the session that was; midnight UTC cuts nothing.
        ("2026-11-20 00:30", "2026-11-19 23:00", "18", "2026-11-18 21:00"),
        # A holiday, the half day after it, and the Monday after that.
        ("2026-11-26 16:00", "2026-11-25 20:59", "24", "2026-11-24 21:00"),
        ("2026-11-27 16:00", "2026-11-27 15:59", "25", "2026-11-25 21:00"),
        ("2026-11-30 15:00", "2026-11-30 14:59", "27", "2026-11-27 18:00"),
        # The first session after the clocks went back counts from Friday's close in summer time.
        ("2026-11-02 15:00", "2026-11-02 14:59", "30", "2026-10-30 20:00"),
    ],
)
def test_a_stocks_day_is_its_exchanges_session(stock, now, priced, counts_from, since):
    closed(stock, _1030="30", _1118="18", _1119="19", _1120="20", _1124="24", _1125="25", _1127="27")
    quoted(stock, 100.0, at(priced))
    mark = marks.marks([stock.pk], at(now))[stock.pk]
    assert (mark.previous, mark.since) == (Decimal(counts_from), at(since))


@pytest.mark.usefixtures("new_york")
def test_a_price_from_before_the_day_has_not_moved_in_it(stock):
    closed(stock, _1118="18", _1119="19")
    quoted(stock, 100.0, at("2026-11-18 15:00"))
    mark = marks.marks([stock.pk], at("2026-11-23 15:00"))[stock.pk]
    assert (mark.price, mark.previous) == (19, 19)  # a later close stands in for the old quote


@pytest.mark.usefixtures("new_york")
def test_without_a_close_the_sources_own_change_counts(stock):
    quoted(stock, 100.0, at("2026-11-20 15:59"))
    assert marks.marks([stock.pk], NOW)[stock.pk].previous == Decimal("99.5")


def test_crypto_counts_from_24_hours_ago_on_any_day(btc):
    sunday = at("2026-11-22 12:00")
    quoted(btc, 100.0, sunday - timedelta(seconds=5))
    mark = marks.marks([btc.pk], sunday)[btc.pk]
    assert (mark.previous, mark.since) == (Decimal("99.5"), sunday - timedelta(days=1))
    quoted(btc, 100.0, sunday - timedelta(days=2))  # nothing has moved since
    assert marks.marks([btc.pk], sunday)[btc.pk].previous == 100


@pytest.mark.usefixtures("new_york")
def test_a_closed_market_is_stale_and_not_late(stock, portfolio, post):
    post("BUY", stock, quantity="1", price="5")
    saturday = at("2026-11-21 12:00")
    quoted(stock, 100.0, at("2026-11-20 20:59"))
    worth = marks.value_portfolio(portfolio, saturday)
    assert worth.stale == {"AAPL": "Its market is closed: of 2026-11-20 20:59:00 UTC, 15 h old."}
    assert worth.late is False
    monday = marks.value_portfolio(portfolio, at("2026-11-23 16:00"))
    assert (list(monday.stale), monday.late) == (["AAPL"], True)
