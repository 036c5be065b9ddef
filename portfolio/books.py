"""Ledgers as they stand, kept folded: a new row goes on from there, and only what can't be gone on with is added up."""

from collections import OrderedDict

from django.conf import settings

from portfolio import positions
from portfolio.followed import Folded, newest_of
from portfolio.models import Portfolio
from portfolio.models.ledger import PortfolioQuerySet


def with_policy() -> PortfolioQuerySet:
    """Portfolios with what their policy is made of."""
    return Portfolio.objects.prefetch_related("cost_basis_changes")


def fold(portfolio: Portfolio) -> Folded:
    """The ledger, added up."""
    # The version was read before the rows: at worst the same rows are folded once more.
    rows, policy = portfolio.transactions.entries(), portfolio.policy()
    newest, last_id = newest_of(rows)
    book = positions.fold(rows, policy)
    return Folded(portfolio.pk, portfolio.name, portfolio.version, policy, book, newest, last_id)


def go_on(folded: Folded, portfolio: Portfolio) -> bool:
    """Apply what was posted since, if that is enough. Whether it was; when not, `folded` is not to be used any more."""
    rows = portfolio.transactions.filter(pk__gt=folded.last_id).entries()
    return folded.goes_on(portfolio.name, portfolio.version, portfolio.policy(), rows)


class Books:
    """The PORTFOLIO_BOOKS_KEPT last used."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Folded] = OrderedDict()

    def current(self, portfolio: Portfolio) -> Folded:
        """The portfolio's book as it stands. Raises NotEnoughUnits."""
        folded = self._kept.pop(portfolio.pk, None)
        if folded is None or not self._stands(folded, portfolio):
            folded = fold(portfolio)
        self._kept[portfolio.pk] = folded
        while len(self._kept) > settings.PORTFOLIO_BOOKS_KEPT:
            self._kept.popitem(last=False)
        return folded

    @staticmethod
    def _stands(folded: Folded, portfolio: Portfolio) -> bool:
        if folded.version == portfolio.version and folded.policy == portfolio.policy():
            return True
        return go_on(folded, portfolio)
