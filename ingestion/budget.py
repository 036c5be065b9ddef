"""What may be asked of each venue now: one account per venue (and key), shared by all processes.

Per minute in Redis, as an exact sliding window, so that no choice of the venue's own windows sees more than the limit.
Others may use the same address: what the venue says of itself in its answers (`told`) counts. Where a venue counts a
day as well (Alpha Vantage), that account is a row of the database: it outlives a restart and the loss of Redis.

Keys, all of which expire by themselves (`<account>` is the provider, with a digest of the key where the venue counts
by key):
    budget:<account>:spent      what was asked within the window: members `<number>:<weight>` by time in ms
    budget:<account>:sum        the weight of those; `next`: when the next call may go, where calls keep a distance
    budget:<account>:ban        until when nothing may be asked, in ms; `strikes`: how often that happened of late
"""

import datetime as dt
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import redis
from django.conf import settings
from django.db import transaction

from ingestion.models import DailyBudget
from ingestion.rest import daily
from worker.redis import client, key

STRIKES_KEPT_S: Final = 600
# Somebody else may have been let in first: who waits looks again a little later than the script says.
JITTER_S: Final = 0.02


class OverBudget(Exception):
    """The venue's budget has no room for this call in the time that there was. retry_at_s: seconds since 1970."""

    def __init__(self, provider: str, retry_at_s: float, reason: str = "the budget is used up") -> None:
        super().__init__(provider, retry_at_s, reason)
        self.provider, self.retry_at_s, self.reason = provider, retry_at_s, reason

    def __str__(self) -> str:
        at = dt.datetime.fromtimestamp(self.retry_at_s, dt.UTC)
        return f"{self.provider}: {self.reason}; again from {at:%Y-%m-%d %H:%M:%S} UTC"


class Allowance(msgspec.Struct, frozen=True):
    """What a venue allows: `weight` in any `window_s`, calls `spacing_s` apart, `per_day` in a day.

    by_key: counted by our key with it, not by our address.
    """

    weight: int
    window_s: float = 60.0
    spacing_s: float = 0.0
    per_day: int | None = None
    by_key: bool = False


def allowance(provider: str) -> Allowance:
    """The settings' for a provider. Raises KeyError for one that is asked nothing."""
    return _ALLOWANCES[provider]()


# Below the venues' own limits, whose sources docs/providers.md names.
_ALLOWANCES: Final[dict[str, Callable[[], Allowance]]] = {
    "binance": lambda: Allowance(settings.BINANCE_WEIGHT_PER_MINUTE),
    "coinbase": lambda: Allowance(settings.COINBASE_REQUESTS_PER_S, window_s=1.0),
    "coinbase_exchange": lambda: Allowance(settings.COINBASE_REQUESTS_PER_S, window_s=1.0),
    "kraken": lambda: Allowance(60, spacing_s=settings.KRAKEN_REQUEST_SPACING_S),
    "finnhub": lambda: Allowance(settings.FINNHUB_REQUESTS_PER_MINUTE, by_key=True),
    "alphavantage": lambda: Allowance(
        settings.ALPHAVANTAGE_REQUESTS_PER_MINUTE,
        spacing_s=settings.ALPHAVANTAGE_REQUEST_SPACING_S,
        per_day=settings.ALPHAVANTAGE_REQUESTS_PER_DAY,
        by_key=True,
    ),
    "yahoo": lambda: Allowance(60, spacing_s=settings.YAHOO_REQUEST_SPACING_S),
    "frankfurter": lambda: Allowance(60, spacing_s=settings.FX_REQUEST_SPACING_S),
    "ecb": lambda: Allowance(60, spacing_s=settings.FX_REQUEST_SPACING_S),
}

