"""The Celery application."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

from worker import broker, queues

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

broker.mend()
app = Celery("tapehouse")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = queues.QUEUES
app.conf.task_routes = queues.ROUTES
app.conf.task_default_queue = queues.CONTROL
app.autodiscover_tasks()


@setup_logging.connect(dispatch_uid="worker.celery")
def _keep_our_logging(**_signal: Any) -> None:
    """A listener is enough: Celery then leaves the logging of settings.LOGGING as Django set it up."""
