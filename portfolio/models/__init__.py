"""What people own, as tables: one file for each noun, all of them named here."""

from portfolio.models.imports import ImportBatch, ImportedRow
from portfolio.models.ledger import AppendOnly, CostBasisChange, ExactField, Portfolio, Transaction
from portfolio.models.orders import AccountEpoch, Fill, Order, OrderEvent

__all__ = [
    "AccountEpoch",
    "AppendOnly",
    "CostBasisChange",
    "ExactField",
    "Fill",
    "ImportBatch",
    "ImportedRow",
    "Order",
    "OrderEvent",
    "Portfolio",
    "Transaction",
]
