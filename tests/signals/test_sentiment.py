"""How headlines sound: a fixed set of our own, whatever the lexicon becomes."""

import math

import pytest

from signals.sentiment import Lexicon, Score, believed, label_of

HEADLINES = {
    "positive": """
        Apple beats quarterly estimates as iPhone sales surge
        Nvidia shares soar to record high on AI demand
        Goldman upgrades Microsoft to buy, raises price target
        Retail sales not as bad as feared in October
        Safaricom profit jumps 14% on M-Pesa growth
        Bitcoin rallies past $100,000 as ETF inflows grow
        Biotech wins FDA approval for new cancer drug
        Company raises dividend and announces $10 billion buyback
        Intel swings to profit, lifts outlook
        Airline avoids bankruptcy with last-minute deal
        Court dismisses lawsuit against Tesla
        Better-than-expected jobs report lifts stocks
        Ether climbs to all-time high
        Retailer’s loss was smaller than feared; shares rebound
        """,
    "negative": """
        Apple misses revenue estimates, shares fall
        Morgan Stanley downgrades Ford to underweight
        Crypto lender files for bankruptcy
        Exchange hacked, $200 million stolen
        SEC sues Coinbase over unregistered securities
        Boeing cuts guidance after strike
        Bank warns of wider loss as defaults climb
        Bitcoin plunges 12% in sell-off
        Automaker recalls 500,000 vehicles
        Tech giant to cut 10,000 jobs in latest layoffs
        Results fall short of expectations
        Stock tumbles to 52-week low on fraud probe
        Company will not pay dividend
        Fund accused of Ponzi scheme
        Weaker-than-expected sales weigh on retailer
        Oil slumps as recession fears mount
        """,
    "neutral": """
        Apple to report earnings on Thursday
        Fed leaves interest rates unchanged
        Alphabet names new chief financial officer
        Trust bank issues shares in crude oil fund
        Euro trades at 1.08 against the dollar
        Gross domestic product data due Friday
        Company schedules annual general meeting
        What to watch in markets this week
        Berkshire Hathaway files quarterly report
        Crypto exchange lists new token
        """,
}
CASES = [(label, line.strip()) for label, lines in HEADLINES.items() for line in lines.strip().splitlines()]


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon()


@pytest.mark.parametrize(("label", "headline"), CASES)
def test_a_headline_sounds_as_it_does(lexicon, label, headline):
    assert lexicon.score(headline, "").label == label


def test_the_summary_counts_for_less(lexicon):
    bad, good = "Company files for bankruptcy", "Profit surges to a record high."
    alone, with_summary = lexicon.score(bad, ""), lexicon.score(bad, good)
    assert alone.score < with_summary.score < 0


@pytest.mark.parametrize("text", ["", " ", "1,234", "🚀", "x" * 100_000, "\ud800", "not " * 5_000])
def test_anything_has_a_score(lexicon, text):
    said = lexicon.score(text, text)
    assert -1 <= said.score <= 1
    assert said.label == label_of(said.score)


@pytest.mark.parametrize("score", [math.nan, math.inf, 1.5, -2, None, "good"])
def test_a_score_that_is_none_is_not_believed(score):
    assert believed(Score(score, "positive")) is None


def test_the_label_follows_the_score():
    assert believed(Score(1, "negative")) == Score(1.0, "positive")
