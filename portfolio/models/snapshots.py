"""What portfolios were worth, minute by minute, and the proofs that what is told of them is true."""

from django.db import models

from portfolio.models.ledger import ExactField, Portfolio


class Snapshot(models.Model):
    """A portfolio's last value in a stretch of time that begins at `time`, in its own currency.

    The tables are made by hand (migration 0007): the minutes' is a hypertable, or partitioned by week. There is a row
    only where something moved, or where nothing did for SNAPSHOT_IDLE_INTERVAL_S.
    """

    pk = models.CompositePrimaryKey("portfolio_id", "time")
    portfolio = models.ForeignKey(Portfolio, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    time = models.DateTimeField()
    version = models.BigIntegerField(help_text="the ledger's, that it was made of")
    total_value = ExactField()
    market_value = ExactField()
    cash = ExactField()
    net_invested = ExactField()
    realized_pnl = ExactField()
    unrealized_pnl = ExactField()
    stale = models.BooleanField(help_text="some price was late or missing")

    class Meta:
        abstract = True


class MinuteSnapshot(Snapshot):
    class Meta:
        db_table = "portfolio_snapshot_1m"


class HourSnapshot(Snapshot):
    class Meta:
        db_table = "portfolio_snapshot_1h"


class DaySnapshot(Snapshot):
    class Meta:
        db_table = "portfolio_snapshot_1d"


class Proof(models.Model):
    """One recomputation of everything that the follower holds. mismatches: [{portfolio, figure, held, true}]."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    portfolios = models.PositiveIntegerField(help_text="that were compared")
    mismatches = models.JSONField(default=list)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        found = f"{len(self.mismatches)} mismatches" if self.mismatches else "all true"
        return f"{self.started_at:%Y-%m-%d %H:%M}: {self.portfolios} portfolios, {found}"
