"""Files that were read into a ledger, and which of its rows each of them brought."""

from django.conf import settings
from django.db import models

from portfolio.models.ledger import Portfolio, Transaction
from worker.models import Job


class ImportBatch(models.Model):
    """One file's import: what it was, what became of it, and (by `lines`) the rows that it added."""

    class Status(models.TextChoices):
        PENDING = "pending", "waits for a worker, or is with one"
        DONE = "done"
        FAILED = "failed", "nothing was written"
        UNDONE = "undone", "its rows are reversed"

    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="imports")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    preset = models.CharField(max_length=32, blank=True, help_text="the format that it was read as")
    filename = models.CharField(max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, help_text="of the file's bytes")
    options = models.JSONField(default=dict, help_text="how it was to be read")
    rows = models.PositiveIntegerField(default=0, help_text="ledger rows that the file states")
    added = models.PositiveIntegerField(default=0)
    existing = models.PositiveIntegerField(default=0, help_text="were in the ledger already")
    failed = models.PositiveIntegerField(default=0, help_text="were left out, each with an error")
    errors = models.JSONField(default=list, help_text="by row and column, the first IMPORT_ERRORS_MAX of them")
    content = models.BinaryField(null=True, help_text="the file, compressed, until a worker has read it")
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["portfolio", "-id"], name="imports_of_a_portfolio")]

    def __str__(self) -> str:
        return f"import {self.pk} ({self.status})"


class ImportedRow(models.Model):
    """A row of the ledger that a file brought, and where it stands in the file."""

    batch = models.ForeignKey(ImportBatch, on_delete=models.PROTECT, related_name="lines")
    line = models.PositiveIntegerField(help_text="of the file, from 1; of a JSON list: its element, from 1")
    transaction = models.OneToOneField(Transaction, on_delete=models.PROTECT, related_name="imported")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"line {self.line} of {self.batch}"
