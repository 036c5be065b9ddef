"""Forced price updates: staff ask for prices now, and each instrument's best source that can be asked is asked.

A request is a job with one row an instrument (`PriceUpdate`), which stays as the audit. Who asks for what a running
job already updates gets that job; of two jobs with an instrument in common the later takes over what the earlier
found meanwhile. Budgets hold: a source whose budget has no room in time is passed over.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import redis
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from ingestion import asking, markets, symbols
from ingestion.asking import Name
from ingestion.models import Instrument, PriceUpdate
from worker import jobs, lease
from worker.models import Job

logger = logging.getLogger(__name__)

KIND: Final = "ingestion.force_update"
TASK: Final = "ingestion.force_update"
NOTIFY: Final = "signals.notify"
_LOCK: Final = 7_104_001
# No instrument's sources take longer than this together.
LEASE_TTL_S: Final = 300.0
TAKEN_PAUSE_S: Final = 0.2
DETAIL_LENGTH: Final = 512


class UnknownSymbols(ValueError):
    """Some of the symbols name nothing here."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"There is no instrument {', '.join(f'“{name}”' for name in names)}.")
        self.names = list(names)


def resolve(names: Iterable[str]) -> list[Instrument]:
    """The instruments of the names, each once. Raises UnknownSymbols, naming all of them."""
    found: dict[int, Instrument] = {}
    unknown = []
    for name in names:
        try:
            instrument = symbols.resolve(name)
        except symbols.UnknownSymbol:
            unknown.append(name)
        else:
            found[instrument.pk] = instrument
    if unknown:
        raise UnknownSymbols(unknown)
    return list(found.values())


def request(instruments: Sequence[Instrument], user: Any, *, hand_out: bool = True) -> Job:
    """The job that updates these: a running one that covers them all, else a new one, begun once this commits.

    Either way it is noted who asked for what. hand_out: False for whoever runs it here and now.
    """
    assert instruments, "nothing to update"
    with transaction.atomic():
        _lock()  # two that ask for the same at once are one
        job = _covering({row.pk for row in instruments})
        is_new = job is None
        job = job or jobs.start(KIND, len(instruments), user)
        if is_new or job.user_id != getattr(user, "pk", None):
            _note(job, instruments, user)
        if is_new and hand_out:
            pk = job.pk
            transaction.on_commit(lambda: current_app.send_task(TASK, args=[pk]))
    logger.info("price update %d of %d instruments asked by %s", job.pk, len(instruments), user)
    return job


def sources(instrument: Instrument) -> list[tuple[str, Name]]:
    """Who can be asked for it, in the order in which they would be."""
    return list(_Names().of(instrument))


def run(job_id: int, tell: Callable[[PriceUpdate], None] | None = None) -> None:
    """Do a job's rows. Delivered again after a crash, it goes on with those that are left. Raises redis.RedisError.

    tell: hears of each row that is done.
    """
    job = Job.objects.get(pk=job_id)
    names = _Names()
    while not _end(job):
        waiting = PriceUpdate.objects.filter(job=job, status=PriceUpdate.Status.WAITING).select_related("instrument")
        done = [row for row in waiting.order_by("id") if job.advance(_done(job)) and _update(row, names, tell)]
        if not done and job.status == Job.Status.RUNNING:
            time.sleep(TAKEN_PAUSE_S)  # another job asks for all that is left


def _end(job: Job) -> bool:
    """Whether nothing is left to do; then the job is ended, and those who asked are told."""
    with transaction.atomic():
        _lock()  # nobody joins a job while it ends
        if job.status != Job.Status.RUNNING:
            return True
        if PriceUpdate.objects.filter(job=job, status=PriceUpdate.Status.WAITING).exists():
            return False
        updated, failed = (_symbols(job, s) for s in (PriceUpdate.Status.UPDATED, PriceUpdate.Status.FAILED))
        message = f"{len(updated)} updated" + (f", {len(failed)} failed: {', '.join(failed)}" if failed else "")
        ended = job.finish(message) if updated or not failed else job.fail(message)
    if ended:
        _tell(job, message, failed)
    return True


def _covering(wanted: set[int]) -> Job | None:
    """A running job that updates all of these."""
    for job in Job.objects.filter(kind=KIND, status=Job.Status.RUNNING):
        rows = PriceUpdate.objects.filter(job=job).exclude(status=PriceUpdate.Status.FAILED)
        if wanted <= set(rows.values_list("instrument_id", flat=True)):
            return job
    return None


