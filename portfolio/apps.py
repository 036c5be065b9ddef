from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    """What people own."""

    name = "portfolio"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Open orders give way to other rows of the ledger, whoever posts them; and their topics are made known."""
        from portfolio import orders  # noqa: F401
