"""The past brought in: trades and candles of a provider's history, chunk by chunk, whoever is killed.

A backfill is one job with its chunks in rows. A chunk is claimed, done and marked by whoever gets to it: a worker's
task, or the command that asked for it. What a chunk brings and the mark that it is done are one transaction, so that a
killed worker leaves it either done or to be taken up again; the rows themselves are told by their keys, so that doing
it twice changes nothing. None of it counts as news: nothing goes into `changes`.
"""

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from celery import current_app, shared_task
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils import timezone

from ingestion import asking, fx, history, http, opening, plan, store, symbols
from ingestion.candles import MINUTE_US, Bar
from ingestion.models import Backfill, BackfillChunk, Coverage, Instrument, VenueSymbol
from ingestion.plan import Span
from ingestion.providers import SOURCE_NAMES, SOURCES
from ingestion.quality import REFERENCE_PRICES
from ingestion.rest.ecb import ECB, EURO, FRANKFURTER
from ingestion.rest.history import HistoryError, NoHistory, Wanted
from ingestion.rest.kraken_history import oldest_bar_us
from ingestion.rest.quoted import Unreadable
from ingestion.store import holes
from ingestion.store.times import to_datetime, to_us
from ingestion.ticks import BACKFILL, Trade, VenueBar, pack_trades
from ingestion.writer import announce
from worker import jobs, metrics
from worker.models import Job

logger = logging.getLogger(__name__)

KIND: Final = "ingestion.backfill"
SECOND_US: Final = 1_000_000
DIFFERENCES_SHOWN: Final = 5
# Of all of us in PostgreSQL's space of advisory locks, with an instrument's id.
_LOCK: Final = 0x7461_7069
PROBLEMS_SHOWN: Final = 20
# No free source has daily bars from before.
HISTORY_EARLIEST: Final = "1962-01-01T00:00:00+00:00"
# The euro's first day.
RATES_EARLIEST: Final = "1999-01-04T00:00:00+00:00"
# One at a time for each instrument: the second statement sees what was covered by whoever had the lock before.
_COVER: Final = """
SELECT pg_advisory_xact_lock(%(lock)s, %(turn)s);
WITH touching AS (
    DELETE FROM ingestion_coverage
    WHERE instrument_id IS NOT DISTINCT FROM %(instrument)s AND provider = %(provider)s AND kind = %(kind)s
      AND start <= %(end)s AND "end" >= %(start)s
    RETURNING start, "end"
)
INSERT INTO ingestion_coverage (instrument_id, provider, kind, start, "end")
SELECT %(instrument)s, %(provider)s, %(kind)s, least(%(start)s, min(start)), greatest(%(end)s, max("end")) FROM touching
"""
Status = BackfillChunk.Status
_CHUNK: Final = [field.attname for field in BackfillChunk._meta.concrete_fields]
# Of two workers one hits. Comes back with the chunk, and with what its job is by now.
_CLAIM: Final = f"""
UPDATE ingestion_backfillchunk AS c SET status = 'running', alive_at = %(now)s, attempts = attempts + 1
FROM ingestion_backfill b JOIN worker_job j ON j.id = b.job_id
WHERE b.id = %(backfill)s AND c.backfill_id = b.id AND c.number = %(number)s AND c.status = 'waiting'
  AND (c.not_before IS NULL OR c.not_before <= %(now)s)
RETURNING {", ".join(f'c."{name}"' for name in _CHUNK)}, j.status, j.updated_at
"""  # noqa: S608 - our own columns' names
_UNFINISHED: Final = """
SELECT EXISTS (SELECT FROM ingestion_backfillchunk WHERE backfill_id = %s AND status IN ('waiting', 'running'))
"""
ENDED: Final = (Status.DONE, Status.FAILED, Status.CANCELLED)


# --- Rows in --------------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """How many trades were new, and the final candles that they made or changed."""

    new: int
    bars: list[Bar]


