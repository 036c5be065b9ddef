"""Instruments, their names, and what is known to be missing or doubtful.

The tick and candle tables have no models: migrations make them, and only the package `store` knows them.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Replace, Upper

from ingestion.rest.daily import Daily


def spelled(field: str) -> Replace:
    """A name as names are compared: upper case, `-` for `/`."""
    return Replace(Upper(field), Value("/"), Value("-"))


class Instrument(models.Model):
    """Something with a price. `symbol` is our own: crypto `BASE-QUOTE`, else the exchange's ticker."""

    class Kind(models.TextChoices):
        CRYPTO = "crypto"
        EQUITY = "equity"
        FX = "fx"

    id = models.AutoField(primary_key=True)  # int4: it is in each stored tick
    symbol = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=128)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    currency = models.CharField(max_length=8, help_text="what its price is in, e.g. USDT")
    exchange = models.CharField(max_length=16, blank=True)
    calendar = models.CharField(
        max_length=16, blank=True, help_text="when it trades, such as 24/7 or XNYS; empty: by kind and exchange"
    )
    followed = models.BooleanField(
        default=True, help_text="whether feeds follow it without being asked, where SYMBOLS names none"
    )
    source_order = models.CharField(
        max_length=128, blank=True, help_text="its sources, best first, with commas between; empty: as SOURCE_ORDER"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["symbol"]
        indexes = [models.Index(spelled("symbol"), name="instrument_by_spelling")]

    def __str__(self) -> str:
        return self.symbol


class VenueSymbol(models.Model):
    """What a provider calls an instrument, and from when until when: `BTCUSDT` on binance is our BTC-USDT.

    A venue may give a name that has become free to another instrument; then each has its own row and time. What is
    delisted is closed (`valid_until`), never deleted.
    """

    class Status(models.TextChoices):
        TRADING = "trading"
        HALTED = "halted"
        DELISTED = "delisted"

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="venue_symbols")
    provider = models.CharField(max_length=16)
    symbol = models.CharField(max_length=64)
    rest_symbol = models.CharField(max_length=64, blank=True, help_text="where the venue's REST calls it otherwise")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.TRADING)
    valid_from = models.DateTimeField(null=True, blank=True, help_text="the first instant; empty: always was")
    valid_until = models.DateTimeField(null=True, blank=True, help_text="the instant after the last; empty: still is")
    tick_size = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    lot_size = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    min_notional = models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
    price_precision = models.PositiveSmallIntegerField(null=True, blank=True, help_text="digits after the point")
    quantity_precision = models.PositiveSmallIntegerField(null=True, blank=True, help_text="digits after the point")
    minor_units = models.PositiveIntegerField(
        default=1, help_text="how many of what the venue quotes in make one of the currency: 100 for pence"
    )
    checked_at = models.DateTimeField(null=True, blank=True, help_text="when the venue's own list was last read")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "symbol"], condition=Q(valid_until=None), name="one_instrument_a_venue_symbol"
            ),
            models.CheckConstraint(
                condition=Q(valid_from=None) | Q(valid_until=None) | Q(valid_from__lt=F("valid_until")),
                name="venue_symbol_begins_before_it_ends",
            ),
        ]
        indexes = [
            models.Index(fields=["provider", "symbol", "valid_until"], name="venue_symbol_by_name"),
            models.Index(spelled("symbol"), name="venue_symbol_by_spelling"),
            models.Index(spelled("rest_symbol"), name="venue_symbol_by_rest_spelling"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}:{self.symbol}"

    def clean(self) -> None:
        """Refuses a time in which the venue's name belongs to another row."""
        others = VenueSymbol.objects.filter(provider=self.provider, symbol=self.symbol).exclude(pk=self.pk)
        if self.valid_until is not None:
            others = others.filter(Q(valid_from=None) | Q(valid_from__lt=self.valid_until))
        if self.valid_from is not None:
            others = others.filter(Q(valid_until=None) | Q(valid_until__gt=self.valid_from))
        if other := others.select_related("instrument").first():
            raise ValidationError(f"In this time {self} is {other.instrument}.")


class Watchlist(models.Model):
    """Instruments that somebody keeps an eye on, in their order. Feeds follow them."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="watchlists")
    name = models.CharField(max_length=64)
    order = models.PositiveIntegerField(default=0, help_text="its place among the user's lists")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["order", "id"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="one_watchlist_a_name")]

    def __str__(self) -> str:
        return self.name


class WatchlistItem(models.Model):
    """An instrument on a watchlist."""

    watchlist = models.ForeignKey(Watchlist, on_delete=models.CASCADE, related_name="items")
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    order = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=256, blank=True)

    class Meta:
        ordering = ["order", "id"]
        constraints = [models.UniqueConstraint(fields=["watchlist", "instrument"], name="once_on_a_watchlist")]

    def __str__(self) -> str:
        return f"{self.watchlist}: {self.instrument}"


class Feed(models.Model):
    """What staff want of a provider's feed. Without a row: what FEEDS says."""

    class Wanted(models.TextChoices):
        SETTINGS = "settings", "as FEEDS says"
        RUNNING = "running"
        STOPPED = "stopped"

    provider = models.CharField(max_length=16, unique=True)
    wanted = models.CharField(max_length=8, choices=Wanted.choices, default=Wanted.SETTINGS)
    paused_until = models.DateTimeField(null=True, blank=True, help_text="it runs again from then on")
    reason = models.CharField(max_length=256, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["provider"]

    def __str__(self) -> str:
        return self.provider


class Quarantined(models.Model):
    """A tick that was not believed: kept for a person to look at, never counted. The newest few are kept."""

    provider = models.CharField(max_length=16)
    symbol = models.CharField(max_length=64, blank=True, help_text="as the venue names it")
    reason = models.CharField(max_length=64)
    raw = models.BinaryField(help_text="the frame's first bytes")
    time = models.DateTimeField(null=True, help_text="the venue's, where it can be read")
    received_at = models.DateTimeField()

    class Meta:
        db_table = "quarantine"
        ordering = ["-id"]
        verbose_name = "quarantined tick"

    def __str__(self) -> str:
        return f"{self.provider}:{self.symbol} {self.reason}"


class Gap(models.Model):
    """Ticks that are missing, why, and what became of it.

    A row without an instrument is a shard's: all that it follows, for as long (the journal tells of it). A row with one
    is a hole in the numbers of its trades. Both are repaired from the venue's history (`repair.py`).
    """

    class Kind(models.TextChoices):
        TRADES = "trades"
        QUOTES = "quotes"
        BOOK = "book"
        ALL = "all"

    class Status(models.TextChoices):
        OPEN = "open"
        REPAIRING = "repairing"
        FILLED = "filled"
        UNFILLABLE = "unfillable"

    shard = models.CharField(max_length=64, db_default="")
    provider = models.CharField(max_length=16, db_default="")
    instrument = models.ForeignKey(
        Instrument, on_delete=models.CASCADE, null=True, blank=True, related_name="gaps",
        help_text="empty: everything that the shard follows",
    )  # fmt: skip
    kind = models.CharField(max_length=8, choices=Kind.choices, db_default=Kind.ALL)
    cause = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, help_text="empty while it lasts")
    from_id = models.BigIntegerField(null=True, blank=True, help_text="the first missing trade, as the venue counts")
    to_id = models.BigIntegerField(null=True, blank=True, help_text="the last one")
    ticks = models.BigIntegerField(db_default=0, help_text="known to be missing; 0 where nobody can know")
    status = models.CharField(max_length=10, choices=Status.choices, db_default=Status.OPEN)
    repaired = models.BigIntegerField(db_default=0, help_text="trades that the repair brought")
    attempts = models.IntegerField(db_default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True, help_text="empty: as soon as may be")
    detail = models.TextField(db_default="", blank=True, help_text="how it was filled, or why it cannot be")

    class Meta:
        db_table = "gap"
        ordering = ["-started_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["shard", "cause", "started_at"], condition=Q(instrument=None), name="one_row_a_gap"
            )
        ]
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="gap_by_status"),
            models.Index(fields=["instrument", "provider", "from_id"], name="gap_by_instrument"),
        ]

    def __str__(self) -> str:
        return f"{self.shard or self.provider} {self.cause} since {self.started_at:%Y-%m-%d %H:%M:%S}"


