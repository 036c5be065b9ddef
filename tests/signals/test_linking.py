"""Which instruments a text is about, how sure that is, and what only looks like one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.linking import IN_SUMMARY, WORTH, Index, Known

AAPL, GOOGL, ALL, IT, BRK, BTC_USD, BTC_USDT, ETH, EURUSD, SCOM, EQTY, F, NEAR, KCB = range(1, 15)
KNOWN = [
    Known(AAPL, "AAPL", "APPLE INC", "equity", "NASDAQ"),
    Known(GOOGL, "GOOGL", "Alphabet A", "equity", "NASDAQ", ("Google",)),
    Known(ALL, "ALL", "Allstate Corp", "equity", "NYSE"),
    Known(IT, "IT", "Gartner Inc", "equity", "NYSE"),
    Known(BRK, "BRK.B", "Berkshire Hathaway B", "equity", "NYSE"),
    Known(BTC_USD, "BTC-USD", "Bitcoin / US dollar", "crypto"),
    Known(BTC_USDT, "BTC-USDT", "Bitcoin / Tether", "crypto"),
    Known(ETH, "ETH-USDT", "Ether / Tether", "crypto"),
    Known(EURUSD, "EURUSD=X", "Euro / US dollar", "fx"),
    Known(SCOM, "SCOM", "Safaricom", "equity", "NSE"),
    Known(EQTY, "EQTY", "Equity Group", "equity", "NSE"),
    Known(F, "F", "Ford Motor Co", "equity", "NYSE"),
    Known(NEAR, "NEAR-USDT", "NEAR-USDT", "crypto"),
    Known(KCB, "KCB", "KCB Group", "equity", "NSE"),
]


@pytest.fixture(scope="module")
def index():
    return Index(KNOWN, {"XBT": "BTC"})


def about(index, headline, summary="", **how):
    return {link.instrument for link in index.links(headline, summary, **how)}


@pytest.mark.parametrize(
    ("headline", "instruments"),
    [
        # by name
        ("Apple shares fall after earnings", {AAPL}),
        ("Apple Inc. opens a store", {AAPL}),
        ("Google wins antitrust case", {GOOGL}),
        ("Alphabet's revenue beats estimates", {GOOGL}),
        ("Berkshire Hathaway buys a railway", {BRK}),
        ("Safaricom's M-Pesa grows", {SCOM}),
        ("Equity Group opens in Kinshasa", {EQTY}),
        ("KCB to pay a dividend", {KCB}),
        ("bitcoin is back above water", {BTC_USD, BTC_USDT}),
        ("Ethereum upgrade goes live; ether up", {ETH}),
        # by symbol
        ("$ALL and $IT are up, $F is not", {ALL, IT, F}),
        ("Gartner (NYSE: IT) names a chairman", {IT}),
        ("Why AAPL broke out", {AAPL}),
        ("A bet on EQTY pays", {EQTY}),
        ("BTC, ETH slide", {BTC_USD, BTC_USDT, ETH}),
        ("XBT futures expire", {BTC_USD, BTC_USDT}),
        ("EUR/USD holds near 1.08", {EURUSD}),
        ("EURUSD forecast", {EURUSD}),
        # words
        ("Apple orchards see a record harvest and profit", set()),
        ("An apple a day keeps investors away", set()),
        ("Apple pie recipes for autumn", set()),
        ("ALL eyes on the Fed as IT spending slows", set()),
        ("Alphabet soup: what the agencies do", set()),
        ("Growth near the coast", set()),
        ("Private equity group buys vineyards", set()),
        ("It costs $500 and up", set()),
        ("THE EQTY OF ALL", set()),
        ("CEO of the SEC meets the FED", set()),
        ("Applesauce and bitcoins", set()),
        ("", set()),
    ],
)
def test_what_a_headline_is_about(index, headline, instruments):
    assert about(index, headline) == instruments


def test_a_pair_named_whole_is_that_pair_first(index):
    links = index.links("BTC/USDT trading halted")
    assert links[0].instrument == BTC_USDT
    assert links[0].confidence > next(link.confidence for link in links if link.instrument == BTC_USD)


def test_a_venue_s_name_with_its_exchange(index):
    assert about(index, "Volumes at BINANCE:BTCUSDT fall") == {BTC_USDT}


def test_the_same_symbol_on_another_exchange_is_another_company(index):
    assert about(index, "Telecom (NSE: SCOM) reports") == {SCOM}
    assert about(index, "Telecom (NASDAQ: SCOM) reports") == set()


def test_words_of_coins_need_a_place_of_coins(index):
    assert about(index, "Near jumps 12% on new token plan") == {NEAR}
    assert about(index, "NEAR jumps 12%", is_crypto=True) == {NEAR}
    assert about(index, "NEAR jumps 12%") == set()
    assert about(index, "$NEAR jumps 12%") == {NEAR}


def test_how_sure_it_is(index):
    sure = {link.instrument: link for link in index.links("$AAPL rises", "Google and Ford Motor fell.")}
    assert (sure[AAPL].how, sure[AAPL].confidence) == ("cashtag", WORTH["cashtag"])
    assert (sure[GOOGL].how, sure[GOOGL].confidence) == ("name", pytest.approx(WORTH["name"] * IN_SUMMARY))
    assert sure[F].confidence < sure[AAPL].confidence
    assert sure[AAPL].confidence > index.links("Apple shares rise")[0].confidence


def test_what_the_provider_says_counts(index):
    links = index.links("Quarterly results are in", related=[SCOM])
    assert [(link.instrument, link.how, link.confidence) for link in links] == [(SCOM, "related", 0.9)]


def test_a_list_of_many_tells_less_of_each(index):
    few = index.links("$AAPL rises")[0].confidence
    many = index.links("$AAPL $ALL $IT $F $SCOM $EQTY $KCB $GOOGL rise")
    assert len(many) == 8
    assert many[0].confidence == pytest.approx(few * 5 / 8, abs=1e-3)


def test_no_more_links_than_may_be():
    crowd = Index([Known(i, f"Q{chr(65 + i // 26)}{chr(65 + i % 26)}X", f"Qx{i}", "equity") for i in range(200)])
    text = " ".join(f"$Q{chr(65 + i // 26)}{chr(65 + i % 26)}X" for i in range(200))
    assert len(crowd.links(text)) == 20


def test_an_index_of_nothing_links_nothing():
    assert Index([]).links("Apple, $AAPL and BTC") == []


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_breaks_it(headline, summary):
    links = Index(KNOWN).links(headline, summary)
    assert all(0 < link.confidence <= 1 for link in links)
    assert len({link.instrument for link in links}) == len(links)
