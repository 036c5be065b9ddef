"""All configuration. Every limit is named here with its unit, and read from the environment."""

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data")))
# `make run` leaves here where its own servers are, so that `manage.py` finds them; the environment counts first.
if os.access(ADDRESSES := DATA_DIR / "addresses.env", os.R_OK):
    env.read_env(ADDRESSES)

DEBUG = env.bool("DEBUG", False)
# Development conveniences (demo users, anonymous market data, a generated secret) hang on this one switch.
DEVELOPMENT = env.bool("DEVELOPMENT", DEBUG)


def _secret_key() -> str:
    """The key from the environment; in development one made from the data folder, so sessions survive a restart."""
    if DEVELOPMENT:
        return str(env.str("SECRET_KEY", hashlib.sha256(f"tapehouse {DATA_DIR}".encode()).hexdigest()))
    return str(env.str("SECRET_KEY"))


SECRET_KEY = _secret_key()
# Older ones: what was signed or encrypted under them is still read.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if DEVELOPMENT else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "project",
    "beat",
    "signals",
    "portfolio",
    "ingestion",
    "streaming",
    "worker",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_vite",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
APPEND_SLASH = True

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Stores -------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/tapehouse")}
# A network path that dies without a word is noticed in half a minute, not in the system's two hours (all seconds but
# the last, which is milliseconds without an acknowledgement).
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
)
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE_S", 60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if TEST_DATABASE_NAME := env.str("TEST_DATABASE_NAME", ""):
    DATABASES["default"]["TEST"] = {"NAME": TEST_DATABASE_NAME}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
# One installation (and one test worker) a prefix: Redis pub/sub ignores database numbers.
REDIS_PREFIX = env.str("REDIS_PREFIX", "tapehouse")
# Every call's time limit; a blocking read (XREAD BLOCK) asks for less than this.
REDIS_CALL_TIMEOUT_S = 5
# The channel layer waits on a quiet socket; redis-py's own 5 s would end it.
REDIS_SOCKET_TIMEOUT_S = 15
REDIS_CONNECT_TIMEOUT_S = 3
REDIS_HEALTH_CHECK_INTERVAL_S = 10

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "prefix": REDIS_PREFIX,
            "hosts": [
                {
                    "address": REDIS_URL,
                    "socket_timeout": REDIS_SOCKET_TIMEOUT_S,
                    "health_check_interval": REDIS_HEALTH_CHECK_INTERVAL_S,
                }
            ],
        },
    }
}

# --- Celery -------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Without these a silently dead connection leaves a worker alive and deaf (docs/operations.md).
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "health_check_interval": 5,
    "socket_keepalive": True,
    "visibility_timeout": 3600,
    "global_keyprefix": f"{REDIS_PREFIX}:celery:",
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TRACK_STARTED = True
CELERY_WORKER_SEND_TASK_EVENTS = CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# `CELERY_BEAT_SCHEDULE` is left unset on purpose: see beat/schedule.py.
CELERY_BEAT_SCHEDULER = "beat.scheduler:SoleScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 2
# Each send is noted in the database at once: a beat that takes over sends nothing a second time.
CELERY_BEAT_SYNC_EVERY = 1
# No results are kept, so there is nothing for Celery's own clean-up entry to do.
CELERY_RESULT_EXPIRES = None
DJANGO_CELERY_BEAT_TZ_AWARE = True
FLOWER_BASIC_AUTH = env.str("FLOWER_BASIC_AUTH", "admin:admin" if DEVELOPMENT else "")

LEASE_TTL_S = env.float("LEASE_TTL_S", 3.0)
RESIDENT_ASK_INTERVAL_S = env.float("RESIDENT_ASK_INTERVAL_S", 2.0)
RESIDENT_DRAIN_TIMEOUT_S = env.float("RESIDENT_DRAIN_TIMEOUT_S", 10.0)
PULSE_INTERVAL_S = env.float("PULSE_INTERVAL_S", 10.0)
# Threads, and so database connections, that one resident may use for blocking work.
RESIDENT_THREADS = env.int("RESIDENT_THREADS", 4)
# How long a resident that failed keeps its lease, so that nobody tries the same at once.
RESIDENT_RESTART_DELAY_S = env.float("RESIDENT_RESTART_DELAY_S", 1.0)
# beat renews at least every CELERY_BEAT_MAX_LOOP_INTERVAL: a third of this.
BEAT_LEASE_TTL_S = env.float("BEAT_LEASE_TTL_S", 6.0)
JOB_KEEP_DAYS = env.int("JOB_KEEP_DAYS", 30)
# A running job that has said nothing for so long was abandoned by a killed worker.
JOB_SILENCE_TIMEOUT_S = env.float("JOB_SILENCE_TIMEOUT_S", 6 * 3600.0)
METRICS_FLUSH_INTERVAL_S = env.float("METRICS_FLUSH_INTERVAL_S", 5.0)
METRICS_KEEP_S = env.int("METRICS_KEEP_S", 7 * 24 * 3600)

# --- Market data --------------------------------------------------------------------------------------------

FEEDS = env.list("FEEDS", default=["simulated"])
# What the feeds follow beyond what is watched, held and alerted; empty means every instrument marked as followed.
SYMBOLS = env.list("SYMBOLS", default=[])
# Other base addresses for FEEDS=ccxt:<exchange>, in ccxt's own terms: {"bitstamp": {"ws": "wss://…", "public": "https://…"}}.
CCXT_URLS = env.json("CCXT_URLS", default={})
SYMBOL_ALIASES = env.dict("SYMBOL_ALIASES", default={"BTC": "BTC-USDT", "ETH": "ETH-USDT", "SOL": "SOL-USDT"})
# Assets that some venues call otherwise than the rest of the world.
ASSET_ALIASES = env.dict("ASSET_ALIASES", default={"XBT": "BTC", "XDG": "DOGE"})
# What `load_demo` makes, and a client of /ws/market-data/ hears of before it chooses.
DEMO_SYMBOLS = [
    "BTC-USD", "BTC-USDT", "ETH-USDT", "SOL-USDT", "AAPL", "GOOGL", "MSFT", "BRK.B", "EURUSD=X", "SCOM", "KCB", "EQTY",
]  # fmt: skip
# Best first: which source's price counts where several know an instrument. What is made up comes after what is real.
SOURCE_ORDER = env.list(
    "SOURCE_ORDER",
    default=["binance", "coinbase", "kraken", "finnhub", "yahoo", "alphavantage", "ecb", "manual", "simulated"],
)

MAX_WATCHLISTS_PER_USER = env.int("MAX_WATCHLISTS_PER_USER", 20)
MAX_ITEMS_PER_WATCHLIST = env.int("MAX_ITEMS_PER_WATCHLIST", 200)
# What is watched is told to the feeds so often, and followed for so long after it was last told.
WATCHLIST_INTERVAL_S = env.float("WATCHLIST_INTERVAL_S", 30.0)
WATCHLIST_DEMAND_TTL_S = env.float("WATCHLIST_DEMAND_TTL_S", 120.0)
# Close prices that one request may bring.
PRICES_MAX_ROWS = env.int("PRICES_MAX_ROWS", 10_000)