class Backfill(models.Model):
    """History that somebody asked for. Its job tells how far it is, its chunks what is done."""

    class Cause(models.TextChoices):
        ASKED = "asked"
        NIGHTLY = "nightly"
        NEW_INSTRUMENT = "new instrument"

    job = models.OneToOneField("worker.Job", on_delete=models.CASCADE, related_name="backfill")
    provider = models.CharField(max_length=16)
    kind = models.CharField(max_length=8, help_text="a candle's interval, trades or fx")
    symbols = models.JSONField(help_text="our own, as they were asked for")
    start = models.DateTimeField()
    end = models.DateTimeField()
    verify = models.BooleanField(default=False, help_text="compare what is stored, change nothing")
    cause = models.CharField(max_length=16, choices=Cause.choices, default=Cause.ASKED)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind} {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


class BackfillChunk(models.Model):
    """One piece of a backfill: done as a whole or not at all, by whoever claims it."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    backfill = models.ForeignKey(Backfill, on_delete=models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField()
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, null=True, related_name="+")
    symbol = models.CharField(max_length=64, help_text="as the venue named it then")
    start = models.DateTimeField()
    end = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    cursor = models.CharField(max_length=64, blank=True, help_text="where the venue's next page begins")
    rows = models.BigIntegerField(default=0, help_text="new on disk")
    calls = models.IntegerField(default=0)
    differences = models.IntegerField(default=0, help_text="rows that the venue tells otherwise (verify)")
    attempts = models.IntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    alive_at = models.DateTimeField(null=True, blank=True, help_text="the last sign of whoever works on it")
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["backfill", "number"]
        constraints = [models.UniqueConstraint(fields=["backfill", "number"], name="one_chunk_a_number")]
        indexes = [models.Index(fields=["status", "alive_at"], name="chunk_by_status")]

    def __str__(self) -> str:
        return f"{self.backfill_id}/{self.number} {self.symbol} {self.status}"


class Coverage(models.Model):
    """A time whose history was fetched whole: what the venue does not have of it, it never had."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, null=True, related_name="coverage")
    provider = models.CharField(max_length=16)
    kind = models.CharField(max_length=8, help_text="as a backfill's")
    start = models.DateTimeField()
    end = models.DateTimeField()

    class Meta:
        ordering = ["instrument", "provider", "kind", "start"]
        indexes = [models.Index(fields=["instrument", "provider", "kind", "start"], name="coverage_by_instrument")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.provider} {self.kind} {self.start:%Y-%m-%d} to {self.end:%Y-%m-%d}"


class HistoryRequest(models.Model):
    """That an instrument's history was asked for when it was new: once."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    provider = models.CharField(max_length=16)
    requested_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instrument", "provider"], name="history_asked_once")]

    def __str__(self) -> str:
        return f"{self.provider} {self.instrument}"


class DailyBudget(models.Model):
    """What was asked today of a venue that counts a day's requests (`rest/daily.py`); it outlives Redis."""

    account = models.CharField(max_length=64, unique=True, help_text="the provider and a digest of our key")
    utc_day = models.CharField(max_length=10, blank=True)
    utc_used = models.PositiveIntegerField(default=0)
    eastern_day = models.CharField(max_length=10, blank=True)
    eastern_used = models.PositiveIntegerField(default=0)
    blocked_until = models.DateTimeField(null=True, blank=True, help_text="nothing is asked before")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["account"]

    def __str__(self) -> str:
        return self.account

    def state(self) -> Daily:
        """As `rest/daily.py` reckons with it."""
        return Daily(self.utc_day, self.utc_used, self.eastern_day, self.eastern_used, self.blocked_until)

    def keep(self, state: Daily) -> None:
        """Write a state down."""
        self.utc_day, self.utc_used = state.utc_day, state.utc_used
        self.eastern_day, self.eastern_used = state.eastern_day, state.eastern_used
        self.blocked_until = state.blocked_until
        self.save()


class MarketCalendar(models.Model):
    """An exchange's sessions, worked out once: `calendar.pack` makes and reads `sessions`."""

    name = models.CharField(max_length=16, unique=True, help_text="as exchange_calendars calls it, such as XNYS")
    sessions = models.BinaryField()
    until = models.DateTimeField(help_text="the last session's close")
    made_by = models.CharField(max_length=64, help_text="what knew the sessions, with its version")
    made_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class FxRate(models.Model):
    """What one `base` cost in `quote` on a day, as a source published it. Never inverted for storage."""

    base = models.CharField(max_length=8)
    quote = models.CharField(max_length=8)
    date = models.DateField()
    rate = models.DecimalField(max_digits=38, decimal_places=18)
    source = models.CharField(max_length=16)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["base", "quote", "-date"]
        constraints = [
            models.UniqueConstraint(fields=["base", "quote", "date", "source"], name="one_rate_a_day_and_source"),
            models.CheckConstraint(condition=Q(rate__gt=0), name="rates_are_above_zero"),
        ]
        indexes = [models.Index(fields=["quote", "base", "-date"], name="fx_rate_by_quote")]

    def __str__(self) -> str:
        return f"{self.base}/{self.quote} {self.date:%Y-%m-%d}"


class PostedPrice(models.Model):
    """The close of a day as somebody entered it: exact and raw, in what the instrument is priced in.

    Its float stands beside it as a daily bar of the source `manual`, for charts.
    """

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="posted_prices")
    date = models.DateField(help_text="the session's, or the day of UTC")
    close = models.DecimalField(max_digits=38, decimal_places=18)
    posted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    posted_at = models.DateTimeField()

    class Meta:
        ordering = ["instrument", "date"]
        constraints = [
            models.UniqueConstraint(fields=["instrument", "date"], name="one_posted_price_a_day"),
            models.CheckConstraint(condition=Q(close__gt=0), name="posted_prices_are_above_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument} {self.date:%Y-%m-%d}"


class PriceUpdate(models.Model):
    """One instrument of a forced price update: who asked, when, and what came of it. Kept as the audit."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        UPDATED = "updated"
        FAILED = "failed"

    job = models.ForeignKey("worker.Job", on_delete=models.SET_NULL, null=True, related_name="+")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    asked_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    source = models.CharField(max_length=16, blank=True, help_text="who answered")
    price = models.FloatField(null=True, blank=True)
    detail = models.CharField(max_length=512, blank=True, help_text="what was tried, and why it failed")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["instrument", "-finished_at"], name="price_update_by_instrument")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.status}"


class AdjustmentFactor(models.Model):
    """A split or a dividend of an instrument. Prices are stored as they were; readers adjust them."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="adjustment_factors")
    ex_date = models.DateField(help_text="the first session that trades without it")
    split_factor = models.FloatField(default=1.0, help_text="new shares for one old one")
    dividend = models.FloatField(default=0.0, help_text="cash a share, as paid on the day")
    source = models.CharField(max_length=16, blank=True)

    class Meta:
        db_table = "adjustment_factor"
        ordering = ["instrument", "ex_date"]
        constraints = [models.UniqueConstraint(fields=["instrument", "ex_date"], name="one_adjustment_a_day")]

    def __str__(self) -> str:
        return f"{self.instrument} {self.ex_date:%Y-%m-%d}"
