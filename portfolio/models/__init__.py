"""What people own, as tables: one file for each noun, all of them named here."""

from portfolio.models.imports import ImportBatch, ImportedRow
from portfolio.models.ledger import AppendOnly, CostBasisChange, ExactField, Portfolio, Transaction
from portfolio.models.orders import AccountEpoch, Fill, Order, OrderEvent
from portfolio.models.sharing import Household, Share
from portfolio.models.snapshots import DaySnapshot, HourSnapshot, MinuteSnapshot, Proof

__all__ = [
    "AccountEpoch",
    "AppendOnly",
    "CostBasisChange",
    "DaySnapshot",
    "ExactField",
    "Fill",
    "HourSnapshot",
    "Household",
    "ImportBatch",
    "ImportedRow",
    "MinuteSnapshot",
    "Order",
    "OrderEvent",
    "Portfolio",
    "Proof",
    "Share",
    "Transaction",
]
