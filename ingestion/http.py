"""Asking a venue by HTTP: within its budget, with bounds, and without telling its key to anyone.

Blocking; safe in any thread (each has its own connections). What comes back is data: an answer that only looks like
one (`rest/trouble.py`) is an error here.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import redis
import requests
import urllib3
from django.conf import settings

from ingestion import budget
from ingestion.budget import OverBudget
from ingestion.rest.call import Call
from ingestion.rest.trouble import Kind, Trouble, find

__all__ = ["HEADERS", "Call", "OverBudget", "Refused", "Unreachable", "ask", "get"]

logger = logging.getLogger(__name__)

CHUNK_BYTES: Final = 64 * 1024
SHOWN_BYTES: Final = 300
HIDDEN: Final = "***"
# Some venues refuse a client that does not say what it is.
HEADERS: Final = {"User-Agent": "Tapehouse (self-hosted market data)", "Accept": "*/*"}

# Where a provider's base URL is not in <PROVIDER>_REST_URL.
_BASES: Final = {"alphavantage": "ALPHAVANTAGE_URL", "yahoo": "YAHOO_URL", "frankfurter": "FX_URL", "ecb": "ECB_URL"}
_KEY_HEADERS: Final = {"finnhub": "X-Finnhub-Token"}
_KEY_PARAMS: Final = {"alphavantage": "apikey"}
_KEYED: Final = (*_KEY_HEADERS, *_KEY_PARAMS)


class Refused(Exception):
    """The venue says no, and will again: an unknown symbol, a range it does not have, a plan that does not cover it.

    body: its answer's first bytes, our key taken out.
    """

    def __init__(self, call: Call, status: int, body: bytes, detail: str) -> None:
        super().__init__(call, status, body, detail)
        self.call, self.status, self.body, self.detail = call, status, body, detail

    def __str__(self) -> str:
        return f"{self.call.provider}{self.call.path}: {self.detail}: {self.body[:SHOWN_BYTES]!r}"


class Unreachable(Exception):
    """No answer, or none but failures in passing, after all tries."""

    def __init__(self, call: Call, detail: str) -> None:
        super().__init__(call, detail)
        self.call, self.detail = call, detail

    def __str__(self) -> str:
        return f"{self.call.provider}{self.call.path}: {self.detail}"


def get(call: Call, *, deadline_s: float | None = None, background: bool = False) -> bytes:
    """The body of the answer.

    deadline_s: how long to wait, in all, for the budget and for pauses that the venue asks for; REST_DEADLINE_S
    without it. background: as in `budget.take`.
    Raises OverBudget (come back at `retry_at_s`), Refused (for good) or Unreachable (after REST_TRIES).
    """
    until = time.monotonic() + (settings.REST_DEADLINE_S if deadline_s is None else deadline_s)
    detail = ""
    for attempt in range(settings.REST_TRIES):
        if attempt:
            _pause(attempt, until)
        status, body, trouble = _within_budget(call, until, background)
        if trouble is None:
            return body
        if trouble.kind is Kind.REFUSED:
            raise Refused(call, status, body[:SHOWN_BYTES], trouble.detail)
        detail = trouble.detail
    raise Unreachable(call, detail)


def _within_budget(call: Call, until: float, background: bool) -> tuple[int, bytes, Trouble | None]:
    """One try; again while the venue only asks for pauses that end in time."""
    while True:
        budget.take(call.provider, call.weight, max(0.0, until - time.monotonic()), background=background)
        status, body, trouble = _try(call)
        if trouble is None or trouble.kind not in (Kind.PACE, Kind.DAY):
            return status, body, trouble
        retry_at_s = _heed(call.provider, trouble)
        if retry_at_s - time.time() > until - time.monotonic():
            raise OverBudget(call.provider, retry_at_s, trouble.detail)


def _heed(provider: str, trouble: Trouble) -> float:
    """Let every process keep the pause that the venue wants. Returns its end, in seconds since 1970."""
    logger.warning("%s asks for a pause: %s", provider, trouble.detail)
    try:
        if trouble.kind is Kind.DAY:
            return budget.day_is_used(provider)
        return budget.ban(provider, trouble.retry_after_s)
    except redis.RedisError:
        return time.time() + float(settings.REST_BAN_MIN_S)  # without Redis nobody is let through anyway


def _try(call: Call) -> tuple[int, bytes, Trouble | None]:
    """One request. Its status, its body (our key taken out where it is no data), and what is wrong with it."""
    url = _base(call.provider).rstrip("/") + call.path
    host = urlsplit(url).netloc
    if not _circuit.closed(host):
        return 0, b"", Trouble(Kind.TRANSIENT, f"{host} has failed too often of late")
    status, headers, body, failure = _request(call, url)
    trouble = Trouble(Kind.TRANSIENT, failure) if failure else None
    if trouble is None:
        trouble = find(call.provider, status, headers, body, time.time_ns() // 1_000_000)
        _tell(call.provider, headers, trouble)
    _circuit.note(host, failed=trouble is not None and trouble.kind is Kind.TRANSIENT)
    if trouble is None:
        return status, body, None
    return status, _hidden(body), Trouble(trouble.kind, _hidden_text(trouble.detail), trouble.retry_after_s)


def _tell(provider: str, headers: dict[str, str], trouble: Trouble | None) -> None:
    try:
        budget.told(provider, headers)
        if trouble is None:
            budget.answered(provider)
    except redis.RedisError:
        logger.warning("%s: what the answer says of the budget could not be kept", provider)


def _request(call: Call, url: str) -> tuple[int, dict[str, str], bytes, str]:
    params, headers = _with_key(call)
    return ask(url, params, headers, settings.REST_ANSWER_MAX_BYTES)


def ask(
    url: str, params: Mapping[str, str], headers: Mapping[str, str], most_bytes: int
) -> tuple[int, dict[str, str], bytes, str]:
    """One GET without any budget, for an address that is no venue's: `get` is for those.

    Status, headers (lower-case names), body, and why there is none (empty: there is). Redirects are not followed.
    An exception of the HTTP library's carries the URL, and with it perhaps a key: it ends here, by its name alone.
    """
    failure = ""
    try:
        with _session().get(
            url,
            params=params,
            headers=headers,
            timeout=(settings.REST_CONNECT_TIMEOUT_S, settings.REST_READ_TIMEOUT_S),
            stream=True,
            # A redirect would carry our key's header to wherever it points.
            allow_redirects=False,
        ) as response:
            body, failure = _read(response, most_bytes)
            return response.status_code, {k.lower(): v for k, v in response.headers.items()}, body, failure
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        failure = type(error).__name__
    return 0, {}, b"", failure


def _read(response: requests.Response, most_bytes: int) -> tuple[bytes, str]:
    """The body, and why it is none: too long, or too slow in coming."""
    until = time.monotonic() + settings.REST_ANSWER_TIMEOUT_S
    chunks, size = [], 0
    # `iter_content` would wait for a whole chunk, however slowly it drips.
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > most_bytes:
            return b"", f"more than {most_bytes} bytes"
        if time.monotonic() > until:
            return b"", f"not complete after {settings.REST_ANSWER_TIMEOUT_S:g} s"
        chunks.append(chunk)
    return b"".join(chunks), ""


def _pause(attempt: int, until: float) -> None:
    longest = settings.REST_RETRY_S * 2 ** (attempt - 1)
    time.sleep(max(0.0, min(random.uniform(0, longest), until - time.monotonic())))  # noqa: S311 - an edge


def _base(provider: str) -> str:
    return str(getattr(settings, _BASES.get(provider, f"{provider.upper()}_REST_URL")))


def _with_key(call: Call) -> tuple[dict[str, str], dict[str, str]]:
    params, headers = dict(call.params), {**HEADERS, **call.headers}
    secret = budget.key_for(call.provider)
    if secret and call.provider in _KEY_HEADERS:
        headers[_KEY_HEADERS[call.provider]] = secret
    if secret and call.provider in _KEY_PARAMS:
        params[_KEY_PARAMS[call.provider]] = secret
    return params, headers


# --- Connections ----------------------------------------------------------------------------------------------

_local = threading.local()


def _session() -> requests.Session:
    """This thread's: a session of `requests` is not safe in several at once."""
    found: requests.Session | None = getattr(_local, "session", None)
    if found is None:
        found = _local.session = requests.Session()
    return found


