from django.apps import AppConfig


class SignalsConfig(AppConfig):
    """What to tell people."""

    name = "signals"
    default_auto_field = "django.db.models.BigAutoField"
