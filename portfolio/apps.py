from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    """What people own."""

    name = "portfolio"
    default_auto_field = "django.db.models.BigAutoField"