BINANCE_WS_URL = env.str("BINANCE_WS_URL", "wss://data-stream.binance.vision")
BINANCE_REST_URL = env.str("BINANCE_REST_URL", "https://data-api.binance.vision")
COINBASE_WS_URL = env.str("COINBASE_WS_URL", "wss://advanced-trade-ws.coinbase.com")
KRAKEN_WS_URL = env.str("KRAKEN_WS_URL", "wss://ws.kraken.com/v2")
FINNHUB_WS_URL = env.str("FINNHUB_WS_URL", "wss://ws.finnhub.io")
COINBASE_REST_URL = env.str("COINBASE_REST_URL", "https://api.coinbase.com")
# Its other door, which pages trades by id; whoever names a place for the first has it there as well.
COINBASE_EXCHANGE_REST_URL = env.str(
    "COINBASE_EXCHANGE_REST_URL", os.environ.get("COINBASE_REST_URL", "https://api.exchange.coinbase.com")
)
KRAKEN_REST_URL = env.str("KRAKEN_REST_URL", "https://api.kraken.com")
FINNHUB_REST_URL = env.str("FINNHUB_REST_URL", "https://finnhub.io/api/v1")
ALPHAVANTAGE_URL = env.str("ALPHAVANTAGE_URL", "https://www.alphavantage.co")
YAHOO_URL = env.str("YAHOO_URL", "https://query1.finance.yahoo.com")
# Daily exchange rates: Frankfurter, and the European Central Bank itself where that fails.
FX_URL = env.str("FX_URL", "https://api.frankfurter.dev")
ECB_URL = env.str("ECB_URL", "https://data-api.ecb.europa.eu")

FINNHUB_API_KEY = env.str("FINNHUB_API_KEY", "")
ALPHAVANTAGE_API_KEY = env.str("ALPHAVANTAGE_API_KEY", "")

# Unofficial, and for personal use only.
YAHOO_ENABLED = env.bool("YAHOO_ENABLED", False)
# The sources that are polled for what is watched, held or alerted: those that there is a key for, or a switch.
POLLERS = env.list(
    "POLLERS",
    default=[
        source
        for source, is_on in (
            ("finnhub", FINNHUB_API_KEY),
            ("alphavantage", ALPHAVANTAGE_API_KEY),
            ("yahoo", YAHOO_ENABLED),
        )
        if is_on
    ],
)
# Between two rounds of a poller, and how many instruments one round asks for.
REALTIME_UPDATE_INTERVAL_S = env.float("REALTIME_UPDATE_INTERVAL", 30.0)
REALTIME_BATCH_SIZE = env.int("REALTIME_BATCH_SIZE", 50)
# An instrument that a poll got no price of is left alone for so long.
POLL_FAILED_PAUSE_S = env.float("POLL_FAILED_PAUSE_S", 600.0)
# After the close the last price may come a little later.
POLL_AFTER_CLOSE_S = env.float("POLL_AFTER_CLOSE_S", 300.0)
# How long a forced update may wait for a source's budget before it tries the next one.
FORCE_UPDATE_WAIT_S = env.float("FORCE_UPDATE_WAIT_S", 20.0)
FORCE_UPDATE_MAX_SYMBOLS = env.int("FORCE_UPDATE_MAX_SYMBOLS", 500)
# The daily exchange rates that are kept: of these against the euro; empty for all that the ECB publishes.
FX_CURRENCIES = env.list("FX_CURRENCIES", default=[])
# Each run looks so far back: what was missed, or failed, is made good.
FX_LOOK_BACK_DAYS = env.int("FX_LOOK_BACK_DAYS", 14)

# What we ask by HTTP, below each venue's own limit (docs/providers.md): others may share the address.
BINANCE_WEIGHT_PER_MINUTE = env.int("BINANCE_WEIGHT_PER_MINUTE", 5400)
COINBASE_REQUESTS_PER_S = env.int("COINBASE_REQUESTS_PER_S", 8)
KRAKEN_REQUEST_SPACING_S = env.float("KRAKEN_REQUEST_SPACING_S", 1.1)
FINNHUB_REQUESTS_PER_MINUTE = env.int("FINNHUB_REQUESTS_PER_MINUTE", 55)
ALPHAVANTAGE_REQUESTS_PER_MINUTE = env.int("ALPHAVANTAGE_REQUESTS_PER_MINUTE", 4)
ALPHAVANTAGE_REQUEST_SPACING_S = env.float("ALPHAVANTAGE_REQUEST_SPACING_S", 15.0)
ALPHAVANTAGE_REQUESTS_PER_DAY = env.int("ALPHAVANTAGE_REQUESTS_PER_DAY", 25)
YAHOO_REQUEST_SPACING_S = env.float("YAHOO_REQUEST_SPACING_S", 2.0)
FX_REQUEST_SPACING_S = env.float("FX_REQUEST_SPACING_S", 1.0)
# The part of a budget that work without a hurry (backfills) may use. Half of Binance's is 1,350 pages a minute, which
# takes two slow cores for less than a third; the other half is for books, polls and forced prices.
REST_BACKGROUND_SHARE = env.float("REST_BACKGROUND_SHARE", 0.5)
# A refusal without a word on when to come back: doubles from the one to the other.
REST_BAN_MIN_S = env.float("REST_BAN_MIN_S", 10.0)
REST_BAN_MAX_S = env.float("REST_BAN_MAX_S", 900.0)
# How long a call waits for its share of the budget, where its caller does not say.
REST_DEADLINE_S = env.float("REST_DEADLINE_S", 30.0)
REST_CONNECT_TIMEOUT_S = env.float("REST_CONNECT_TIMEOUT_S", 5.0)
# Between two bytes of an answer, and for the whole of it.
REST_READ_TIMEOUT_S = env.float("REST_READ_TIMEOUT_S", 10.0)
REST_ANSWER_TIMEOUT_S = env.float("REST_ANSWER_TIMEOUT_S", 60.0)
REST_ANSWER_MAX_BYTES = env.int("REST_ANSWER_MAX_BYTES", 64 * 1024 * 1024)
# Tries of a call that failed in passing, and the longest pause after the first of them; it doubles.
REST_TRIES = env.int("REST_TRIES", 3)
REST_RETRY_S = env.float("REST_RETRY_S", 0.5)
# A host that failed so often in a row is left alone for so long.
REST_CIRCUIT_FAILURES = env.int("REST_CIRCUIT_FAILURES", 5)
REST_CIRCUIT_OPEN_S = env.float("REST_CIRCUIT_OPEN_S", 30.0)

# Gaps that are repaired at one go, in all and for one provider's asking; what is left waits for the next.
REPAIR_RUN_S = env.float("REPAIR_RUN_S", 45.0)
# How long a repair waits for its share of a venue's budget before it leaves the rest for later.
REPAIR_BUDGET_WAIT_S = env.float("REPAIR_BUDGET_WAIT_S", 5.0)
# A gap is left alone until its minutes are surely over and closed.
REPAIR_MIN_AGE_S = env.float("REPAIR_MIN_AGE_S", 75.0)
# After a failure in passing: doubles from the one to the other; after so many the gap is given up.
REPAIR_RETRY_MIN_S = env.float("REPAIR_RETRY_MIN_S", 60.0)
REPAIR_RETRY_MAX_S = env.float("REPAIR_RETRY_MAX_S", 3600.0)
REPAIR_MAX_ATTEMPTS = env.int("REPAIR_MAX_ATTEMPTS", 30)
# The simulated market can tell any stretch of time; of a longer one only the candles are made.
REPAIR_SIMULATED_MAX_S = env.float("REPAIR_SIMULATED_MAX_S", 3600.0)
# Open holes of one instrument in one feed; a further one is joined to the nearest.
GAPS_OPEN_MAX = env.int("GAPS_OPEN_MAX", 200)
# Every night the numbers of the trades of so many days are looked through for holes.
HEAL_DAYS = env.int("HEAL_DAYS", 7)
# A hole of more trades than this is a time in which nobody followed the instrument.
HEAL_HOLE_MAX_TRADES = env.int("HEAL_HOLE_MAX_TRADES", 1_000_000)

