from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.import_formats.cells import Conventions, date_order, decimal_mark, number, time
from portfolio.import_formats.postings import Fault
from portfolio.money import BadNumber


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("1.234,56", ",", "1234.56"),
        ("-1.234.567,8", ",", "-1234567.8"),
        ("1,234.56", ".", "1234.56"),
        ("1'234.56", ".", "1234.56"),
        ("1\u202f234,5", ",", "1234.5"),
        ("12,34,567.8", ".", "1234567.8"),
        ("($5.00)", ".", "-5"),
        ("-$1,000.50", ".", "-1000.5"),
        ("€2279.00", ".", "2279"),
        ("12.5-", ".", "-12.5"),
        ("\u2212" + "3", ".", "-3"),
        ("1.5E-7", ".", "0.00000015"),
        (".5", ".", "0.5"),
        ("5.", ".", "5"),
        ("-0.00", ".", "0"),
        ("-,5", ",", "-0.5"),
    ],
)
def test_numbers_are_read_as_people_write_them(text, mark, value):
    assert number(text, mark) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "inf",
        "1e400",
        "1.2.3",
        "1,2",
        "12,3456.7",
        "=1+1",
        "+cmd|'/C calc'!A0",
        "@SUM(1)",
        "1 2e",
        "١٢",
        "0x10",
        "--5",
    ],
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(BadNumber):
        number(text)


@given(st.text(max_size=12))
@settings(max_examples=200)
def test_any_text_is_a_number_or_refused(text):
    for mark in ".,":
        try:
            assert number(text, mark).is_finite()
        except BadNumber:
            pass


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
@settings(max_examples=50)
def test_a_number_survives_being_written_the_german_way(value):
    german = f"{value:,f}".translate(str.maketrans(",.", ".,"))
    assert number(german, ",") == value


@pytest.mark.parametrize(
    ("texts", "delimiter", "mark"),
    [
        (["1.234,56", "7"], ";", ","),
        (["1,234.56"], ";", "."),
        (["1.234.567"], ";", ","),
        (["0.125"], ";", "."),
        (["1234.567"], ";", "."),
        (["12,5", "1.234"], ";", ","),
        (["1,234"], ",", "."),
        (["12"], ";", "."),
    ],
)
def test_the_decimal_mark_is_found_by_what_reads_in_one_way(texts, delimiter, mark):
    assert decimal_mark(texts, None, delimiter) == mark


@pytest.mark.parametrize("texts", [["1.234"], ["1,5", "1.5"]])
def test_where_the_decimal_mark_stays_open_it_is_asked_for(texts):
    with pytest.raises(Fault, match="decimal"):
        decimal_mark(texts, None, ";")
    assert decimal_mark(texts, ",", ";") == ","


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["2026-01-02"], "ymd"),
        (["01/02/2026", "13/02/2026"], "dmy"),
        (["01/02/2026", "02/13/2026"], "mdy"),
        (["01.02.2026"], "dmy"),
        (["03/03/2026"], "dmy"),
    ],
)
def test_the_order_of_dates_is_found_by_what_reads_in_one_way(texts, order):
    assert date_order(texts, None) == order


def test_where_a_date_reads_both_ways_it_is_asked_for():
    with pytest.raises(
        Fault, match="“01/02/2026” may begin with the day or with the month: say `date_format`"
    ) as asked:
        date_order(["01/02/2026"], None, "Date")
    assert asked.value.column == "Date"
    assert date_order(["01/02/2026"], "mdy") == "mdy"
    with pytest.raises(Fault, match="date_format"):
        date_order(["13/02/2026", "02/13/2026"], None)


@pytest.mark.parametrize(
    ("text", "dates", "at"),
    [
        ("2026-01-28", "ymd", "2026-01-28"),
        ("2026-01-28T10:30:00.123456Z", "ymd", "2026-01-28T10:30:00.123456"),
        ("2026-01-28T10:30:00+02:00", "ymd", "2026-01-28T08:30"),
        ("2026-01-28 10:30:00 UTC", "ymd", "2026-01-28T10:30"),
        ("20260128;103000", "ymd", "2026-01-28T15:30"),
        ("20260128", "ymd", "2026-01-28"),
        ("2026-07-28, 10:30:00", "ymd", "2026-07-28T14:30"),
        ("28.01.2026", "dmy", "2026-01-28"),
        ("1/28/2026 1:05 PM", "mdy", "2026-01-28T18:05"),
        ("26-01-28 10:30:00Z", "ymd", "2026-01-28T10:30"),
        ("28 Jan 2026", "ymd", "2026-01-28"),
        ("January 28, 2026", "ymd", "2026-01-28"),
        ("28-Jan-2026", "ymd", "2026-01-28"),
    ],
)
def test_times_are_read_in_the_files_zone_and_days_as_days(text, dates, at):
    how = Conventions(dates=dates, zone=ZoneInfo("America/New_York"))
    assert time(text, how) == datetime.fromisoformat(at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "1769596201", "01/02", "2026-01-28 25:00"]
)
def test_an_unreadable_time_is_never_another_one(text):
    with pytest.raises((ValueError, OverflowError)):
        time(text, Conventions())


@given(st.text(alphabet="0123456789-/.:; TZ+AMJan", max_size=20))
@settings(max_examples=200)
def test_any_text_is_a_time_or_refused(text):
    try:
        assert time(text, Conventions(dates="dmy")).tzinfo is UTC
    except (ValueError, OverflowError):
        pass
