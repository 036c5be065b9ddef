"""The figures that alerts judge, each kind with a file of its own. docs/alerts.md has them in a table.

What is stale, late, delayed, quarantined or not known is not in the answer at all: nobody judges it.
"""

from signals.facts.facts import Facts
from signals.facts.services import parts

__all__ = ["Facts", "parts"]
