"""A paper account: its present epoch, its book, and what its open orders leave of it."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from django.conf import settings
from django.db.models import F

from portfolio import positions
from portfolio.funds import Account, Reserved, Short, Terms
from portfolio.matching import BUY, Rules
from portfolio.models import AccountEpoch, Order, Portfolio
from portfolio.money import ZERO
from portfolio.positions import Book

BOOKS_MAX: Final = 64


class _Kept(msgspec.Struct, frozen=True):
    """A book and what it was folded from: the ledger's version, its newest row, and how it was to be counted."""

    version: int
    newest: int
    archived_until: int
    book: Book


_kept: OrderedDict[int, _Kept] = OrderedDict()
_lock = threading.Lock()


def locked(portfolio_id: int) -> Portfolio:
    """The portfolio, with its row locked: whoever decides about its money takes turns."""
    return Portfolio.objects.select_for_update().get(pk=portfolio_id)


def epoch_of(portfolio: Portfolio) -> AccountEpoch:
    """The account's present epoch; an account that never had one is in its first since it was made."""
    present = AccountEpoch.objects.filter(portfolio=portfolio, ended_at=None).first()
    if present is None:
        present, _ = AccountEpoch.objects.get_or_create(
            portfolio=portfolio, number=1, defaults={"started_at": portfolio.created_at}
        )
    return present


def house_rules() -> Rules:
    """How orders are filled where the account has no fees of its own."""
    return Rules(
        maker_bps=Decimal(settings.ORDER_MAKER_FEE_BPS),
        taker_bps=Decimal(settings.ORDER_TAKER_FEE_BPS),
        queue_share=Decimal(settings.ORDER_QUEUE_SHARE),
    )


def rules_of(epoch: AccountEpoch) -> Rules:
    """How its orders are filled, and for which fees."""
    own = {"maker_bps": epoch.maker_fee_bps, "taker_bps": epoch.taker_fee_bps}
    return msgspec.structs.replace(house_rules(), **{name: bps for name, bps in own.items() if bps is not None})


def terms_of(rules: Rules) -> Terms:
    """What its orders reserve."""
    return Terms(
        bps=max(rules.maker_bps, rules.taker_bps),
        margin=Decimal(settings.ORDER_MARKET_MARGIN),
        short_margin=Decimal(settings.ORDER_SHORT_MARGIN),
    )


def account_of(portfolio: Portfolio, book: Book, orders: Iterable[Order]) -> Account:
    """What there is and what `orders`, the open ones, keep back of it."""
    return Account(
        cash=book.cash,
        held={instrument: p.quantity for instrument, p in book.positions.items() if p.quantity > 0},
        shorts={instrument: _short(book, instrument) for instrument, p in book.positions.items() if p.quantity < 0},
        reserved=tuple(map(reserved_by, orders)),
        short_margin=Decimal(settings.ORDER_SHORT_MARGIN),
    )


def reserved_by(order: Order) -> Reserved:
    return Reserved(
        currency=order.reserved_currency,
        cash=order.reserved_cash,
        instrument=order.instrument_id,
        units=order.reserved_units,
        buying=order.remaining if order.side == BUY else ZERO,
    )


def _short(book: Book, instrument: int) -> Short:
    position = book.positions[instrument]
    return Short(-position.quantity, abs(position.cost), book.lots[instrument][0].currency)


def open_orders(portfolio: Portfolio) -> list[Order]:
    """Oldest first."""
    return list(Order.objects.filter(portfolio=portfolio).open().select_related("instrument").order_by("id"))


# --- Books ----------------------------------------------------------------------------------------------------------


def book_of(portfolio: Portfolio) -> Book:
    """The account's book, to be read only. A ledger that has grown since is gone on with, not folded again.

    The caller's transaction must not have posted to the ledger itself: what it may yet roll back is not kept.
    """
    with _lock:
        kept = _kept.get(portfolio.pk)
    policy = portfolio.policy()
    if kept is None or kept.archived_until != portfolio.archived_until or kept.book.policy != policy:
        kept = None
    elif kept.version == portfolio.version:
        return kept.book
    entries = portfolio.transactions.filter(id__gt=kept.newest).entries() if kept else []
    book = _gone_on(kept, entries, portfolio.version) if kept else None
    if book is None:
        entries = portfolio.transactions.entries()
        book = positions.fold(entries, policy)
    newest = max([kept.newest if kept else 0, *(entry.id for entry in entries)])
    _keep(portfolio, _Kept(portfolio.version, newest, portfolio.archived_until, book))
    return book


def uncommitted_book(portfolio: Portfolio) -> Book:
    """As the caller's transaction sees the ledger, with what it has posted itself."""
    return positions.fold(portfolio.transactions.entries(), portfolio.policy())


def _gone_on(kept: _Kept, entries: list[positions.Entry], version: int) -> Book | None:
    """The kept book with the newer rows; None where they are not simply the ledger's newest."""
    if len(entries) != version - kept.version:
        return None
    book = kept.book.copy()
    try:
        for entry in entries:
            book.apply(entry)
    except (positions.OutOfOrder, positions.NotEnoughUnits):
        return None
    return book


def _keep(portfolio: Portfolio, kept: _Kept) -> None:
    with _lock:
        _kept[portfolio.pk] = kept
        _kept.move_to_end(portfolio.pk)
        while len(_kept) > BOOKS_MAX:
            _kept.popitem(last=False)


# --- Epochs ---------------------------------------------------------------------------------------------------------


def begin_epoch(portfolio: Portfolio, old: AccountEpoch, now: datetime, note: str, closing: object) -> AccountEpoch:
    """End the present epoch: its ledger rows count no more and stay visible. The portfolio is locked by the caller."""
    newest = portfolio.transactions.order_by("-id").values_list("id", flat=True).first() or portfolio.archived_until
    AccountEpoch.objects.filter(pk=old.pk).update(ended_at=now, ended_after=newest, closing=closing)
    Portfolio.objects.filter(pk=portfolio.pk).update(archived_until=newest, version=F("version") + 1)
    return AccountEpoch.objects.create(
        portfolio=portfolio,
        number=old.number + 1,
        started_at=now,
        note=note,
        maker_fee_bps=old.maker_fee_bps,
        taker_fee_bps=old.taker_fee_bps,
    )
