"""Instruments and their names. The tick tables are in the second migration; only `store.py` knows them."""

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
