from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.utils.module_loading import autodiscover_modules


class StreamingConfig(AppConfig):
    """Browsers and their subscriptions."""

    name = "streaming"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find the topics, the older paths' dialects and the client actions that the packages above bring along."""
        autodiscover_modules("topics", "dialects", "actions")
        self._hear_of_changes()

    def _hear_of_changes(self) -> None:
        """What ends or narrows a sign-in reaches the live connections."""
        from django.contrib.auth.models import Group

        from streaming import control

        user: type = get_user_model()
        user_logged_out.connect(control.on_sign_out, dispatch_uid="streaming")
        post_save.connect(control.on_user_saved, sender=user, dispatch_uid="streaming")
        post_delete.connect(control.on_user_deleted, sender=user, dispatch_uid="streaming")
        for through in (user.groups.through, user.user_permissions.through):  # type: ignore[attr-defined]
            m2m_changed.connect(control.on_membership_changed, sender=through, dispatch_uid="streaming")
        m2m_changed.connect(control.on_group_changed, sender=Group.permissions.through, dispatch_uid="streaming")
