from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Settings, URLs and the commands that start everything."""

    name = "project"
    default_auto_field = "django.db.models.BigAutoField"
