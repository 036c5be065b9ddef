"""Portfolios and their ledgers. A ledger's rows are only ever added: here, in the admin and by a trigger below."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import starmap
from typing import Any, Final, NoReturn

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models

from ingestion.models import Instrument
from ingestion.rest.quoted import MINOR_UNITS
from portfolio import money, positions
from portfolio.money import plain

PAID: Final = ["DEPOSIT", "WITHDRAWAL", "DIVIDEND", "FEE", "RETURN_OF_CAPITAL", "FX_CONVERSION"]
# Rows of these types may count no money, and then need no rate.
MONEYLESS: Final = ["SPLIT", "STOCK_DIVIDEND", "SPINOFF", "MERGER", "RENAME", "REVERSAL"]


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
        """The one door to a portfolio: those that `user` may see, the user's own and those shared with the user."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        shared = Portfolio.objects.filter(shares__user=user)
        return self.filter(models.Q(owner=user) | models.Q(pk__in=shared.values("pk")))

    def writable_by(self, user: Any) -> "PortfolioQuerySet":
        """Those that `user` may change: the owner's own, as `Portfolio.is_writable_by` says of one."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        return self.filter(owner=user)


class Portfolio(models.Model):
    """One account: cash by currency, and holdings.

    cost_basis_method: which units a sale is of, from the beginning; `CostBasisChange` says what it is later.
    version: counts the rows posted, in their own transactions; a value made of an older ledger is thus told apart.
    """

    class CostBasis(models.TextChoices):
        FIFO = "fifo"
        LIFO = "lifo"
        HIFO = "hifo"
        AVERAGE = "average"
        SPECIFIC = "specific"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="portfolios")
    name = models.CharField(max_length=64)
    base_currency = models.CharField(max_length=8, default="USD")
    cost_basis_method = models.CharField(max_length=8, choices=CostBasis.choices, default=CostBasis.AVERAGE)
    allow_short = models.BooleanField(default=False, help_text="whether more may be sold than is held")
    auto_convert = models.BooleanField(
        default=False, help_text="whether what a row pays or brings in another currency is exchanged at its rate"
    )
    version = models.BigIntegerField(default=0, editable=False)
    archived_until = models.BigIntegerField(
        default=0, editable=False, help_text="rows up to this id are of epochs that are over (AccountEpoch)"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PortfolioQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def is_writable_by(self, user: Any) -> bool:
        """Whether `user` may change it: only the owner."""
        return bool(user.is_active) and self.owner_id == user.pk

    def __str__(self) -> str:
        return f"{self.name} ({self.owner})"

    def policy(self) -> positions.Policy:
        """How its ledger is folded: `fold(portfolio.transactions.entries(), portfolio.policy())`."""
        changes = [
            (datetime.combine(change.effective_from, time(), UTC), change.method)
            for change in self.cost_basis_changes.all()
        ]
        return positions.Policy(
            methods=((None, self.cost_basis_method), *changes),
            allow_short=self.allow_short,
            auto_convert=self.auto_convert,
            base_currency=self.base_currency,
            equivalents=settings.STABLE_EQUIVALENTS,
        )

    def method_on(self, day: date) -> str:
        """The cost basis method in force on a day."""
        changes = [change.method for change in self.cost_basis_changes.all() if change.effective_from <= day]
        return changes[-1] if changes else self.cost_basis_method


class CostBasisChange(models.Model):
    """From this day on (its midnight UTC), sales of the portfolio are of other units."""

    portfolio = models.ForeignKey(Portfolio, on_delete=models.CASCADE, related_name="cost_basis_changes")
    method = models.CharField(max_length=8, choices=Portfolio.CostBasis.choices)
    effective_from = models.DateField()

    class Meta:
        ordering = ["effective_from"]
        constraints = [
            models.UniqueConstraint(fields=["portfolio", "effective_from"], name="one_cost_basis_method_a_day")
        ]

    def __str__(self) -> str:
        return f"{self.method} from {self.effective_from}"


class TransactionQuerySet(models.QuerySet["Transaction"]):
    def entries(self) -> list[positions.Entry]:
        """The rows of the account's present epoch as the pure ledger's values, in order."""
        present = self.filter(id__gt=models.F("portfolio__archived_until"))
        return list(starmap(_entry, present.order_by("at", "id").values_list(*COLUMNS)))

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
        DEPOSIT = "DEPOSIT"
        WITHDRAWAL = "WITHDRAWAL"
        BUY = "BUY"
        SELL = "SELL"
        DIVIDEND = "DIVIDEND"
        INTEREST = "INTEREST"
        FEE = "FEE"
        TAX = "TAX"
        SPLIT = "SPLIT"
        STOCK_DIVIDEND = "STOCK_DIVIDEND"
        SPINOFF = "SPINOFF"
        MERGER = "MERGER"
        RENAME = "RENAME"
        TRANSFER_IN = "TRANSFER_IN"
        TRANSFER_OUT = "TRANSFER_OUT"
        RETURN_OF_CAPITAL = "RETURN_OF_CAPITAL"
        FX_CONVERSION = "FX_CONVERSION"
        REVERSAL = "REVERSAL"

    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="transactions")
    type = models.CharField(max_length=24, choices=Type.choices)
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, null=True, related_name="+")
    to_instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, null=True, related_name="+", help_text="what it becomes, or is spun off"
    )
    quantity = ExactField(null=True)
    price = ExactField(null=True, help_text="of one unit, in `currency`")
    unit = models.PositiveSmallIntegerField(
        default=1, help_text="how many of `currency` make one of the money that is paid: 100 for pence"
    )
    amount = ExactField(null=True, help_text="where the row has no quantity and price")
    ratio = ExactField(null=True, help_text="new units for an old one")
    basis_fraction = ExactField(null=True, help_text="the part of the basis that goes with what is spun off, 0 to 1")
    basis = ExactField(null=True, help_text="what the units brought in have cost in all, in `currency`")
    opened_at = models.DateTimeField(null=True, help_text="when the units brought in were bought")
    cash_in_lieu = ExactField(null=True, help_text="paid for fractions of a unit")
    withholding = ExactField(default=money.ZERO, help_text="the tax kept back of `amount`")
    fee = ExactField(default=money.ZERO)
    fee_currency = models.CharField(max_length=8)
    fee_rate = ExactField(null=True, help_text="units of the base currency for one of `fee_currency`, on that day")
    fee_instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, null=True, related_name="+", help_text="the fee is units of this"
    )
    fee_price = ExactField(null=True, help_text="of one of those units")
    fee_price_currency = models.CharField(max_length=8, blank=True, help_text="what `fee_price` is in")
    currency = models.CharField(max_length=8)
    fx_rate = ExactField(
        null=True,
        help_text="units of the base currency for one of `currency`, on that day; none where no money is counted",
    )
    to_currency = models.CharField(max_length=8, blank=True, help_text="what a conversion brings")
    to_amount = ExactField(null=True, help_text="how much of it")
    lot_ids = ArrayField(models.BigIntegerField(), default=list, help_text="the rows that opened the lots to be sold")
    at = models.DateTimeField(help_text="when it happened")
    note = models.CharField(max_length=500, blank=True)
    external_id = models.CharField(max_length=128, null=True, help_text="whoever posts it again gets the same row")
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="reversed_by")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TransactionQuerySet.as_manager()

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["portfolio", "at", "id"], name="ledger_in_order"),
            models.Index(fields=["portfolio", "instrument", "at", "id"], name="ledger_of_an_instrument"),
            models.Index(
                fields=["portfolio", "to_instrument", "instrument"],
                name="ledger_links",
                condition=models.Q(to_instrument__isnull=False),
            ),
            models.Index(
                fields=["portfolio", "fee_instrument", "at"],
                name="ledger_fees_in_kind",
                condition=models.Q(fee_instrument__isnull=False),
            ),
        ]
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
                condition=~models.Q(type__in=PAID) | models.Q(amount__isnull=False, amount__gt=0),
            ),
            models.CheckConstraint(
                name="interest_and_tax_have_an_amount",
                condition=~models.Q(type__in=["INTEREST", "TAX"])
                | (models.Q(amount__isnull=False) & ~models.Q(amount=0)),
            ),
            models.CheckConstraint(
                name="units_have_a_quantity",
                condition=~models.Q(type__in=["TRANSFER_IN", "TRANSFER_OUT", "STOCK_DIVIDEND"])
                | models.Q(instrument__isnull=False, quantity__isnull=False, quantity__gt=0),
            ),
            models.CheckConstraint(
                name="splits_have_a_ratio",
                condition=~models.Q(type__in=["SPLIT", "SPINOFF", "MERGER"])
                | models.Q(instrument__isnull=False, ratio__isnull=False, ratio__gt=0),
            ),
            models.CheckConstraint(
                name="successors_are_named",
                condition=~models.Q(type__in=["SPINOFF", "MERGER", "RENAME"])
                | models.Q(instrument__isnull=False, to_instrument__isnull=False),
            ),
            models.CheckConstraint(
                name="conversions_have_two_sides",
                condition=~models.Q(type="FX_CONVERSION")
                | (models.Q(to_amount__isnull=False, to_amount__gt=0) & ~models.Q(to_currency="")),
            ),
            models.CheckConstraint(
                name="fees_and_rates_are_sane",
                condition=models.Q(fee__gte=0, withholding__gte=0, unit__gte=1)
                & (models.Q(fx_rate__isnull=True) | models.Q(fx_rate__gt=0)),
            ),
            models.CheckConstraint(
                name="money_has_a_rate", condition=models.Q(fx_rate__isnull=False) | models.Q(type__in=MONEYLESS)
            ),
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
        """The row as the pure ledger's value."""
        return _entry(*(getattr(self, name) for name in COLUMNS))