# Chunks of one backfill at work at a time, and how long each waits for its share of the budget before it steps back.
BACKFILL_LANES = env.int("BACKFILL_LANES", 2)
BACKFILL_BUDGET_WAIT_S = env.float("BACKFILL_BUDGET_WAIT_S", 20.0)
# A chunk whose worker has said nothing for so long was left by a killed one, and is taken up again.
BACKFILL_SILENCE_S = env.float("BACKFILL_SILENCE_S", 120.0)
# How often workers are asked for chunks that wait; a request that none takes in this time runs out.
BACKFILL_ASK_INTERVAL_S = env.float("BACKFILL_ASK_INTERVAL_S", 30.0)
# How often at most a backfill counts its chunks for those who watch it.
BACKFILL_TELL_INTERVAL_S = env.float("BACKFILL_TELL_INTERVAL_S", 1.0)
BACKFILL_MAX_ATTEMPTS = env.int("BACKFILL_MAX_ATTEMPTS", 8)
BACKFILL_RETRY_MIN_S = env.float("BACKFILL_RETRY_MIN_S", 5.0)
BACKFILL_RETRY_MAX_S = env.float("BACKFILL_RETRY_MAX_S", 600.0)
BACKFILL_MAX_CHUNKS = env.int("BACKFILL_MAX_CHUNKS", 50_000)
# What a new instrument gets of the past, by the length of its candles, in days; none where that is 0.
HISTORY_DAYS = env.dict("HISTORY_DAYS", default={"1d": "1825", "1h": "180", "1m": "7"})

SIMULATED_SEED = env.int("SIMULATED_SEED", 7)
SIMULATED_TICKS_PER_S = env.float("SIMULATED_TICKS_PER_S", 60.0)
# What goes wrong with it, as shares: of its ticks `duplicate,late,out_of_order,crossed`, of the time `gap,mute,slow`,
# such as `duplicate=0.02,late=0.01,gap=0.03`. Seeded as the market is.
SIMULATED_FAULTS = env.str("SIMULATED_FAULTS", "")

LISTENER_FLUSH_INTERVAL_MS = env.int("LISTENER_FLUSH_INTERVAL_MS", 25)
LISTENER_FLUSH_INTERVAL_MAX_MS = env.int("LISTENER_FLUSH_INTERVAL_MAX_MS", 100)
LISTENER_FLUSH_MAX_TICKS = env.int("LISTENER_FLUSH_MAX_TICKS", 500)
LISTENER_FRAME_MAX_BYTES = env.int("LISTENER_FRAME_MAX_BYTES", 32 * 1024 * 1024)
# What a listener keeps in memory while Redis is away; whatever falls out is counted and becomes a gap.
LISTENER_BUFFER_MAX_TICKS = env.int("LISTENER_BUFFER_MAX_TICKS", 50_000)
LISTENER_BUFFER_MAX_S = env.float("LISTENER_BUFFER_MAX_S", 30.0)
# A socket on which nothing arrives for so long is cut; 0: for as long as the venue's own limit says.
LISTENER_SILENCE_TIMEOUT_S = env.float("LISTENER_SILENCE_TIMEOUT_S", 0.0)
# A venue that sends heartbeats is silent after so long already.
LISTENER_HEARTBEAT_TIMEOUT_S = env.float("LISTENER_HEARTBEAT_TIMEOUT_S", 10.0)
# A stream that used to speak is mute after so many times its longest silence lately, within these bounds; while its
# market is closed no silence counts.
LISTENER_MUTE_FACTOR = env.float("LISTENER_MUTE_FACTOR", 4.0)
LISTENER_MUTE_MIN_S = env.float("LISTENER_MUTE_MIN_S", 30.0)
LISTENER_MUTE_MAX_S = env.float("LISTENER_MUTE_MAX_S", 900.0)
# A symbol that was subscribed for so long and never heard of is probably not one.
LISTENER_UNHEARD_AFTER_S = env.float("LISTENER_UNHEARD_AFTER_S", 60.0)
# A subscription that is not answered is asked for again; one that is refused is left alone for so long.
LISTENER_ANSWER_TIMEOUT_S = env.float("LISTENER_ANSWER_TIMEOUT_S", 10.0)
LISTENER_REFUSED_SYMBOL_RETRY_S = env.float("LISTENER_REFUSED_SYMBOL_RETRY_S", 600.0)
# A venue that refuses us altogether (a wrong key) is asked again so seldom; one that finds us too many, after this
# at the least, or when it says.
LISTENER_REFUSED_RETRY_S = env.float("LISTENER_REFUSED_RETRY_S", 300.0)
LISTENER_TOO_MANY_RETRY_S = env.float("LISTENER_TOO_MANY_RETRY_S", 60.0)
# How often it looks whom to follow, and whether it should run at all.
LISTENER_REFRESH_INTERVAL_S = env.float("LISTENER_REFRESH_INTERVAL_S", 5.0)
# A listener that is told to end waits so long for its successor to take over without a hole (0: not at all); one second
# of it where nobody takes its lease.
LISTENER_HAND_OVER_S = env.float("LISTENER_HAND_OVER_S", 5.0)
# What waits for a thread to store it (refused ticks, venue bars, holes); further ones are counted and dropped.
LISTENER_HAND_OFF_MAX = env.int("LISTENER_HAND_OFF_MAX", 20_000)
# A skipped trade id is a hole if its trade does not come within so long after all; what an earlier listener missed
# is one if its newest trade is no older than this.
TRADE_HOLE_GRACE_S = env.float("TRADE_HOLE_GRACE_S", 2.0)
TRADE_HOLE_AGE_MAX_S = env.float("TRADE_HOLE_AGE_MAX_S", 24 * 3600.0)
# Levels a side that are told of a book, and how old its newest change may be before it is called stale.
BOOK_DEPTH_MAX = env.int("BOOK_DEPTH_MAX", 50)
BOOK_FRESH_S = env.float("BOOK_FRESH_S", 10.0)
# A best bid above the best ask passes within this, or the book is wrong and starts over.
BOOK_CROSSED_GRACE_MS = env.int("BOOK_CROSSED_GRACE_MS", 1000)
# Deltas of one book that wait for its snapshot; at ten a second they last as long as a crowd of snapshots takes.
BOOK_HELD_DELTAS_MAX = env.int("BOOK_HELD_DELTAS_MAX", 3000)
# A book that breaks again and again starts over at once, then after the one, doubling up to the other.
BOOK_RESYNC_MIN_S = env.float("BOOK_RESYNC_MIN_S", 0.5)
BOOK_RESYNC_MAX_S = env.float("BOOK_RESYNC_MAX_S", 30.0)
# A subscription that brought no snapshot in so long is renewed.
BOOK_SNAPSHOT_TIMEOUT_S = env.float("BOOK_SNAPSHOT_TIMEOUT_S", 30.0)
# Changed books are kept in Redis so often, for so long.
BOOK_KEEP_INTERVAL_MS = env.int("BOOK_KEEP_INTERVAL_MS", 500)
BOOK_KEEP_S = env.int("BOOK_KEEP_S", 600)
# Order book snapshots asked for at a time, and how deep.
BOOK_SNAPSHOTS_AT_ONCE = env.int("BOOK_SNAPSHOTS_AT_ONCE", 2)
BOOK_SNAPSHOT_LEVELS = env.int("BOOK_SNAPSHOT_LEVELS", 1000)
JOURNAL_MAX_BYTES = env.int("JOURNAL_MAX_BYTES", 256 * 1024 * 1024)
JOURNAL_HEADROOM_BYTES = env.int("JOURNAL_HEADROOM_BYTES", 1024 * 1024)
CHANGES_MAX_ENTRIES = env.int("CHANGES_MAX_ENTRIES", 20_000)
WRITER_BATCH_MAX_ROWS = env.int("WRITER_BATCH_MAX_ROWS", 20_000)
WRITER_BLOCK_MS = env.int("WRITER_BLOCK_MS", 200)
# A batch smaller than half the maximum waits so long for company: fewer commits, and ticks are on disk a moment later.
WRITER_INTERVAL_MS = env.int("WRITER_INTERVAL_MS", 50)
# How long a writer that vanished inside its transaction may keep the position's row from its successor.
WRITER_TRANSACTION_TIMEOUT_S = env.int("WRITER_TRANSACTION_TIMEOUT_S", 30)
# Between two tries while a store is away: doubles from the one to the other.
WRITER_RETRY_MIN_S = env.float("WRITER_RETRY_MIN_S", 0.2)
WRITER_RETRY_MAX_S = env.float("WRITER_RETRY_MAX_S", 5.0)
# What the database refused waits here for a person: entries of the stream `journal:dead`.
JOURNAL_DEAD_MAX_ENTRIES = env.int("JOURNAL_DEAD_MAX_ENTRIES", 10_000)
QUARANTINE_MAX_ROWS = env.int("QUARANTINE_MAX_ROWS", 100_000)
QUARANTINE_MAX_ROWS_AT_ONCE = env.int("QUARANTINE_MAX_ROWS_AT_ONCE", 100)
# A candle is final when the venue's time is so far past its end; a later trade revises it.
CANDLE_ALLOWED_LATENESS_S = env.float("CANDLE_ALLOWED_LATENESS_S", 2.0)
# Where no more trades come, the clock decides, so much later still.
CANDLE_IDLE_GRACE_S = env.float("CANDLE_IDLE_GRACE_S", 5.0)
# Browsers are told of candles that ended within this time: loading the past is no news.
CANDLE_PUBLISH_MAX_AGE_S = env.float("CANDLE_PUBLISH_MAX_AGE_S", 3600.0)
# Longer candles are made ahead of reading once they have been over for so long; until then of their minutes.
CANDLE_SETTLE_S = env.float("CANDLE_SETTLE_S", 3600.0)
# How old ticks have to be to be compressed (TimescaleDB; 0: never) and to be dropped (0: never), in whole days.
COMPRESS_AFTER_DAYS = env.int("COMPRESS_AFTER_DAYS", 7)
RETENTION_TRADES_DAYS = env.int("RETENTION_TRADES_DAYS", 0)
RETENTION_QUOTES_DAYS = env.int("RETENTION_QUOTES_DAYS", 0)
# Dropped ticks are written here before, as Parquet; ARCHIVE_DROPPED=0 drops them for good.
ARCHIVE_DROPPED = env.bool("ARCHIVE_DROPPED", True)
ARCHIVE_DIR = Path(env.str("ARCHIVE_DIR", str(DATA_DIR / "archive")))
ARCHIVE_CHUNK_ROWS = env.int("ARCHIVE_CHUNK_ROWS", 100_000)
# Dropping waits so long for those who use the table, then leaves it to the next run: behind it, writers wait as well.
STORAGE_LOCK_TIMEOUT_S = env.int("STORAGE_LOCK_TIMEOUT_S", 5)
TICK_MAX_FUTURE_S = env.float("TICK_MAX_FUTURE_S", 60.0)
# Nothing in this field was recorded before it: an earlier venue time is a broken one.
TICK_EARLIEST = env.str("TICK_EARLIEST", "2009-01-01T00:00:00+00:00")
# An equity's of which no exchange is known.
EQUITY_CALENDAR = env.str("EQUITY_CALENDAR", "XNYS")
# Sessions are worked out anew (a year ahead) when fewer days than this are left.
CALENDAR_MIN_DAYS_AHEAD = env.int("CALENDAR_MIN_DAYS_AHEAD", 180)
PRICE_FRESH_S = env.float("PRICE_FRESH_S", 60.0)

