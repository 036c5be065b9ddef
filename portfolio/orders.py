"""Placing, filling, cancelling and expiring paper orders: the only file that writes them.

Each act is one transaction under the portfolio's lock: the order, its reservation, its fills in the ledger, and the
events about it are written together or not at all. What is decided about the market is in `matching.py`.
"""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from ingestion import demand
from ingestion.models import Instrument
from ingestion.rest.listing import major
from ingestion.store import to_us
from portfolio import accounts, currencies, floor, funds, ledger, matching, order_topics, ownbook
from portfolio.funds import Account
from portfolio.ledger import Refused
from portfolio.matching import BUY, CANCELLED, EXPIRED, FILLED, PARTIAL, PENDING, REJECTED, SELL, Market, Move
from portfolio.models import Fill, Order, OrderEvent, Portfolio, Transaction
from portfolio.money import CURRENCIES, EXACT, ONE, ZERO, plain, stored
from portfolio.positions import Book
from portfolio.topics import publish_on_commit
from streaming import events
from worker.redis import client, key

REASON_MAX: Final = 500
_MINUTE: Final = timedelta(minutes=1)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was asked for, its form checked."""

    client_order_id: str
    instrument: Instrument
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    trail_percent: bool = False
    time_in_force: str = matching.DAY


# --- The acts -------------------------------------------------------------------------------------------------------


def place(portfolio: Portfolio, wish: Wish, now: datetime) -> tuple[Order, bool]:
    """Take an order and try to fill it at once. Returns it, and whether it is new.

    One that the account or the venue does not permit is stored as REJECTED, with the reason. The same wish under the
    same `client_order_id` gives the order that is there; another one raises Refused, and nothing is written.
    """
    listed = floor.listed([wish.instrument])
    seen = floor.look(listed, now)[wish.instrument.pk]
    with transaction.atomic():
        portfolio = accounts.locked(portfolio.pk)
        if found := Order.objects.filter(portfolio=portfolio, client_order_id=wish.client_order_id).first():
            return _same(found, wish), False
        desk = _Desk(portfolio, now)
        order = desk.accept(wish, seen, listed[wish.instrument.pk])
        if order.status == PENDING:
            desk.match(order, seen, ())
        desk.tell()
    return order, True


def cancel(order: Order, reason: str, now: datetime) -> Order:
    """Take back what is not filled. Raises matching.IllegalTransition for an order that is over."""
    return _end(order, CANCELLED, reason, now)


def expire(order: Order, now: datetime) -> Order:
    """End a DAY order whose session is over. Raises matching.IllegalTransition for an order that is over."""
    return _end(order, EXPIRED, f"DAY: its session ended at {order.expires_at:%Y-%m-%d %H:%M:%S} UTC.", now)


def work(order: Order, seen: floor.Seen, moves: Sequence[Move], now: datetime) -> Order | None:
    """Give an open order what the market has for it; None for one that is over meanwhile."""
    with transaction.atomic():
        desk = _Desk(accounts.locked(order.portfolio_id), now)
        fresh = next((one for one in desk.open if one.pk == order.pk), None)
        if fresh is None:
            return None
        if fresh.expires_at is not None and fresh.expires_at <= now:
            desk.finish(fresh, EXPIRED, "DAY: its session is over.")
        else:
            desk.match(fresh, seen, moves)
        desk.tell()
    return fresh


def expire_due(now: datetime) -> int:
    """End the DAY orders whose session is over. Returns how many."""
    due = Order.objects.open().filter(expires_at__lte=now).order_by("id")
    return sum(_end_if_open(order, now) for order in due)


def reset(portfolio: Portfolio, now: datetime, note: str = "", deposit: Decimal | None = None) -> Any:
    """Begin a new epoch: open orders are cancelled, the old rows are archived, and there is nothing but `deposit`.

    Returns the new AccountEpoch. Raises Refused.
    """
    with transaction.atomic():
        portfolio = accounts.locked(portfolio.pk)
        closing = _closing(accounts.book_of(portfolio))
        desk = _Desk(portfolio, now)
        for order in desk.open:
            desk.finish(order, CANCELLED, "The account was reset.")
        epoch = accounts.begin_epoch(portfolio, accounts.epoch_of(portfolio), now, note, closing)
        portfolio.refresh_from_db()
        publish_on_commit(portfolio)
        if deposit is not None:
            about = f"epoch {epoch.number}"
            ledger.post(portfolio, ledger.Draft(type="DEPOSIT", at=now, amount=deposit, note=about), now)
        desk.tell()
    return epoch


def _closing(book: Book) -> dict[str, Any]:
    """What an account was, for its archive: plain decimals."""
    sums = {name: getattr(book, name) for name in ("cash", "net_invested", "realized", "income", "fees")}
    figures: dict[str, Any] = {name: {c: plain(v) for c, v in by.items()} for name, by in sums.items()}
    symbols = dict(Instrument.objects.filter(id__in=book.held).values_list("id", "symbol"))
    held = {symbols[i]: {"quantity": plain(p.quantity), "cost_basis": plain(p.cost)} for i, p in book.held.items()}
    return figures | {"positions": held}


def _end(order: Order, status: str, reason: str, now: datetime) -> Order:
    with transaction.atomic():
        desk = _Desk(accounts.locked(order.portfolio_id), now)
        fresh = next((one for one in desk.open if one.pk == order.pk), None)
        if fresh is None:
            raise matching.IllegalTransition(Order.objects.get(pk=order.pk).status, status)
        desk.finish(fresh, status, reason)
        desk.tell()
    return fresh


def _end_if_open(order: Order, now: datetime) -> int:
    try:
        expire(order, now)
    except matching.IllegalTransition:
        return 0  # filled or cancelled in between
    return 1


def _same(found: Order, wish: Wish) -> Order:
    """The order that was placed under this client_order_id before. Raises Refused when it was another."""
    asked = msgspec.structs.asdict(wish) | {"asked_stop_price": wish.stop_price}
    del asked["stop_price"]
    different = sorted(name.removeprefix("asked_") for name, value in asked.items() if getattr(found, name) != value)
    if different:
        raise Refused(client_order_id=f"Order {found.pk} has it already, with another {', '.join(different)}.")
    return found


# --- One transaction's work -----------------------------------------------------------------------------------------


class _Desk:
    """An account while its portfolio is locked: its open orders, and what is to be told at the end."""

    def __init__(self, portfolio: Portfolio, now: datetime, book: Book | None = None) -> None:
        self.portfolio, self.now = portfolio, now
        self.epoch = accounts.epoch_of(portfolio)
        self.rules = accounts.rules_of(self.epoch)
        self.open = accounts.open_orders(portfolio)
        self._book = book
        self._told: list[tuple[Order, OrderEvent]] = []
        self._books: set[str] = set()

    @property
    def book(self) -> Book:
        """As it was when the portfolio was locked."""
        if self._book is None:
            self._book = accounts.book_of(self.portfolio)
        return self._book

    def account(self, but: Order | None = None) -> Account:
        """What there is, and what the open orders (but one) keep back."""
        others = [order for order in self.open if order is not but and order.status in matching.OPEN]
        return accounts.account_of(self.portfolio, self.book, others)

    # --- A new order

    def accept(self, wish: Wish, seen: floor.Seen, listed: floor.Listed) -> Order:
        """Store the order: PENDING with what it needs reserved, or REJECTED with the reason."""
        order = self._new(wish)
        working = matching.ratcheted(order.working(), seen.known) if seen.known else order.working()
        order.stop_price = working.stop_price
        reason = self._too_many() or _not_permitted(wish, listed, seen) or self._reserve(order, working, seen)
        order.seen_us = max(to_us(self.now), seen.market.as_of_us if not seen.market.bids else 0)
        if reason is not None:
            order.reserved_cash = order.reserved_units = ZERO
            order.expires_at = None
            self._save(order, REJECTED, reason)
        else:
            self.open.append(order)
            self._save(order, PENDING, _accepted(order))
        return order

    def _new(self, wish: Wish) -> Order:
        own = wish.instrument.currency
        asked = msgspec.structs.asdict(wish)
        day = wish.time_in_force == matching.DAY
        return Order(
            **asked,
            portfolio=self.portfolio,
            epoch=self.epoch,
            status="",
            asked_stop_price=wish.stop_price,
            currency=own,
            reserved_currency=own,
            expires_at=floor.session_end(wish.instrument.pk, self.now) if day else None,
            created_at=self.now,
        )

    def _too_many(self) -> str | None:
        most = settings.ORDER_OPEN_MAX
        return f"The account has {most} open orders, which is the most." if len(self.open) >= most else None

    def _reserve(self, order: Order, working: matching.Working, seen: floor.Seen) -> str | None:
        """Keep back what it needs, in a currency that has it. Returns why not."""
        terms = accounts.terms_of(self.rules)
        price = funds.worst_price(working, seen.known, terms)
        if price is None:
            return f"No price of {order.instrument} is known, so that nothing can be reserved for it."
        lacking: list[str] = []
        for currency in self._moneys(order):
            rate = self._rate(order, currency)
            if rate is None:
                lacking.append(f"There is no exchange rate of {order.instrument.currency} in {currency}.")
                continue
            units = currencies.unit_of(order.instrument.currency)[1]
            own = msgspec.structs.replace(terms, units=units, rate=rate)
            account, short = self.account(), self.portfolio.allow_short
            need = funds.need(working, account, order.instrument_id, currency, price, own, short)
            if not need.lacking_cash and not need.lacking_units:
                order.reserved_cash, order.reserved_units = need.cash, need.units
                order.reserved_currency = currency
                order.currency = currency if rate == ONE and units == 1 else order.instrument.currency
                return None
            lacking.append(_insufficient(order, currency, need, account))
        return lacking[0]

    def _moneys(self, order: Order) -> list[str]:
        """The currencies that may pay: the instrument's own, those that count as it, the base's where it converts."""
        own, base = order.instrument.currency, self.portfolio.base_currency
        code = own if own in CURRENCIES else currencies.unit_of(own)[0]
        if self.portfolio.auto_convert and not currencies.same_money(own, base):
            return [base]
        alike = sorted(c for c in {*self.book.cash, base} - {code} if currencies.same_money(c, own))
        if self.book.cash.get(code):
            return [code, *alike]
        return [*sorted(alike, key=lambda c: c != base), code]

    def _rate(self, order: Order, currency: str) -> Decimal | None:
        if currencies.same_money(order.instrument.currency, currency):
            return ONE
        return currencies.rates(currency, {order.instrument.currency}).get(order.instrument.currency)

    # --- An open order

    def match(self, order: Order, seen: floor.Seen, moves: Iterable[Move]) -> None:
        """One look at the market for it, carried out."""
        market = self._with_volume(order, seen)
        rules = msgspec.structs.replace(self.rules, units=currencies.unit_of(order.instrument.currency)[1])
        outcome = matching.match(order.working(), market, moves, rules, self._allowance(order))
        self._take_over(order, outcome.order)
        if outcome.reached:
            self._save(order, order.status, outcome.reached)
        if (refused := self._fill_all(order, outcome.fills)) is not None:
            self.finish(order, CANCELLED, f"The ledger refuses its fill: {refused}")
        elif outcome.end is not None:
            self.finish(order, *outcome.end)
        elif outcome.waiting is not None and outcome.waiting[0] != order.waiting_for:
            order.waiting_for = outcome.waiting[0]
            self._save(order, order.status, f"Waiting. {outcome.waiting[1]}")
        else:
            order.waiting_for = "" if outcome.waiting is None else order.waiting_for
            order.save()

    def _fill_all(self, order: Order, executions: Iterable[matching.Execution]) -> Refused | None:
        """Carry out all the fills or none of them. Returns why the ledger takes them not."""
        told = len(self._told)
        try:
            with transaction.atomic():
                for execution in executions:
                    self._fill(order, execution)
        except Refused as refused:
            del self._told[told:]
            order.refresh_from_db()
            return refused
        return None

    def _with_volume(self, order: Order, seen: floor.Seen) -> Market:
        """The market with what may still be taken of the last minute's volume, where there is no book to walk."""
        market = seen.market
        has_book = bool(market.asks if order.side == BUY else market.bids)
        if has_book or market.blocked is not None or seen.source is None:
            return market
        traded = floor.traded_last_minute(order.instrument_id, seen.source, market.now_us)
        if traded is None:
            return market
        since = self.now - _MINUTE
        own = Fill.objects.filter(
            order__portfolio=self.portfolio, order__instrument=order.instrument, at__gt=since, maker=False
        )
        taken = own.aggregate(taken=Sum("quantity"))["taken"] or ZERO
        with localcontext(EXACT):
            left = max(traded * Decimal(settings.ORDER_VOLUME_SHARE) - taken, ZERO)
        return msgspec.structs.replace(market, minute_left=left)

    def _allowance(self, order: Order) -> Decimal | None:
        """What the account has for it: what other orders keep back is not there."""
        account = self.account(but=order)
        if order.side == SELL:
            return None if self.portfolio.allow_short else account.available_units(order.instrument_id)
        rate = self._rate(order, order.reserved_currency)
        if rate is None:
            return ZERO
        with localcontext(EXACT):
            released = account.released(order.instrument_id, order.remaining)
            return stored((account.available_cash(order.reserved_currency) + released) / rate)

    def _fill(self, order: Order, execution: matching.Execution) -> None:
        number = order.fills.count() + 1
        with localcontext(EXACT):
            before, filled = order.remaining, order.filled_quantity + execution.quantity
            order.filled_value = order.filled_value + stored(execution.quantity * execution.price)
            order.average_price = stored(order.filled_value / filled)
            order.fees = order.fees + execution.fee
        order.filled_quantity = filled
        order.reserved_units = max(order.reserved_units - execution.quantity, ZERO)
        order.reserved_cash = funds.rest(order.reserved_cash, before, order.remaining)
        order.waiting_for = ""
        self._save(order, FILLED if order.remaining == 0 else PARTIAL, execution.reason)
        row = _post(self.portfolio, self._draft(order, execution, number), self.now)
        Fill.objects.create(
            order=order,
            number=number,
            quantity=execution.quantity,
            price=execution.price,
            fee=execution.fee,
            maker=execution.maker,
            at=self.now,
            transaction=row,
        )

    def _draft(self, order: Order, execution: matching.Execution, number: int) -> ledger.Draft:
        base, money = self.portfolio.base_currency, major(order.currency)[0]
        live = None if currencies.same_money(base, money) else currencies.rates(base, {money}).get(money)
        return ledger.Draft(
            type=order.side,
            at=self.now,
            instrument=order.instrument,
            quantity=execution.quantity,
            price=execution.price,
            fee=execution.fee,
            fee_currency=money,
            currency=order.currency,
            fx_rate=live,
            note=f"order {order.client_order_id}",
            external_id=external_id(order.pk, number),
        )

    def _take_over(self, order: Order, working: matching.Working) -> None:
        order.stop_price, order.triggered, order.arrived = working.stop_price, working.triggered, working.arrived
        order.seen_us, order.taken_us = working.seen_us, working.taken_us

    def finish(self, order: Order, status: str, reason: str) -> None:
        """End it; what it kept back is free. Raises matching.IllegalTransition."""
        matching.transition(order.status, status)
        order.reserved_cash = order.reserved_units = ZERO
        self._save(order, status, reason)

    def finish_what_is_not_covered(self, reason: str) -> None:
        """Cancel orders, the newest first, until what is left is covered by what there is."""
        for order in reversed(self.open):
            account = self.account()
            if order.reserved_cash and account.available_cash(order.reserved_currency) < 0:
                self.finish(order, CANCELLED, f"{reason} took {order.reserved_currency} that it needs.")
            elif order.reserved_units and account.available_units(order.instrument_id) < 0:
                self.finish(order, CANCELLED, f"{reason} took {order.instrument} that it needs.")

    # --- Telling

    def _save(self, order: Order, status: str, reason: str) -> None:
        before, order.status = order.status, matching.transition(order.status, status)
        order.reason, order.updated_at = reason[:REASON_MAX], self.now
        order.save()
        event = OrderEvent.objects.create(
            order=order,
            before=before,
            status=status,
            reason=order.reason,
            filled_quantity=order.filled_quantity,
            average_price=order.average_price,
            at=self.now,
        )
        self._told.append((order, event))
        if order.type in (matching.LIMIT, matching.STOP_LIMIT) and status != REJECTED:
            self._books.add(order.instrument.symbol)

    def tell(self) -> None:
        """Last in the transaction: the events in the log, the rest once it is through."""
        events.append([order_topics.update(order, event) for order, event in self._told])
        if self._told:
            wanted = {order.instrument_id for order, _ in self._told if order.status in matching.OPEN}
            symbols = sorted(self._books)
            transaction.on_commit(lambda: _after(wanted, symbols), robust=True)


