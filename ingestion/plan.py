"""What to fetch, in which pieces: spans of time, what of them is lacking, pages of them, and what that costs. Pure.

Times are microseconds since 1970, UTC; a span is [from, until).
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ingestion.candles import INTERVALS

MINUTE_S: Final = 60.0
DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
# Kinds of history beside the candles' intervals.
TRADES: Final = "trades"
FX: Final = "fx"
# A chunk of trades: as many pages as they take.
TRADES_CHUNK_US: Final = HOUR_US


class Span(msgspec.Struct, frozen=True, order=True):
    """[from_us, until_us)."""

    from_us: int
    until_us: int


class Estimate(msgspec.Struct, frozen=True):
    """What a plan takes, at least: trades may need several calls a chunk, which nobody knows before."""

    chunks: int
    calls: int
    weight: int
    seconds: float  # of the provider's budget, if nobody else uses it


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as can be, in order.

    >>> merged([Span(5, 9), Span(0, 3), Span(3, 4), Span(8, 10)])
    [Span(from_us=0, until_us=4), Span(from_us=5, until_us=10)]
    """
    found: list[Span] = []
    for span in sorted(span for span in spans if span.from_us < span.until_us):
        if found and span.from_us <= found[-1].until_us:
            found[-1] = Span(found[-1].from_us, max(found[-1].until_us, span.until_us))
        else:
            found.append(span)
    return found


def lacking(wanted: Span, covered: Iterable[Span]) -> list[Span]:
    """The parts of `wanted` that none of `covered` holds, in order.

    >>> lacking(Span(0, 10), [Span(2, 4), Span(8, 20)])
    [Span(from_us=0, until_us=2), Span(from_us=4, until_us=8)]
    """
    found: list[Span] = []
    at = wanted.from_us
    for span in merged(covered):
        if span.from_us > at:
            found.append(Span(at, min(span.from_us, wanted.until_us)))
        at = max(at, span.until_us)
        if at >= wanted.until_us:
            break
    found.append(Span(at, wanted.until_us))
    return [span for span in found if span.from_us < span.until_us]


def aligned(wanted: Span, step_us: int, now_us: int) -> Span | None:
    """The whole bars of a span that are closed by now: the one in progress is not part of history. None: there is none.

    >>> aligned(Span(61, 400), 60, now_us=359)
    Span(from_us=60, until_us=300)
    """
    from_us = wanted.from_us - wanted.from_us % step_us
    closed_us = now_us - now_us % step_us
    until_us = min(-(-wanted.until_us // step_us) * step_us, closed_us)
    return Span(from_us, until_us) if from_us < until_us else None


def pages(span: Span, page_us: int) -> list[Span]:
    """A span in pieces no longer than a page. They begin at multiples of it, so that the same span is always cut alike.

    >>> pages(Span(50, 230), 100)
    [Span(from_us=50, until_us=100), Span(from_us=100, until_us=200), Span(from_us=200, until_us=230)]
    """
    edges = [span.from_us, *range(span.from_us // page_us * page_us + page_us, span.until_us, page_us), span.until_us]
    return [Span(a, b) for a, b in itertools.pairwise(edges)]


def step_us(kind: str) -> int:
    """What a kind of history comes in: a candle's length, a day for rates, a minute for trades."""
    if kind == TRADES:
        return INTERVALS["1m"]
    return DAY_US if kind == FX else INTERVALS[kind]


def chunks(wanted: Span, kind: str, rows_per_call: int, now_us: int, covered: Sequence[Span] = ()) -> list[Span]:
    """The pieces in which to fetch what `covered` lacks of `wanted`, oldest first."""
    step = step_us(kind)
    whole = aligned(wanted, step, now_us)
    if whole is None:
        return []
    page_us = TRADES_CHUNK_US if kind == TRADES else rows_per_call * step
    return [page for part in lacking(whole, covered) for page in pages(part, page_us)]


def estimate(count: int, weight: int, per_minute: float) -> Estimate:
    """For `count` chunks of one call each. per_minute: the provider's budget, in its unit of weight."""
    return Estimate(count, count, count * weight, round(count * weight / per_minute * MINUTE_S, 1))