# --- Streaming ----------------------------------------------------------------------------------------------

ANONYMOUS_MARKET_DATA = env.bool("ANONYMOUS_MARKET_DATA", DEVELOPMENT)
MAX_CONNECTIONS_PER_USER = env.int("MAX_CONNECTIONS_PER_USER", 5)
MAX_CONNECTIONS_PER_ADDRESS = env.int("MAX_CONNECTIONS_PER_ADDRESS", 100)
MAX_SUBSCRIPTIONS_PER_CONNECTION = env.int("MAX_SUBSCRIPTIONS_PER_CONNECTION", 50)
# On the paths that count symbols: /ws/market/, /ws/market-multi/, /ws/market-data/.
MAX_SYMBOLS_PER_CONNECTION = env.int("MAX_SYMBOLS_PER_CONNECTION", 200)
MAX_MESSAGES_PER_MINUTE = env.int("MAX_MESSAGES_PER_MINUTE", 100)
MAX_MESSAGE_BYTES = env.int("MAX_MESSAGE_BYTES", 64 * 1024)
MAX_BROKEN_MESSAGES = env.int("MAX_BROKEN_MESSAGES", 20)
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])
# A ticket for a socket's URL: used once, within this time.
SOCKET_TICKET_TTL_S = env.int("SOCKET_TICKET_TTL_S", 30)
WEBSOCKET_TIMEOUT_S = env.int("WEBSOCKET_TIMEOUT", 300)
STREAM_INTERVAL_MS = env.int("STREAM_INTERVAL_MS", 100)
STREAM_INTERVAL_MIN_MS = 50
STREAM_INTERVAL_MAX_MS = 5000
OUTBOX_QUEUE_MAX = env.int("OUTBOX_QUEUE_MAX", 1000)
OUTBOX_WRITE_BUFFER_MAX_BYTES = env.int("OUTBOX_WRITE_BUFFER_MAX_BYTES", 1024 * 1024)
# A client with so much yet to take gets answers, lossless events and topics of high priority, and the rest later.
OUTBOX_WRITE_BUFFER_BEHIND_BYTES = env.int("OUTBOX_WRITE_BUFFER_BEHIND_BYTES", 128 * 1024)
# Messages kept of one batched topic (trades) for one client.
OUTBOX_BATCH_MAX = env.int("OUTBOX_BATCH_MAX", 200)
# A client that takes nothing for so long is too slow.
OUTBOX_STALL_TIMEOUT_S = env.float("OUTBOX_STALL_TIMEOUT_S", 15.0)
DROPPED_REPORT_INTERVAL_S = env.float("DROPPED_REPORT_INTERVAL_S", 10.0)
# A topic without local subscribers is kept this long for whoever comes back to it.
HUB_LINGER_S = env.float("HUB_LINGER_S", 5.0)
# permessage-deflate for clients that offer it, for messages from so many bytes on. It costs CPU per client and message
# instead of per message, and memory per connection (docs/performance.md): for thin lines, not for many clients.
WEBSOCKET_DEFLATE = env.bool("WEBSOCKET_DEFLATE", False)
WEBSOCKET_DEFLATE_MIN_BYTES = env.int("WEBSOCKET_DEFLATE_MIN_BYTES", 512)
# Threads, and so database connections, that serve the sockets of one web process.
STREAM_THREADS = env.int("STREAM_THREADS", 4)
# Events of lossless topics are kept so long; whoever was away for longer gets the state instead of a replay.
EVENT_KEEP_DAYS = env.int("EVENT_KEEP_DAYS", 30)
EVENT_REPLAY_MAX = env.int("EVENT_REPLAY_MAX", 1000)
HUB_HEARTBEAT_S = env.float("HUB_HEARTBEAT_S", 1.0)
HUB_SILENCE_S = env.float("HUB_SILENCE_S", 3.0)
# Each web process reports its connections so often; a report counts for so long.
PRESENCE_INTERVAL_S = env.float("PRESENCE_INTERVAL_S", 2.0)
PRESENCE_TTL_S = env.int("PRESENCE_TTL_S", 10)
CONNECTION_LEASE_TTL_S = env.float("CONNECTION_LEASE_TTL_S", 30.0)
PUBLISH_TIMEOUT_S = env.float("PUBLISH_TIMEOUT_S", 2.0)
# After a failed publish: the messages of so long are counted as unpublished, without asking Redis for each.
PUBLISH_RETRY_INTERVAL_S = env.float("PUBLISH_RETRY_INTERVAL_S", 0.5)