# What an Entry is made of, in the order of `_entry`'s arguments.
COLUMNS: Final = (
    "pk", "type", "at", "currency", "instrument_id", "quantity", "price", "unit", "amount", "fx_rate", "fee",
    "fee_currency", "fee_rate", "fee_instrument_id", "fee_price", "fee_price_currency", "reverses_id",
    "to_instrument_id", "ratio", "basis_fraction", "cash_in_lieu", "withholding", "basis", "opened_at",
    "to_currency", "to_amount", "lot_ids",
)  # fmt: skip


def _major(amount: Decimal | None, unit: int) -> Any:
    """Pence as pounds."""
    return None if amount is None else money.stored(money.EXACT.divide(amount, unit))


def _entry(
    pk: int, type: str, at: datetime, currency: str, instrument: int | None, quantity: Decimal | None,
    price: Decimal | None, unit: int, amount: Decimal | None, fx_rate: Decimal | None, fee: Decimal,
    fee_currency: str, fee_rate: Decimal | None, fee_instrument: int | None, fee_price: Decimal | None,
    fee_price_currency: str, reverses: int | None, to_instrument: int | None, ratio: Decimal | None,
    basis_fraction: Decimal | None, cash_in_lieu: Decimal | None, withholding: Decimal, basis: Decimal | None,
    opened_at: datetime | None, to_currency: str, to_amount: Decimal | None, lot_ids: list[int],
) -> positions.Entry:  # fmt: skip
    """A row's columns as a value. Pence become pounds here, but for the price, which stays as it is quoted."""
    own_fee = fee_currency == currency and fee_instrument is None
    if unit != 1:
        currency, _ = MINOR_UNITS[currency]
        amount, cash_in_lieu, basis, withholding = (_major(x, unit) for x in (amount, cash_in_lieu, basis, withholding))
        fee = _major(fee, unit) if own_fee else fee
        fx_rate = None if fx_rate is None else money.stored(money.EXACT.multiply(fx_rate, unit))
    return positions.Entry(
        id=pk,
        type=type,
        at=at,
        currency=currency,
        instrument=instrument,
        quantity=quantity or money.ZERO,
        price=price or money.ZERO,
        unit=unit,
        amount=amount or money.ZERO,
        fx_rate=fx_rate or money.ONE,
        fee=fee,
        fee_currency=None if own_fee else fee_price_currency or fee_currency,
        fee_rate=fee_rate or money.ONE,
        fee_instrument=fee_instrument,
        fee_price=fee_price or money.ZERO,
        reverses=reverses,
        to_instrument=to_instrument,
        ratio=ratio or money.ONE,
        basis_fraction=basis_fraction or money.ZERO,
        cash_in_lieu=cash_in_lieu or money.ZERO,
        withholding=withholding,
        basis=basis,
        opened_at=opened_at,
        to_currency=to_currency or None,
        to_amount=to_amount or money.ZERO,
        lot_ids=tuple(lot_ids),
    )
