"""How each user wants to be told."""

from django.conf import settings
from django.db import models


class NotificationPreferences(models.Model):
    """One user's wishes; who has no row has the defaults. Written by the HTTP call alone, which checks them.

    They decide when and where a notification is delivered. In the application everything is told at once.
    The JSON is that of `courtesy.Wishes`.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="notification_preferences"
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    quiet_hours = models.JSONField(
        default=list, help_text='[{"days": ["mon", …], "start": "22:00", "end": "07:00"}, …]'
    )
    critical_breaks_through = models.BooleanField(
        default=True, help_text="whether what is critical disturbs at any hour"
    )
    digests = models.JSONField(default=list, help_text='[{"types": […], "up_to": "normal", "every_minutes": 60}, …]')
    minimum_priority = models.JSONField(
        default=dict, help_text="type → what is less urgent is not delivered; `*`: others"
    )
    muted_types = models.JSONField(default=list)
    storm_max = models.PositiveSmallIntegerField(null=True, help_text="of one group; the rest comes as one summary")
    storm_type_max = models.PositiveSmallIntegerField(null=True, help_text="of one type")
    storm_minutes = models.PositiveSmallIntegerField(null=True, help_text="within which they are counted")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "notification preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user}"