# --- Portfolio and signals ----------------------------------------------------------------------------------

PORTFOLIO_PULL_INTERVAL_MS = env.int("PORTFOLIO_PULL_INTERVAL_MS", 100)
# How often the follower looks for posted rows that no hint told it of.
PORTFOLIO_RECONCILE_INTERVAL_S = env.float("PORTFOLIO_RECONCILE_INTERVAL_S", 10.0)
# What is held is followed by the feeds; a follower that is gone stops asking for it.
PORTFOLIO_DEMAND_TTL_S = env.float("PORTFOLIO_DEMAND_TTL_S", 60.0)
# A posted row is told at once, by whoever posted it, where the ledger has so many rows; else by the follower.
PORTFOLIO_TELL_MAX_ROWS = env.int("PORTFOLIO_TELL_MAX_ROWS", 500)
# Ledgers that the follower keeps added up, the last used: a new row goes on from there (about 1 kB a row).
PORTFOLIO_BOOKS_KEPT = env.int("PORTFOLIO_BOOKS_KEPT", 1000)
# How long values by the minute, by the hour and by the day are kept; 0: for ever.
SNAPSHOT_KEEP_MINUTES_DAYS = env.int("SNAPSHOT_KEEP_MINUTES_DAYS", 7)
SNAPSHOT_KEEP_HOURS_DAYS = env.int("SNAPSHOT_KEEP_HOURS_DAYS", 90)
SNAPSHOT_KEEP_DAYS_DAYS = env.int("SNAPSHOT_KEEP_DAYS_DAYS", 0)
# A portfolio in which nothing moves is noted so seldom; a longer silence is a gap.
SNAPSHOT_IDLE_INTERVAL_S = env.int("SNAPSHOT_IDLE_INTERVAL_S", 3600)
# Points that one request for a portfolio's history may span.
HISTORY_MAX_POINTS = env.int("HISTORY_MAX_POINTS", 10_000)
# The nightly proof asks the follower for so many portfolios at a time, and waits so long for its answer.
PROOF_CHUNK = env.int("PROOF_CHUNK", 100)
PROOF_WAIT_S = env.float("PROOF_WAIT_S", 30.0)
# The follower may know a price so much later than the market.
PROOF_PRICE_LAG_S = env.float("PROOF_PRICE_LAG_S", 10.0)
# A POST of several transactions takes at most so many.
LEDGER_ROWS_MAX_PER_POST = env.int("LEDGER_ROWS_MAX_PER_POST", 5_000)
LEDGER_EARLIEST = env.str("LEDGER_EARLIEST", "1900-01-01T00:00:00+00:00")
# Quote currencies that count one to one as another: a holding priced in USDT is worth as many USD.
STABLE_EQUIVALENTS = env.dict("STABLE_EQUIVALENTS", default={"USDT": "USD", "USDC": "USD"})
MAX_SHARES_PER_PORTFOLIO = env.int("MAX_SHARES_PER_PORTFOLIO", 100)
SHARE_LINK_MAX_DAYS = env.int("SHARE_LINK_MAX_DAYS", 366)
MAX_PORTFOLIOS_PER_HOUSEHOLD = env.int("MAX_PORTFOLIOS_PER_HOUSEHOLD", 50)
# How long a dated exchange rate counts where no newer one is known: over weekends and the longest holidays.
FX_MAX_AGE_DAYS = env.int("FX_MAX_AGE_DAYS", 7)
# What Sharpe and Sortino measure against where the request doesn't say: a year's rate, 0.03 for 3 %.
RISK_FREE_RATE = env.float("RISK_FREE_RATE", 0.0)
# Exchange rates that one request may bring.
FX_MAX_ROWS = env.int("FX_MAX_ROWS", 10_000)

# A file to be imported: its bytes, rows and columns. One above IMPORT_BYTES_AT_ONCE is posted by a worker.
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", 10 * 1024 * 1024)
IMPORT_MAX_ROWS = env.int("IMPORT_MAX_ROWS", 100_000)
IMPORT_MAX_COLUMNS = env.int("IMPORT_MAX_COLUMNS", 500)
IMPORT_BYTES_AT_ONCE = env.int("IMPORT_BYTES_AT_ONCE", 512 * 1024)
# Errors that an import keeps and tells, and rows that a preview shows.
IMPORT_ERRORS_MAX = env.int("IMPORT_ERRORS_MAX", 200)
IMPORT_PREVIEW_ROWS_MAX = env.int("IMPORT_PREVIEW_ROWS_MAX", 1_000)
# What the ledger refuses is left out and the rest tried again, so often.
IMPORT_ATTEMPTS = env.int("IMPORT_ATTEMPTS", 20)
IMPORT_TIME_LIMIT_S = env.int("IMPORT_TIME_LIMIT_S", 30 * 60)

# How often resting orders look at the market.
ORDER_PULL_INTERVAL_MS = env.int("ORDER_PULL_INTERVAL_MS", 250)
# How often the matcher reads the open orders anew although nobody told it of any.
ORDER_RECONCILE_INTERVAL_S = env.float("ORDER_RECONCILE_INTERVAL_S", 10.0)
# Open orders of one account; a further one is rejected.
ORDER_OPEN_MAX = env.int("ORDER_OPEN_MAX", 1000)
# Fees in hundredths of a percent, where an account has none of its own: of orders that rested, and of the others.
ORDER_MAKER_FEE_BPS = env.str("ORDER_MAKER_FEE_BPS", "0")
ORDER_TAKER_FEE_BPS = env.str("ORDER_TAKER_FEE_BPS", "0")
# What an order without a limit reserves above the price, as a fraction of it.
ORDER_MARKET_MARGIN = env.str("ORDER_MARKET_MARGIN", "0.02")
# What a short sale needs beyond its own proceeds, as a fraction of them.
ORDER_SHORT_MARGIN = env.str("ORDER_SHORT_MARGIN", "0.5")
# Of what is traded at exactly the limit, the part that reaches an order which rests there.
ORDER_QUEUE_SHARE = env.str("ORDER_QUEUE_SHARE", "0.1")
# Of the last minute's volume, what an account may take where no order book is known.
ORDER_VOLUME_SHARE = env.str("ORDER_VOLUME_SHARE", "0.1")

# How often strategies look for bars that have closed: minutes, and longer ones.
SIGNAL_INTERVAL_S = env.float("SIGNAL_INTERVAL_S", 5.0)
SIGNAL_LONG_INTERVAL_S = env.float("SIGNAL_LONG_INTERVAL_S", 15.0)
# A candle older than this tells of the past: no signal is made of it. Of a long one, this share of its length.
SIGNAL_MAX_AGE_S = env.float("SIGNAL_MAX_AGE_S", 180.0)
SIGNAL_MAX_AGE_SHARE = env.float("SIGNAL_MAX_AGE_SHARE", 0.25)
# What is made of minutes is looked at so long after its end: its last minute has to be on disk.
SIGNAL_SETTLE_S = env.float("SIGNAL_SETTLE_S", 10.0)
# Strategies of one user, and instruments that one of them names.
USER_STRATEGIES_MAX = env.int("USER_STRATEGIES_MAX", 50)
USER_STRATEGY_INSTRUMENTS_MAX = env.int("USER_STRATEGY_INSTRUMENTS_MAX", 500)
SIGNAL_SNAPSHOT_MAX = env.int("SIGNAL_SNAPSHOT_MAX", 50)

