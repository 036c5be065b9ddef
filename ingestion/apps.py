from django.apps import AppConfig


class IngestionConfig(AppConfig):
    """The market as received."""

    name = "ingestion"
    default_auto_field = "django.db.models.BigAutoField"