def store_trades(source: int, instrument_id: int, trades: Sequence[Trade], now_us: int) -> Stored:
    """Put those trades on disk that are not there, flagged BACKFILL, and their minutes' candles with them.

    The candles of minutes that are over are final afterwards; one that was so already becomes a revision. A transaction
    of its own, unless the caller has one open. The same again changes nothing. They are judged as live ones are: a bad
    print is flagged SUSPECT.
    """
    if not trades:
        return Stored(0, [])
    first_us, last_us = _make_room(trades)
    believed = _judged(source, instrument_id, trades, now_us)
    with transaction.atomic():
        # Told by their ids alone: a venue's REST and its socket may round the same time differently.
        ids = [trade.trade_id for trade in trades]
        known = holes.stored_ids(instrument_id, source, ids, first_us, last_us)
        new = {trade.trade_id: trade for trade in believed if trade.trade_id not in known}
        rows = [msgspec.structs.replace(trade, flags=trade.flags | BACKFILL) for trade in new.values()]
        touched = store.insert_new("trade", pack_trades(rows, {row.symbol: instrument_id for row in rows}, source))
        bars = {bar.time_us: bar for bar in store.recompute(touched) if bar.final}
        over = [minute for minute in touched if minute.time_us not in bars and _is_over(minute.time_us, now_us)]
        bars |= {bar.time_us: bar for bar in store.finalise(over)}
    return Stored(len(rows), sorted(bars.values(), key=lambda bar: bar.time_us))


def _judged(source: int, instrument_id: int, trades: Sequence[Trade], now_us: int) -> list[Trade]:
    """Those that are believed, or flagged; the trades before them are what they are measured by."""
    judge = opening.judge()
    ordered = sorted(trades, key=lambda trade: (trade.time_us, trade.trade_id))
    symbol, first = ordered[0].symbol, to_datetime(ordered[0].time_us)
    for row in store.trades(instrument_id, end=first, limit=REFERENCE_PRICES, source=source):
        judge.judge(Trade(symbol, row.time_us, row.received_us, row.trade_id, row.price, row.quantity), now_us)
    judged = judge.judge_batch(ordered, now_us)
    for refused in judged.refused:
        metrics.count("ingestion.refused")
        logger.error("%s: refused of its history: %s, %s", SOURCE_NAMES[source], refused.reason, refused.tick)
    return [tick for tick in judged.accepted if isinstance(tick, Trade)]


def _make_room(trades: Sequence[Trade]) -> tuple[int, int]:
    """Partitions for the trades, outside of any transaction. Returns their first and last time."""
    times = np.array([trade.time_us for trade in trades], np.int64)
    store.ensure_partitions("trade", times)
    return (int(times.min()), int(times.max())) if len(times) else (0, 0)


def _is_over(minute_us: int, now_us: int) -> bool:
    """Whether no listener can be at this minute any more; one that is closes it itself."""
    patience_s = settings.CANDLE_ALLOWED_LATENESS_S + settings.CANDLE_IDLE_GRACE_S
    return minute_us + MINUTE_US + int(patience_s * SECOND_US) <= now_us


# --- What is covered ------------------------------------------------------------------------------------------


def _coverage(instrument_id: int | None, provider: str, kind: str) -> QuerySet[Coverage]:
    return Coverage.objects.filter(Q(instrument_id=instrument_id), provider=provider, kind=kind)


def covered(instrument_id: int | None, provider: str, kind: str) -> list[Span]:
    """The times whose history was fetched whole."""
    rows = _coverage(instrument_id, provider, kind)
    return [Span(to_us(start), to_us(end)) for start, end in rows.values_list("start", "end")]


def cover(instrument_id: int | None, provider: str, kind: str, span: Span) -> None:
    """Note that a time was fetched whole; what touches it becomes one with it. In the caller's transaction.

    instrument_id: None for exchange rates, which are of no instrument.
    """
    given = {
        "lock": _LOCK, "turn": instrument_id or 0, "instrument": instrument_id, "provider": provider, "kind": kind,
        "start": to_datetime(span.from_us), "end": to_datetime(span.until_us),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_COVER, given)


# --- Planning -------------------------------------------------------------------------------------------------


