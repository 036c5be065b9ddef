from django.apps import AppConfig


class WorkerConfig(AppConfig):
    """How jobs run."""

    name = "worker"
    default_auto_field = "django.db.models.BigAutoField"