def close() -> None:
    """Close this thread's connections."""
    found: requests.Session | None = getattr(_local, "session", None)
    if found is not None:
        found.close()
        del _local.session


class _Circuit:
    """Which hosts are left alone for now: those that failed REST_CIRCUIT_FAILURES times in a row.

    After REST_CIRCUIT_OPEN_S one call is let through; it decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}
        self._closed_from: dict[str, float] = {}

    def closed(self, host: str) -> bool:
        """Whether the host may be asked; whoever hears yes after a pause is the one that tries it."""
        now = time.monotonic()
        with self._lock:
            if self._failures.get(host, 0) < settings.REST_CIRCUIT_FAILURES:
                return True
            if now < self._closed_from.get(host, 0.0):
                return False
            self._closed_from[host] = now + settings.REST_CIRCUIT_OPEN_S
            return True

    def note(self, host: str, *, failed: bool) -> None:
        with self._lock:
            self._failures[host] = self._failures.get(host, 0) + 1 if failed else 0
            if self._failures[host] >= settings.REST_CIRCUIT_FAILURES:
                self._closed_from[host] = time.monotonic() + settings.REST_CIRCUIT_OPEN_S


_circuit: Final = _Circuit()


# --- Secrets --------------------------------------------------------------------------------------------------


def _secrets() -> Iterator[str]:
    return filter(None, map(budget.key_for, _KEYED))


def _hidden(body: bytes) -> bytes:
    # Alpha Vantage repeats the key in its refusals.
    for secret in _secrets():
        body = body.replace(secret.encode(), HIDDEN.encode())
    return body


def _hidden_text(text: str) -> str:
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return text


class _HideKeys(logging.Filter):
    """urllib3 logs whole URLs; none of ours leaves with a key in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        record.msg, record.args = _hidden_text(message), None
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_HideKeys())
