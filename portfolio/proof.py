"""The nightly proof: what the follower holds is compared with what the ledgers say, added up anew.

The follower is asked through Redis, a few portfolios at a time, and answers with its figures and with the prices that
they are made of. So the two can be compared to the last digit while the market moves; that the prices are the present
ones is compared beside.
"""

import datetime as dt
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from ingestion import latest
from portfolio import marks, positions, valuation
from portfolio.models import Portfolio, Proof
from portfolio.money import plain
from portfolio.valuation import Mark, Valuation
from worker import metrics
from worker.redis import client, key

logger = logging.getLogger(__name__)

# A portfolio that was posted to meanwhile is asked for again, so often.
TRIES: Final = 3
# What floats may lose over a hundred holdings.
FLOAT_TOLERANCE: Final = 1e-9
ANSWER_KEPT_S: Final = 60
_FIGURES: Final = ("total_value", "market_value", "cash", "unrealized", "realized", "net_invested", "daily_change")
_POSITION: Final = ("quantity", "cost", "cost_base", "price", "value", "unrealized", "daily_change")


class Question(msgspec.Struct, frozen=True):
    """What the follower is asked: its figures of these; and to add these up anew, of which it held wrong ones."""

    token: str
    ids: list[int]
    forget: list[int] = []


class Held(msgspec.Struct, frozen=True):
    """What the follower holds of one portfolio. total: about, as its arrays have it."""

    portfolio_id: int
    version: int
    total: float
    worth: Valuation
    marks: dict[int, Mark]
    rates: dict[str, Decimal]


# --- The follower's side


def asked() -> Question | None:
    """The next question, if there is one."""
    said: Any = client().lpop(_questions())
    return None if said is None else msgspec.json.decode(said, type=Question)


def answer(question: Question, held: Iterable[Held]) -> None:
    """Tell whoever asked."""
    with client().pipeline(transaction=True) as pipe:
        pipe.rpush(_answers(question.token), msgspec.json.encode(list(held)))
        pipe.expire(_answers(question.token), ANSWER_KEPT_S)
        pipe.execute()


# --- The other side


def prove(now: dt.datetime, ids: Iterable[int] | None = None) -> Proof:
    """Compare everything, or some; tell staff of what differs, and have the follower add that up anew."""
    compared, found = 0, []
    waiting = list(Portfolio.objects.values_list("pk", flat=True) if ids is None else ids)
    for _ in range(TRIES):
        behind: list[int] = []
        for ids in _chunks(waiting):
            held = _ask(ids)
            if held is None:
                found.append(
                    _mismatch(None, "answer", None, f"the follower was silent for {settings.PROOF_WAIT_S:g} s")
                )
                return _record(now, compared, found)
            true, wrong, late = _compare(ids, held)
            compared, found, behind = compared + true, found + wrong, behind + late
        waiting = behind
    found += [_mismatch(p, "version", None, "the follower does not come to the ledger's end") for p in waiting]
    return _record(now, compared + len(waiting), found)


def _chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    for at in range(0, len(ids), settings.PROOF_CHUNK):
        yield list(ids[at : at + settings.PROOF_CHUNK])


def _ask(ids: list[int], forget: Sequence[int] = ()) -> list[Held] | None:
    """What the follower holds of them; None if it does not answer in time."""
    token = uuid.uuid4().hex
    client().rpush(_questions(), msgspec.json.encode(Question(token, ids, list(forget))))
    client().expire(_questions(), ANSWER_KEPT_S)
    until = time.monotonic() + settings.PROOF_WAIT_S
    while (left := until - time.monotonic()) > 0:
        said: Any = client().blpop([_answers(token)], timeout=min(left, settings.REDIS_CALL_TIMEOUT_S / 2))
        if said is not None:
            return msgspec.json.decode(said[1], type=list[Held])
    return None


def _compare(ids: list[int], answers: list[Held]) -> tuple[int, list[dict[str, Any]], list[int]]:
    """How many were compared, what differs, and those of which the follower has another version of the ledger."""
    held = {one.portfolio_id: one for one in answers}
    compared, found, behind = 0, [], []
    for portfolio in Portfolio.objects.filter(pk__in=ids).prefetch_related("cost_basis_changes"):
        own = held.get(portfolio.pk)
        if own is None or own.version != portfolio.version:
            behind.append(portfolio.pk)
            continue
        compared += 1
        found += _differences(portfolio, own)
    return compared, found, behind


