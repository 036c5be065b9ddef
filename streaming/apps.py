from django.apps import AppConfig


class StreamingConfig(AppConfig):
    """Browsers and their subscriptions."""

    name = "streaming"
    default_auto_field = "django.db.models.BigAutoField"