class Wish(msgspec.Struct, frozen=True):
    """History that is wanted. verify: fetch all of it, also what is covered, and compare."""

    provider: str
    kind: str
    instruments: tuple[Instrument, ...]
    start: dt.datetime
    end: dt.datetime
    verify: bool = False


def wish_of(
    provider: str,
    kind: str,
    instruments: Sequence[Instrument],
    start: dt.datetime,
    end: dt.datetime,
    verify: bool = False,
) -> Wish:
    """A wish; without a provider, of the best that has the first instrument. Raises Impossible."""
    chosen = provider or (ECB if kind == plan.FX else _best_provider(kind, instruments))
    return Wish(chosen, kind, tuple(dict.fromkeys(instruments)), start, end, verify)


def _best_provider(kind: str, instruments: Sequence[Instrument]) -> str:
    having = [
        provider
        for provider in sorted(history.VENUES, key=symbols.source_rank)
        if kind in history.kinds(provider) and instruments and _names(instruments[0], provider)
    ]
    if not having:
        raise Impossible("provider", f"No provider has {kind} of {instruments[0] if instruments else 'nothing'}.")
    return having[0]


class Piece(NamedTuple):
    """One chunk to be. instrument: None for exchange rates."""

    instrument: Instrument | None
    symbol: str
    span: Span


class Plan(NamedTuple):
    """The chunks of a wish, what they take, and who was left out and why."""

    pieces: list[Piece]
    estimate: plan.Estimate
    left_out: list[str]


