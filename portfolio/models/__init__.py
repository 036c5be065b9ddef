"""What people own, as tables: one file for each noun, all of them named here."""

from portfolio.models.imports import ImportBatch, ImportedRow
from portfolio.models.ledger import AppendOnly, CostBasisChange, ExactField, Portfolio, Transaction

__all__ = ["AppendOnly", "CostBasisChange", "ExactField", "ImportBatch", "ImportedRow", "Portfolio", "Transaction"]