def _after(wanted: set[int], symbols: Sequence[str]) -> None:
    """For `portfolio.match` to look anew, for feeds to follow what is traded, for those who watch the book."""
    client().incr(placed_key())
    demand.want("orders", wanted, settings.PORTFOLIO_DEMAND_TTL_S)
    for symbol in symbols:
        ownbook.publish_book(symbol)


# --- What is refused, and what is said -----------------------------------------------------------------------------


def _not_permitted(wish: Wish, listed: floor.Listed, seen: floor.Seen) -> str | None:
    """What the venue's rules have against it; None when nothing."""
    if listed.delisted:
        return f"{wish.instrument} is delisted: it is traded nowhere any more."
    code = major(wish.instrument.currency)[0]
    if code not in CURRENCIES:
        return f"{wish.instrument} is priced in “{wish.instrument.currency}”, which is no currency known here."
    for name, price in (("price", wish.price), ("stop_price", wish.stop_price)):
        if price is not None and listed.tick_size and price % listed.tick_size:
            return f"The {name} {plain(price)} is no multiple of the tick size {plain(listed.tick_size)}."
    if listed.lot_size and wish.quantity % listed.lot_size:
        return f"The quantity {plain(wish.quantity)} is no multiple of the lot size {plain(listed.lot_size)}."
    price = wish.price or wish.stop_price or seen.known
    if listed.min_notional and price is not None:
        notional = EXACT.multiply(wish.quantity, price)
        if notional < listed.min_notional:
            return f"Its value {plain(notional)} is below the venue's minimum of {plain(listed.min_notional)}."
    return None


