"""What the polled sources say, read into values: recorded answers, and the ways in which they are wrong."""

import contextlib
import datetime as dt
import itertools
import json
from decimal import Decimal
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.rest import alphavantage, ecb, finnhub_quote, tickers, yahoo
from ingestion.rest.quoted import Unreadable
from tests.ingestion.recordings import recording

NOW_US = 1_769_596_201_000_000


def us(text):
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp()) * 1_000_000


class TestAlphaVantage:
    def test_a_quote_has_a_day_and_no_time(self):
        body = recording("alpha_vantage/global_quote").read_bytes()
        quoted = alphavantage.read_quote(body, "MSFT", NOW_US)
        assert (quoted.price, quoted.day, quoted.time_us) == (112.13, "2018-10-05", None)
        assert (quoted.previous_close, quoted.volume) == (112.79, 29_062_853)

    def test_an_unknown_symbol_has_an_empty_quote(self):
        assert alphavantage.read_quote(b'{"Global Quote": {}}', "NOPE", NOW_US) is None

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"{}", b'{"Global Quote": {"05. price": "None"}}', b'{"Global Quote": {"05. price": "1.0"}}'],
    )
    def test_anything_else_is_refused(self, body):
        with pytest.raises(Unreadable):
            alphavantage.read_quote(body, "MSFT", NOW_US)

    def test_a_series_is_stamped_by_new_yorks_clock(self):
        bars = alphavantage.read_series(recording("alpha_vantage/mock_time_series").read_bytes(), "MSFT", NOW_US)
        assert len(bars) == 100
        assert bars[-1].time_us == us("2017-12-18T19:56:00")  # 14:56 in New York
        assert (bars[-1].open, bars[-1].high, bars[-1].low, bars[-1].close) == (86.49, 86.5, 86.475, 86.5)
        assert [bar.time_us for bar in bars] == sorted(bar.time_us for bar in bars)

    def test_the_hour_that_comes_twice_is_told_apart_by_the_order(self):
        stamps = ["2018-11-04 00:45:00", "2018-11-04 01:15:00", "2018-11-04 01:45:00", "2018-11-04 01:15:00",
                  "2018-11-04 01:45:00", "2018-11-04 02:15:00"]  # fmt: skip
        found = alphavantage.instants(stamps, "US/Eastern")
        assert [b - a for a, b in itertools.pairwise(found)] == [30 * 60_000_000] * 5

    def test_a_whole_series_over_the_night_of_the_change_is_gapless(self):
        clocks = [dt.datetime(2018, 11, 4, 4, tzinfo=dt.UTC) + dt.timedelta(minutes=15 * i) for i in range(20)]
        stamps = [clock.astimezone(ZoneInfo("America/New_York")).strftime("%Y-%m-%d %H:%M:%S") for clock in clocks]
        rows = ", ".join(
            f'"{s}": {{"1. open": "1", "2. high": "1", "3. low": "1", "4. close": "1", "5. volume": "1"}}'
            for s in reversed(stamps)
        )
        meta = '{"4. Interval": "15min", "6. Time Zone": "US/Eastern"}'
        body = f'{{"Meta Data": {meta}, "Time Series (15min)": {{{rows}}}}}'.encode()
        bars = alphavantage.read_series(body, "X", NOW_US)
        assert [bar.time_us for bar in bars] == [int(clock.timestamp()) * 1_000_000 for clock in clocks]

    def test_a_time_that_no_clock_showed_is_none(self):
        assert alphavantage.instants(["2018-03-11 02:30:00"], "US/Eastern") == [None]

    def test_an_unknown_zone_is_refused(self):
        with pytest.raises(Unreadable):
            alphavantage.instants(["2018-03-11 02:30:00"], "Mars/Olympus")


class TestFinnhub:
    def test_a_quote(self):
        body = b'{"c":261.74,"d":-0.1,"dp":-0.04,"h":263.31,"l":260.68,"o":261.07,"pc":259.45,"t":1582641000}'
        quoted = finnhub_quote.read_quote(body, "AAPL", NOW_US)
        assert (quoted.price, quoted.time_us, quoted.previous_close) == (261.74, 1_582_641_000_000_000, 259.45)

    def test_zeros_are_an_unknown_symbol(self):
        body = b'{"c":0,"d":null,"dp":null,"h":0,"l":0,"o":0,"pc":0,"t":0}'
        assert finnhub_quote.read_quote(body, "NOPE", NOW_US) is None

    @pytest.mark.parametrize("body", [b"{}", b'{"c":-1,"t":5}', b'{"c":1.0,"t":0}', b'{"c":"1","t":5}'])
    def test_anything_else_is_refused(self, body):
        with pytest.raises(Unreadable):
            finnhub_quote.read_quote(body, "AAPL", NOW_US)


def chart(rows, **meta):
    """Rows of (time in s, open, high, low, close, volume)."""
    meta = {"currency": "USD", "regularMarketPrice": 1.0, "regularMarketTime": 1, "exchangeTimezoneName": "UTC"} | meta
    names = ("open", "high", "low", "close", "volume")
    columns = {name: [row[i + 1] for row in rows] for i, name in enumerate(names)}
    result = {"meta": meta, "timestamp": [row[0] for row in rows], "indicators": {"quote": [columns]}}
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


