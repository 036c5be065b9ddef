"""Files into a ledger: what a file would do, doing it, and undoing it.

`read` (in `import_formats`, pure) says what a file states; `import_rows` finds its instruments, and what is there
already. Here `ledger.post_all` takes all rows or none. A preview is the same, rolled back.
"""

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import localcontext
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import transaction

from portfolio import ledger
from portfolio.import_formats import FORMATS, detect, generic
from portfolio.import_formats.files import Document, Sheet, open_document
from portfolio.import_formats.postings import Fault, Posting
from portfolio.import_formats.reading import Options
from portfolio.import_rows import EXISTS, FAILED, NEW, Resolver, Row, identify
from portfolio.ledger import Refused, RowsRefused
from portfolio.models import ImportBatch, ImportedRow, Portfolio, Transaction
from portfolio.money import EXACT
from portfolio.positions import REVERSAL
from worker import jobs

KIND: Final = "portfolio.import"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be read. symbols: the file's name → ours. skip_errors: post the good rows, report the others."""

    preset: str | None = None
    mapping: dict[str, str] = {}
    types: dict[str, str] = {}
    symbols: dict[str, str] = {}
    date_format: str | None = None
    timezone: str | None = None
    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    currency: str | None = None
    account: str | None = None
    skip_errors: bool = False


class Report(msgspec.Struct, kw_only=True):
    """What a file says, and what becomes of it.

    faults: what could not be read. unknown: the file's symbols without an instrument → similar symbols of ours.
    in_ledger: whether the rows were tried in the ledger, which knows of sales of more than is held.
    """

    preset: str
    encoding: str
    delimiter: str | None
    rows: list[Row]
    faults: list[Fault]
    unknown: dict[str, list[str]]
    in_ledger: bool = True

    @property
    def failed(self) -> int:
        return len(self.faults) + sum(row.status == FAILED for row in self.rows)

    def count(self, status: str) -> int:
        """How many rows are so."""
        return sum(row.status == status for row in self.rows)

    def errors(self) -> list[dict[str, Any]]:
        """All that is wrong, by row and column, in the order of the file."""
        told = [(fault.row, fault.column, fault.message) for fault in self.faults]
        told += [(row.posting.line, column, why) for row in self.rows for column, why in row.errors.items()]
        told.sort(key=lambda error: error[0] or 0)
        return [{"row": row, "column": column, "message": message} for row, column, message in told]


# --- Preview and commit -----------------------------------------------------------------------------------------------


def preview(portfolio: Portfolio, content: bytes, wish: Wish, now: datetime) -> Report:
    """What `commit` would do; nothing is written. A file above IMPORT_BYTES_AT_ONCE is only read."""
    report = prepare(portfolio, content, wish)
    if len(content) > settings.IMPORT_BYTES_AT_ONCE:
        report.in_ledger = False
        return report
    with transaction.atomic():
        _post(portfolio, report, now)
        transaction.set_rollback(True)
    return report


def commit(batch: ImportBatch, content: bytes, wish: Wish, now: datetime) -> Report:
    """Post the file's rows, all or none; with `skip_errors` the good ones. The batch says what became of it.

    A file that can't be read at all is a report without rows, and a batch that failed.
    """
    try:
        report = prepare(batch.portfolio, content, wish)
    except Fault as fault:
        report = Report(preset=wish.preset or "", encoding="", delimiter=None, rows=[], faults=[fault], unknown={})
        _note(batch, report, ImportBatch.Status.FAILED)
        return report
    if batch.job is not None and not batch.job.advance(0, f"{len(report.rows)} rows read, posting them"):
        _note(batch, report, ImportBatch.Status.FAILED)  # somebody has cancelled the job
        return report
    with transaction.atomic():
        if not _claimed(batch):
            return report
        _post(batch.portfolio, report, now)
        refused = bool(report.failed) and not wish.skip_errors
        if refused:
            transaction.set_rollback(True)
        else:
            _link(batch, report.rows)
            _note(batch, report, ImportBatch.Status.DONE)
    if refused:
        _note(batch, report, ImportBatch.Status.FAILED)
    return report