def _insufficient(order: Order, currency: str, need: funds.Need, account: Account) -> str:
    if need.lacking_units:
        there = max(account.available_units(order.instrument_id), ZERO)
        return f"{plain(there)} {order.instrument} are available, too few to sell {plain(order.quantity)}."
    there = max(account.available_cash(currency), ZERO)
    return f"{plain(need.cash)} {currency} are needed, {plain(there)} {currency} are available: insufficient funds."


def _accepted(order: Order) -> str:
    if order.reserved_units:
        return f"Accepted; {plain(order.reserved_units)} {order.instrument} reserved."
    return f"Accepted; {plain(order.reserved_cash)} {order.reserved_currency} reserved."


# --- Other rows of the ledger ---------------------------------------------------------------------------------------

_posting: Final[ContextVar[bool]] = ContextVar("posting", default=False)


def _post(portfolio: Portfolio, draft: ledger.Draft, now: datetime) -> Transaction:
    """A fill's row, which is what its order has reserved for."""
    before = _posting.set(True)
    try:
        return ledger.post(portfolio, draft, now)[0]
    finally:
        _posting.reset(before)


def give_way(portfolio: Portfolio, **_: Any) -> None:
    """A ledger states facts: where another row took what orders need, they are cancelled, and say so."""
    if _posting.get() or not Order.objects.filter(portfolio=portfolio).open().exists():
        return
    portfolio.refresh_from_db()
    desk = _Desk(portfolio, timezone.now(), accounts.uncommitted_book(portfolio))
    desk.finish_what_is_not_covered("A row of the ledger")
    desk.tell()


ledger.changed.connect(give_way, dispatch_uid="orders")


def placed_key() -> str:
    """Counts what happened to orders: a hint that those in memory are old."""
    return key("orders", "placed")


def external_id(order_id: int, number: int) -> str:
    """What the ledger's row of an order's fill is posted under."""
    return f"order:{order_id}:{number}"
