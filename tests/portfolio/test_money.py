import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio.money import BadNumber, parse, plain


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0.1", "0.1"),
        ("12", "12"),
        (12, "12"),
        ("1e-5", "0.00001"),
        ("+3.50", "3.5"),
        ("-2", "-2"),
        (0.5, "0.5"),
        (100.0, "100"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
    ],
)
def test_it_keeps_exactly_what_was_sent(sent, kept):
    assert plain(parse(sent)) == kept


@pytest.mark.parametrize(
    "sent",
    [
        "NaN", "Infinity", "-inf", "1e400", "-0", "-0.00", "", " 1", "1_000", "1,5", "٣", "0x10", "1" * 101,
        "0.0000000000000000001", "100000000000000000000", "1e20",
        float("nan"), float("inf"), -0.0, 0.1, True, None, [], {},
    ],
)  # fmt: skip
def test_it_refuses_what_it_could_not_keep(sent):
    with pytest.raises(BadNumber):
        parse(sent)


def test_a_float_that_is_not_what_it_shows_is_refused_with_the_way_out():
    with pytest.raises(BadNumber, match=r'"0\.1"'):
        parse(json.loads("0.1"))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**19), max_value=10**19))
def test_plain_is_the_same_number_without_an_exponent(value):
    text = plain(value)
    assert "e" not in text.lower()
    assert Decimal(text) == value
    assert parse(text) == value
