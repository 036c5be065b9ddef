"""What was last written into beat's table, so that an admin's edit can be told from our own older version."""

from django.db import models


class Synced(models.Model):
    """An entry of schedule.py as `sync_schedule` left it in the table."""

    name = models.CharField(max_length=200, unique=True)
    digest = models.CharField(max_length=64, help_text="Of the row's fields that an entry decides.")
    removed = models.BooleanField(default=False, help_text="No longer in schedule.py; its row was disabled.")
    synced_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "synced"

    def __str__(self) -> str:
        return self.name