class TestYahoo:
    def test_a_recorded_chart(self):
        body = recording("yahoo_chart/response_yahoo_historical01.txt").read_bytes()
        quoted = yahoo.read_quote(body, "MUV2.DE", NOW_US)
        assert (quoted.price, quoted.time_us, quoted.currency) == (210.0, 1_602_862_507_000_000, "EUR")
        assert quoted.previous_close is None  # the chart begins long before yesterday

    def test_rows_with_a_null_are_left_out_and_the_others_kept(self):
        body = recording("yahoo_chart/response_yahoo_historical01.txt").read_bytes()
        assert yahoo.read_daily(body, "MUV2.DE", NOW_US)[0] == []  # it has closes alone: no bar is made up of them
        whole = json.loads(body)
        raw = whole["chart"]["result"][0]
        closes = raw["indicators"]["quote"][0]["close"]
        columns = dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": [1] * len(closes)}
        raw["indicators"]["quote"] = [columns]
        bars, currency, minor_units = yahoo.read_daily(json.dumps(whole).encode(), "MUV2.DE", NOW_US)
        assert [bar.close for bar in bars] == [close for close in closes if close is not None]
        assert len(bars) == len(closes) - 1
        assert (currency, minor_units) == ("EUR", 1)
        # 2017-11-27 08:00 UTC is nine in Berlin: the bar is that day's.
        assert bars[0].time_us == us("2017-11-27T00:00:00")

    def test_the_row_of_a_day_in_progress_is_left_out_however_it_is_stamped(self):
        yesterday, opening, last_trade = 1_769_520_600, 1_769_607_000, 1_769_612_345
        period = {"regular": {"start": opening, "end": opening + 23_400}}
        for stamp in (opening, last_trade):
            body = chart(
                [(yesterday, 1, 2, 1, 2, 5), (stamp, 2, 3, 2, 3, 5)],
                currentTradingPeriod=period,
                exchangeTimezoneName="America/New_York",
            )
            during, _, _ = yahoo.read_daily(body, "X", last_trade * 1_000_000)
            after, _, _ = yahoo.read_daily(body, "X", (opening + 23_400) * 1_000_000)
            assert [bar.time_us for bar in during] == [us("2026-01-27T00:00:00")]
            assert [bar.time_us for bar in after] == [us("2026-01-27T00:00:00"), us("2026-01-28T00:00:00")]

    @pytest.mark.parametrize(
        ("given", "currency", "price"), [("GBp", "GBP", 72.5), ("ZAc", "ZAR", 72.5), ("ILA", "ILS", 72.5)]
    )
    def test_minor_units_are_kept_with_their_factor(self, given, currency, price):
        quoted = yahoo.read_quote(chart([], currency=given, regularMarketPrice=7250.0), "VOD.L", NOW_US)
        assert (quoted.price, quoted.currency, quoted.minor_units) == (7250.0, currency, 100)
        assert quoted.in_units(quoted.minor_units).price == price

    def test_a_bar_that_contradicts_itself_is_left_out(self):
        assert yahoo.read_daily(chart([(1, 5, 4, 3, 3.5, 1)]), "X", NOW_US)[0] == []

    def test_an_unknown_symbol_is_none(self):
        error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
        body = json.dumps({"chart": {"result": None, "error": error}}).encode()
        assert yahoo.read_quote(body, "NOPE", NOW_US) is None

    def test_symbols_go_into_the_path_whole(self):
        assert yahoo.quote_call("^GSPC").path == "/v8/finance/chart/%5EGSPC"
        assert yahoo.quote_call("EURUSD=X").path == "/v8/finance/chart/EURUSD%3DX"


