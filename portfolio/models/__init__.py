"""What people own, as tables: one file for each noun, all of them named here."""

from portfolio.models.ledger import AppendOnly, ExactField, Portfolio, Transaction

__all__ = ["AppendOnly", "ExactField", "Portfolio", "Transaction"]