class Impossible(Exception):
    """The wish cannot be granted. `field` of the request is at fault; the sentence is for whoever asked."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def planned(wish: Wish) -> Plan:
    """What fetching would take. Raises Impossible."""
    _check(wish)
    now_us = history.clock_us()
    pieces, left_out = _rates(wish, now_us), []
    for instrument in wish.instruments:
        names = _names(instrument, wish.provider)
        if not names:
            left_out.append(f"{instrument.symbol}: {wish.provider} does not have it")
        for name, valid in names:
            spans = _spans(wish, instrument, valid, now_us)
            pieces += [Piece(instrument, name, span) for span in spans]
    if len(pieces) > settings.BACKFILL_MAX_CHUNKS:
        raise Impossible("end", f"That takes {len(pieces)} chunks, {settings.BACKFILL_MAX_CHUNKS} at most are allowed.")
    weight = history.weight(wish.provider, wish.kind)
    per_minute = history.per_minute(FRANKFURTER if wish.kind == plan.FX else wish.provider)
    return Plan(pieces, plan.estimate(len(pieces), weight, per_minute), left_out)


def _check(wish: Wish) -> None:
    kinds = history.kinds(wish.provider)
    if not kinds:
        raise Impossible(
            "provider", f"There is no history of “{wish.provider}”. There is of {', '.join((*history.VENUES, ECB))}."
        )
    if wish.kind not in kinds:
        raise Impossible("interval", f"{wish.provider} has {', '.join(kinds)}.")
    if wish.kind == plan.FX and (wish.verify or wish.instruments):
        raise Impossible("verify" if wish.verify else "symbols", "Exchange rates come all together, and as they are.")
    if wish.start >= wish.end:
        raise Impossible("end", "`end` must be later than `start`.")


def _rates(wish: Wish, now_us: int) -> list[Piece]:
    """The pieces of exchange rates: of all that the bank publishes."""
    if wish.kind != plan.FX:
        return []
    wanted = Span(max(to_us(wish.start), to_us(dt.datetime.fromisoformat(RATES_EARLIEST))), to_us(wish.end))
    days = history.rows_per_call(wish.provider, wish.kind)
    spans = plan.chunks(wanted, wish.kind, days, now_us, covered(None, wish.provider, wish.kind))
    return [Piece(None, EURO, span) for span in spans]


def _names(instrument: Instrument, provider: str) -> list[tuple[str, Span]]:
    """What the provider's REST called the instrument, and when: a name may have been another's before."""
    rows = VenueSymbol.objects.filter(instrument=instrument, provider=provider).order_by("valid_from")
    earliest, latest = _earliest(provider), store.FOREVER
    if not rows and asking.knows_unlisted(provider, instrument):
        return [(instrument.symbol, Span(to_us(earliest), to_us(latest)))]
    return [
        (row.rest_symbol or row.symbol, Span(to_us(row.valid_from or earliest), to_us(row.valid_until or latest)))
        for row in rows
    ]


def _earliest(provider: str) -> dt.datetime:
    """Crypto's past begins with TICK_EARLIEST; a stock exchange's is older."""
    return dt.datetime.fromisoformat(settings.TICK_EARLIEST if history.has_trades(provider) else HISTORY_EARLIEST)


def _spans(wish: Wish, instrument: Instrument, valid: Span, now_us: int) -> list[Span]:
    wanted = Span(max(to_us(wish.start), valid.from_us), min(to_us(wish.end), valid.until_us))
    done = [] if wish.verify else covered(instrument.id, wish.provider, wish.kind)
    rows = history.rows_per_call(wish.provider, wish.kind)
    if wish.provider != "kraken" or wish.kind == plan.TRADES:
        return plan.chunks(wanted, wish.kind, rows, now_us, done)
    # What is older than its bars is in its trades: to be fetched in pieces of theirs.
    edge_us = max(wanted.from_us, oldest_bar_us(wish.kind, now_us) + plan.step_us(wish.kind))
    old, recent = Span(wanted.from_us, min(edge_us, wanted.until_us)), Span(edge_us, wanted.until_us)
    step = max(1, plan.TRADES_CHUNK_US // plan.step_us(wish.kind))
    return [
        *plan.chunks(old, wish.kind, step, now_us, done),
        *(plan.chunks(recent, wish.kind, rows, now_us, done) if recent.from_us < recent.until_us else []),
    ]


# --- A backfill's life ----------------------------------------------------------------------------------------


def start(wish: Wish, user: Any = None, cause: str = Backfill.Cause.ASKED) -> Backfill:
    """Write down the backfill and its chunks; workers begin after the commit. Raises Impossible."""
    plan_ = planned(wish)
    with transaction.atomic():
        job = jobs.start(KIND, len(plan_.pieces), user)
        row = Backfill.objects.create(
            job=job, provider=wish.provider, kind=wish.kind, symbols=[i.symbol for i in wish.instruments],
            start=wish.start, end=wish.end, verify=wish.verify, cause=cause,
        )  # fmt: skip
        BackfillChunk.objects.bulk_create(
            BackfillChunk(
                backfill=row, number=number, instrument=piece.instrument, symbol=piece.symbol,
                start=to_datetime(piece.span.from_us), end=to_datetime(piece.span.until_us),
            )
            for number, piece in enumerate(plan_.pieces)
        )  # fmt: skip
        conclude(row)
        transaction.on_commit(lambda: hand_out(row))
    return row


def cancel(row: Backfill, who: str) -> bool:
    """End it: chunks at work stop at their next page. False when it has ended already."""
    hit = row.job.cancel(f"cancelled by {who}")
    row.chunks.filter(status=Status.WAITING).update(status=Status.CANCELLED)
    return hit


def hand_out(row: Backfill) -> int:
    """Ask the workers for as many chunks as may be at work at once. Returns for how many."""
    at_work = row.chunks.filter(status=Status.RUNNING).count()
    free = max(0, settings.BACKFILL_LANES - at_work)
    numbers = list(_due(row).values_list("number", flat=True)[:free])
    for number in numbers:
        _ask(row.job_id, number)
    return len(numbers)


def _due(row: Backfill) -> Any:
    ready = Q(not_before=None) | Q(not_before__lte=timezone.now())
    return row.chunks.filter(ready, status=Status.WAITING).order_by("number")


def _ask(job_id: int, number: int) -> None:
    # One that no worker takes in time is asked for again by `resume_backfills`.
    current_app.send_task(
        "ingestion.backfill_chunk", (job_id, number), expires=settings.BACKFILL_ASK_INTERVAL_S, ignore_result=True
    )


@shared_task(name="ingestion.backfill_chunk", ignore_result=True, acks_late=True)
def backfill_chunk(job: int, i: int) -> bool:
    """Do one chunk of a backfill, then ask for the next. Re-running changes nothing: a done chunk is left alone.

    Returns whether it was this one's to do.
    """
    row = Backfill.objects.select_related("job").get(job_id=job)
    if not work(row, i):
        return False
    hand_out(row)
    return True


@shared_task(name="ingestion.resume_backfills", ignore_result=True, acks_late=True)
def resume_backfills() -> int:
    """Take up again what killed workers left, and go on where budgets have room again. Returns the chunks asked for."""
    silent_since = timezone.now() - dt.timedelta(seconds=settings.BACKFILL_SILENCE_S)
    left = BackfillChunk.objects.filter(status=Status.RUNNING, alive_at__lt=silent_since)
    if freed := left.update(status=Status.WAITING):
        logger.warning("%d chunks of backfills were left by their workers", freed)
    asked = 0
    for row in Backfill.objects.filter(job__status=Job.Status.RUNNING).select_related("job"):
        conclude(row)
        asked += hand_out(row)
    stopped = Backfill.objects.exclude(job__status=Job.Status.RUNNING)
    BackfillChunk.objects.filter(backfill__in=stopped, status=Status.WAITING).update(status=Status.CANCELLED)
    return asked


def conclude(row: Backfill) -> bool:
    """Bring the job up to date with the chunks. Whether it has ended."""
    counts = dict(row.chunks.values_list("status").annotate(Count("id")).order_by())
    ended = sum(counts.get(status, 0) for status in ENDED)
    if ended < sum(counts.values()):
        return not row.job.advance(counts.get(Status.DONE, 0), _progress(row))
    if failed := counts.get(Status.FAILED, 0):
        reasons = row.chunks.filter(status=Status.FAILED).values_list("detail", flat=True).distinct()[:3]
        hit = row.job.fail(f"{failed} chunks failed: {'; '.join(reasons)}")
    else:
        hit = row.job.finish(_progress(row))
    if hit:
        _notify(row)
    return True


def totals(row: Backfill) -> dict[str, int]:
    """What its chunks did so far: rows, calls, differences."""
    sums = row.chunks.aggregate(Sum("rows"), Sum("calls"), Sum("differences"))
    return {name: sums[f"{name}__sum"] or 0 for name in ("rows", "calls", "differences")}


def problems(row: Backfill) -> list[BackfillChunk]:
    """The first chunks that failed, wait for another try, or found differences."""
    rough = Q(status=Status.FAILED) | Q(differences__gt=0) | (Q(status=Status.WAITING) & ~Q(detail=""))
    return list(row.chunks.filter(rough)[:PROBLEMS_SHOWN])


def _progress(row: Backfill) -> str:
    done = totals(row)
    told = f"{done['rows']} rows new, {done['calls']} calls"
    return f"{told}, {done['differences']} differences" if row.verify else told


def _notify(row: Backfill) -> None:
    """Tell whoever asked, through the package above, if it is there."""
    if row.job.user_id is None:
        return
    telling = {
        "title": f"Backfill {row.job.status}",
        "message": f"{row}: {row.job.message}",
        "notification_type": "backfill",
        "dedupe_key": f"backfill:{row.job_id}",
        "data": {"job_id": row.job_id, "status": row.job.status},
    }
    user_id = row.job.user_id
    transaction.on_commit(lambda: current_app.send_task("signals.notify", ([user_id], telling), ignore_result=True))


# --- A chunk's life -------------------------------------------------------------------------------------------


class Lost(Exception):
    """The chunk is no longer ours: another took it up, or the backfill was cancelled."""


def work(row: Backfill, number: int) -> bool:
    """Claim a chunk and do it. False where it is not to be had: done, claimed by another, or not yet due."""
    chunk = _claim(row, number)
    if chunk is None:
        return False
    if row.job.status != Job.Status.RUNNING:
        _leave(chunk, status=Status.CANCELLED)
        return False
    try:
        _do(row, chunk)
    except Lost:
        logger.info("%s was taken by another, or cancelled", chunk)
    except history.FAILURES as error:
        _failed(chunk, error)
        conclude(row)  # the others may wait as long as this one
        return True
    if _is_due_to_tell(row):
        conclude(row)
    return True


def _is_due_to_tell(row: Backfill) -> bool:
    """Whether it is time to count its chunks: once in a while, and at the end."""
    silent_s = (timezone.now() - row.job.updated_at).total_seconds()
    if silent_s >= settings.BACKFILL_TELL_INTERVAL_S:
        return True
    with connection.cursor() as cursor:
        cursor.execute(_UNFINISHED, [row.pk])
        return not cursor.fetchone()[0]


def next_due(row: Backfill) -> int | None:
    """The number of a chunk that may be done now."""
    number: int | None = _due(row).values_list("number", flat=True).first()
    return number


def _claim(row: Backfill, number: int) -> BackfillChunk | None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": now, "backfill": row.pk, "number": number})
        found = cursor.fetchone()
    if found is None:
        return None
    *values, row.job.status, row.job.updated_at = found
    return BackfillChunk.from_db(connection.alias, _CHUNK, values)


def _keep(chunk: BackfillChunk, **changes: Any) -> None:
    """Note how far it is, and that its worker lives. Raises Lost where it is no longer this worker's."""
    now = timezone.now()
    if not _leave(chunk, alive_at=now, **changes):
        raise Lost
    chunk.alive_at = now


