"""What became of a signal, by hand-made bars: entered at 100, target 110, stop 95, unless a test says otherwise."""

import pytest

from ingestion.candles import INTERVALS, MINUTE_US, Bar
from signals.scoring import Called, Scored, score, wilson

AT_US = 1_000 * 3_600_000_000
BUY = Called(side=1, entry=100.0, target=110.0, stop=95.0, at_us=AT_US, expires_us=AT_US + 5 * MINUTE_US)
SELL = Called(side=-1, entry=100.0, target=90.0, stop=105.0, at_us=AT_US, expires_us=AT_US + 5 * MINUTE_US)
LATER_US = AT_US + 1_000 * MINUTE_US


def bars(*prices, interval="1m", start_us=AT_US, final=True):
    """(open, high, low, close) each, one after the other."""
    step_us = INTERVALS[interval]
    return [
        Bar(1, 1, start_us + i * step_us, *ohlc, 1.0, 1.0, 1, 0, 0, 0, 0, interval=interval, final=final)
        for i, ohlc in enumerate(prices)
    ]


def told(called, found, now_us=LATER_US, minutes=None):
    scored = score(called, found, now_us, minutes)
    return scored and (scored.result, scored.exit, scored.bars, scored.at_us - AT_US)


QUIET = (100, 101, 99, 100)


@pytest.mark.parametrize(
    ("called", "prices", "expected"),
    [
        (BUY, [QUIET, (100, 110, 99, 109)], ("target", 110, 2, 2 * MINUTE_US)),
        (BUY, [QUIET, (100, 101, 95, 96)], ("stop", 95, 2, 2 * MINUTE_US)),
        (SELL, [QUIET, (100, 101, 90, 91)], ("target", 90, 2, 2 * MINUTE_US)),
        (SELL, [QUIET, (100, 105, 99, 104)], ("stop", 105, 2, 2 * MINUTE_US)),
        # both in one bar: the stop
        (BUY, [(100, 112, 94, 100)], ("stop", 95, 1, MINUTE_US)),
        (SELL, [(100, 112, 88, 100)], ("stop", 105, 1, MINUTE_US)),
        # opened beyond the stop: at the open; beyond the target: no more than was promised
        (BUY, [(90, 120, 80, 100)], ("stop", 90, 1, MINUTE_US)),
        (SELL, [(111, 112, 80, 100)], ("stop", 111, 1, MINUTE_US)),
        (BUY, [(120, 121, 80, 100)], ("target", 110, 1, MINUTE_US)),
        # nothing touched by the expiry: the last close before it
        (BUY, [QUIET] * 4 + [(100, 101, 99, 100.5), (100, 120, 50, 60)], ("expired", 100.5, 5, 5 * MINUTE_US)),
        # market was closed for most of it
        (BUY, [(100, 101, 99, 101)], ("expired", 101, 1, MINUTE_US)),
    ],
)
def test_how_it_ended(called, prices, expected):
    assert told(called, bars(*prices)) == expected


def test_it_is_open_until_its_expiry_and_never_scored_by_what_has_not_closed():
    assert told(BUY, bars(*[QUIET] * 4), now_us=AT_US + 4 * MINUTE_US) is None
    assert told(BUY, bars((100, 120, 50, 100), final=False)) is None
    assert told(BUY, bars((100, 120, 50, 100), start_us=AT_US - MINUTE_US)) is None  # the signal's own bar
    assert told(BUY, []) is None


def test_a_level_that_there_is_not_is_never_touched():
    bare = Called(side=1, entry=100.0, target=None, stop=None, at_us=AT_US, expires_us=BUY.expires_us)
    scored = score(bare, bars((100, 200, 1, 150)), LATER_US)
    assert (scored.result, scored.risk_percent, scored.in_r(50.0)) == ("expired", None, None)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([QUIET, (100, 111, 99, 110), (110, 110, 90, 90)], ("target", 110, 1, 2 * MINUTE_US)),
        ([QUIET, (100, 101, 94, 95), (95, 120, 95, 120)], ("stop", 95, 1, 2 * MINUTE_US)),
        ([QUIET, (100, 111, 94, 100)], ("stop", 95, 1, 2 * MINUTE_US)),
        ([QUIET], ("stop", 95, 1, 60 * MINUTE_US)),  # some are missing
        ([], ("stop", 95, 1, 60 * MINUTE_US)),
    ],
)
def test_minutes_decide_what_came_first_in_a_longer_bar(minutes, expected):
    called = Called(side=1, entry=100.0, target=110.0, stop=95.0, at_us=AT_US, expires_us=AT_US + 3_600_000_000 * 3)
    hour = bars((100, 120, 90, 100), interval="1h")
    assert told(called, hour, minutes=lambda bar: bars(*minutes, start_us=bar.time_us)) == expected


def test_excursions_count_what_is_not_known_against_it():
    """Of the bar that ended it: a stop has no credit for that bar's high, a target the debit of that bar's low."""
    stopped = score(BUY, bars((100, 104, 98, 103), (103, 109, 94, 95)), LATER_US)
    assert (stopped.mfe_percent, stopped.mae_percent, stopped.undecided) == (pytest.approx(4), pytest.approx(-5), False)
    reached = score(BUY, bars((100, 104, 98, 103), (103, 115, 96, 112)), LATER_US)
    assert (reached.mfe_percent, reached.mae_percent) == (pytest.approx(10), pytest.approx(-4))
    assert (reached.return_percent, reached.in_r(reached.return_percent)) == (pytest.approx(10), pytest.approx(2))


def test_it_says_what_it_was_not_sure_of():
    both: Scored = score(BUY, bars((100, 112, 94, 100)), LATER_US)
    gap: Scored = score(BUY, bars((90, 91, 89, 90)), LATER_US)
    assert (both.undecided, both.gapped, gap.undecided, gap.gapped) == (True, False, False, True)
    assert gap.in_r(gap.return_percent) == pytest.approx(-2)


def test_wilsons_interval():
    # https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    assert wilson(7, 10) == pytest.approx((0.39677815, 0.89220872))
    assert wilson(0, 10) == pytest.approx((0, 0.27753280))
    assert wilson(0, 0) == (0, 1)
