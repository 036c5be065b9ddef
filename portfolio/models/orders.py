"""Paper orders, what became of them, and the epochs of an account. `portfolio/orders.py` writes them."""

from typing import Any

from django.db import models
from django.db.models import Q

from ingestion.models import Instrument
from portfolio import matching, money
from portfolio.models.ledger import ExactField, Portfolio, PortfolioQuerySet
from portfolio.money import plain


class AccountEpoch(models.Model):
    """One life of a paper account. A reset ends it: its rows stay in the ledger, and the next one starts from nothing.

    ended_after: the newest ledger row of this epoch; None while it lasts. closing: what the account was worth then.
    """

    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="epochs")
    number = models.PositiveIntegerField(help_text="1 is the first")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_after = models.BigIntegerField(null=True, blank=True, help_text="its newest ledger row")
    note = models.CharField(max_length=500, blank=True)
    closing = models.JSONField(null=True, blank=True, help_text="the account's figures when it ended")
    maker_fee_bps = models.DecimalField(
        max_digits=8, decimal_places=4, null=True, blank=True, help_text="empty: ORDER_MAKER_FEE_BPS"
    )
    taker_fee_bps = models.DecimalField(
        max_digits=8, decimal_places=4, null=True, blank=True, help_text="empty: ORDER_TAKER_FEE_BPS"
    )

    class Meta:
        ordering = ["portfolio", "number"]
        constraints = [
            models.UniqueConstraint(fields=["portfolio", "number"], name="one_epoch_a_number"),
            models.UniqueConstraint(fields=["portfolio"], condition=Q(ended_at=None), name="one_epoch_at_a_time"),
            models.CheckConstraint(
                name="fees_are_fees",
                condition=(Q(maker_fee_bps=None) | Q(maker_fee_bps__gte=0))
                & (Q(taker_fee_bps=None) | Q(taker_fee_bps__gte=0)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.portfolio}, epoch {self.number}"


class OrderQuerySet(models.QuerySet["Order"]):
    def visible_to(self, user: Any) -> "OrderQuerySet":
        """The orders of the portfolios that `user` may see."""
        visible: PortfolioQuerySet = Portfolio.objects.visible_to(user)
        return self.filter(portfolio__in=visible)

    def open(self) -> "OrderQuerySet":
        """Those that may still be filled."""
        return self.filter(status__in=matching.OPEN)


class Order(models.Model):
    """A paper order. What it may still spend or sell is reserved on it, and on nothing else.

    stop_price: where the stop stands; a trailing one moves with the market. seen_us, taken_us: what the market did,
    and the book that it showed, up to these times (microseconds since 1970) are done with.
    """

    class Side(models.TextChoices):
        BUY = matching.BUY
        SELL = matching.SELL

    class Type(models.TextChoices):
        MARKET = matching.MARKET
        LIMIT = matching.LIMIT
        STOP = matching.STOP
        STOP_LIMIT = matching.STOP_LIMIT
        TRAILING_STOP = matching.TRAILING_STOP

    class TimeInForce(models.TextChoices):
        DAY = matching.DAY
        GTC = matching.GTC
        IOC = matching.IOC
        FOK = matching.FOK

    class Status(models.TextChoices):
        PENDING = matching.PENDING
        PARTIAL = matching.PARTIAL
        FILLED = matching.FILLED
        CANCELLED = matching.CANCELLED
        REJECTED = matching.REJECTED
        EXPIRED = matching.EXPIRED

    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="orders")
    epoch = models.ForeignKey(AccountEpoch, on_delete=models.PROTECT, related_name="orders")
    client_order_id = models.CharField(max_length=64, help_text="whoever sends it again gets the same order")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=Side.choices)
    type = models.CharField(max_length=16, choices=Type.choices)
    time_in_force = models.CharField(max_length=3, choices=TimeInForce.choices)
    quantity = ExactField()
    price = ExactField(null=True, help_text="the limit")
    asked_stop_price = ExactField(null=True, help_text="the stop as it was sent")
    stop_price = ExactField(null=True, help_text="where the stop stands")
    trail = ExactField(null=True, help_text="how far a trailing stop stays behind")
    trail_percent = models.BooleanField(default=False, help_text="whether the trail is in percent of the price")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    reason = models.CharField(max_length=500, help_text="of its newest transition")
    waiting_for = models.CharField(max_length=16, blank=True, help_text="what keeps it from being filled, in a word")
    triggered = models.BooleanField(default=False, help_text="whether its stop was reached")
    arrived = models.BooleanField(default=False, help_text="whether it was in the market at the last look")
    filled_quantity = ExactField(default=money.ZERO)
    filled_value = ExactField(default=money.ZERO, help_text="the sum of quantity × price of its fills")
    average_price = ExactField(null=True)
    fees = ExactField(default=money.ZERO)
    currency = models.CharField(max_length=8, help_text="in which its fills are posted")
    reserved_cash = ExactField(default=money.ZERO)
    reserved_currency = models.CharField(max_length=8)
    reserved_units = ExactField(default=money.ZERO)
    seen_us = models.BigIntegerField(default=0)
    taken_us = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["portfolio"], condition=Q(status__in=["PENDING", "PARTIAL"]), name="open_orders_of_a_portfolio"
            ),
            models.Index(
                fields=["instrument"], condition=Q(status__in=["PENDING", "PARTIAL"]), name="open_orders_by_instrument"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["portfolio", "client_order_id"], name="one_order_a_client_order_id"),
            models.CheckConstraint(
                name="orders_fill_up_to_their_quantity",
                condition=Q(quantity__gt=0, filled_quantity__gte=0)
                & Q(filled_quantity__lte=models.F("quantity"))
                & (~Q(status="FILLED") | Q(filled_quantity=models.F("quantity"))),
            ),
            models.CheckConstraint(
                name="only_open_orders_reserve",
                condition=Q(reserved_cash__gte=0, reserved_units__gte=0)
                & (Q(status__in=["PENDING", "PARTIAL"]) | Q(reserved_cash=0, reserved_units=0)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {plain(self.quantity)} {self.instrument} {self.type} ({self.status})"

    @property
    def remaining(self) -> Any:
        """What is not filled."""
        return self.quantity - self.filled_quantity

    def working(self) -> matching.Working:
        """As the matching rules see it."""
        return matching.Working(
            side=self.side,
            type=self.type,
            time_in_force=self.time_in_force,
            quantity=self.quantity,
            filled=self.filled_quantity,
            price=self.price,
            stop_price=self.stop_price,
            trail=self.trail,
            trail_percent=self.trail_percent,
            triggered=self.triggered,
            arrived=self.arrived,
            seen_us=self.seen_us,
            taken_us=self.taken_us,
        )


class Fill(models.Model):
    """A part of an order that was executed at one price; a row of the ledger says the same (`order:<id>:<number>`)."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    number = models.PositiveIntegerField(help_text="1 is the order's first")
    quantity = ExactField()
    price = ExactField()
    fee = ExactField(default=money.ZERO)
    maker = models.BooleanField(help_text="whether it rested in the book")
    at = models.DateTimeField()
    transaction = models.OneToOneField("portfolio.Transaction", on_delete=models.PROTECT, related_name="fill")

    class Meta:
        ordering = ["order", "number"]
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="one_fill_a_number"),
            models.CheckConstraint(name="fills_are_of_something", condition=Q(quantity__gt=0, price__gt=0, fee__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{plain(self.quantity)} at {plain(self.price)}"


class OrderEvent(models.Model):
    """A step in an order's life: what became of it, when, and why."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    before = models.CharField(max_length=9, choices=Order.Status.choices, blank=True, help_text="empty: it was new")
    status = models.CharField(max_length=9, choices=Order.Status.choices)
    reason = models.CharField(max_length=500)
    filled_quantity = ExactField()
    average_price = ExactField(null=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["order", "id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.status}: {self.reason}"
