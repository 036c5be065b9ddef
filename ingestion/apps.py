from django.apps import AppConfig
from django.conf import settings

from ingestion.providers import use_ccxt


class IngestionConfig(AppConfig):
    """The market as received."""

    name = "ingestion"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        use_ccxt(settings.FEEDS)