def _differences(portfolio: Portfolio, held: Held) -> list[dict[str, Any]]:
    """Each figure that is not what the whole ledger gives at the prices that the follower knew."""
    book = positions.fold(portfolio.transactions.entries(), portfolio.policy())
    known = marks.holdings(marks.instruments(book, held.worth.as_of))
    true = valuation.value(book, known, held.marks, held.rates, held.worth.as_of)
    found = [
        _mismatch(portfolio.pk, name, getattr(held.worth, name), getattr(true, name))
        for name in _FIGURES
        if getattr(held.worth, name) != getattr(true, name)
    ]
    of_held = {p.symbol: p for p in held.worth.positions}
    of_true = {p.symbol: p for p in true.positions}
    for symbol in sorted(of_held.keys() | of_true.keys()):
        for name in _POSITION:
            one, other = (getattr(of.get(symbol), name, None) for of in (of_held, of_true))
            if one != other:
                found.append(_mismatch(portfolio.pk, f"{symbol} {name}", one, other))
    size = sum(abs(float(p.value or 0)) for p in true.positions) + abs(float(true.cash)) + 1
    if abs(held.total - float(true.total_value)) > FLOAT_TOLERANCE * size:
        found.append(_mismatch(portfolio.pk, "total on the board", held.total, true.total_value))
    return found + _late_prices(portfolio, held)


def _late_prices(portfolio: Portfolio, held: Held) -> list[dict[str, Any]]:
    """Prices that the market had told for PROOF_PRICE_LAG_S, and that the follower did not know."""
    before_us = held.worth.as_of.timestamp() * 1e6 - settings.PROOF_PRICE_LAG_S * 1e6
    found = []
    for instrument, told in latest.get(held.marks).items():
        own, now = held.marks[instrument], marks.mark(told)
        if told.received_us < before_us and now.time > own.time and now.price != own.price:
            found.append(_mismatch(portfolio.pk, f"price of instrument {instrument}", own.price, now.price))
    return found


def _mismatch(portfolio_id: int | None, figure: str, held: object, true: object) -> dict[str, Any]:
    return {"portfolio": portfolio_id, "figure": figure, "held": _shown(held), "true": _shown(true)}


def _shown(figure: object) -> str | None:
    if figure is None:
        return None
    return plain(figure) if isinstance(figure, Decimal) else str(figure)


def _record(started_at: dt.datetime, compared: int, found: list[dict[str, Any]]) -> Proof:
    """Keep the result; staff are told once it is kept."""
    with transaction.atomic():
        made = Proof.objects.create(
            started_at=started_at, finished_at=timezone.now(), portfolios=compared, mismatches=found
        )
        if found:
            transaction.on_commit(lambda: _alarm(made))
    wrong = sorted({one["portfolio"] for one in found if one["portfolio"] is not None})
    if wrong:
        _ask([], forget=wrong)
    return made


def _alarm(made: Proof) -> None:
    metrics.count("portfolio.proof_mismatches", len(made.mismatches))
    logger.error("the proof of portfolios found %d mismatches: %s", len(made.mismatches), made.mismatches[:5])
    staff = get_user_model().objects.filter(is_staff=True, is_active=True).values_list("pk", flat=True)
    current_app.send_task("signals.notify", [list(staff), telling(made)])


def telling(made: Proof) -> dict[str, Any]:
    """What staff are told, as `signals.notify` takes it."""
    first = made.mismatches[0]
    return {
        "title": "Portfolio values do not add up",
        "message": f"{len(made.mismatches)} figures differ from the ledgers. The first: {first['figure']} of portfolio "
        f"{first['portfolio']}, {first['held']} instead of {first['true']}. All of them: Proof {made.pk} in the admin.",
        "notification_type": "system",
        "priority": "critical",
        "dedupe_key": f"proof:{made.pk}",
        "data": {"proof": made.pk},
    }


def _questions() -> str:
    return key("portfolio", "proof")


def _answers(token: str) -> str:
    return key("portfolio", "proof", token)
