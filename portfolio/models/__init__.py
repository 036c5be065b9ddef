"""What people own, as tables: one file for each noun, all of them named here."""

from portfolio.models.ledger import AppendOnly, CostBasisChange, ExactField, Portfolio, Transaction

__all__ = ["AppendOnly", "CostBasisChange", "ExactField", "Portfolio", "Transaction"]
