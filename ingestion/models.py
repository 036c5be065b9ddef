"""Instruments, their names, and what is known to be missing or doubtful.

The tick and candle tables have no models: the second migration makes them, and only `store.py` knows them.
"""

from django.db import models


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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["symbol"]

    def __str__(self) -> str:
        return self.symbol


class VenueSymbol(models.Model):
    """What a provider calls an instrument: `BTCUSDT` on binance is our BTC-USDT."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="venue_symbols")
    provider = models.CharField(max_length=16)
    symbol = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "symbol"], name="one_instrument_a_venue_symbol")]

    def __str__(self) -> str:
        return f"{self.provider}:{self.symbol}"


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
    """A time from which ticks are missing, and why. Open while `ended_at` is empty."""

    shard = models.CharField(max_length=64)
    reason = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ticks = models.BigIntegerField(default=0, help_text="known to be missing; 0 where nobody can know")

    class Meta:
        db_table = "gap"
        ordering = ["-started_at"]
        constraints = [models.UniqueConstraint(fields=["shard", "reason", "started_at"], name="one_row_a_gap")]

    def __str__(self) -> str:
        return f"{self.shard} {self.reason} since {self.started_at:%Y-%m-%d %H:%M:%S}"