def _leave(chunk: BackfillChunk, **changes: Any) -> bool:
    # Its last sign of life is the claim's name: whoever took it up after us gave another.
    ours = BackfillChunk.objects.filter(pk=chunk.pk, status=Status.RUNNING, alive_at=chunk.alive_at)
    return ours.update(**changes) == 1


def _failed(chunk: BackfillChunk, error: Exception) -> None:
    """Later again, or never."""
    if isinstance(error, http.OverBudget):
        retry_at = dt.datetime.fromtimestamp(error.retry_at_s, dt.UTC)
        # Waiting for one's turn is no failure.
        _leave(chunk, status=Status.WAITING, not_before=retry_at, attempts=chunk.attempts - 1, detail=str(error))
    elif history.failed_in_passing(error) and chunk.attempts < settings.BACKFILL_MAX_ATTEMPTS:
        pause_s = min(settings.BACKFILL_RETRY_MIN_S * 2 ** (chunk.attempts - 1), settings.BACKFILL_RETRY_MAX_S)
        not_before = timezone.now() + dt.timedelta(seconds=pause_s)
        _leave(chunk, status=Status.WAITING, not_before=not_before, detail=str(error))
    else:
        logger.warning("%s failed: %s", chunk, error)
        _leave(chunk, status=Status.FAILED, detail=str(error))