# --- Strategy files, scorecards, findings (docs/signals.md)

# Python files that hold a strategy each. They run in processes of their own, within these limits: of one question, of
# running the file, and of the whole check, each by the clock and of CPU.
STRATEGY_DIR = Path(env.str("STRATEGY_DIR", str(BASE_DIR / "strategies")))
STRATEGY_FILE_MAX_BYTES = env.int("STRATEGY_FILE_MAX_BYTES", 256 * 1024)
STRATEGY_FILES_MAX = env.int("STRATEGY_FILES_MAX", 50)
STRATEGY_CALL_TIMEOUT_S = env.float("STRATEGY_CALL_TIMEOUT_S", 2.0)
STRATEGY_LOAD_TIMEOUT_S = env.float("STRATEGY_LOAD_TIMEOUT_S", 15.0)
STRATEGY_CHECK_TIMEOUT_S = env.float("STRATEGY_CHECK_TIMEOUT_S", 60.0)
# Address space, of which numpy and TA-Lib take about 120 MiB.
STRATEGY_MEMORY_MAX_MIB = env.int("STRATEGY_MEMORY_MAX_MIB", 1024)
STRATEGY_WARMUP_MAX_BARS = env.int("STRATEGY_WARMUP_MAX_BARS", 2_000)
# Bars of the check beyond the warm-up.
STRATEGY_CHECK_BARS = env.int("STRATEGY_CHECK_BARS", 200)
# After so many failures in a row a file is switched off until it changes.
STRATEGY_FAILURES_MAX = env.int("STRATEGY_FAILURES_MAX", 5)
# What one file may take of a minute, in all that one of our processes asks it: more is a failure.
STRATEGY_BUDGET_S_PER_MINUTE = env.float("STRATEGY_BUDGET_S_PER_MINUTE", 30.0)
# Processes that one of ours keeps running: those of the files that were asked last.
STRATEGY_PROCESSES_MAX = env.int("STRATEGY_PROCESSES_MAX", 8)
# How often the folder is looked at.
STRATEGY_LOOK_INTERVAL_S = env.float("STRATEGY_LOOK_INTERVAL_S", 15.0)

# A signal is scored when the bars after it had so long to arrive.
OUTCOME_GRACE_S = env.float("OUTCOME_GRACE_S", 30.0)
OUTCOME_INTERVAL_S = env.float("OUTCOME_INTERVAL_S", 30.0)
# A hit rate is a confidence from so many outcomes on; and it is worked out anew after so long.
CALIBRATED_MIN_OUTCOMES = env.int("CALIBRATED_MIN_OUTCOMES", 30)
SCORECARD_CACHE_S = env.float("SCORECARD_CACHE_S", 60.0)

# Figures and anomalies are looked for in bars of these intervals, so often.
FINDING_INTERVALS = env.list("FINDING_INTERVALS", default=["1m", "5m", "15m", "1h", "4h", "1d"])
FINDING_LOOK_INTERVAL_S = env.float("FINDING_LOOK_INTERVAL_S", 10.0)
# Instruments that are looked at, and bars that findings are kept for.
FINDING_INSTRUMENTS_MAX = env.int("FINDING_INSTRUMENTS_MAX", 1_000)
FINDING_KEEP_BARS = env.int("FINDING_KEEP_BARS", 2_000)
# A bar that is revised takes back what was found in it and after it, as far as so many bars back.
FINDING_REVIEW_BARS = env.int("FINDING_REVIEW_BARS", 60)

# --- Notifications (docs/notifications.md)

# Unread ones that a client gets when it connects.
NOTIFICATION_SNAPSHOT_MAX = env.int("NOTIFICATION_SNAPSHOT_MAX", 50)
# How long they are kept, read or not; 0: for ever.
NOTIFICATION_KEEP_DAYS = env.int("NOTIFICATION_KEEP_DAYS", 90)
# Delivered one by one: so many of one group, and of one type, within so many minutes. The rest comes as one summary.
# For whoever has not chosen otherwise.
NOTIFICATION_STORM_MAX = env.int("NOTIFICATION_STORM_MAX", 5)
NOTIFICATION_STORM_TYPE_MAX = env.int("NOTIFICATION_STORM_TYPE_MAX", 20)
NOTIFICATION_STORM_MINUTES = env.int("NOTIFICATION_STORM_MINUTES", 10)
# How often summaries that are due are looked for, and how many are told in one transaction.
NOTIFICATION_DIGEST_INTERVAL_S = env.float("NOTIFICATION_DIGEST_INTERVAL_S", 15.0)
NOTIFICATION_DIGEST_BATCH = env.int("NOTIFICATION_DIGEST_BATCH", 200)

# --- Alerts

# How often alerts look at what moved, and at what a clock or a closed bar decides.
ALERT_PULL_INTERVAL_MS = env.int("ALERT_PULL_INTERVAL_MS", 100)
ALERT_TIMER_INTERVAL_S = env.float("ALERT_TIMER_INTERVAL_S", 1.0)
# How often the follower compares the alerts it has with the rows, although nobody told it of any.
ALERT_RECONCILE_INTERVAL_S = env.float("ALERT_RECONCILE_INTERVAL_S", 30.0)
# A price that moved longer ago fires nothing any more.
ALERT_MAX_AGE_S = env.float("ALERT_MAX_AGE_S", 60.0)
# Feeds follow what has an alert; a follower that is gone stops asking for it.
ALERT_DEMAND_TTL_S = env.float("ALERT_DEMAND_TTL_S", 60.0)
ALERT_MAX_PER_USER = env.int("ALERT_MAX_PER_USER", 1000)
# A condition's levels, and its comparisons in all.
ALERT_MAX_DEPTH = env.int("ALERT_MAX_DEPTH", 20)
ALERT_MAX_LEAVES = env.int("ALERT_MAX_LEAVES", 50)
ALERT_MAX_CONFIRMATIONS = env.int("ALERT_MAX_CONFIRMATIONS", 100)
ALERT_MAX_COOLDOWN_S = env.float("ALERT_MAX_COOLDOWN_S", 30 * 86_400.0)
ALERT_MAX_SNOOZE_S = env.float("ALERT_MAX_SNOOZE_S", 366 * 86_400.0)
# Alerts that were created, changed or taken away, for the follower to read again: so many are remembered.
ALERT_TOUCHED_MAX_ENTRIES = env.int("ALERT_TOUCHED_MAX_ENTRIES", 10_000)

# --- Figures that alerts judge (docs/alerts.md), and their dry runs