def begin(
    portfolio: Portfolio, user: Any, content: bytes, filename: str, wish: Wish, *, at_once: bool = False
) -> ImportBatch:
    """A batch for a file. A file above IMPORT_BYTES_AT_ONCE is kept in it, for a worker: `batch.job` tells how far.

    at_once: the caller posts it himself, however large it is.
    """
    later = len(content) > settings.IMPORT_BYTES_AT_ONCE and not at_once
    return ImportBatch.objects.create(
        portfolio=portfolio,
        user=user,
        filename=filename[:255],
        sha256=hashlib.sha256(content).hexdigest(),
        options=msgspec.to_builtins(wish),
        content=zlib.compress(content) if later else None,
        job=jobs.start(KIND, None, user) if later else None,
    )


def work_off(batch_id: int, now: datetime) -> None:
    """Import a batch that waits. Safe to run twice: the second finds nothing to do."""
    batch = ImportBatch.objects.select_related("portfolio", "job").get(pk=batch_id)
    if batch.status != ImportBatch.Status.PENDING or batch.content is None:
        return
    report = commit(batch, zlib.decompress(batch.content), msgspec.convert(batch.options, Wish), now)
    if batch.status == ImportBatch.Status.PENDING or batch.job is None:
        return  # another worker has it
    ImportBatch.objects.filter(pk=batch_id).update(content=None)
    if batch.status == ImportBatch.Status.DONE:
        batch.job.finish(f"{batch.added} rows added, {batch.existing} were there, {batch.failed} failed")
    else:
        batch.job.fail(f"nothing was posted: {report.failed} rows have errors")


def _claimed(batch: ImportBatch) -> bool:
    """Whether nobody else has posted the batch; whoever asks later waits until this transaction is over."""
    rows = ImportBatch.objects.select_for_update().filter(pk=batch.pk, status=ImportBatch.Status.PENDING)
    return rows.first() is not None


def _note(batch: ImportBatch, report: Report, status: str) -> None:
    batch.status, batch.preset = status, report.preset
    batch.rows, batch.failed = len(report.rows) + len(report.faults), report.failed
    batch.existing = report.count(EXISTS)
    batch.added = report.count(NEW) if status == ImportBatch.Status.DONE else 0
    batch.errors = report.errors()[: settings.IMPORT_ERRORS_MAX]
    batch.save(update_fields=["status", "preset", "rows", "added", "existing", "failed", "errors"])


def _link(batch: ImportBatch, rows: Iterable[Row]) -> None:
    lines = [ImportedRow(batch=batch, line=row.posting.line, transaction=row.posted) for row in rows if row.posted]
    ImportedRow.objects.bulk_create(lines, batch_size=1_000)


# --- From the file to drafts ------------------------------------------------------------------------------------------


def prepare(portfolio: Portfolio, content: bytes, wish: Wish) -> Report:
    """The file's rows in the order in which they are posted, each as a draft or with its errors. Raises Fault."""
    if len(content) > settings.IMPORT_MAX_BYTES:
        raise Fault(f"The file has {len(content)} bytes, more than {settings.IMPORT_MAX_BYTES}.")
    document = open_document(
        content,
        rows_max=settings.IMPORT_MAX_ROWS,
        columns_max=settings.IMPORT_MAX_COLUMNS,
        encoding=wish.encoding,
        delimiter=wish.delimiter,
    )
    format_ = _format(document, wish)
    with localcontext(EXACT):  # sums and quotients of 38 digits
        postings, faults = _read(format_.read(document, _options(portfolio, wish)))
    if not postings and not faults:
        raise Fault("The file has no rows.")
    resolver = Resolver(portfolio, wish.symbols)
    rows = [resolver.row(posting) for posting in in_order(postings)]
    identify(portfolio, format_.NAME, rows)
    return Report(
        preset=format_.NAME,
        encoding=document.encoding,
        delimiter=document.delimiter if isinstance(document, Sheet) else None,
        rows=rows,
        faults=faults,
        unknown=resolver.unknown(),
    )


def _format(document: Document, wish: Wish) -> Any:
    if wish.preset is not None:
        return FORMATS[wish.preset]
    return generic if wish.mapping else detect(document)


def _options(portfolio: Portfolio, wish: Wish) -> Options:
    given = {name: getattr(wish, name) for name in Options.__struct_fields__ if name != "base_currency"}
    return Options(base_currency=portfolio.base_currency, **given)


def _read(found: Iterable[Posting | Fault]) -> tuple[list[Posting], list[Fault]]:
    postings: list[Posting] = []
    faults: list[Fault] = []
    for item in found:
        if isinstance(item, Fault):
            faults.append(item)
        else:
            postings.append(item)
    return postings, faults