def _do(row: Backfill, chunk: BackfillChunk) -> None:
    span = Span(to_us(chunk.start), to_us(chunk.end))
    if row.kind == plan.FX:
        _do_rates(row, chunk, span)
        return
    if row.kind == plan.TRADES or chunk.cursor:
        _do_trades(row, chunk, span)
        return
    try:
        bars = history.candles(row.provider, chunk.symbol, row.kind, span, settings.BACKFILL_BUDGET_WAIT_S)
    except NoHistory:
        if not history.has_trades(row.provider):
            raise
        # Kraken's bars go back 720; what is older can be made of its trades.
        _do_trades(row, chunk, span)
        return
    _do_bars(row, chunk, span, bars)


def _do_rates(row: Backfill, chunk: BackfillChunk, span: Span) -> None:
    first, last = chunk.start.date(), (chunk.end - dt.timedelta(microseconds=1)).date()
    try:
        done = fx.update(first, last, wait_s=settings.BACKFILL_BUDGET_WAIT_S)
    except Unreadable as error:
        raise HistoryError(row.provider, error.reason, passing=True) from error
    if done.gaps:
        told = ", ".join(f"{a} to {b}" for a, b in done.gaps)
        raise HistoryError(row.provider, f"no rates for {told}, which no holiday explains", passing=True)
    with transaction.atomic():
        cover(None, row.provider, row.kind, span)
        _keep(chunk, status=Status.DONE, calls=F("calls") + 1, rows=done.new + done.changed, detail="")