# How often a figure is read again that nobody announces: bases of a day, a portfolio's value, splits, a part's health.
ALERT_BASES_READ_S = env.float("ALERT_BASES_READ_S", 60.0)
ALERT_PORTFOLIOS_READ_S = env.float("ALERT_PORTFOLIOS_READ_S", 2.0)
ALERT_SPLITS_READ_S = env.float("ALERT_SPLITS_READ_S", 60.0)
ALERT_SENTIMENT_READ_S = env.float("ALERT_SENTIMENT_READ_S", 30.0)
ALERT_SERVICE_READ_S = env.float("ALERT_SERVICE_READ_S", 5.0)
# A closed bar that is not there yet is asked for again so often.
ALERT_BARS_RETRY_S = env.float("ALERT_BARS_RETRY_S", 2.0)
# A bar counts until the next one has closed and so much more time has passed.
ALERT_BARS_LATE_S = env.float("ALERT_BARS_LATE_S", 60.0)
# "N minutes before": how much older than that a price may be.
ALERT_BASE_LATE_S = env.float("ALERT_BASE_LATE_S", 300.0)
# A split that becomes known so many days after it came re-scales thresholds still.
ALERT_RESCALE_DAYS = env.int("ALERT_RESCALE_DAYS", 30)
ALERT_RESCALE_INTERVAL_S = env.float("ALERT_RESCALE_INTERVAL_S", 60.0)
# A drawdown is from the highest point of so many days.
ALERT_DRAWDOWN_DAYS = env.int("ALERT_DRAWDOWN_DAYS", 365)
# One gathering reads bars and ledgers for so long; what is left waits for the next.
ALERT_GATHER_BUDGET_MS = env.int("ALERT_GATHER_BUDGET_MS", 200)
# Bases that are remembered, each kind of them.
ALERT_FACTS_KEPT = env.int("ALERT_FACTS_KEPT", 100_000)
# A dry run: bars and quotes that it reads in all, points of its chart, firings that it lists, and how long it may work.
DRY_RUN_MAX_BARS = env.int("DRY_RUN_MAX_BARS", 50_000)
DRY_RUN_MAX_QUOTES = env.int("DRY_RUN_MAX_QUOTES", 2_000_000)
DRY_RUN_CHART_POINTS = env.int("DRY_RUN_CHART_POINTS", 500)
DRY_RUN_MAX_FIRINGS = env.int("DRY_RUN_MAX_FIRINGS", 1000)
DRY_RUN_TIMEOUT_S = env.float("DRY_RUN_TIMEOUT_S", 10.0)

# --- News (docs/news.md)

# RSS and Atom feeds: `category=url,…`. Staff may add others.
NEWS_FEEDS = env.list("NEWS_FEEDS", default=[])
# Who is asked for news. Feeds are always looked for, since staff may add one; where no feed of the market is a real
# one, and no key or feed is named, there is news that is made up.
NEWS_PROVIDERS = env.list(
    "NEWS_PROVIDERS",
    default=[
        provider
        for provider, is_on in (
            ("rss", True),
            ("finnhub", FINNHUB_API_KEY),
            ("simulated", FEEDS == ["simulated"] and not FINNHUB_API_KEY and not NEWS_FEEDS),
        )
        if is_on
    ],
)
# How often it is looked which lists are due, and how often one is: of an API, and of a feed.
NEWS_ASK_INTERVAL_S = env.float("NEWS_ASK_INTERVAL_S", 10.0)
NEWS_INTERVAL_S = env.float("NEWS_INTERVAL_S", 60.0)
NEWS_FEED_INTERVAL_S = env.float("NEWS_FEED_INTERVAL_S", 60.0)
# A list that fails is left alone for longer each time, up to this; a server may ask for as much as a day.
NEWS_RETRY_MAX_S = env.float("NEWS_RETRY_MAX_S", 6 * 3600.0)
NEWS_RETRY_AFTER_MAX_S = env.float("NEWS_RETRY_AFTER_MAX_S", 86_400.0)
# How long a call waits for its share of the provider's budget.
NEWS_BUDGET_WAIT_S = env.float("NEWS_BUDGET_WAIT_S", 5.0)
# Of one answer: bytes of a feed, items that are read, and redirects that are followed to it.
NEWS_ANSWER_MAX_BYTES = env.int("NEWS_ANSWER_MAX_BYTES", 5 * 1024 * 1024)
NEWS_ITEMS_MAX = env.int("NEWS_ITEMS_MAX", 200)
NEWS_REDIRECTS_MAX = env.int("NEWS_REDIRECTS_MAX", 5)
# Companies that are watched, held or alerted: how many are asked for in one round, how far back, how often each.
NEWS_COMPANIES_PER_ROUND = env.int("NEWS_COMPANIES_PER_ROUND", 5)
NEWS_COMPANY_LOOK_BACK_DAYS = env.int("NEWS_COMPANY_LOOK_BACK_DAYS", 3)
NEWS_COMPANY_INTERVAL_S = env.float("NEWS_COMPANY_INTERVAL_S", 900.0)
# The same story is looked for among those of so long before and after, and of so many at most.
NEWS_STORY_WINDOW_S = env.float("NEWS_STORY_WINDOW_S", 36 * 3600.0)
NEWS_STORIES_MAX = env.int("NEWS_STORIES_MAX", 3_000)
# A class as `signals.sentiment.Model` describes it.
NEWS_SENTIMENT_MODEL = env.str("NEWS_SENTIMENT_MODEL", "signals.sentiment.Lexicon")
# Further names: `Google=GOOGL`.
NEWS_ALIASES = env.dict("NEWS_ALIASES", default={"Google": "GOOGL", "Facebook": "META", "Instagram": "META"})
# How long the names of instruments are kept before they are read again.
NEWS_NAMES_KEPT_S = env.float("NEWS_NAMES_KEPT_S", 300.0)
NEWS_SNAPSHOT_MAX = env.int("NEWS_SNAPSHOT_MAX", 50)
NEWS_KEEP_DAYS = env.int("NEWS_KEEP_DAYS", 365)
# The longest time that sentiment is asked of.
NEWS_SENTIMENT_MAX_HOURS = env.float("NEWS_SENTIMENT_MAX_HOURS", 24.0 * 90)
# Made-up news comes so often.
NEWS_SIMULATED_INTERVAL_S = env.float("NEWS_SIMULATED_INTERVAL_S", 300.0)

# --- Deliveries

