"""What is polled: Alpha Vantage, Finnhub's quotes, Yahoo's charts and the ECB's rates, on loopback over HTTP.

    with AlphaVantage(KEY, {"AAPL": quote("189.98", "2026-03-04")}) as venue:
        … ask venue.url …
        assert not venue.violations        # of the venue's limits, by the client

Each answers and refuses as its venue does, with the venue's own words. `venue.now` may be set to a clock of the test's.
They share no code with what is tested against them.
"""

import csv
import datetime as dt
import io
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

# status, body (bytes or text as they are, else as JSON), headers
Answer = tuple[int, Any, dict[str, str]]
PAGE = "<!DOCTYPE html><html><head><title>One moment</title></head><body>Checking your browser</body></html>"


class Polled:
    """A venue that only answers. `calls`: what was asked, as (path, arguments, headers with lower-case names)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.violations: list[str] = []
        self.now: Callable[[], float] = time.time
        self._next: deque[Answer | str] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.venue = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def say_next(self, status: int, body: Any, headers: Mapping[str, str] | None = None, times: int = 1) -> None:
        """The next answers, whatever is asked."""
        self._next.extend([(status, body, dict(headers or {}))] * times)

    def cut_next(self, times: int = 1) -> None:
        """The next calls get no answer: the connection is closed."""
        self._next.extend(["cut"] * times)

    def drip_next(self) -> None:
        """The next answer comes a byte at a time, for ever."""
        self._next.append("drip")

    def answer_to(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer | str:
        with self._lock:
            self.calls.append((path, arguments, headers))
            if self._next:
                return self._next.popleft()
            return self.answer(path, arguments, headers)

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        raise NotImplementedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    venue: Polled

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hung up is no news


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        arguments = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        said = self.server.venue.answer_to(url.path, arguments, headers)
        if said == "cut":
            self.close_connection = True
        elif said == "drip":
            self._drip()
        else:
            self._say(*said)

    def _say(self, status: int, body: Any, headers: dict[str, str]) -> None:
        payload = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            for _ in range(1_000_000):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass  # the client has had enough

    def log_message(self, *message: object) -> None:
        pass


class Anything(Polled):
    """A venue that answers `{}` to all; for what has nothing to do with any one venue."""

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        return 200, {}, {}


def quote(price: str, day: str, volume: str = "1000", previous: str = "100.0000") -> dict[str, str]:
    """A Global Quote, but for its symbol."""
    return {
        "02. open": price, "03. high": price, "04. low": price, "05. price": price, "06. volume": volume,
        "07. latest trading day": day, "08. previous close": previous, "09. change": "0.0000",
        "10. change percent": "0.0000%",
    }  # fmt: skip


class AlphaVantage(Polled):
    """The free plan: 5 a minute and 25 a day, refused with HTTP 200 and words in which the key stands.

    zone: whose midnight begins its day; nobody tells.
    """

    PER_MINUTE, PER_DAY = 5, 25
    COLUMNS: ClassVar = ("symbol", "open", "high", "low", "price", "volume", "latestDay", "previousClose", "change",
                         "changePercent")  # fmt: skip

    def __init__(self, key: str, quotes: Mapping[str, Mapping[str, str]], zone: str = "UTC") -> None:
        super().__init__()
        self.key, self.quotes, self.zone = key, dict(quotes), ZoneInfo(zone)
        self._asked_at: list[float] = []

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        if path != "/query":
            return 404, PAGE, {"Content-Type": "text/html"}
        return 200, self._refusal() or self._data(arguments), {"Content-Type": "application/json"}

    def _refusal(self) -> dict[str, str] | None:
        now = self.now()
        today = dt.datetime.fromtimestamp(now, self.zone).date()
        of_today = [at for at in self._asked_at if dt.datetime.fromtimestamp(at, self.zone).date() == today]
        if len(of_today) >= self.PER_DAY:
            self.violations.append("more than 25 requests in a day")
            return {
                "Information": f"We have detected your API key as {self.key} and our standard API rate limit is "
                "25 requests per day. Please subscribe to any of the premium plans at "
                "https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
            }
        if len([at for at in of_today if at > now - 60]) >= self.PER_MINUTE:
            self.violations.append("more than 5 requests in a minute")
            return {
                "Note": "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and "
                "25 calls per day. Please visit https://www.alphavantage.co/premium/ if you would like to target "
                "a higher API call frequency."
            }
        self._asked_at.append(now)
        return None

    def _data(self, arguments: dict[str, str]) -> Any:
        if arguments.get("apikey") != self.key:
            return {"Error Message": "the parameter apikey is invalid or missing."}
        if arguments.get("function") != "GLOBAL_QUOTE":
            return {"Error Message": "Invalid API call. Please retry or visit the documentation."}
        symbol = arguments.get("symbol", "")
        found = self.quotes.get(symbol)
        whole = {"01. symbol": symbol, **found} if found else {}
        if arguments.get("datatype") != "csv":
            return {"Global Quote": whole}
        text = io.StringIO()
        csv.writer(text).writerows([self.COLUMNS, *([list(whole.values())] if whole else [])])
        return text.getvalue()


class FinnhubQuotes(Polled):
    """60 a minute a key, refused with 429; a symbol it does not know has zeros."""

    PER_MINUTE = 60

    def __init__(self, key: str, quotes: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__()
        self.key, self.quotes = key, dict(quotes)
        self._asked_at: deque[float] = deque()

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        return self._refusal(headers) or self.data(path, arguments)

    def _refusal(self, headers: dict[str, str]) -> Answer | None:
        if headers.get("x-finnhub-token") != self.key:
            return 401, {"error": "Please use an API key."}, {}
        now = self.now()
        while self._asked_at and self._asked_at[0] <= now - 60:
            self._asked_at.popleft()
        if len(self._asked_at) >= self.PER_MINUTE:
            self.violations.append("more than 60 requests in a minute")
            return 429, {"error": "API limit reached. Please try again later. Remaining Limit: 0"}, {}
        self._asked_at.append(now)
        return None

    def data(self, path: str, arguments: dict[str, str]) -> Answer:
        if path == "/stock/candle":
            return 403, {"error": "You don't have access to this resource."}, {}
        if path != "/quote":
            return 404, {"error": "not found"}, {}
        unknown = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
        return 200, dict(self.quotes.get(arguments.get("symbol", ""), unknown)), {}


class Yahoo(Polled):
    """Charts by symbol, as they are given: `meta`, `timestamp` and quotes. Too eager a client gets words, not data."""

    PER_S = 1.0

    def __init__(self, charts: Mapping[str, Any]) -> None:
        super().__init__()
        self.charts = dict(charts)
        self._asked_at = 0.0

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        now = self.now()
        early, self._asked_at = now - self._asked_at < 1 / self.PER_S, now
        if early:
            self.violations.append("more than one request in a second")
            return 429, "Too Many Requests\r\n", {"Content-Type": "text/html"}
        prefix = "/v8/finance/chart/"
        found = self.charts.get(path.removeprefix(prefix)) if path.startswith(prefix) else None
        if found is None:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return 404, {"chart": {"result": None, "error": error}}, {}
        return 200, found, {}


class Rates(Polled):
    """The ECB's rates: as Frankfurter serves them (/v2/rates), and as the ECB does (/service/data/EXR/…, CSV).

    rates: (day, quote, how much of it for a euro, as text). Days that are not there were no working days.
    """

    LONGEST_DAYS = 5 * 366

    def __init__(self, rates: Iterable[tuple[str, str, str]]) -> None:
        super().__init__()
        self.rates = sorted(rates)

    def answer(self, path: str, arguments: dict[str, str], headers: dict[str, str]) -> Answer:
        if path == "/v2/rates":
            return self._frankfurter(arguments)
        if path.startswith("/service/data/EXR/"):
            return self._ecb(path.removeprefix("/service/data/EXR/"), arguments)
        return 404, {"status": 404, "message": "not found"}, {}

    def _frankfurter(self, arguments: dict[str, str]) -> Answer:
        first, last = arguments.get("from", self.rates[-1][0]), arguments.get("to", "9999-12-31")
        if last != "9999-12-31" and _days(first, last) > self.LONGEST_DAYS and "providers" in arguments:
            self.violations.append("more than five years at once")
            return 422, {"status": 422, "message": "range too long"}, {}
        wanted = set(filter(None, arguments.get("quotes", "").split(",")))
        rows = ", ".join(
            f'{{"date":"{day}","base":"EUR","quote":"{currency}","rate":{rate}}}'
            for day, currency, rate in [*self._identity(first, last), *self.rates]
            if first <= day <= last and (not wanted or currency in wanted)
        )
        return 200, f"[{rows}]", {}

    def _identity(self, first: str, last: str) -> list[tuple[str, str, str]]:
        return [(day, "EUR", "1.0") for day in sorted({day for day, _, _ in self.rates})]

    def _ecb(self, key: str, arguments: dict[str, str]) -> Answer:
        frequency, currencies, *_ = key.split(".")
        wanted = set(filter(None, currencies.split("+")))
        first, last = arguments.get("startPeriod", ""), arguments.get("endPeriod", "9999-12-31")
        rows = [r for r in self.rates if first <= r[0] <= last and (not wanted or r[1] in wanted)]
        lines = ["FREQ,CURRENCY,TIME_PERIOD,OBS_VALUE", *(f"{frequency},{c},{d},{r}" for d, c, r in rows)]
        return 200, "\n".join(lines) + "\n" if rows else "", {"Content-Type": "text/csv"}


def _days(first: str, last: str) -> int:
    return (dt.date.fromisoformat(last) - dt.date.fromisoformat(first)).days
