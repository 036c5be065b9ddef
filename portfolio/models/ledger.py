"""Portfolios and their ledgers. A ledger's rows are only ever added: here, in the admin and by a trigger below."""

from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models

from ingestion.models import Instrument
from portfolio import money, positions
from portfolio.money import plain


class AppendOnly(Exception):
    """Somebody tried to change or to remove a row of a ledger."""

    def __init__(self) -> None:
        super().__init__("A ledger's rows are never changed or removed; reverse the row instead (ledger.reverse).")


class ExactField(models.DecimalField):
    """NUMERIC(38, 18)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "max_digits": money.DIGITS, "decimal_places": money.PLACES})


class PortfolioQuerySet(models.QuerySet["Portfolio"]):
    def visible_to(self, user: Any) -> "PortfolioQuerySet":
        """The one door to a portfolio: those that `user` may see."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        return self.filter(owner=user)


class Portfolio(models.Model):
    """One account: cash by currency, and holdings.

    version: counts the rows posted, in their own transactions; a value made of an older ledger is thus told apart.
    """

    class CostBasis(models.TextChoices):
        AVERAGE = "average"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="portfolios")
    name = models.CharField(max_length=64)
    base_currency = models.CharField(max_length=8, default="USD")
    cost_basis_method = models.CharField(max_length=8, choices=CostBasis.choices, default=CostBasis.AVERAGE)
    version = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PortfolioQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.owner})"


class TransactionQuerySet(models.QuerySet["Transaction"]):
    def entries(self) -> list[positions.Entry]:
        """The rows as the pure ledger's values."""
        return [row.entry() for row in self.order_by("at", "id")]

    def update(self, **_: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly

    def bulk_update(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnly


class Transaction(models.Model):
    """One row of a ledger. `portfolio/ledger.py` writes them; docs/accounting.md says what each type means.

    A REVERSAL copies the row that it undoes, so that it reads by itself.
    """

    class Type(models.TextChoices):
        DEPOSIT = positions.DEPOSIT
        WITHDRAWAL = positions.WITHDRAWAL
        BUY = positions.BUY
        SELL = positions.SELL
        DIVIDEND = positions.DIVIDEND
        FEE = positions.FEE
        REVERSAL = positions.REVERSAL

    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="transactions")
    type = models.CharField(max_length=16, choices=Type.choices)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, null=True, related_name="+")
    quantity = ExactField(null=True)
    price = ExactField(null=True, help_text="of one unit, in `currency`")
    amount = ExactField(null=True, help_text="where the row has no quantity and price")
    fee = ExactField(default=money.ZERO)
    fee_currency = models.CharField(max_length=8)
    currency = models.CharField(max_length=8)
    fx_rate = ExactField(default=money.ONE, help_text="units of the base currency for one of `currency`, on that day")
    at = models.DateTimeField(help_text="when it happened")
    note = models.CharField(max_length=500, blank=True)
    external_id = models.CharField(max_length=128, null=True, help_text="whoever posts it again gets the same row")
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="reversed_by")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TransactionQuerySet.as_manager()

    class Meta:
        ordering = ["at", "id"]
        indexes = [models.Index(fields=["portfolio", "at", "id"], name="ledger_in_order")]
        constraints = [
            models.UniqueConstraint(fields=["portfolio", "external_id"], name="one_row_an_external_id"),
            models.CheckConstraint(
                name="reversals_reverse",
                condition=models.Q(type="REVERSAL", reverses__isnull=False)
                | (~models.Q(type="REVERSAL") & models.Q(reverses__isnull=True)),
            ),
            models.CheckConstraint(
                name="trades_have_quantity_and_price",
                condition=~models.Q(type__in=["BUY", "SELL"])
                | models.Q(instrument__isnull=False, quantity__gt=0, price__gte=0),
            ),
            models.CheckConstraint(
                name="flows_have_an_amount",
                condition=~models.Q(type__in=["DEPOSIT", "WITHDRAWAL", "DIVIDEND", "FEE"]) | models.Q(amount__gt=0),
            ),
            models.CheckConstraint(name="fees_and_rates_are_sane", condition=models.Q(fee__gte=0, fx_rate__gt=0)),
        ]

    def __str__(self) -> str:
        of = f" {self.instrument}" if self.instrument else f" {self.currency}"
        return f"{self.type} {plain(self.quantity or self.amount or money.ZERO)}{of} on {self.at:%Y-%m-%d}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnly

    def entry(self) -> positions.Entry:
        return positions.Entry(
            id=self.pk,
            type=self.type,
            at=self.at,
            currency=self.currency,
            instrument=self.instrument_id,
            quantity=self.quantity or money.ZERO,
            price=self.price or money.ZERO,
            amount=self.amount or money.ZERO,
            fee=self.fee,
            fx_rate=self.fx_rate,
            reverses=self.reverses_id,
        )
