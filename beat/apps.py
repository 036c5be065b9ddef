from django.apps import AppConfig


class BeatConfig(AppConfig):
    """What runs when."""

    name = "beat"
    default_auto_field = "django.db.models.BigAutoField"