def in_order(postings: Sequence[Posting]) -> list[Posting]:
    """As they happened; those of one instant in the order of the file, or against it where the newest comes first.

    Our own export stands in the order of posting, which alone knows what reversed what.
    """
    if any(posting.id is not None for posting in postings):
        return list(postings)
    downwards = len(postings) > 1 and postings[0].at > postings[-1].at
    return sorted(postings, key=lambda row: (row.at, -row.line if downwards else row.line, row.part))


# --- Posting ----------------------------------------------------------------------------------------------------------


def _post(portfolio: Portfolio, report: Report, now: datetime) -> None:
    """Post what is new and good, in order; what the ledger refuses gets its errors. Within the caller's transaction.

    The rows of one stretch are posted together. A stretch ends where a row speaks of one before it, by its id: a
    reversal, or a sale of stated lots.
    """
    ids = {row.posting.id: row.found for row in report.rows if row.posting.id is not None and row.found is not None}
    stretch: list[Row] = []
    for row in report.rows:
        if row.status == NEW and (row.posting.reverses is not None or row.posting.lot_ids):
            _post_stretch(portfolio, stretch, ids, now)
            stretch = []
        if row.posting.type == REVERSAL:
            _reverse(portfolio, row, ids)
        elif row.status == NEW:
            stretch.append(_with_lots(row, ids))
    _post_stretch(portfolio, stretch, ids, now)


def _with_lots(row: Row, ids: dict[int, int]) -> Row:
    assert row.draft is not None, "a new row has a draft"
    if row.posting.lot_ids:
        missing = [lot for lot in row.posting.lot_ids if lot not in ids]
        if missing:
            row.errors = {"lot_ids": f"Row {missing[0]} is not in the file before this one."}
        else:
            row.draft = msgspec.structs.replace(row.draft, lot_ids=[ids[lot] for lot in row.posting.lot_ids])
    return row


def _post_stretch(portfolio: Portfolio, stretch: Sequence[Row], ids: dict[int, int], now: datetime) -> None:
    """As many of the rows as the ledger takes. Each refusal tells of some rows; the others are tried again."""
    for _ in range(settings.IMPORT_ATTEMPTS):
        rows = [row for row in stretch if row.status == NEW and row.draft is not None]
        if not rows:
            return
        try:
            posted = ledger.post_all(portfolio, [row.draft for row in rows if row.draft is not None], now)
        except RowsRefused as refused:
            for place, errors in refused.rows.items():
                rows[place].errors = _in_columns(rows[place].posting, errors)
            continue
        for row, (transaction_, new) in zip(rows, posted, strict=True):
            if new:
                row.posted = transaction_
            else:
                row.found = transaction_.pk  # another import of the same file was faster
            if row.posting.id is not None:
                ids[row.posting.id] = transaction_.pk
        return
    for row in rows:
        if row.status == NEW:
            row.errors = {"": "Not tried any more: too many rows before it have errors."}


def _in_columns(posting: Posting, errors: dict[str, str]) -> dict[str, str]:
    """The ledger's fields as the file calls them."""
    return {posting.columns.get(field, field): why for field, why in errors.items()}


def _reverse(portfolio: Portfolio, row: Row, ids: dict[int, int]) -> None:
    """Our own export has reversals: of a row of the same file."""
    target = None if row.posting.reverses is None else ids.get(row.posting.reverses)
    if target is None:
        row.errors = {"reverses": "It is of a row that is not in the file before it."}
        return
    found = Transaction.objects.filter(reverses=target).first()
    if found is not None:
        row.found = found.pk
        return
    try:
        row.posted = ledger.reverse(portfolio.transactions.get(pk=target), row.posting.note)
    except Refused as refused:
        row.errors = refused.errors


# --- Undo -------------------------------------------------------------------------------------------------------------


def undo(batch: ImportBatch, now: datetime) -> int:
    """Reverse what a batch has added and still stands. Returns how many rows. Raises Refused, and then none is."""
    with transaction.atomic():
        batch = ImportBatch.objects.select_for_update().get(pk=batch.pk)
        if batch.status != ImportBatch.Status.DONE:
            raise Refused(batch=f"It is {batch.status}: only a batch that is done is undone.")
        rows = Transaction.objects.filter(imported__batch=batch, reversed_by=None).exclude(type=REVERSAL)
        standing = list(rows.order_by("-at", "-id"))
        ledger.reverse_all(standing, f"import {batch.pk} undone")
        batch.status, batch.undone_at = ImportBatch.Status.UNDONE, now
        batch.save(update_fields=["status", "undone_at"])
        return len(standing)