class TestRates:
    def test_the_banks_csv(self):
        text = recording("ecb/frankfurter_ecb_recent.vcr.yml").read_text()
        body = "\n".join(line.strip() for line in text.split("string: |")[1].splitlines() if "," in line).encode()
        rates = ecb.read_ecb(body)
        of_dollar = {rate.date: rate.rate for rate in rates if rate.quote == "AUD"}
        assert of_dollar[dt.date(2026, 2, 17)] == Decimal("1.6776")
        assert ecb.gaps(of_dollar, dt.date(2026, 2, 17), dt.date(2026, 3, 18)) == []

    def test_frankfurters_json_is_read_exactly(self):
        body = b"""[{"date":"2024-01-15","base":"EUR","quote":"EUR","rate":1.0},
                    {"date":"2024-01-15","base":"EUR","quote":"IDR","rate":17013.10}]"""
        assert ecb.read_frankfurter(body) == [ecb.Rate("EUR", "IDR", dt.date(2024, 1, 15), Decimal("17013.10"))]

    @pytest.mark.parametrize("hole", ["", "N/A", "NaN"])
    def test_a_hole_is_no_rate(self, hole):
        body = f"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,ISK,2010-01-04,{hole}\nD,USD,2010-01-04,1.4389\n".encode()
        assert [rate.quote for rate in ecb.read_ecb(body)] == ["USD"]

    @pytest.mark.parametrize("body", [b"<html>", b"A,B\n1,2\n", b"CURRENCY,TIME_PERIOD,OBS_VALUE\nUSD,2010-13-04,1\n"])
    def test_what_is_no_table_of_rates_is_refused(self, body):
        if body == b"<html>":
            assert ecb.read_ecb(body) == []  # a header alone; `http.py` refuses pages before
            return
        with pytest.raises(Unreadable):
            ecb.read_ecb(body)

    def test_an_empty_answer_is_no_holiday(self):
        first, last = dt.date(2026, 1, 5), dt.date(2026, 1, 30)
        assert ecb.gaps([], first, last) == [(first, last)]

    def test_easter_is(self):
        days = [dt.date(2026, 4, 2), dt.date(2026, 4, 7)]
        assert ecb.gaps(days, days[0], days[1]) == []

    def test_years_are_asked_for_in_pieces(self):
        pieces = ecb.pages(dt.date(1999, 1, 4), dt.date(2026, 3, 18))
        assert pieces[0][0] == dt.date(1999, 1, 4)
        assert pieces[-1][1] == dt.date(2026, 3, 18)
        assert all((last - first).days < 5 * 365 for first, last in pieces)
        assert all(b[0] - a[1] == dt.timedelta(days=1) for a, b in itertools.pairwise(pieces))


class TestTickers:
    def test_binance(self):
        body = (
            b'{"symbol":"BNBBTC","lastPrice":"4.00000200","bidPrice":"4.00000000","askPrice":"4.00000300",'
            b'"openPrice":"99.00000000","highPrice":"100.00000000","lowPrice":"0.10000000","volume":"8913.3",'
            b'"openTime":1499783499040,"closeTime":1499869899040}'
        )
        quoted = tickers.read_binance(body, "BNBBTC", NOW_US)
        assert (quoted.price, quoted.bid, quoted.time_us) == (4.000002, 4.0, 1_499_869_899_040_000)

    def test_kraken_recorded(self):
        body = recording("nautilus/kraken/http_ticker.json").read_bytes()
        quoted = tickers.read_kraken(body, "XBTUSD", NOW_US)
        assert quoted.low <= quoted.price <= quoted.high
        assert quoted.bid <= quoted.ask
        assert quoted.time_us is None

    def test_coinbase(self):
        body = (
            b'{"trades":[{"trade_id":"1","product_id":"BTC-USD","price":"68000.01","size":"0.1",'
            b'"time":"2026-08-09T21:05:48.854840Z","side":"BUY"}],"best_bid":"68000.00","best_ask":"68000.02"}'
        )
        quoted = tickers.read_coinbase(body, "BTC-USD", NOW_US)
        assert (quoted.price, quoted.bid, quoted.ask) == (68000.01, 68000.0, 68000.02)
        assert quoted.time_us == us("2026-08-09T21:05:48") + 854_840

    @pytest.mark.parametrize("read", [tickers.read_binance, tickers.read_coinbase, tickers.read_kraken])
    @hypothesis.settings(deadline=None)
    @given(body=st.binary(max_size=200) | st.sampled_from([b"{}", b'{"result":{}}', b'{"trades":[]}', b"null"]))
    def test_anything_else_is_refused(self, read, body):
        with pytest.raises(Unreadable):
            read(body, "X", NOW_US)


READERS = [
    lambda body: alphavantage.read_quote(body, "X", NOW_US),
    lambda body: alphavantage.read_series(body, "X", NOW_US),
    lambda body: finnhub_quote.read_quote(body, "X", NOW_US),
    lambda body: yahoo.read_quote(body, "X", NOW_US),
    lambda body: yahoo.read_daily(body, "X", NOW_US),
    ecb.read_frankfurter,
    ecb.read_ecb,
]


@pytest.mark.parametrize("read", READERS)
@hypothesis.settings(deadline=None)
@given(st.data())
def test_a_mutilated_answer_is_read_or_refused_but_never_crashes(read, data):
    good = data.draw(
        st.sampled_from(
            [
                chart([(1, 1, 2, 1, 2, 5)]),
                b'{"Global Quote": {"05. price": "1.0", "07. latest trading day": "2018-10-05"}}',
                b'{"c":261.74,"h":263.31,"l":260.68,"o":261.07,"pc":259.45,"t":1582641000}',
                b"FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE\nD,USD,2010-01-04,1.4\n",
                b'{"Meta Data": {"4. Interval": "5min", "6. Time Zone": "UTC"}, "Time Series (5min)": '
                b'{"2018-10-05 10:00:00": {"1. open": "1", "2. high": "1", "3. low": "1", "4. close": "1"}}}',
            ]
        )
    )
    at = data.draw(st.integers(0, len(good) - 1))
    until = data.draw(st.integers(at, min(len(good), at + 8)))
    body = good[:at] + data.draw(st.binary(max_size=6)) + good[until:]
    with contextlib.suppress(Unreadable):
        read(body)