def _note(job: Job, instruments: Iterable[Instrument], user: Any) -> None:
    now = timezone.now()
    PriceUpdate.objects.bulk_create(
        [PriceUpdate(job=job, instrument=row, asked_by=user, asked_at=now) for row in instruments]
    )


def _done(job: Job) -> int:
    """How many of its instruments are done with, whoever asked for them."""
    rows = PriceUpdate.objects.filter(job=job).exclude(status=PriceUpdate.Status.WAITING)
    return rows.order_by().values("instrument").distinct().count()


def _symbols(job: Job, status: str) -> list[str]:
    rows = PriceUpdate.objects.filter(job=job, status=status)
    return sorted(set(rows.values_list("instrument__symbol", flat=True)))


# --- One instrument -------------------------------------------------------------------------------------------


class _Names:
    """What each source calls the instruments, looked up once a job."""

    def __init__(self) -> None:
        self._by_source: dict[str, dict[int, Name]] = {}

    def of(self, instrument: Instrument) -> Iterator[tuple[str, Name]]:
        """The sources that can be asked for it, its best first; the simulated market last."""
        market = markets.of(instrument.pk)
        sources = sorted([*asking.ASKED, asking.SIMULATED], key=lambda source: (market.rank(source), source))
        for source in filter(asking.usable, sources):
            if source not in self._by_source:
                self._by_source[source] = {name.instrument.pk: name for name in asking.names(source)}
            if instrument.pk in self._by_source[source]:
                yield source, self._by_source[source][instrument.pk]


def _update(row: PriceUpdate, names: _Names, tell: Callable[[PriceUpdate], None] | None) -> bool:
    """Ask for one instrument, unless somebody did since this was asked for. False while somebody is just doing so."""
    held = lease.acquire(f"price-update:{row.instrument_id}", LEASE_TTL_S)
    if held is None:
        return False
    try:
        done = (
            PriceUpdate.objects.filter(instrument=row.instrument, status=PriceUpdate.Status.UPDATED)
            .filter(Q(finished_at__gte=row.asked_at) | Q(job=row.job))
            .first()
        )
        if done is not None:
            _finish(row, done.status, done.source, done.price, f"by update {done.pk}")
        else:
            _ask(row, names)
    finally:
        held.release()
    if tell is not None:
        tell(row)
    return True


def _ask(row: PriceUpdate, names: _Names) -> None:
    tried = []
    for source, name in names.of(row.instrument):
        try:
            found = asking.ask(source, name, settings.FORCE_UPDATE_WAIT_S)
        except asking.FAILURES as error:
            tried.append(str(error))
            continue
        asking.tell(source, {row.instrument_id: found})
        if found.suspect:
            tried.append(f"{source}: {found.price} is not believed")
            continue
        _finish(row, PriceUpdate.Status.UPDATED, source, found.price, "; ".join(tried))
        return
    _finish(row, PriceUpdate.Status.FAILED, "", None, "; ".join(tried) or "no source can be asked for it")


def _finish(row: PriceUpdate, status: str, source: str, price: float | None, detail: str) -> None:
    row.status, row.source, row.price = status, source, price
    row.detail, row.finished_at = detail[:DETAIL_LENGTH], timezone.now()
    row.save(update_fields=["status", "source", "price", "detail", "finished_at"])


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


# --- Telling those who asked ----------------------------------------------------------------------------------


def _tell(job: Job, message: str, failed: Iterable[str]) -> None:
    """A notification for each who asked. Notifications lie above this package: they are asked for by name."""
    askers = set(PriceUpdate.objects.filter(job=job).values_list("asked_by_id", flat=True)) - {None}
    if not askers:
        return
    telling = {
        "title": "Prices updated" if job.status == Job.Status.DONE else "Prices not updated",
        "message": message,
        "notification_type": "price_update",
        "dedupe_key": f"price-update:{job.pk}",
        "data": {"job_id": job.pk, "failed": sorted(failed)},
    }
    try:
        current_app.send_task(NOTIFY, args=[sorted(askers), telling])
    except (redis.RedisError, OSError) as error:
        logger.warning("nobody was told of price update %d: %s", job.pk, error)
