"""Conditions: read, refused by their place, said in words, written again, re-scaled."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import rules
from signals.candles import Candles
from signals.indicators import INDICATORS, asked
from signals.rules import All, Any, Ask, Defaults, InvalidRule, Leaf, Names, Not, describe, parse, rescaled, wire

SYMBOLS = {"BTC-USD": 1, "ETH-USD": 2}
NAMES = Names({i: name for name, i in SYMBOLS.items()}, {9: "Savings"})
OWN = Defaults(instrument=1, portfolio=3)


def price(**fields):
    return {"kind": "price", "symbol": "BTC-USD", "op": "above", "value": 70_000} | fields


def of(kind, **fields):
    return {"kind": kind, "op": "above", "value": 1} | fields


def refused(raw, defaults=OWN):
    with pytest.raises(InvalidRule) as caught:
        parse(raw, SYMBOLS.get, defaults)
    return caught.value.path, caught.value.message


# --- Reading --------------------------------------------------------------------------------------------------


def test_a_tree_is_read_as_it_is_written():
    raw = {"all": [price(clear=69_500), {"any": [{"not": price()}, price(symbol="ETH-USD", op="crosses")]}]}
    above, other = Ask("price", 1), Ask("price", 2)
    assert parse(raw, SYMBOLS.get) == All(
        (
            Leaf(above, "above", 70_000, 69_500),
            Any((Not(Leaf(above, "above", 70_000)), Leaf(other, "crosses", 70_000))),
        )
    )


def test_a_leaf_without_a_symbol_is_about_the_alerts_own():
    assert parse(of("price"), SYMBOLS.get, OWN).ask.instrument == 1
    assert refused(of("price"), Defaults()) == ("symbol", "Is missing.")


def test_a_value_may_be_written_as_a_decimal():
    assert parse(price(value="70000.50"), SYMBOLS.get).value == 70_000.5


EVERY_KIND = [
    (of("price"), "BTC-USD above 1"),
    (of("price", op="crosses_below", clear=2), "BTC-USD crosses below 1 (until above 2)"),
    (of("change_percent", base="previous_close"), "BTC-USD change against the previous close above 1 %"),
    (of("change_percent", base="minutes", minutes=5), "BTC-USD change in 5 min above 1 %"),
    (of("change_percent", base="cost"), "BTC-USD change against its cost in portfolio 3 above 1 %"),
    (of("volume_zscore", interval="1h", window=50), "BTC-USD volume z-score 1h above 1"),
    (of("spread"), "BTC-USD spread above 1 bps"),
    (of("spread", unit="absolute"), "BTC-USD spread above 1"),
    (of("indicator", name="rsi", interval="1h"), "BTC-USD RSI(14) 1h above 1"),
    (
        of("indicator", name="macd(12, 26, 9)", output="signal", interval="1d"),
        "BTC-USD MACD(12,26,9) signal 1d above 1",
    ),
    ({"kind": "pattern", "name": "hammer", "interval": "1h"}, "BTC-USD hammer 1h"),
    (
        {"kind": "pattern", "name": "double_top", "interval": "1h", "min_confidence": 60, "op": "occurs"},
        "BTC-USD double top 1h of confidence 60 or more",
    ),
    ({"kind": "signal"}, "BTC-USD any signal"),
    ({"kind": "signal", "strategy": "sma_cross", "signal_type": "BUY"}, "BTC-USD BUY signal of sma_cross"),
    (of("sentiment", op="below", value=-0.5, hours=6), "BTC-USD sentiment of 6 h below -0.5"),
    (of("portfolio", figure="total_value", portfolio=9), "Savings total value above 1"),
    (of("portfolio", figure="drawdown_percent"), "portfolio 3 drawdown above 1 %"),
    (of("portfolio", figure="weight", symbol="ETH-USD"), "portfolio 3 ETH-USD weight above 1 %"),
    (of("staleness", value=60), "BTC-USD without a tick for more than 60 s"),
    (of("service", part="feeds", value=60), "feeds degraded for more than 60 s"),
]


@pytest.mark.parametrize(("raw", "words"), EVERY_KIND)
def test_each_kind_is_said_in_words_and_written_again(raw, words):
    rule = parse(raw, SYMBOLS.get, OWN)
    assert describe(rule, NAMES) == words
    assert parse(json.loads(json.dumps(wire(rule, NAMES))), SYMBOLS.get) == rule


def test_each_kind_is_shown_above():
    assert {raw["kind"] for raw, _ in EVERY_KIND} == set(rules.KINDS)


def test_the_same_question_is_asked_once():
    raw = [of("indicator", name=name, interval="1h") for name in ("rsi", "rsi(14)", "RSI( period = 14 )")]
    assert len(rules.asks(parse({"any": raw}, SYMBOLS.get, OWN))) == 1


def test_one_instrument_is_named_once_and_two_each_time():
    rsi = of("indicator", name="rsi", interval="1h", op="below", value=30)
    both = {"all": [price(), rsi]}
    assert describe(parse(both, SYMBOLS.get, OWN), NAMES) == "BTC-USD above 70,000 and RSI(14) 1h below 30"
    prices = parse({"any": [price(), rsi, price(value=2)]}, SYMBOLS.get, OWN)
    assert describe(prices, NAMES) == "BTC-USD above 70,000 or RSI(14) 1h below 30 or BTC-USD above 2"
    nested = {"all": [price(), {"any": [price(symbol="ETH-USD"), {"not": rsi}]}]}
    assert describe(parse(nested, SYMBOLS.get, OWN), NAMES) == (
        "BTC-USD above 70,000 and (ETH-USD above 70,000 or not (BTC-USD RSI(14) 1h below 30))"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(70_000, "70,000"), (0.5, "0.5"), (0, "0"), (0.00001234, "1.234e-05"), (1e10, "10,000,000,000"), (-5.25, "-5.25")],
)
def test_numbers_are_for_people(value, text):
    assert rules.number(value) == text


def test_an_only_price_is_told_from_other_rules():
    leaf = parse(price(), SYMBOLS.get)
    assert rules.plain_price(All((Any((leaf,)),))) == leaf
    assert rules.plain_price(All((leaf, leaf))) is None
    assert rules.plain_price(Not(leaf)) is None
    assert rules.plain_price(parse(of("spread"), SYMBOLS.get, OWN)) is None


# --- Refusing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        (None, "", "is an object"),
        ([], "", "is an object"),
        ("price", "", "is an object"),
        ({}, "kind", "Is missing"),
        ({"all": []}, "all", "at least one"),
        ({"all": {}}, "all", "A list"),
        ({"any": [price(), 7]}, "any[1]", "is an object"),
        ({"all": [price()], "any": [price()]}, "", "stands alone"),
        ({"not": price(), "kind": "price"}, "", "stands alone"),
        ({"not": {"all": [price(op="crosses")]}}, "not", "has no contrary"),
        ({"not": {"kind": "signal"}}, "not", "has no contrary"),
        ({"all": [price(), {"any": [price(value=None)]}]}, "all[1].any[0].value", "Is missing"),
        (price(kind="prise"), "kind", "Is it price?"),
        (price(kind=["price"]), "kind", "is none of"),
        (price(op="over"), "op", "“over” is none of"),
        (price(op="occurs"), "op", "is none of"),
        (price(symbol="NOPE"), "symbol", "no instrument “NOPE”"),
        (price(symbol=7), "symbol", "no instrument"),
        (price(symbol="B\0"), "symbol", "no instrument"),
        (price(symbol="X" * 100_000), "symbol", "no instrument"),
        (price(interval="1h"), "interval", "has no “interval”"),
        (price(value=True), "value", "Is a number"),
        (price(value=float("nan")), "value", "Lies between"),
        (price(value=float("inf")), "value", "Lies between"),
        (price(value=10**400), "value", "Lies between"),
        (price(value="1e5"), "value", "Is a number"),
        (price(value="nan"), "value", "Is a number"),
        (price(value="٣"), "value", "Is a number"),
        (price(value={}), "value", "Is a number"),
        (price(value=-1), "value", "Lies between 0 and"),
        (price(clear=70_001), "clear", "wrong side"),
        (price(op="crosses_above", clear=70_001), "clear", "wrong side"),
        (price(op="below", clear=69_999), "clear", "wrong side"),
        (price(op="crosses", clear=69_999), "clear", "one threshold"),
        (price(clear=False), "clear", "Is a number"),
        (of("indicator", name="rsy", interval="1h"), "name", "rsi"),
        (of("indicator", name="rsi(0)", interval="1h"), "name", "period lies between"),
        (of("indicator", name="rsi(len=3)", interval="1h"), "name", "no parameter “len”"),
        (of("indicator", name="rsi", interval="2h"), "interval", "“2h” is none of"),
        (of("indicator", name="rsi"), "interval", "Is missing"),
        (of("indicator", interval="1h"), "name", "Is missing"),
        (of("indicator", name="macd", output="hist", interval="1h"), "output", "Is it histogram?"),
        ({"kind": "pattern", "name": "hamer", "interval": "1h"}, "name", "Is it hammer?"),
        ({"kind": "pattern", "name": "hammer", "interval": "1h", "value": 1}, "value", "has no “value”"),
        ({"kind": "pattern", "name": "hammer", "interval": "1h", "op": "above"}, "op", "is none of occurs"),
        ({"kind": "signal", "strategy": "sma_cros"}, "strategy", "Is it sma_cross?"),
        ({"kind": "signal", "signal_type": "buy"}, "signal_type", "is none of"),
        ({"kind": "signal", "min_confidence": 101}, "min_confidence", "Lies between 0 and 100"),
        (of("change_percent"), "base", "Is missing"),
        (of("change_percent", base="minutes"), "minutes", "Is missing"),
        (of("change_percent", base="minutes", minutes=2.5), "minutes", "whole number"),
        (of("change_percent", base="open", minutes=5), "minutes", "has no “minutes”"),
        (of("volume_zscore", interval="1h", window=1), "window", "Lies between"),
        (of("spread", unit="pips"), "unit", "is none of"),
        (of("sentiment", value=2), "value", "Lies between -1 and 1"),
        (of("portfolio", figure="profit"), "figure", "is none of"),
        (of("portfolio", figure="total_value", symbol="BTC-USD"), "symbol", "has no “symbol”"),
        (of("portfolio", figure="total_value", portfolio=True), "portfolio", "Is a number"),
        (of("service"), "part", "Is missing"),
        (of("service", part="; drop"), "part", "letters and digits"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_place(raw, path, words):
    at, message = refused(raw)
    assert at == path
    assert words in message
    assert len(message) < 500


def test_names_may_be_told():
    known = Defaults(instrument=1, strategies=frozenset({"mine"}), parts=frozenset({"feeds"}))
    assert parse({"kind": "signal", "strategy": "mine"}, SYMBOLS.get, known)
    assert refused({"kind": "signal", "strategy": "sma_cross"}, known)[0] == "strategy"
    nobodys = msgspec.structs.replace(known, own_strategies={})
    assert refused({"kind": "signal", "strategy_id": 17}, nobodys)[0] == "strategy_id"
    assert refused(of("service", part="database"), known)[0] == "part"


@pytest.mark.parametrize("given", [{"strategy": 17}, {"strategy": "17"}, {"strategy": "My dips"}, {"strategy_id": 17}])
def test_ones_own_strategy_is_named_by_its_number_or_its_name(given):
    known = Defaults(instrument=1, own_strategies={17: "My dips", 18: "sma_cross"})
    rule = parse({"kind": "signal"} | given, SYMBOLS.get, known)
    assert (rule.ask.get("strategy"), rule.ask.get("strategy_id")) == ("My dips", 17)
    assert describe(rule, NAMES) == "BTC-USD any signal of My dips"
    assert parse(json.loads(json.dumps(wire(rule, NAMES))), SYMBOLS.get) == rule
    assert parse({"kind": "signal", "strategy": "sma_cross"}, SYMBOLS.get, known).ask.get("strategy_id") is None


def test_an_unknown_symbol_may_be_a_lookup_error():
    with pytest.raises(InvalidRule, match="symbol: There is no instrument"):
        parse(price(symbol="NOPE"), SYMBOLS.__getitem__)


def nested(depth, leaf):
    for _ in range(depth):
        leaf = {"all": [leaf]}
    return leaf


def test_a_tree_may_be_twenty_deep_and_no_deeper():
    assert parse(nested(19, price()), SYMBOLS.get)
    assert refused(nested(20, price())) == ("", "Nested more than 20 deep.")
    assert refused(nested(1_000, price())) == ("", "Nested more than 20 deep.")
    contrary = price()
    for _ in range(100_000):
        contrary = {"not": contrary}
    assert refused(contrary) == ("", "Nested more than 20 deep.")
    while contrary:  # taken apart by hand: Python would do it by recursion
        contrary = contrary.pop("not", None)


def test_a_tree_may_have_fifty_leaves_and_no_more():
    assert parse({"any": [price()] * 50}, SYMBOLS.get)
    too_many = ("", "More than 50 conditions in one.")
    assert refused({"any": [price()] * 51}) == too_many
    assert refused({"any": [{"all": [price()] * 26}] * 2}) == too_many
    assert refused({"any": [price()] * 100_000}) == too_many


def test_the_limits_are_the_callers():
    small = Defaults(depth_max=2, leaves_max=2)
    assert refused(nested(2, price()), small)[1] == "Nested more than 2 deep."
    assert refused({"all": [price()] * 3}, small)[1] == "More than 2 conditions in one."


def test_a_megabyte_of_a_name_is_told_in_short():
    for field in ("kind", "op", "symbol", "value"):
        assert len(refused(price(**{field: "x" * 1_000_000}))[1]) < 500
    path, message = refused(price(**{"y" * 1_000_000: 1}))
    assert len(path) + len(message) < 500


junk = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
    | st.sampled_from(["price", "above", "rsi", "1h", "BTC-USD", "crosses", "minutes", "occurs", "signal"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(
        st.sampled_from(["all", "any", "not", "kind", "op", "value", "clear", "symbol", "name", "interval", "x"]),
        inside, max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(junk)
def test_anything_is_read_or_refused(raw):
    try:
        rule = parse(raw, SYMBOLS.get, OWN)
    except InvalidRule:
        return
    assert parse(wire(rule, NAMES), SYMBOLS.get) == rule
    assert describe(rule, NAMES)


# --- Corporate actions ----------------------------------------------------------------------------------------


def test_a_split_rescales_what_is_in_prices_of_its_instrument_alone():
    raw = {
        "any": [
            price(value=800, clear=780),
            {"not": of("spread", unit="absolute", value=2)},
            of("indicator", name="sma(50)", interval="1d", value=600),
            of("indicator", name="rsi", interval="1d", value=70),
            of("spread", value=10),
            of("change_percent", base="open", value=5),
            price(symbol="ETH-USD", value=800),
            of("portfolio", figure="total_value", value=800),
        ]
    }
    before = parse(raw, SYMBOLS.get, OWN)
    after = rules.leaves(rescaled(before, 1, 4.0))
    assert [(leaf.value, leaf.clear) for leaf in after] == [
        (200, 195), (0.5, None), (150, None), (70, None), (10, None), (5, None), (800, None), (800, None)
    ]  # fmt: skip
    assert rescaled(rescaled(before, 1, 4.0), 1, 0.25) == before


@pytest.mark.parametrize("ratio", [0, -1, float("nan"), float("inf")])
def test_no_split_is_of_nothing(ratio):
    with pytest.raises(ValueError, match="a ratio of"):
        rescaled(parse(price(), SYMBOLS.get), 1, ratio)


@pytest.mark.parametrize("name", sorted(INDICATORS))
def test_the_indicators_in_prices_are_those_that_a_split_scales(name):
    rng = np.random.default_rng(5)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    high, low, volume = close * 1.02, close * 0.99, rng.uniform(1, 9, 200)
    times = np.arange(200, dtype=np.int64) * 60_000_000
    bars = [
        Candles(60_000_000, times, close * scale, high * scale, low * scale, close * scale, volume, times // 10**10)
        for scale in (1.0, 0.25)
    ]
    one, quarter = (asked(name).over(candles) for candles in bars)
    scaled = all(np.allclose(quarter[output], one[output] / 4, equal_nan=True) for output in one)
    assert scaled is (name in rules.IN_PRICE)