# KEYS: spent, sum, next, ban. ARGV: weight, limit, window ms, spacing ms, and what makes the member unique.
# Returns 0 when the call is counted in, else in how many ms to ask again. Redis's clock is everybody's.
_TAKE: Final = """
local at = redis.call('TIME')
local now = at[1] * 1000 + math.floor(at[2] / 1000)
local weight, limit, window, spacing = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ban = tonumber(redis.call('GET', KEYS[4]) or '0')
if ban > now then return ban - now end
local free = tonumber(redis.call('GET', KEYS[3]) or '0')
if free > now then return free - now end
local sum = tonumber(redis.call('GET', KEYS[2]) or '0')
local function weight_of(member) return tonumber(string.match(member, ':(%d+)$')) end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - window)
for _, member in ipairs(gone) do sum = sum - weight_of(member) end
if #gone > 0 then redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window) end
if redis.call('ZCARD', KEYS[1]) == 0 then sum = 0 end
local wait = 0
if sum > 0 and sum + weight > limit then
    local excess, i = sum + weight - limit, 0
    while excess > 0 do
        local found = redis.call('ZRANGE', KEYS[1], i, i, 'WITHSCORES')
        if #found == 0 then break end
        excess = excess - weight_of(found[1])
        wait = tonumber(found[2]) + window - now
        i = i + 1
    end
    wait = math.max(1, wait)
else
    redis.call('ZADD', KEYS[1], now, ARGV[5] .. ':' .. ARGV[1])
    redis.call('PEXPIRE', KEYS[1], window + 1000)
    sum = sum + weight
    if spacing > 0 then redis.call('SET', KEYS[3], now + spacing, 'PX', spacing) end
end
redis.call('SET', KEYS[2], sum, 'PX', window + 1000)
return wait
"""

# KEYS: spent, sum. ARGV: the weight that the venue counts, window ms, and what makes the member unique.
_TOLD: Final = """
local at = redis.call('TIME')
local now = at[1] * 1000 + math.floor(at[2] / 1000)
local others = tonumber(ARGV[1]) - tonumber(redis.call('GET', KEYS[2]) or '0')
if others <= 0 then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[3] .. ':' .. others)
redis.call('PEXPIRE', KEYS[1], ARGV[2] + 1000)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2] + 1000)
return others
"""

# KEYS: ban. ARGV: for how many ms. Never shortens one.
_BAN: Final = """
local at = redis.call('TIME')
local now = at[1] * 1000 + math.floor(at[2] / 1000)
local ban = now + tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or '0') >= ban then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', ban), 'PX', ARGV[1])
return 1
"""


def take(provider: str, weight: int = 1, deadline_s: float = 0.0, *, background: bool = False) -> None:
    """Wait for a share of the budget, at most `deadline_s`, and count it as spent.

    background: leave the rest (REST_BACKGROUND_SHARE) to whoever is in a hurry: backfills ask so.
    Raises OverBudget, at once where the wait would be longer.
    """
    allowed, account = allowance(provider), account_of(provider)
    limit = max(weight, int(allowed.weight * (settings.REST_BACKGROUND_SHARE if background else 1.0)))
    if allowed.per_day is not None:
        _look_at_day(provider, account, weight, allowed.per_day)
    until = time.monotonic() + deadline_s
    while (wait_s := _spend(account, provider, weight, limit, allowed)) > 0:
        wait_s += random.uniform(0, JITTER_S)  # noqa: S311 - an edge; nothing secret
        if time.monotonic() + wait_s > until:
            raise OverBudget(provider, time.time() + wait_s, _why(provider))
        time.sleep(wait_s)
    if allowed.per_day is not None:
        _take_of_day(provider, account, weight, allowed.per_day)


def told(provider: str, headers: Mapping[str, str]) -> None:
    """Learn from an answer's headers (lower-case names) what others spend of the same budget."""
    used = headers.get("x-mbx-used-weight-1m", "")
    if used.isdecimal():
        window_ms = int(allowance(provider).window_s * 1000)
        client().eval(_TOLD, 2, *_keys(account_of(provider))[:2], int(used), window_ms, _number())


def answered(provider: str) -> None:
    """The venue answered with data: bans are over, and the day's quota, where it has one, had room."""
    client().delete(key("budget", account_of(provider), "strikes"))
    limit = allowance(provider).per_day
    if limit is not None:
        _change_day(account_of(provider), lambda state, now: daily.answered(state, limit, now))


def ban(provider: str, for_s: float | None = None) -> float:
    """Let nobody ask before `for_s` have passed; returns when that is, in seconds since 1970.

    Without `for_s` (the venue did not say): longer each time that it happens within ten minutes.
    """
    account = account_of(provider)
    strikes = key("budget", account, "strikes")
    with client().pipeline(transaction=True) as pipe:
        pipe.incr(strikes)
        pipe.expire(strikes, STRIKES_KEPT_S)
        count = int(pipe.execute()[0])
    if for_s is None:
        for_s = min(settings.REST_BAN_MIN_S * 2 ** (count - 1), settings.REST_BAN_MAX_S)
    client().eval(_BAN, 1, key("budget", account, "ban"), max(1, round(for_s * 1000)))
    return banned_until(provider) or time.time()