def _do_bars(row: Backfill, chunk: BackfillChunk, span: Span, bars: list[VenueBar]) -> None:
    assert chunk.instrument_id is not None
    source = SOURCES[row.provider]
    with transaction.atomic():
        if row.verify:
            stored = _stored_bars(chunk.instrument_id, source, row.kind, span)
            different = [bar for bar in bars if _values(bar) != stored.get(bar.time_us)]
            _keep(chunk, status=Status.DONE, calls=F("calls") + 1, **_differences(different, len(stored), len(bars)))
            return
        new = store.write_venue_bars(source, bars, {chunk.symbol: chunk.instrument_id})
        cover(chunk.instrument_id, row.provider, row.kind, span)
        _keep(chunk, status=Status.DONE, calls=F("calls") + 1, rows=new, detail="")


def _do_trades(row: Backfill, chunk: BackfillChunk, span: Span) -> None:
    """Page by page; each page and the cursor after it are one transaction."""
    assert chunk.instrument_id is not None
    wanted = Wanted(chunk.symbol, span.from_us, span.until_us - 1)
    for page in history.trades(row.provider, wanted, settings.BACKFILL_BUDGET_WAIT_S, chunk.cursor):
        new, different, bars = 0, 0, list[Bar]()
        _make_room(page.trades)
        with transaction.atomic():
            if row.verify:
                different = _count_different(SOURCES[row.provider], chunk.instrument_id, page.trades)
            else:
                now_us = history.clock_us()
                new, bars = store_trades(SOURCES[row.provider], chunk.instrument_id, page.trades, now_us)
            if page.following is None and not row.verify:
                cover(chunk.instrument_id, row.provider, row.kind, span)
            _keep(
                chunk,
                cursor=page.following or "",
                calls=F("calls") + 1,
                rows=F("rows") + new,
                differences=F("differences") + different,
                status=Status.DONE if page.following is None else Status.RUNNING,
                detail="",
            )
        announce(bars, history.clock_us())
        if Job.objects.filter(pk=row.job_id).exclude(status=Job.Status.RUNNING).exists():
            _leave(chunk, status=Status.CANCELLED)
            raise Lost


# --- Comparing ------------------------------------------------------------------------------------------------


def _values(bar: Any) -> tuple[float | None, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def _stored_bars(instrument_id: int, source: int, kind: str, span: Span) -> dict[int, tuple[float | None, ...]]:
    rows = store.venue_bars(instrument_id, source, kind, to_datetime(span.from_us), to_datetime(span.until_us))
    return {bar.time_us: _values(bar) for bar in rows if bar.final}


def _differences(different: Sequence[VenueBar], stored: int, fetched: int) -> dict[str, Any]:
    shown = ", ".join(f"{to_datetime(bar.time_us):%Y-%m-%d %H:%M}" for bar in different[:DIFFERENCES_SHOWN])
    detail = f"{stored} stored, {fetched} at the venue" + (f"; missing or different: {shown}" if shown else "")
    return {"differences": len(different), "detail": detail}


def _count_different(source: int, instrument_id: int, trades: Sequence[Trade]) -> int:
    """How many of the venue's trades are not stored so."""
    if not trades:
        return 0
    first, last = (to_datetime(at) for at in (trades[0].time_us, trades[-1].time_us + 1))
    rows = store.trades(instrument_id, first, last, limit=10 * len(trades), source=source)
    stored = {row.trade_id: (row.price, row.quantity) for row in rows}
    return sum(stored.get(trade.trade_id) != (trade.price, trade.quantity) for trade in trades)


def instruments_called(names: Iterable[str]) -> tuple[Instrument, ...]:
    """By any of their names, each once. Raises symbols.UnknownSymbol."""
    return tuple(dict.fromkeys(symbols.resolve(name) for name in names))