# Mail by EMAIL_URL (smtp+tls://user:password@host:587, smtps://…, consolemail://) or by EMAIL_HOST and its like.
vars().update(
    env.email_url("EMAIL_URL")
    if env.str("EMAIL_URL", "")
    else {
        "EMAIL_BACKEND": env.str(
            "EMAIL_BACKEND", f"django.core.mail.backends.{'console' if DEVELOPMENT else 'smtp'}.EmailBackend"
        ),
        "EMAIL_HOST": env.str("EMAIL_HOST", "localhost"),
        "EMAIL_PORT": env.int("EMAIL_PORT", 25),
        "EMAIL_HOST_USER": env.str("EMAIL_HOST_USER", ""),
        "EMAIL_HOST_PASSWORD": env.str("EMAIL_HOST_PASSWORD", ""),
        "EMAIL_USE_TLS": env.bool("EMAIL_USE_TLS", False),
        "EMAIL_USE_SSL": env.bool("EMAIL_USE_SSL", False),
    }
)
EMAIL_TIMEOUT = env.float("EMAIL_TIMEOUT_S", 15.0)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", "Tapehouse <tapehouse@localhost>")
# Where people reach this installation, https://tapehouse.example.org: what is sent links there.
PUBLIC_URL = env.str("PUBLIC_URL", "").rstrip("/")
# The installation's own bot and ntfy server: whoever names none of their own is served by these.
TELEGRAM_API_URL = env.str("TELEGRAM_API_URL", "https://api.telegram.org")
TELEGRAM_BOT_TOKEN = env.str("TELEGRAM_BOT_TOKEN", "")
NTFY_URL = env.str("NTFY_URL", "https://ntfy.sh")
# The private key of web pushes, 32 bytes in URL-safe base64; without it one is made and kept. Its contact: a mailto: or
# https: address that push services may write to.
VAPID_PRIVATE_KEY = env.str("VAPID_PRIVATE_KEY", "")
VAPID_CONTACT = env.str("VAPID_CONTACT", "") or PUBLIC_URL or "mailto:tapehouse@localhost"
# Addresses that users enter are called only if they are public, by https, at these ports. Hosts (or `host:port`), and
# networks such as 10.1.0.0/16, that may be called all the same, by http too: those of the house.
WEBHOOK_ALLOWED_HOSTS = env.list("WEBHOOK_ALLOWED_HOSTS", default=[])
WEBHOOK_ALLOW_HTTP = env.bool("WEBHOOK_ALLOW_HTTP", False)
WEBHOOK_PORTS = [int(port) for port in env.list("WEBHOOK_PORTS", default=["443", "8443", "80"])]
# How long connecting, each silence, and the whole call may take; and how much of an answer is read.
DELIVERY_CONNECT_TIMEOUT_S = env.float("DELIVERY_CONNECT_TIMEOUT_S", 5.0)
DELIVERY_READ_TIMEOUT_S = env.float("DELIVERY_READ_TIMEOUT_S", 10.0)
DELIVERY_CALL_TIMEOUT_S = env.float("DELIVERY_CALL_TIMEOUT_S", 20.0)
DELIVERY_ANSWER_MAX_BYTES = env.int("DELIVERY_ANSWER_MAX_BYTES", 16 * 1024)
# Whoever takes a delivery has it for so long; then another tries it. Longer than any call above.
DELIVERY_LEASE_S = env.float("DELIVERY_LEASE_S", 90.0)
# A test of a destination is waited for so long; what takes longer goes on without the web.
DELIVERY_TEST_WAIT_S = env.float("DELIVERY_TEST_WAIT_S", 3.0)
# How often beat looks for what is due, how many it nudges at once, and how long a nudge counts.
DELIVERY_INTERVAL_S = env.float("DELIVERY_INTERVAL_S", 3.0)
DELIVERY_BATCH = env.int("DELIVERY_BATCH", 200)
DELIVERY_NUDGE_EXPIRE_S = env.float("DELIVERY_NUDGE_EXPIRE_S", 30.0)
# Failures in passing: the first pause, doubled each time up to the longest; so many attempts, none later than this.
DELIVERY_RETRY_S = env.float("DELIVERY_RETRY_S", 5.0)
DELIVERY_RETRY_MAX_S = env.float("DELIVERY_RETRY_MAX_S", 3600.0)
DELIVERY_ATTEMPTS_MAX = env.int("DELIVERY_ATTEMPTS_MAX", 12)
DELIVERY_MAX_AGE_S = env.float("DELIVERY_MAX_AGE_S", 24 * 3600.0)
# After so many deliveries in a row that were given up, a destination is switched off.
DELIVERY_FAILURES_MAX = env.int("DELIVERY_FAILURES_MAX", 10)
# Attempts at one destination in any minute; more wait.
DELIVERIES_PER_MINUTE = env.int("DELIVERIES_PER_MINUTE", 30)
# How long the log is kept; 0: for ever.
DELIVERY_KEEP_DAYS = env.int("DELIVERY_KEEP_DAYS", 90)
MAX_DESTINATIONS_PER_USER = env.int("MAX_DESTINATIONS_PER_USER", 20)

# --- Web ----------------------------------------------------------------------------------------------------

HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8000)
WEB_ACCESS_LOG = env.bool("WEB_ACCESS_LOG", False)
WEB_STOP_TIMEOUT_S = env.int("WEB_STOP_TIMEOUT_S", 8)
# Flower's own /metrics and /healthcheck ask for no login: it stays on loopback.
FLOWER_HOST = env.str("FLOWER_HOST", "127.0.0.1")
FLOWER_PORT = env.int("FLOWER_PORT", 5555)

# When `/readyz` says no: how long its stores may take, how old the newest sign of each worker and tick may be.
READY_STORE_TIMEOUT_S = env.float("READY_STORE_TIMEOUT_S", 2.0)
READY_WORKER_SILENCE_S = env.float("READY_WORKER_SILENCE_S", 30.0)
READY_TICK_AGE_S = env.float("READY_TICK_AGE_S", 60.0)

AUTH_PASSWORD_VALIDATORS = (
    []
    if DEVELOPMENT
    else [
        {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
        {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    ]
)
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", not DEVELOPMENT)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
# An image collects into it; elsewhere there is none, and WhiteNoise would warn of a missing folder.
STATIC_ROOT = env.str("STATIC_ROOT", "") or None
FRONTEND_DIST = BASE_DIR / "frontend" / "dist"
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.exists() else []
DJANGO_VITE = {"default": {"dev_mode": False, "manifest_path": FRONTEND_DIST / "manifest.json"}}
# `make run` serves what the build left, without a collectstatic step; an image collects.
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework_simplejwt.authentication.JWTAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["worker.parsing.Json"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "COERCE_DECIMAL_TO_STRING": True,
    "DEFAULT_PAGINATION_CLASS": "worker.paging.Paging",
    "DEFAULT_THROTTLE_CLASSES": ["worker.throttling.PerMinute"],
    "EXCEPTION_HANDLER": "worker.errors.answer",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=env.int("ACCESS_TOKEN_TTL_S", 15 * 60)),
    "REFRESH_TOKEN_LIFETIME": timedelta(seconds=env.int("REFRESH_TOKEN_TTL_S", 7 * 24 * 3600)),
    # A changed password voids every token that was made under the old one.
    "CHECK_REVOKE_TOKEN": True,
}
# Calls of a user, and of an address that is not signed in; 0 is no limit.
API_CALLS_PER_MINUTE = env.int("API_CALLS_PER_MINUTE", 0 if DEVELOPMENT else 1200)
API_CALLS_PER_MINUTE_ANONYMOUS = env.int("API_CALLS_PER_MINUTE_ANONYMOUS", 0 if DEVELOPMENT else 300)
API_PAGE_SIZE = env.int("API_PAGE_SIZE", 100)
API_PAGE_SIZE_MAX = env.int("API_PAGE_SIZE_MAX", 1000)
SPECTACULAR_SETTINGS = {
    "TITLE": "Tapehouse",
    "DESCRIPTION": "Self-hosted, real-time market data and portfolio platform.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Fields of one name with different choices.
    "ENUM_NAME_OVERRIDES": {
        "Interval": "ingestion.candles.INTERVALS",
        "InstrumentKind": "ingestion.models.Instrument.Kind",
        "GapKind": "ingestion.models.Gap.Kind",
        "GapStatus": "ingestion.models.Gap.Status",
        "JobStatus": "worker.models.Job.Status",
        "VenueStatus": "ingestion.models.VenueSymbol.Status",
        "BookStatus": ["syncing", "live", "stale"],
        "TradeSide": "portfolio.models.Order.Side",
        "ImportStatus": "portfolio.models.ImportBatch.Status",
        "DestinationKind": "signals.models.Destination.Kind",
        "Priority": "signals.models.Notification.Priority",
        "FindingKind": "signals.models.Finding.Kind",
        "FindingStatus": "signals.models.Finding.Status",
        "DeliveryStatus": "signals.models.Delivery.Status",
    },
}

LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "worker.logs.TaskFormatter",
            "format": "%(asctime)s %(levelname)-7s %(name)s%(task_tag)s: %(message)s",
            "datefmt": "%H:%M:%S",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # A line for each message received, run and sent buries all others. Flower shows the tasks.
    "loggers": {
        name: {"level": env.str("TASK_LOG_LEVEL", "WARNING")}
        for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat", "flower.command")
    },
}