def day_is_used(provider: str) -> float:
    """The venue says that the day's quota is gone. Returns when to try again, in seconds since 1970."""
    if allowance(provider).per_day is None:
        return ban(provider)
    state = _change_day(account_of(provider), daily.refused)
    assert state.blocked_until is not None
    return state.blocked_until.timestamp()


def banned_until(provider: str) -> float | None:
    """Until when nothing may be asked of the provider, in seconds since 1970; None when it may be asked."""
    account = account_of(provider)
    stored: Any = client().get(key("budget", account, "ban"))
    until = int(stored) / 1000 if stored else 0.0
    if allowance(provider).per_day is not None:
        row = DailyBudget.objects.filter(account=account, blocked_until__gt=_now()).first()
        until = max(until, row.blocked_until.timestamp() if row and row.blocked_until else 0.0)
    return until if until > time.time() else None


def spent(provider: str) -> int:
    """What the last window holds, as far as calls were made in it: for the status page."""
    stored: Any = client().get(key("budget", account_of(provider), "sum"))
    return int(stored or 0)


def account_of(provider: str) -> str:
    """Whose budget it is: the provider's, with a digest of our key where the venue counts by key."""
    secret = key_for(provider)
    if not allowance(provider).by_key or not secret:
        return provider
    return f"{provider}-{hashlib.sha256(secret.encode()).hexdigest()[:12]}"


def key_for(provider: str) -> str:
    """Our key at the provider, empty where we have none. Never to be logged."""
    return str(getattr(settings, f"{provider.upper()}_API_KEY", ""))


def _spend(account: str, provider: str, weight: int, limit: int, allowed: Allowance) -> float:
    """Count a call in, or say in how many seconds to ask again. Without Redis nobody knows, so nobody asks."""
    arguments = [weight, limit, int(allowed.window_s * 1000), int(allowed.spacing_s * 1000), _number()]
    try:
        return float(client().eval(_TAKE, 4, *_keys(account), *arguments)) / 1000  # type: ignore[arg-type]
    except redis.RedisError:
        retry_at_s = time.time() + settings.REST_BAN_MIN_S
        raise OverBudget(provider, retry_at_s, "the shared account cannot be reached") from None


def _why(provider: str) -> str:
    return "the venue asked for a pause" if banned_until(provider) else "the budget is used up"


def _keys(account: str) -> list[str]:
    return [key("budget", account, part) for part in ("spent", "sum", "next", "ban")]


def _number() -> str:
    return f"{random.getrandbits(64):x}"


# --- The day's account ----------------------------------------------------------------------------------------


def _look_at_day(provider: str, account: str, weight: int, limit: int) -> None:
    """Raises OverBudget if the day has no room: without waiting for, and spending, a share of the minute."""
    row = DailyBudget.objects.filter(account=account).first()
    retry_at = daily.take(row.state(), weight, limit, _now())[1] if row else None
    if retry_at is not None:
        raise OverBudget(provider, retry_at.timestamp(), "the day's quota is used up")


def _take_of_day(provider: str, account: str, weight: int, limit: int) -> None:
    retry_at: list[dt.datetime | None] = []

    def count_in(state: daily.Daily, now: dt.datetime) -> daily.Daily:
        state, at = daily.take(state, weight, limit, now)
        retry_at.append(at)
        return state

    _change_day(account, count_in)
    if retry_at[0] is not None:
        raise OverBudget(provider, retry_at[0].timestamp(), "the day's quota is used up")


def _change_day(account: str, change: Callable[[daily.Daily, dt.datetime], daily.Daily]) -> daily.Daily:
    """One process at a time changes the row."""
    with transaction.atomic():
        DailyBudget.objects.bulk_create([DailyBudget(account=account)], ignore_conflicts=True)
        row = DailyBudget.objects.select_for_update().get(account=account)
        state = change(row.state(), _now())
        row.keep(state)
    return state


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
