from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.utils.module_loading import autodiscover_modules


class StreamingConfig(AppConfig):
    """Browsers and their subscriptions."""

    name = "streaming"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find the topics, the older paths' dialects and the client actions that the packages above bring along."""
        autodiscover_modules("topics", "dialects", "actions")
        from streaming.auth import tell_of_sign_out

        user_logged_out.connect(tell_of_sign_out, dispatch_uid="streaming")
