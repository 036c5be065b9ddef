"""A venue is asked within its budget, its refusals are heeded, and nobody learns our key."""

import gzip
import logging
import time

import pytest

from ingestion import budget, http
from ingestion.http import Call, OverBudget, Refused, Unreachable
from tests.venues.polled import PAGE, AlphaVantage, Anything, FinnhubQuotes, quote

KEY = "SECRETKEY42"

pytestmark = [pytest.mark.usefixtures("own_prefix", "_closed"), pytest.mark.django_db]


@pytest.fixture
def _closed():
    """Each test with connections and memories of failing hosts of its own."""
    yield
    http.close()


@pytest.fixture
def venue(settings):
    """Answers `{}`; stands for Binance and Kraken."""
    settings.REST_RETRY_S = 0.01
    settings.REST_BAN_MIN_S = 0.2
    with Anything() as venue:
        settings.BINANCE_REST_URL = settings.KRAKEN_REST_URL = settings.YAHOO_URL = venue.url
        yield venue


@pytest.fixture
def finnhub(settings):
    settings.FINNHUB_API_KEY = KEY
    settings.REST_RETRY_S = 0.01
    with FinnhubQuotes(KEY, {"AAPL": {"c": 1.0}}) as venue:
        settings.FINNHUB_REST_URL = venue.url
        yield venue


@pytest.fixture
def alpha_vantage(settings):
    settings.ALPHAVANTAGE_API_KEY = KEY
    settings.ALPHAVANTAGE_REQUEST_SPACING_S = 0.0
    with AlphaVantage(KEY, {"AAPL": quote("189.98", "2026-03-04")}) as venue:
        settings.ALPHAVANTAGE_URL = venue.url
        yield venue


PING = Call("binance", "/api/v3/ping")
QUOTE = Call("alphavantage", "/query", {"function": "GLOBAL_QUOTE", "symbol": "AAPL"})


def test_an_answer_comes_back_as_it_is(venue):
    venue.say_next(200, b'[1, "\xc3\xa9"]')
    call = Call(
        "binance", "/api/v3/klines", {"symbol": "这是测试币456", "interval": "1m"}, {"X-MBX-TIME-UNIT": "MICROSECOND"}
    )
    assert http.get(call) == b'[1, "\xc3\xa9"]'
    path, arguments, headers = venue.calls[0]
    assert (path, arguments) == ("/api/v3/klines", {"symbol": "这是测试币456", "interval": "1m"})
    assert headers["x-mbx-time-unit"] == "MICROSECOND"


def test_a_compressed_answer_is_unpacked(venue):
    venue.say_next(200, gzip.compress(b"x" * 100_000), {"Content-Encoding": "gzip"})
    assert http.get(PING) == b"x" * 100_000


@pytest.mark.parametrize("failure", ["cut", "500", "page"])
def test_a_failure_in_passing_is_tried_again(venue, failure):
    if failure == "cut":
        venue.cut_next(2)
    elif failure == "500":
        venue.say_next(503, "busy", times=2)
    else:
        venue.say_next(200, PAGE, {"Content-Type": "text/html"}, times=2)
    assert http.get(PING) == b"{}"
    assert len(venue.calls) == 3


def test_one_that_lasts_is_said_to_be_unreachable(venue):
    venue.say_next(500, "no", times=3)
    with pytest.raises(Unreachable, match="HTTP 500"):
        http.get(PING)


def test_a_final_no_is_not_asked_again(venue):
    venue.say_next(400, {"code": -1121, "msg": "Invalid symbol."})
    with pytest.raises(Refused, match="Invalid symbol") as caught:
        http.get(PING)
    assert caught.value.status == 400
    assert len(venue.calls) == 1


def test_a_redirect_is_not_followed(venue):
    venue.say_next(302, "", {"Location": "https://elsewhere.example/"})
    with pytest.raises(Refused):
        http.get(PING)


def test_an_answer_without_end_is_cut_off(venue, settings):
    settings.REST_ANSWER_TIMEOUT_S = 0.1
    settings.REST_TRIES = 1
    venue.drip_next()
    with pytest.raises(Unreachable, match="not complete"):
        http.get(PING)


def test_an_answer_too_large_is_cut_off(venue, settings):
    settings.REST_ANSWER_MAX_BYTES = 1000
    settings.REST_TRIES = 1
    venue.say_next(200, b"x" * 1001)
    with pytest.raises(Unreachable, match="1000 bytes"):
        http.get(PING)


def test_a_host_that_keeps_failing_is_left_alone_for_a_while(venue, settings):
    settings.REST_TRIES = 1
    settings.REST_CIRCUIT_FAILURES = 2
    settings.REST_CIRCUIT_OPEN_S = 0.2
    venue.say_next(500, "no", times=2)
    for _ in range(2):
        with pytest.raises(Unreachable, match="HTTP 500"):
            http.get(PING)
    with pytest.raises(Unreachable, match="too often"):
        http.get(PING)
    assert len(venue.calls) == 2
    time.sleep(0.25)  # the pause itself is what is tested
    assert http.get(PING) == b"{}"


# --- Pauses that a venue asks for -----------------------------------------------------------------------------


def test_a_short_pause_is_kept_and_the_call_made_again(venue):
    venue.say_next(429, "", {"Retry-After": "1"})
    began = time.monotonic()
    assert http.get(PING, deadline_s=5) == b"{}"
    assert time.monotonic() - began >= 1


def test_a_longer_one_than_the_caller_has_time_for_is_said(venue):
    venue.say_next(418, {"code": -1003, "msg": "Way too much request weight used; IP banned."}, {"Retry-After": "120"})
    with pytest.raises(OverBudget) as caught:
        http.get(PING, deadline_s=1)
    assert 115 < caught.value.retry_at_s - time.time() <= 120
    with pytest.raises(OverBudget):
        http.get(PING, deadline_s=1)
    assert len(venue.calls) == 1  # a banned address asks nothing


def test_binance_may_name_the_instant(venue):
    until_ms = int(time.time() * 1000) + 60_000
    venue.say_next(418, {"code": -1003, "msg": f"IP banned until {until_ms}. Please use the websocket"})
    with pytest.raises(OverBudget) as caught:
        http.get(PING, deadline_s=0)
    assert abs(caught.value.retry_at_s * 1000 - until_ms) < 1500


def test_without_a_word_on_how_long_pauses_grow(venue):
    waits = []
    for _ in range(3):
        venue.say_next(429, "slow down")
        with pytest.raises(OverBudget) as caught:
            http.get(PING, deadline_s=0)
        waits.append(caught.value.retry_at_s - time.time())
        budget.client().delete(budget.key("budget", "binance", "ban"))
    assert [round(wait, 1) for wait in waits] == [0.2, 0.4, 0.8]


# --- Refusals with HTTP 200 -----------------------------------------------------------------------------------


def test_kraken_refuses_with_http_200(venue):
    venue.say_next(200, {"error": ["EQuery:Unknown asset pair"]})
    with pytest.raises(Refused, match="Unknown asset pair"):
        http.get(Call("kraken", "/0/public/OHLC", {"pair": "NOPE"}))


def test_krakens_rate_limit_is_a_pause_and_its_lockout_a_long_one(venue, settings):
    settings.KRAKEN_REQUEST_SPACING_S = 0.0
    venue.say_next(200, {"error": ["EAPI:Rate limit exceeded"]})
    with pytest.raises(OverBudget):
        http.get(Call("kraken", "/0/public/OHLC"), deadline_s=0)
    budget.client().delete(budget.key("budget", "kraken", "ban"))
    venue.say_next(200, {"error": ["EGeneral:Temporary lockout"]})
    with pytest.raises(OverBudget) as caught:
        http.get(Call("kraken", "/0/public/OHLC"), deadline_s=0)
    assert caught.value.retry_at_s - time.time() > 800


def test_a_busy_kraken_is_tried_again(venue, settings):
    settings.KRAKEN_REQUEST_SPACING_S = 0.0
    venue.say_next(200, {"error": ["EService:Busy"]})
    assert http.get(Call("kraken", "/0/public/OHLC")) == b"{}"


def test_yahoos_words_in_place_of_data_are_a_pause(venue):
    venue.say_next(200, "Too Many Requests\r\n")
    with pytest.raises(OverBudget):
        http.get(Call("yahoo", "/v8/finance/chart/MSFT"), deadline_s=0)


def test_alpha_vantages_error_is_final(alpha_vantage):
    with pytest.raises(Refused, match="Invalid API call"):
        http.get(Call("alphavantage", "/query", {"function": "NOPE"}))


@pytest.mark.parametrize("datatype", ["json", "csv"])
def test_alpha_vantages_minute_is_a_pause_in_json_even_for_csv(alpha_vantage, settings, datatype):
    settings.ALPHAVANTAGE_REQUESTS_PER_MINUTE = 100  # somebody else uses our key too
    call = Call("alphavantage", "/query", {**QUOTE.params, "datatype": datatype})
    for _ in range(5):
        assert b"189.98" in http.get(call)
    with pytest.raises(OverBudget):
        http.get(call, deadline_s=0)


def test_alpha_vantages_day_ends_the_day(alpha_vantage):
    alpha_vantage.PER_DAY = 0
    with pytest.raises(OverBudget) as caught:
        http.get(QUOTE, deadline_s=0)
    assert caught.value.retry_at_s > time.time()
    with pytest.raises(OverBudget, match="day"):
        http.get(QUOTE, deadline_s=0)
    assert len(alpha_vantage.calls) == 1


def test_data_that_speaks_of_information_is_data(alpha_vantage):
    series = {"Meta Data": {"1. Information": "Daily Prices"}, "Time Series (Daily)": {}}
    alpha_vantage.say_next(200, series)
    assert b"Time Series" in http.get(QUOTE)


# --- Keys -----------------------------------------------------------------------------------------------------


def test_finnhubs_key_goes_in_a_header_and_not_in_the_url(finnhub):
    http.get(Call("finnhub", "/quote", {"symbol": "AAPL"}))
    _, arguments, headers = finnhub.calls[0]
    assert arguments == {"symbol": "AAPL"}
    assert headers["x-finnhub-token"] == KEY


@pytest.mark.parametrize("failure", ["unreachable", "refused", "over budget", "cut"])
def test_the_key_is_in_no_log_and_in_no_exception(alpha_vantage, settings, caplog, failure):
    caplog.set_level(logging.DEBUG)
    settings.REST_RETRY_S = 0.0
    settings.REST_TRIES = 2
    if failure == "unreachable":
        settings.ALPHAVANTAGE_URL = "http://127.0.0.1:9"  # nothing listens there
    elif failure == "refused":
        alpha_vantage.say_next(200, {"Error Message": f"your key {KEY} may not"})
    elif failure == "over budget":
        alpha_vantage.PER_DAY = 0
    else:
        alpha_vantage.cut_next(2)
    with pytest.raises((Unreachable, Refused, OverBudget)) as caught:
        http.get(QUOTE, deadline_s=0.5)
    shown = [str(caught.value), repr(caught.value), repr(vars(caught.value)), str(caught.getrepr(style="short"))]
    cause = caught.value
    while (cause := cause.__cause__ or cause.__context__) is not None:
        shown.append(repr(cause))
    assert KEY not in "".join(shown)
    assert KEY not in caplog.text
    if failure in ("refused", "over budget"):
        assert "apikey=***" in caplog.text  # urllib3 did log the URL


def test_without_a_key_none_is_sent(finnhub, settings):
    settings.FINNHUB_API_KEY = ""
    with pytest.raises(Refused) as caught:
        http.get(Call("finnhub", "/quote", {"symbol": "AAPL"}))
    assert caught.value.status == 401
